"""A transport for httpx, which then sends its requests through the host.

```python
import httpx
from chainlet.http.httpx import Transport

client = httpx.AsyncClient(transport=Transport())
```

Clients of services that take an `httpx.AsyncClient` work with it, as far as their packages are pure Python.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx

from ._client import send
from ._errors import HttpError, HttpErrorKind
from ._request import Request

_ERRORS: dict[HttpErrorKind, type[httpx.TransportError]] = {
    HttpErrorKind.REQUEST: httpx.UnsupportedProtocol,
    HttpErrorKind.TIMEOUT: httpx.ReadTimeout,
    HttpErrorKind.PROTOCOL: httpx.RemoteProtocolError,
}
# The host writes these itself.
_OWN = frozenset(["host", "connection", "transfer-encoding", "keep-alive"])


class _Body(httpx.AsyncByteStream):
    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._pieces:
            yield piece

    async def aclose(self) -> None:
        close: Any = getattr(self._pieces, "aclose", None)
        if close is not None:
            await close()


class Transport(httpx.AsyncBaseTransport):
    """Sends the requests of an `httpx.AsyncClient`."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends one request."""
        headers = [(name.lower(), value) for name, value in request.headers.items() if name.lower() not in _OWN]
        timeout = (request.extensions.get("timeout") or {}).get("read")
        made = Request(request.method, str(request.url), headers, await request.aread() or None, timeout)
        try:
            answer = await send(made)
        except HttpError as error:
            raise _ERRORS.get(error.reason, httpx.ConnectError)(error.message, request=request) from error
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer.body), request=request)
