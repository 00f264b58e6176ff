"""The transport of a component: wasi:http 0.3."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import wit_world
from componentize_py_types import Err, Ok

from .. import _host
from .._component.streams import StreamEnds
from .._types import forms
from .._types.convert import Converter
from ._errors import HttpError, HttpErrorKind
from ._request import Answer, Request

_types, _client = _host.interface("http_types"), _host.interface("http_client")
_BYTES = StreamEnds(forms.StreamOf(forms.Scalar("list<u8>", bytes)), Converter(None))
_METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"])
# From words in the name of an error of wasi:http to the reason. The first that is there counts.
_REASONS = (
    ("RequestDenied", HttpErrorKind.DENIED),
    ("IpProhibited", HttpErrorKind.DENIED),
    ("Timeout", HttpErrorKind.TIMEOUT),
    ("Tls", HttpErrorKind.TLS),
    ("Dns", HttpErrorKind.CONNECT),
    ("Destination", HttpErrorKind.CONNECT),
    ("ConnectionRefused", HttpErrorKind.CONNECT),
    ("ConnectionLimit", HttpErrorKind.CONNECT),
    ("HttpRequest", HttpErrorKind.REQUEST),
)


async def send(request: Request) -> Answer:
    """Sends a request. A cancelled one goes on in the host until its own timeout."""
    if _client is None:
        raise HttpError(
            HttpErrorKind.DENIED, "this component has no wasi:http: import chainlet.http at the top of the file"
        )
    try:
        response = await _client.send(_request(request))
    except Err as error:
        raise _error(error.value, request) from None
    headers = [(name, value.decode("latin-1")) for name, value in response.get_headers().copy_all()]
    return Answer(response.get_status_code(), headers, _body(response, request))


def _request(request: Request) -> Any:
    parts = urlsplit(request.url)
    try:
        # The host writes `host` itself, and refuses one from here.
        headers = [(name, value.encode()) for name, value in request.headers if name != "host"]
        fields = _types.Fields.from_list(headers)
    except Err as error:
        raise HttpError(HttpErrorKind.REQUEST, f"a header is refused: {type(error.value).__name__}") from None
    options = _types.RequestOptions()
    if request.timeout is not None:
        nanoseconds = max(1, round(request.timeout * 1e9))
        options.set_connect_timeout(nanoseconds)
        options.set_first_byte_timeout(nanoseconds)
        options.set_between_bytes_timeout(nanoseconds)
    content = None if request.content is None else _BYTES.send(_pieces(request.content))
    trailers = _resolved("result_option_", None)
    made, _sent = _types.Request.new(fields, content, trailers, options)
    method = request.method
    made.set_method(
        getattr(_types, f"Method_{method.title()}")() if method in _METHODS else _types.Method_Other(method)
    )
    made.set_scheme(_types.Scheme_Https() if parts.scheme == "https" else _types.Scheme_Http())
    made.set_authority(parts.netloc.rpartition("@")[2])
    made.set_path_with_query(parts.path + (f"?{parts.query}" if parts.query else ""))
    return made


async def _body(response: Any, request: Request) -> AsyncIterator[bytes]:
    reader, trailers = _types.Response.consume_body(response, _resolved("result_unit_", None))
    with trailers:
        async for piece in _BYTES.read(reader):
            yield piece
        end = await trailers.read()
    if isinstance(end, Err):
        raise _error(end.value, request)


async def _pieces(content: bytes | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if isinstance(content, bytes):
        if content:
            yield content
    else:
        async for piece in content:
            yield piece


def _resolved(prefix: str, value: Any) -> Any:
    """Returns the reader of a future that has the value `ok(value)`."""
    name = next(
        name
        for name in vars(wit_world)
        if name.startswith(prefix) and name.endswith("_error_code_future") and "http" in name
    )
    writer, reader = getattr(wit_world, name)(lambda: Ok(value))
    # The end of `with` writes the default.
    with writer:
        return reader


def _error(code: Any, request: Request) -> HttpError:
    name = type(code).__name__.removeprefix("ErrorCode_")
    reason = next((kind for word, kind in _REASONS if word in name), HttpErrorKind.PROTOCOL)
    detail = getattr(code, "value", None)
    more = f": {detail}" if isinstance(detail, str) else ""
    return HttpError(reason, f"the request to {request.server} failed: {name}{more}")
