"""Errors that a chainlet declares, and failures of the chainlets that it calls.

| exception | who raises it | what its caller gets |
|---|---|---|
| `Error` | you, or a dependency that declared it | the status of its kind, its sentence and its details |
| `Failure` | a dependency that gave no answer | the same failure, with the chainlet in which it began |
| any other | Python or a package | an error of the kind `internal`; the log has the traceback |

An `Error` or a `Failure` of a dependency that leaves `run_remote` reaches the client as what it was.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any


class ErrorKind(enum.Enum):
    """The kind of an `Error`, which decides its status over HTTP."""

    INVALID = "invalid"
    """The request is wrong, whatever the state of the chainlet. HTTP 400."""
    UNAUTHENTICATED = "unauthenticated"
    """The caller is not known. HTTP 401."""
    FORBIDDEN = "forbidden"
    """The caller may not have it. HTTP 403."""
    NOT_FOUND = "not-found"
    """There is nothing of this name. HTTP 404."""
    CONFLICT = "conflict"
    """The request conflicts with the present state. HTTP 409."""
    UNPROCESSABLE = "unprocessable"
    """The request is well-formed, but cannot be served as it is. HTTP 422."""
    TOO_MANY = "too-many"
    """The caller has asked too often or for too much. HTTP 429."""
    INTERNAL = "internal"
    """The chainlet failed because of a fault of its own. HTTP 500."""
    UNIMPLEMENTED = "unimplemented"
    """The chainlet does not do this. HTTP 501."""
    UPSTREAM = "upstream"
    """A service that the chainlet asked failed. HTTP 502."""
    UNAVAILABLE = "unavailable"
    """The chainlet cannot serve now. HTTP 503."""
    TIMEOUT = "timeout"
    """The chainlet waited for something that did not come in time. HTTP 504."""


class Error(Exception):
    """The reason why a chainlet did not do its work, for its caller.

    `details` is anything that JSON can hold. `repeatable` says that the same call may succeed later and that a
    repetition does no harm; an edge with several attempts then repeats it.
    """

    def __init__(
        self,
        message: str,
        kind: ErrorKind = ErrorKind.UNPROCESSABLE,
        *,
        details: Any = None,
        repeatable: bool = False,
    ) -> None:
        super().__init__(message)
        self.message, self.kind, self.details, self.repeatable = message, kind, details, repeatable
        # The dependency that returned this error. The SDK sets it.
        self.dependency: str | None = None

    @classmethod
    def invalid(cls, message: str, *, details: Any = None) -> Error:
        """Makes an error of the kind `ErrorKind.INVALID`."""
        return cls(message, ErrorKind.INVALID, details=details)

    @classmethod
    def not_found(cls, message: str, *, details: Any = None) -> Error:
        """Makes an error of the kind `ErrorKind.NOT_FOUND`."""
        return cls(message, ErrorKind.NOT_FOUND, details=details)

    @classmethod
    def unavailable(cls, message: str, *, repeatable: bool = True) -> Error:
        """Makes an error of the kind `ErrorKind.UNAVAILABLE`, which by default is repeatable."""
        return cls(message, ErrorKind.UNAVAILABLE, repeatable=repeatable)


class FailureKind(enum.Enum):
    """The reason why a call of a dependency got no answer."""

    INVALID_INPUT = "invalid-input"
    TOO_LARGE = "too-large"
    ANSWER_TOO_LARGE = "answer-too-large"
    OVERLOADED = "overloaded"
    NOT_READY = "not-ready"
    DEADLINE = "deadline"
    TRAP = "trap"
    STOPPING = "stopping"
    UNREACHABLE = "unreachable"
    CANCELLED = "cancelled"
    INTERNAL = "internal"


@dataclass(frozen=True)
class Edge:
    """One chainlet's dependency on another."""

    caller: str
    dependency: str
    callee: str


class Failure(Exception):
    """A call of a dependency that got no answer: the dependency was overloaded, trapped, or took too long.

    `chainlet` is the one in which the failure began, and `path` has the edges to it. `repeatable` is true if the call
    is known not to have begun. `retry_after` is in seconds, or `None` if it is not known whether another attempt helps.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        chainlet: str = "",
        path: tuple[Edge, ...] = (),
        *,
        repeatable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind, self.message, self.chainlet, self.path = kind, message, chainlet, path
        self.repeatable, self.retry_after = repeatable, retry_after
        # The host recognises its own failure only if every member comes back unchanged.
        self.host_value: Any = None

    def __str__(self) -> str:
        where = f" in {self.chainlet}" if self.chainlet else ""
        return f"{self.kind.value}{where}: {self.message}"
