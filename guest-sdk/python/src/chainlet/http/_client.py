"""The functions that send requests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from .. import _host
from ._errors import HttpError, HttpErrorKind
from ._request import Answer, Content, Request, make_request
from ._response import Response


async def request(
    method: str,
    url: str,
    *,
    params: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    json: Any = None,
    content: Content = None,
    timeout: float | None = None,
) -> Response:
    """Sends a request and returns the answer when its head is there.

    `content` is bytes, text, or an async iterator of bytes. `timeout` is in seconds, and limits the time to the head
    of the answer and the time between two pieces of its body. Any status is an answer: see `raise_for_status`.
    """
    made = make_request(method, url, params=params, headers=headers, json=json, content=content, timeout=timeout)
    answer = await send(made)
    return Response(answer.status, answer.headers, answer.body, made.server)


async def send(request: Request) -> Answer:
    """Sends a request with the transport of this place: wasi:http in a component, `urllib` elsewhere."""
    if _host.in_component():
        from . import _wasi as transport
    else:
        from . import _urllib as transport  # type: ignore[no-redef]
    try:
        async with _timeout(request.timeout):
            return await transport.send(request)
    except (TimeoutError, asyncio.TimeoutError):
        raise HttpError(HttpErrorKind.TIMEOUT, f"{request.server} did not answer within {request.timeout} s") from None


class _timeout:
    """`asyncio.timeout`, which Python 3.10 does not have: there `urllib` has the limit."""

    def __init__(self, seconds: float | None) -> None:
        make = getattr(asyncio, "timeout", None)
        self._inner = make(seconds) if make else None

    async def __aenter__(self) -> None:
        if self._inner:
            await self._inner.__aenter__()

    async def __aexit__(self, *error: Any) -> bool | None:
        return await self._inner.__aexit__(*error) if self._inner else None


async def get(url: str, **options: Any) -> Response:
    """Sends a `GET` request, with the options of `request`."""
    return await request("GET", url, **options)


async def post(url: str, **options: Any) -> Response:
    """Sends a `POST` request, with the options of `request`."""
    return await request("POST", url, **options)


async def put(url: str, **options: Any) -> Response:
    """Sends a `PUT` request, with the options of `request`."""
    return await request("PUT", url, **options)


async def patch(url: str, **options: Any) -> Response:
    """Sends a `PATCH` request, with the options of `request`."""
    return await request("PATCH", url, **options)


async def delete(url: str, **options: Any) -> Response:
    """Sends a `DELETE` request, with the options of `request`."""
    return await request("DELETE", url, **options)
