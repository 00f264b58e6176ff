"""From an annotation to a form.

A `TypeReader` reads the annotations of one chain. It gives each record, enum and union one WIT name, and refuses two
types of the same name.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import decimal
import enum
import inspect
import types
import typing
import uuid
from collections.abc import Callable
from typing import Any

from . import forms
from .forms import Form
from .names import kebab


class NoFormError(TypeError):
    """A type that no call can carry. `owner` and `member` say where it was written."""

    def __init__(self, message: str, help: str, owner: object = None, member: str | None = None) -> None:
        super().__init__(message)
        self.message, self.help, self.owner, self.member = message, help, owner, member

    def at(self, owner: object, member: str | None) -> NoFormError:
        """Sets the place, unless a place deeper inside is known already."""
        if self.owner is None:
            self.owner, self.member = owner, member
        return self


_SCALARS: dict[Any, Form] = {
    bool: forms.Scalar("bool", bool),
    int: forms.Scalar("s64", int),
    float: forms.Scalar("f64", float),
    str: forms.Scalar("string", str),
    bytes: forms.Scalar("list<u8>", bytes),
    datetime.datetime: forms.Encoded("string", datetime.datetime),
    datetime.date: forms.Encoded("string", datetime.date),
    datetime.time: forms.Encoded("string", datetime.time),
    datetime.timedelta: forms.Encoded("f64", datetime.timedelta),
    decimal.Decimal: forms.Encoded("string", decimal.Decimal),
    uuid.UUID: forms.Encoded("string", uuid.UUID),
    complex: forms.Encoded("tuple<f64, f64>", complex),
}
# Types that say nothing about their contents. A value travels as JSON text.
_OPEN = (Any, object, dict, list, tuple, set, typing.Dict, typing.List)  # noqa: UP006
_LISTS: dict[Any, type] = {
    list: list,
    set: set,
    frozenset: frozenset,
    collections.abc.Sequence: list,
    collections.abc.Iterable: list,
    collections.abc.Collection: list,
    collections.abc.Set: set,
}
_MAPS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_STREAMS = (collections.abc.AsyncIterator, collections.abc.AsyncIterable, collections.abc.AsyncGenerator)
_CASE_NAMES = {
    str: "text", int: "integer", float: "number", bool: "boolean", bytes: "bytes", list: "items", dict: "entries",
}  # fmt: skip
# Python 3.10 has none of these.
_ALIAS: Any = getattr(typing, "TypeAliasType", ())
_KEYS = tuple(getattr(typing, name) for name in ("Required", "NotRequired") if hasattr(typing, name))
# Modules whose types are in native code, with what to write instead of their types.
_NATIVE = {"numpy": "list[float] or bytes", "torch": "list[float] or bytes", "pandas": "a list of a dataclass"}


class TypeReader:
    """Reads the annotations of one chain."""

    def __init__(self) -> None:
        self._named: dict[str, tuple[object, forms.Named]] = {}
        self._open: list[object] = []
        # Sentences about annotations that work, but not as well as another one would.
        self.hints: list[tuple[str, str]] = []

    def read(self, annotation: Any, where: str) -> Form:
        """Returns the form of `annotation`. `where` names unions and literals, which have no name of their own."""
        if isinstance(annotation, (str, typing.ForwardRef)):
            raise NoFormError(
                f"the annotation {annotation!r} names nothing", "import the type at the top of the module that uses it"
            )
        if isinstance(annotation, _ALIAS):
            return self.read(annotation.__value__, where)  # type: ignore[attr-defined,union-attr,unused-ignore]
        origin, args = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated or origin in _KEYS:
            return self.read(args[0], where)
        if isinstance(annotation, typing.NewType):
            return self.read(annotation.__supertype__, where)
        if isinstance(annotation, collections.abc.Hashable) and annotation in _SCALARS:
            return _SCALARS[annotation]
        if annotation is None or annotation is type(None):
            raise NoFormError("None alone carries nothing", "write a type beside it: `str | None`")
        if annotation in _OPEN:
            self.hints.append((f"{where}: {_spelled(annotation)} travels as JSON text", "say what is in it"))
            return forms.Json()
        if origin is None:
            return self._read_class(annotation)
        return self._read_generic(annotation, origin, args, where)

    def _read_generic(self, annotation: Any, origin: Any, args: tuple[Any, ...], where: str) -> Form:
        if origin in _LISTS:
            return forms.ListOf(self.read(args[0], where), _LISTS[origin])
        if origin in _MAPS:
            return forms.MapOf(self.read(args[0], where + "_key"), self.read(args[1], where))
        if origin is tuple:
            if len(args) == 2 and args[1] is Ellipsis:
                return forms.ListOf(self.read(args[0], where), tuple)
            if not args:
                raise NoFormError("an empty tuple carries nothing", "leave it out")
            return forms.TupleOf(tuple(self.read(arg, f"{where}_{i}") for i, arg in enumerate(args)))
        if origin is typing.Literal:
            return self._read_literal(annotation, args, where)
        if origin in (typing.Union, types.UnionType):
            return self._read_union(annotation, args, where)
        if origin in _STREAMS:
            raise NoFormError(
                f"{_spelled(annotation)} is a stream inside another type",
                "a stream is the whole type of a parameter, or of the result",
            )
        if origin in (collections.abc.Iterator, collections.abc.Generator):
            raise NoFormError(
                f"{_spelled(annotation)} is not async", "write `async def` and AsyncIterator, or return a list"
            )
        if isinstance(origin, type) and inspect.isclass(origin) and _fields(origin) is not None:
            raise NoFormError(
                f"{_spelled(annotation)} is a generic class", "write a class of its own for each of its uses"
            )
        raise _no_form(annotation)

    def _read_class(self, cls: Any) -> Form:
        if not isinstance(cls, type):
            raise _no_form(cls)
        if issubclass(cls, enum.Enum) and not issubclass(cls, enum.Flag):
            return self._name(cls.__name__, cls, lambda name: forms.Enumeration(name, _enum_cases(cls), _docs(cls)))
        fields = _fields(cls)
        if fields is None:
            raise _no_form(cls)
        if cls in self._open:
            help = "WIT has no recursive types: use Any for the inner one"
            raise NoFormError(f"{cls.__name__} contains itself", help)
        kind = forms.RecordKind.DICT if typing.is_typeddict(cls) else forms.RecordKind.ATTRIBUTES
        record = self._name(cls.__name__, cls, lambda name: forms.Record(name, cls, kind, _docs(cls)))
        assert isinstance(record, forms.Record)
        if not record.fields:
            self._read_fields(cls, record, fields)
        return record

    def _read_fields(self, cls: type, record: forms.Record, fields: list[_Field]) -> None:
        if not fields:
            raise NoFormError(f"{cls.__name__} has no fields", "WIT has no empty record: add a field", cls)
        self._open.append(cls)
        taken: set[str] = set()
        read = []
        for each in fields:
            try:
                name = _member(each.name, taken)
                form = self.read(each.annotation, f"{cls.__name__}_{each.name}")
            except NoFormError as error:
                raise error.at(cls, each.name) from None
            if each.may_be_absent and not isinstance(form, forms.OptionOf):
                form = forms.OptionOf(form)
            read.append(forms.RecordField(each.name, name, form, each.keyword, each.may_be_absent))
        self._open.pop()
        record.fields = read

    def _read_literal(self, annotation: Any, args: tuple[Any, ...], where: str) -> Form:
        if not all(isinstance(arg, str) for arg in args):
            raise NoFormError(
                f"{_spelled(annotation)} has cases that are not strings", "use strings, an Enum, or the plain type"
            )
        taken: set[str] = set()
        cases: list[tuple[Any, str]] = []
        for arg in args:
            if (kebab(arg) or "").replace("-", "_") != arg.replace("-", "_"):
                raise NoFormError(f"WIT cannot spell the case {arg!r}", "use an Enum, whose names can be spelled")
            cases.append((arg, _member(arg, taken)))
        return self._name(where, ("literal", args), lambda name: forms.Enumeration(name, cases))

    def _read_union(self, annotation: Any, args: tuple[Any, ...], where: str) -> Form:
        rest = [arg for arg in args if arg is not type(None)]
        if len(rest) == 1:
            form = self.read(rest[0], where)
        else:
            cases = []
            for arg in rest:
                plain = typing.get_origin(arg) or arg
                plain = plain if isinstance(plain, type) else object
                name = kebab(_CASE_NAMES.get(plain, plain.__name__)) or "case"
                cases.append(forms.Case(name, plain, self.read(arg, f"{where}_{name.replace('-', '_')}")))
            if len({case.python for case in cases}) < len(cases):
                raise NoFormError(
                    f"the types of {_spelled(annotation)} cannot be told apart", "make each a class of its own"
                )
            form = self._name(where, ("union", tuple(map(str, rest))), lambda name: forms.Variant(name, cases))
        if len(rest) == len(args) or isinstance(form, forms.OptionOf):
            return form
        return forms.OptionOf(form)

    def _name(self, wanted: str, key: object, make: Callable[[str], forms.Named]) -> forms.Named:
        name = kebab(wanted)
        if name is None:
            raise NoFormError(f"WIT cannot spell the name {wanted!r}", "use ASCII letters, digits and underscores")
        if name not in self._named:
            self._named[name] = (key, make(name))
        known, form = self._named[name]
        if known != key:
            raise NoFormError(f"two types of the chain have the name `{name}`", "rename one of them")
        return form


@dataclasses.dataclass
class _Field:
    name: str
    annotation: Any
    may_be_absent: bool
    keyword: str


def _fields(cls: type) -> list[_Field] | None:
    """Returns the fields of a class that is a record, or `None` for any other class."""
    if hasattr(cls, "model_fields"):
        return [_pydantic_field(cls, name, info) for name, info in cls.model_fields.items()]
    if typing.is_typeddict(cls):
        hints = typing.get_type_hints(cls, include_extras=True)
        required: frozenset[str] = getattr(cls, "__required_keys__", frozenset())
        return [_Field(name, hint, name not in required, name) for name, hint in hints.items()]
    if dataclasses.is_dataclass(cls):
        hints = typing.get_type_hints(cls, include_extras=True)
        nothing = dataclasses.MISSING
        return [
            _Field(f.name, hints[f.name], f.default is not nothing or f.default_factory is not nothing, f.name)
            for f in dataclasses.fields(cls)
            if f.init
        ]
    if issubclass(cls, tuple) and hasattr(cls, "_field_defaults"):
        hints = typing.get_type_hints(cls, include_extras=True)
        return [_Field(name, hint, name in cls._field_defaults, name) for name, hint in hints.items()]
    return None


def _pydantic_field(cls: type, name: str, info: Any) -> _Field:
    by_name = bool(getattr(cls, "model_config", {}).get("populate_by_name"))
    alias = getattr(info, "validation_alias", None) or getattr(info, "alias", None)
    keyword = alias if isinstance(alias, str) and not by_name else name
    return _Field(name, info.annotation, not info.is_required(), keyword)


def _enum_cases(cls: type[enum.Enum]) -> list[tuple[Any, str]]:
    """Returns the cases. A case has the name of its value, if WIT can spell that, as pydantic's JSON has it."""
    taken: set[str] = set()
    spelled = [kebab(case.value) if isinstance(case.value, str) else None for case in cls]
    values = [case.value for case in cls]
    exact = all(name is not None and value in (name, name.replace("-", "_")) for name, value in zip(spelled, values))
    return [(case, _member(case.value if exact else case.name, taken)) for case in cls]


def _member(name: str, taken: set[str]) -> str:
    spelled = kebab(name)
    if spelled is None:
        raise NoFormError(f"WIT cannot spell the name {name!r}", "use ASCII letters, digits and underscores")
    if spelled in taken:
        raise NoFormError(f"two members have the name `{spelled}` in WIT", "rename one of them")
    taken.add(spelled)
    return spelled


def _docs(cls: type) -> str:
    docs = cls.__doc__ or ""
    # dataclasses, enums and pydantic write a docstring of their own, which describes nothing.
    generated = docs.startswith((cls.__name__ + "(", "An enumeration.", "!!! abstract"))
    inherited = any(docs == base.__doc__ for base in cls.__mro__[1:])
    return "" if generated or inherited else inspect.cleandoc(docs)


def _no_form(annotation: Any) -> NoFormError:
    root = (getattr(annotation, "__module__", "") or "").split(".")[0]
    if root in _NATIVE:
        return NoFormError(f"{_spelled(annotation)} is a type of native code", f"use {_NATIVE[root]}")
    return NoFormError(
        f"{_spelled(annotation)} has no form in WIT",
        "use a dataclass, a pydantic model, a TypedDict, or one of the types in the table of docs/python.md",
    )


def _spelled(annotation: Any) -> str:
    plain = isinstance(annotation, type) and not typing.get_args(annotation)
    return f"`{annotation.__name__ if plain else str(annotation).replace('typing.', '')}`"
