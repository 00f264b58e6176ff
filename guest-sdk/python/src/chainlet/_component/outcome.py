"""Errors and failures, from and to the host."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

from componentize_py_types import Err
from wit_world.imports import call as host_call
from wit_world.imports import errors as host_errors

from .._types.convert import ConversionError
from ..errors import Edge, Error, ErrorKind, Failure, FailureKind

_log = logging.getLogger("chainlet")
# The bindings have the cases of an enum in the order of the WIT, as the enums of this package do.
_ERROR_KINDS = dict(zip(ErrorKind, host_errors.ErrorKind))
_KINDS_OF_ERRORS = {bound: kind for kind, bound in _ERROR_KINDS.items()}
_FAILURE_KINDS = dict(zip(FailureKind, host_call.FailureKind))
_KINDS_OF_FAILURES = {bound: kind for kind, bound in _FAILURE_KINDS.items()}


def from_failure(value: Any) -> Failure:
    """Returns the exception for a failure of the host."""
    path = tuple(Edge(edge.caller, edge.dependency, edge.callee) for edge in value.path)
    retry_after = None if value.retry_after is None else value.retry_after / 1e9
    failure = Failure(
        _KINDS_OF_FAILURES[value.kind],
        value.message,
        value.chainlet,
        path,
        repeatable=value.repeatable,
        retry_after=retry_after,
    )
    failure.host_value = value
    return failure


def from_error(value: Any, dependency: str) -> Error:
    """Returns the exception for an error that a dependency declared."""
    try:
        details = None if value.details is None else json.loads(value.details)
    except ValueError:
        # A chainlet in another language may write anything.
        details = value.details
    error = Error(value.message, _KINDS_OF_ERRORS[value.kind], details=details, repeatable=value.repeatable)
    error.dependency = dependency
    return error


def end(error: BaseException) -> Err[Any]:
    """Tells the host where `error`, which ends the running call, began. Returns what `run-remote` then raises."""
    error = _root(error)
    if isinstance(error, Failure):
        host_call.fail(_to_failure(error))
        # The host ignores the value: the call has failed.
        return Err(_to_error(Error(error.message, ErrorKind.INTERNAL)))
    if isinstance(error, Error):
        if error.dependency is not None:
            host_call.pass_on(error.dependency)
        return Err(_to_error(error))
    if isinstance(error, asyncio.CancelledError):
        return Err(_to_error(Error("the call is over", ErrorKind.UNAVAILABLE)))
    _log.error("run_remote raised %s", type(error).__name__, exc_info=error)
    if isinstance(error, ConversionError):
        # The SDK's own words: a value that does not fit, and its place.
        return Err(_to_error(Error(describe(error), ErrorKind.INTERNAL)))
    # The text of an exception may hold a secret or data of others, and clients see this message.
    return Err(_to_error(Error(f"run_remote raised {type(error).__name__}; the log has the rest", ErrorKind.INTERNAL)))


def invalid_input(error: ConversionError) -> Error:
    """Returns the error for an argument that its type refuses, such as a pydantic model."""
    return Error.invalid(str(error))


def describe(error: BaseException) -> str:
    """Returns the class and the text of an exception."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def reported(what: str, error: BaseException) -> str:
    """Returns a sentence for the operator about an exception outside a call, whose traceback goes to the log."""
    if isinstance(error, (Error, Failure)):
        return str(error)
    _log.error("%s raised %s", what, type(error).__name__, exc_info=error)
    return f"{what} raised {describe(error)}"


def _root(error: BaseException) -> BaseException:
    """Returns the first `Error` or `Failure` in a group of exceptions, as a `TaskGroup` raises it."""
    return next((each for each in _leaves(error) if isinstance(each, (Error, Failure))), error)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    # The base class of groups is new in Python 3.11, and the builder's side runs on 3.10 as well.
    inner = getattr(error, "exceptions", None)
    if inner is None:
        yield error
    else:
        for each in inner:
            yield from _leaves(each)


def _to_error(error: Error) -> Any:
    details = None if error.details is None else json.dumps(error.details, ensure_ascii=False, default=str)
    return host_errors.Error(_ERROR_KINDS[error.kind], error.message, details, error.repeatable)


def _to_failure(failure: Failure) -> Any:
    if failure.host_value is not None:
        return failure.host_value
    path = [host_call.Edge(edge.caller, edge.dependency, edge.callee) for edge in failure.path]
    retry_after = None if failure.retry_after is None else round(failure.retry_after * 1e9)
    kind = _FAILURE_KINDS[failure.kind]
    return host_call.Failure(kind, failure.message, failure.chainlet, path, failure.repeatable, retry_after)
