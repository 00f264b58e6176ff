"""A request, as the transports take it, and the answer that they give."""

from __future__ import annotations

import json as jsonlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Union
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from .. import call
from ._errors import HttpError, HttpErrorKind

Content = Union[bytes, str, AsyncIterator[bytes], None]


@dataclass
class Request:
    """A request. Names of headers are in lower case."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    content: bytes | AsyncIterator[bytes] | None
    timeout: float | None

    @property
    def server(self) -> str:
        """The scheme and the server, for messages."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname or ''}"


@dataclass
class Answer:
    """The head of an answer, and its body in pieces."""

    status: int
    headers: list[tuple[str, str]]
    body: AsyncIterator[bytes]


def make_request(
    method: str,
    url: str,
    *,
    params: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    json: Any = None,
    content: Content = None,
    timeout: float | None = None,
) -> Request:
    """Makes a request of what the functions of the client take."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise HttpError(HttpErrorKind.REQUEST, "the URL does not begin with http:// or https:// and a server")
    query = parts.query
    if params:
        query = "&".join(filter(None, [query, urlencode(params, doseq=True)]))
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    all_headers = {name.lower(): value for name, value in (headers or {}).items()}
    body: bytes | AsyncIterator[bytes] | None = content.encode() if isinstance(content, str) else content
    if json is not None:
        if content is not None:
            raise HttpError(HttpErrorKind.REQUEST, "a request has json or content, not both")
        body = jsonlib.dumps(json, ensure_ascii=False).encode()
        all_headers.setdefault("content-type", "application/json")
    if isinstance(body, bytes):
        all_headers.setdefault("content-length", str(len(body)))
    for name, value in call.trace_context().items():
        all_headers.setdefault(name, value)
    return Request(
        method.upper(),
        urlunsplit((parts.scheme, parts.netloc, path, query, "")),
        list(all_headers.items()),
        body,
        timeout,
    )
