"""Errors of requests."""

from __future__ import annotations

import enum

from ..errors import Error, ErrorKind


class HttpErrorKind(enum.Enum):
    """The reason why a request has no answer."""

    REQUEST = "request"
    """The request is malformed and was not sent."""
    DENIED = "denied"
    """chain.toml does not allow the request. The host's log says what is missing."""
    CONNECT = "connect"
    """The server cannot be found or reached."""
    TLS = "tls"
    """The connection is not safe: the certificate is wrong, or the encryption failed."""
    TIMEOUT = "timeout"
    """Something took too long."""
    PROTOCOL = "protocol"
    """The connection broke off, or the server does not speak HTTP."""
    STATUS = "status"
    """The server answered with an error status, and `raise_for_status` was called."""


_KINDS = {
    HttpErrorKind.REQUEST: ErrorKind.INTERNAL,
    HttpErrorKind.DENIED: ErrorKind.INTERNAL,
    HttpErrorKind.TIMEOUT: ErrorKind.TIMEOUT,
}


class HttpError(Error):
    """A request without a good answer. If it leaves `run_remote`, its caller gets an error of a kind that fits.

    The message has the server but not the path, which may contain a secret.
    """

    def __init__(self, reason: HttpErrorKind, message: str, *, status: int | None = None) -> None:
        super().__init__(message, _KINDS.get(reason, ErrorKind.UPSTREAM))
        self.reason, self.status = reason, status
