"""Rules for the values of a field: `ge=0`, `max_length=10`, `pattern="…"`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ._errors import Mistake

# From the rule to its test, the type of the mistake, and its message.
RULES: dict[str, tuple[Callable[[Any, Any], bool], str, str]] = {
    "ge": (lambda value, limit: value >= limit, "greater_than_equal", "Input should be greater than or equal to {}"),
    "gt": (lambda value, limit: value > limit, "greater_than", "Input should be greater than {}"),
    "le": (lambda value, limit: value <= limit, "less_than_equal", "Input should be less than or equal to {}"),
    "lt": (lambda value, limit: value < limit, "less_than", "Input should be less than {}"),
    "multiple_of": (lambda value, limit: value % limit == 0, "multiple_of", "Input should be a multiple of {}"),
    "min_length": (lambda value, limit: len(value) >= limit, "too_short", "Value should have at least {} items"),
    "max_length": (lambda value, limit: len(value) <= limit, "too_long", "Value should have at most {} items"),
    "pattern": (
        lambda value, pattern: re.search(pattern, value) is not None,
        "string_pattern_mismatch",
        "String should match pattern '{}'",
    ),
}


def check(rules: dict[str, Any], value: Any) -> None:
    """Raises a `Mistake` for the first rule that the value breaks. None breaks no rule."""
    if value is None:
        return
    for name, limit in rules.items():
        test, type, message = RULES[name]
        if not test(value, limit):
            if isinstance(value, str) and name in ("min_length", "max_length"):
                type, message = f"string_{type}", message.replace("Value", "String").replace("items", "characters")
            raise Mistake(type, message.format(limit))
