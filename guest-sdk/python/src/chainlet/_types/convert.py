"""Values of Python to values of the bindings (`lower`), and back (`lift`).

A `Converter` makes a function for each form once, so that a call only runs closures. `None` stands for "as it is".
A value that does not fit raises `ConversionError`, whose text has the path to it: `.items[3].length: …`.
"""

from __future__ import annotations

import datetime
import decimal
import json
import operator
import uuid
from collections.abc import Callable
from typing import Any

from . import forms
from .forms import Form
from .names import attribute, class_name

Function = Callable[[Any], Any]


class ConversionError(TypeError):
    """A value that does not fit its annotation."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.message, self.path = message, path

    def inside(self, step: str) -> ConversionError:
        """Returns the error with one more step in front of its path."""
        return ConversionError(self.message, step + self.path)

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


_CODECS: dict[Any, tuple[Function, Function]] = {
    datetime.datetime: (operator.methodcaller("isoformat"), datetime.datetime.fromisoformat),
    datetime.date: (operator.methodcaller("isoformat"), datetime.date.fromisoformat),
    datetime.time: (operator.methodcaller("isoformat"), datetime.time.fromisoformat),
    datetime.timedelta: (operator.methodcaller("total_seconds"), lambda seconds: datetime.timedelta(seconds=seconds)),
    decimal.Decimal: (str, decimal.Decimal),
    uuid.UUID: (str, uuid.UUID),
    complex: (lambda value: (value.real, value.imag), lambda pair: complex(*pair)),
}


class Converter:
    """Makes the functions for the forms of one component. `types` is the bindings' module of the named types."""

    def __init__(self, types: Any) -> None:
        self._types = types
        self._lower: dict[int, Function] = {}
        self._lift: dict[int, Function | None] = {}
        # The keys of the two caches are ids, so the forms must live as long as the converter.
        self._forms: list[Form] = []

    def lower(self, form: Form) -> Function:
        """Returns the function from a value of Python to one of the bindings."""
        if id(form) not in self._lower:
            self._forms.append(form)
            self._lower[id(form)] = self._make_lower(form)
        return self._lower[id(form)]

    def lift(self, form: Form) -> Function | None:
        """Returns the function from a value of the bindings to one of Python, or `None` if they are the same."""
        if id(form) not in self._lift:
            self._forms.append(form)
            self._lift[id(form)] = self._make_lift(form)
        return self._lift[id(form)]

    def _bound(self, name: str) -> Any:
        return getattr(self._types, name)

    def _make_lower(self, form: Form) -> Function:
        if isinstance(form, forms.Scalar):
            return _LOWER_SCALAR[form.python]
        if isinstance(form, forms.Encoded):
            return _checked(form.python, _CODECS[form.python][0])
        if isinstance(form, forms.Json):
            return _to_json
        if isinstance(form, forms.ListOf):
            return _lower_list(self.lower(form.item))
        if isinstance(form, forms.MapOf):
            return _lower_map(self.lower(form.key), self.lower(form.value))
        if isinstance(form, forms.TupleOf):
            return _lower_tuple([self.lower(item) for item in form.items])
        if isinstance(form, forms.OptionOf):
            item = self.lower(form.item)
            return lambda value: None if value is None else item(value)
        if isinstance(form, forms.Record):
            bound = self._bound(class_name(form.name))
            return _lower_record(form, bound, [self.lower(each.form) for each in form.fields])
        if isinstance(form, forms.Enumeration):
            bound_cases = list(self._bound(class_name(form.name)))
            return _lower_enum(form, {python: case for (python, _), case in zip(form.cases, bound_cases)})
        if isinstance(form, forms.Variant):
            cases = [(case.python, self.lower(case.form), self._case(form, case)) for case in form.cases]
            return _lower_variant(cases)
        raise TypeError(f"a stream is lowered by its call: {form}")

    def _make_lift(self, form: Form) -> Function | None:
        if isinstance(form, forms.Scalar):
            return None
        if isinstance(form, forms.Encoded):
            return _lift_encoded(form)
        if isinstance(form, forms.Json):
            return _from_json
        if isinstance(form, forms.ListOf):
            return _lift_list(self.lift(form.item), form.make)
        if isinstance(form, forms.MapOf):
            key, value = self.lift(form.key) or _same, self.lift(form.value) or _same
            return lambda pairs: {key(k): value(v) for k, v in pairs}
        if isinstance(form, forms.TupleOf):
            lifts = [self.lift(item) or _same for item in form.items]
            return lambda values: tuple(lift(value) for lift, value in zip(lifts, values))
        if isinstance(form, forms.OptionOf):
            item = self.lift(form.item)
            return None if item is None else lambda value: None if value is None else item(value)
        if isinstance(form, forms.Record):
            return _lift_record(form, [self.lift(each.form) or _same for each in form.fields])
        if isinstance(form, forms.Enumeration):
            bound_cases = list(self._bound(class_name(form.name)))
            return {case: python for (python, _), case in zip(form.cases, bound_cases)}.__getitem__
        if isinstance(form, forms.Variant):
            lifted = {self._case(form, case): self.lift(case.form) or _same for case in form.cases}
            return lambda value: lifted[type(value)](value.value)
        raise TypeError(f"a stream is lifted by its call: {form}")

    def _case(self, form: forms.Variant, case: forms.Case) -> Any:
        return self._bound(f"{class_name(form.name)}_{class_name(case.wit)}")


def _same(value: Any) -> Any:
    return value


def _wrong(expected: str, value: Any) -> ConversionError:
    return ConversionError(f"expected {expected}, found {type(value).__name__} {value!r:.60}")


def _lower_int(value: Any) -> int:
    if type(value) is not int:
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise _wrong("int", value)
        value = operator.index(value)
    if not -(2**63) <= value < 2**63:
        raise ConversionError("the integer needs more than 64 bits")
    return int(value)


def _lower_float(value: Any) -> float:
    if type(value) is float:
        return value
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise _wrong("float", value)
    return float(value)


def _lower_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong("bool", value)
    return value


def _lower_str(value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong("str", value)
    return str(value) if type(value) is not str else value


def _lower_bytes(value: Any) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise _wrong("bytes", value)
    return bytes(value)


_LOWER_SCALAR: dict[type, Function] = {
    int: _lower_int, float: _lower_float, bool: _lower_bool, str: _lower_str, bytes: _lower_bytes,
}  # fmt: skip


def _checked(python: Any, encode: Function) -> Function:
    def lower(value: Any) -> Any:
        if not isinstance(value, python):
            raise _wrong(python.__name__, value)
        return encode(value)

    return lower


def _to_json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=_model_to_json)
    except (TypeError, ValueError) as error:
        raise ConversionError(f"it is not JSON: {error}") from None


def _model_to_json(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no JSON")


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConversionError(f"it is not JSON text: {error}") from None


def _lower_list(item: Function) -> Function:
    def lower(value: Any) -> list[Any]:
        if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
            raise _wrong("list", value)
        lowered: list[Any] = []
        try:
            for each in value:
                lowered.append(item(each))
        except ConversionError as error:
            raise error.inside(f"[{len(lowered)}]") from None
        return lowered

    return lower


def _lift_list(item: Function | None, make: type) -> Function | None:
    if item is None:
        return None if make is list else make
    lift = item
    return (lambda values: [lift(v) for v in values]) if make is list else lambda values: make(map(lift, values))


def _lower_map(key: Function, value: Function) -> Function:
    def lower(mapping: Any) -> list[tuple[Any, Any]]:
        if not hasattr(mapping, "items"):
            raise _wrong("dict", mapping)
        lowered = []
        for k, v in mapping.items():
            try:
                lowered.append((key(k), value(v)))
            except ConversionError as error:
                raise error.inside(f"[{k!r}]") from None
        return lowered

    return lower


def _lower_tuple(items: list[Function]) -> Function:
    def lower(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, (tuple, list)) or len(value) != len(items):
            raise _wrong(f"a tuple of {len(items)}", value)
        lowered: list[Any] = []
        try:
            for item, each in zip(items, value):
                lowered.append(item(each))
        except ConversionError as error:
            raise error.inside(f"[{len(lowered)}]") from None
        return tuple(lowered)

    return lower


def _lower_record(form: forms.Record, bound: Any, lowers: list[Function]) -> Function:
    is_dict = form.kind is forms.RecordKind.DICT
    cls: type[Any] = dict if is_dict else form.python
    read: Callable[[Any, str], Any] = dict.get if is_dict else getattr
    fields = list(zip([each.python for each in form.fields], lowers))

    def lower(value: Any) -> Any:
        if not isinstance(value, cls):
            raise _wrong(form.python.__name__, value)
        lowered = []
        for name, each in fields:
            try:
                lowered.append(each(read(value, name)))
            except ConversionError as error:
                raise error.inside(f".{name}") from None
        return bound(*lowered)

    return lower


def _lift_record(form: forms.Record, lifts: list[Function]) -> Function:
    make: Any = dict if form.kind is forms.RecordKind.DICT else form.python
    fields = [(attribute(each.wit), each.keyword, lift, each) for each, lift in zip(form.fields, lifts)]

    def lift(value: Any) -> Any:
        given = {}
        for name, keyword, each, member in fields:
            inner = getattr(value, name)
            # An absent member takes the default of the class.
            if inner is None and member.has_default:
                continue
            try:
                given[keyword] = each(inner)
            except ConversionError as error:
                raise error.inside(f".{member.python}") from None
        try:
            return make(**given)
        except ValueError as error:
            # The class checks its own values: a pydantic model, or a dataclass in `__post_init__`.
            raise ConversionError(str(error)) from error

    return lift


def _lower_enum(form: forms.Enumeration, cases: dict[Any, Any]) -> Function:
    def lower(value: Any) -> Any:
        try:
            return cases[value]
        except (KeyError, TypeError):
            raise _wrong(f"one of {', '.join(str(python) for python, _ in form.cases)}", value) from None

    return lower


def _lower_variant(cases: list[tuple[type, Function, Any]]) -> Function:
    exact = {python: (inner, bound) for python, inner, bound in cases}

    def lower(value: Any) -> Any:
        # A bool is an int, so the class itself counts first.
        found = exact.get(type(value))
        if found is None:
            found = next(((inner, bound) for python, inner, bound in cases if isinstance(value, python)), None)
        if found is not None:
            inner, bound = found
            return bound(inner(value))
        raise _wrong(" or ".join(python.__name__ for python, _, _ in cases), value)

    return lower


def _lift_encoded(form: forms.Encoded) -> Function:
    decode = _CODECS[form.python][1]

    def lift(value: Any) -> Any:
        try:
            return decode(value)
        except (ValueError, ArithmeticError) as error:
            raise ConversionError(f"{value!r:.60} is no {form.python.__name__}: {error}") from None

    return lift
