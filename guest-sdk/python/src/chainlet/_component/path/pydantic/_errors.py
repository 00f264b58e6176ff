"""The error of a value that does not fit its model."""

from __future__ import annotations

import json
from typing import Any


class ValidationError(ValueError):
    """All mistakes in a value, each with the path to it."""

    def __init__(self, title: str, line_errors: list[dict[str, Any]]) -> None:
        self.title, self._errors = title, line_errors
        count = f"{len(line_errors)} validation error{'s' if len(line_errors) != 1 else ''} for {title}"
        lines = [
            f"{'.'.join(map(str, error['loc']))}\n  {error['msg']} [type={error['type']}]" for error in line_errors
        ]
        super().__init__("\n".join([count, *lines]))

    def errors(self, **_: Any) -> list[dict[str, Any]]:
        """Returns the mistakes: `type`, `loc`, `msg` and `input`."""
        return self._errors

    def error_count(self) -> int:
        """Returns the number of mistakes."""
        return len(self._errors)

    def json(self, **_: Any) -> str:
        """Returns the mistakes as JSON text."""
        return json.dumps(self._errors, default=str)


class Mistake(ValueError):
    """One mistake in a value, before the path to it is known."""

    def __init__(self, type: str, message: str) -> None:
        super().__init__(message)
        self.type = type


def line_errors(error: Exception, step: Any, value: Any) -> list[dict[str, Any]]:
    """Returns the mistakes of `error`, with one more step in front of their paths."""
    if isinstance(error, ValidationError):
        return [{**each, "loc": (step, *each["loc"])} for each in error.errors()]
    if isinstance(error, Mistake):
        return [{"type": error.type, "loc": (step,), "msg": str(error), "input": value}]
    kind = "assertion_error" if isinstance(error, AssertionError) else "value_error"
    word = "Assertion failed" if isinstance(error, AssertionError) else "Value error"
    return [{"type": kind, "loc": (step,), "msg": f"{word}, {error}", "input": value}]
