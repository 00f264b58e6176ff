"""A value as its annotation wants it, by the rules of pydantic's lax mode."""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import decimal
import enum
import types
import typing
import uuid
from collections.abc import Callable
from typing import Any

from ._errors import Mistake, ValidationError, line_errors
from ._fields import FieldInfo
from ._rules import check
from ._types import AfterValidator, BeforeValidator, StringConstraints

_LISTS: dict[Any, type] = {
    list: list, set: set, frozenset: frozenset, collections.abc.Sequence: list, collections.abc.Iterable: list,
    collections.abc.Set: set,
}  # fmt: skip
_MAPS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_BOOLS = {"true": True, "1": True, "yes": True, "on": True, "t": True, "y": True,
          "false": False, "0": False, "no": False, "off": False, "f": False, "n": False}  # fmt: skip


def coerce(annotation: Any, value: Any, strict: bool = False) -> Any:
    """Returns the value as `annotation`, or raises `Mistake` or `ValidationError`."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any or annotation is object or isinstance(annotation, typing.TypeVar):
        return value
    if origin is typing.Annotated:
        return _annotated(args, value, strict)
    if annotation is None or annotation is type(None):
        if value is not None:
            raise Mistake("none_required", "Input should be None")
        return None
    if origin in (typing.Union, types.UnionType):
        return _union(args, value)
    if origin is typing.Literal:
        if value not in args:
            raise Mistake("literal_error", f"Input should be {' or '.join(map(repr, args))}")
        return value
    if origin is tuple or annotation is tuple:
        return _tuple(args, value)
    if (kind := origin or annotation) in _LISTS:
        return _list(_LISTS[kind], args, value)
    if kind in _MAPS:
        return _dict(args, value)
    if isinstance(annotation, type):
        return _class(annotation, value, strict)
    return value


def _annotated(args: tuple[Any, ...], value: Any, strict: bool) -> Any:
    for each in args[1:]:
        if isinstance(each, BeforeValidator):
            value = each.func(value)
    value = coerce(args[0], value, strict)
    for each in args[1:]:
        if isinstance(each, StringConstraints):
            value = each.change(value)
        if isinstance(each, (FieldInfo, StringConstraints)):
            check(each.rules, value)
        elif isinstance(each, AfterValidator):
            value = each.func(value)
    return value


def _union(args: tuple[Any, ...], value: Any) -> Any:
    # The smart mode of pydantic: a type that the value has already wins over one that it can become.
    for strict in (True, False):
        for arg in args:
            try:
                return coerce(arg, value, strict)
            except (ValueError, TypeError):
                continue
    names = " or ".join(getattr(arg, "__name__", str(arg)) for arg in args)
    raise Mistake("union_error", f"Input should be {names}")


def _list(make: type, args: tuple[Any, ...], value: Any) -> Any:
    if not isinstance(value, (list, tuple, set, frozenset, collections.abc.Generator)):
        raise Mistake("list_type", f"Input should be a valid {make.__name__}")
    return make(_each(enumerate(value), lambda item: coerce(args[0], item)) if args else value)


def _tuple(args: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise Mistake("tuple_type", "Input should be a valid tuple")
    if not args:
        return tuple(value)
    if args[-1] is Ellipsis:
        return tuple(_each(enumerate(value), lambda item: coerce(args[0], item)))
    if len(args) != len(value):
        raise Mistake("too_short" if len(value) < len(args) else "too_long", f"Tuple should have {len(args)} items")
    kinds = iter(args)
    return tuple(_each(enumerate(value), lambda item: coerce(next(kinds), item)))


def _dict(args: tuple[Any, ...], value: Any) -> dict[Any, Any]:
    if not isinstance(value, collections.abc.Mapping):
        raise Mistake("dict_type", "Input should be a valid dictionary")
    if not args:
        return dict(value)
    keys = [coerce(args[0], key) for key in value]
    return dict(zip(keys, _each(value.items(), lambda item: coerce(args[1], item))))


def _each(items: Any, convert: Callable[[Any], Any]) -> list[Any]:
    """Converts all items, and collects their mistakes."""
    converted, errors = [], []
    for step, item in items:
        try:
            converted.append(convert(item))
        except (ValueError, TypeError, AssertionError) as error:
            errors += line_errors(error, step, item)
    if errors:
        raise ValidationError("value", errors)
    return converted


def _class(cls: type, value: Any, strict: bool) -> Any:
    if hasattr(cls, "model_validate"):
        if strict and not isinstance(value, (cls, dict)):
            raise Mistake("model_type", f"Input should be an instance of {cls.__name__}")
        return cls.model_validate(value)
    if isinstance(value, cls) and not (isinstance(value, bool) and cls in (int, float)):
        return value
    if typing.is_typeddict(cls) or (dataclasses.is_dataclass(cls) and isinstance(value, dict)):
        return _fields(cls, value)
    if strict and not (cls is float and isinstance(value, int) and not isinstance(value, bool)):
        raise Mistake("type_error", f"Input should be {cls.__name__}")
    if issubclass(cls, enum.Enum):
        try:
            return cls(value)
        except ValueError:
            cases = " or ".join(repr(case.value) for case in cls)
            raise Mistake("enum", f"Input should be {cases}") from None
    if cls in _FROM:
        return _FROM[cls](value)
    raise Mistake("is_instance_of", f"Input should be an instance of {cls.__name__}")


def _fields(cls: Any, value: Any) -> Any:
    if not isinstance(value, dict):
        raise Mistake("dict_type", "Input should be a valid dictionary")
    hints = typing.get_type_hints(cls)
    given = [(key, item) for key, item in value.items() if key in hints]
    kinds = iter([hints[key] for key, _ in given])
    converted = _each(given, lambda item: coerce(next(kinds), item))
    try:
        return cls(**dict(zip([key for key, _ in given], converted)))
    except TypeError as error:
        raise Mistake("missing", str(error)) from None


def _bool(value: Any) -> bool:
    key = str(value).lower() if isinstance(value, (str, int)) else ""
    if isinstance(value, float) and value in (0.0, 1.0):
        return bool(value)
    if key not in _BOOLS:
        raise Mistake("bool_parsing", "Input should be a valid boolean")
    return _BOOLS[key]


def _int(value: Any) -> int:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, float):
        raise Mistake("int_from_float", "Input should be a valid integer, got a number with a fractional part")
    if isinstance(value, (str, bytes)):
        try:
            return int(value)
        except ValueError:
            raise Mistake("int_parsing", "Input should be a valid integer, unable to parse string") from None
    raise Mistake("int_type", "Input should be a valid integer")


def _float(value: Any) -> float:
    if isinstance(value, (int, str)):
        try:
            return float(value)
        except ValueError:
            raise Mistake("float_parsing", "Input should be a valid number, unable to parse string") from None
    raise Mistake("float_type", "Input should be a valid number")


def _str(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode()
    raise Mistake("string_type", "Input should be a valid string")


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    raise Mistake("bytes_type", "Input should be a valid bytes")


def _parsed(cls: Any, parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        try:
            return parse(value)
        except (ValueError, TypeError, ArithmeticError):
            raise Mistake(f"{cls.__name__}_parsing", f"Input should be a valid {cls.__name__}") from None

    return convert


def _datetime(value: Any) -> datetime.datetime:
    if isinstance(value, (int, float)):
        return datetime.datetime.fromtimestamp(value, datetime.timezone.utc)
    return datetime.datetime.fromisoformat(value)


_FROM: dict[type, Callable[[Any], Any]] = {
    bool: _bool,
    int: _int,
    float: _float,
    str: _str,
    bytes: _bytes,
    datetime.datetime: _parsed(datetime.datetime, _datetime),
    datetime.date: _parsed(datetime.date, datetime.date.fromisoformat),
    datetime.time: _parsed(datetime.time, datetime.time.fromisoformat),
    datetime.timedelta: _parsed(datetime.timedelta, lambda value: datetime.timedelta(seconds=value)),
    decimal.Decimal: _parsed(decimal.Decimal, lambda value: decimal.Decimal(str(value))),
    uuid.UUID: _parsed(uuid.UUID, lambda value: uuid.UUID(str(value))),
}
