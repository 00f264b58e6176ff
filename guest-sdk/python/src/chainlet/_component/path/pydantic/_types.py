"""Types with rules, for annotations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from ._fields import FieldInfo


class BeforeValidator:
    """A function that changes or refuses a value before its type is checked."""

    def __init__(self, func: Callable[[Any], Any]) -> None:
        self.func = func


class AfterValidator:
    """A function that changes or refuses a value after its type was checked."""

    def __init__(self, func: Callable[[Any], Any]) -> None:
        self.func = func


class StringConstraints:
    """Rules and changes for a string."""

    def __init__(
        self,
        *,
        strip_whitespace: bool = False,
        to_lower: bool = False,
        to_upper: bool = False,
        **rules: Any,
    ) -> None:
        self.strip_whitespace, self.to_lower, self.to_upper = strip_whitespace, to_lower, to_upper
        self.rules = FieldInfo(**rules).rules

    def change(self, value: str) -> str:
        """Returns the string with all changes."""
        value = value.strip() if self.strip_whitespace else value
        value = value.lower() if self.to_lower else value
        return value.upper() if self.to_upper else value


def constr(**rules: Any) -> Any:
    """Returns a string type with rules."""
    return Annotated[str, StringConstraints(**rules)]


def conint(**rules: Any) -> Any:
    """Returns an integer type with rules."""
    return Annotated[int, FieldInfo(**rules)]


def conlist(item: Any, **rules: Any) -> Any:
    """Returns a list type with rules."""
    return Annotated[list[item], FieldInfo(**rules)]


PositiveInt = Annotated[int, FieldInfo(gt=0)]
NonNegativeInt = Annotated[int, FieldInfo(ge=0)]
NegativeInt = Annotated[int, FieldInfo(lt=0)]
PositiveFloat = Annotated[float, FieldInfo(gt=0)]
NonNegativeFloat = Annotated[float, FieldInfo(ge=0)]
NegativeFloat = Annotated[float, FieldInfo(lt=0)]
