"""Fields of a model, and the marks on its methods."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from ._rules import RULES

_MISSING: Any = ...


class AliasChoices:
    """Several names of a field. The first that is there counts."""

    def __init__(self, *choices: str) -> None:
        self.choices = choices


class FieldInfo:
    """What a model knows of a field."""

    def __init__(self, default: Any = _MISSING, **options: Any) -> None:
        self.default = default
        self.default_factory: Callable[[], Any] | None = options.pop("default_factory", None)
        self.alias: str | None = options.pop("alias", None)
        self.validation_alias: Any = options.pop("validation_alias", None) or self.alias
        self.serialization_alias: str | None = options.pop("serialization_alias", None) or self.alias
        self.description: str | None = options.pop("description", None)
        self.title: str | None = options.pop("title", None)
        self.exclude: bool = bool(options.pop("exclude", False))
        self.frozen: bool = bool(options.pop("frozen", False))
        self.rules = {name: options[name] for name in RULES if options.get(name) is not None}
        self.annotation: Any = None
        self.metadata: list[Any] = []

    def is_required(self) -> bool:
        """Returns true if a value must be given."""
        return self.default is _MISSING and self.default_factory is None

    def get_default(self, *, call_default_factory: bool = True) -> Any:
        """Returns the default, a copy of its own for each model."""
        if self.default_factory is not None:
            return self.default_factory() if call_default_factory else None
        return copy.deepcopy(self.default)

    def names(self, field: str, by_name: bool) -> list[str]:
        """Returns the names under which a value may be given."""
        alias = self.validation_alias
        names = list(alias.choices) if isinstance(alias, AliasChoices) else [alias] if alias else []
        return [*names, field] if by_name or not names else names


class PrivateInfo:
    """An attribute that is no field."""

    def __init__(self, default: Any, factory: Callable[[], Any] | None) -> None:
        self._default, self._factory = default, factory

    def get(self) -> Any:
        """Returns the first value."""
        return self._factory() if self._factory is not None else copy.deepcopy(self._default)


def Field(default: Any = _MISSING, **options: Any) -> Any:
    """Gives a field a default, an alias, a description, or rules for its values."""
    return FieldInfo(default, **options)


def PrivateAttr(default: Any = None, *, default_factory: Callable[[], Any] | None = None, **_: Any) -> Any:
    """Declares an attribute that is no field."""
    return PrivateInfo(default, default_factory)


def ConfigDict(**options: Any) -> dict[str, Any]:
    """Returns the configuration of a model."""
    return options


def field_validator(*fields: str, mode: str = "after", **_: Any) -> Callable[[Any], Any]:
    """Marks a class method that checks the values of fields, `before` or `after` their types are checked."""
    if mode == "wrap":
        raise TypeError("the pydantic of a component has no field_validator of the mode wrap: use before or after")
    return _marked("__validates_fields__", (fields, mode))


def model_validator(*, mode: str = "after") -> Callable[[Any], Any]:
    """Marks a method that checks a whole model, `before` or `after` its fields are."""
    return _marked("__validates_model__", mode)


def field_serializer(*fields: str, **_: Any) -> Callable[[Any], Any]:
    """Marks a method that makes the dumped value of fields."""
    return _marked("__serializes__", fields)


def model_serializer(function: Any = None, **_: Any) -> Any:
    """Marks the method that dumps the model."""
    mark = _marked("__serializes_model__", True)
    return mark(function) if function is not None else mark


def computed_field(function: Any = None, **_: Any) -> Any:
    """Marks a property that is dumped like a field."""

    def mark(function: Any) -> Any:
        prop = function if isinstance(function, property) else property(function)
        prop.fget.__computed__ = True  # type: ignore[union-attr]
        return prop

    return mark(function) if function is not None else mark


def _marked(name: str, value: Any) -> Callable[[Any], Any]:
    def mark(function: Any) -> Any:
        # The mark is on the function, because a classmethod of some versions takes no attributes.
        setattr(getattr(function, "__func__", function), name, value)
        return function

    return mark
