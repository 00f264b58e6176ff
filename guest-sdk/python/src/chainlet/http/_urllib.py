"""The transport of plain Python: `urllib` in a thread. The body is read at once."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from email.message import Message
from typing import Any

from ._errors import HttpError, HttpErrorKind
from ._request import Answer, Request


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirects)


async def send(request: Request) -> Answer:
    """Sends a request."""
    content = request.content
    if content is not None and not isinstance(content, bytes):
        content = b"".join([piece async for piece in content])
    status, headers, body = await asyncio.to_thread(_send, request, content)
    return Answer(status, headers, _pieces(body))


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    if body:
        yield body


def _send(request: Request, content: bytes | None) -> tuple[int, list[tuple[str, str]], bytes]:
    made = urllib.request.Request(request.url, content, dict(request.headers), method=request.method)
    try:
        with _opener.open(made, timeout=request.timeout) as answer:
            return answer.status, _headers(answer.headers), answer.read()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, _headers(answer.headers), answer.read()
    except TimeoutError:
        raise HttpError(HttpErrorKind.TIMEOUT, f"{request.server} did not answer in time") from None
    except urllib.error.URLError as error:
        raise HttpError(HttpErrorKind.CONNECT, f"the request to {request.server} failed: {error.reason}") from error


def _headers(headers: Message) -> list[tuple[str, str]]:
    return [(name.lower(), str(value)) for name, value in headers.items()]
