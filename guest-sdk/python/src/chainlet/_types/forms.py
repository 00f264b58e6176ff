"""The types that a call can carry, as plain data.

A form knows nothing of Python annotations or of WIT text. `annotations` makes forms, `wit` writes them, and `convert`
turns values into what the bindings expect.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Union


@dataclass(frozen=True)
class Scalar:
    """A type that WIT has itself: `bool`, `s64`, `f64`, `string`, or bytes as `list<u8>`."""

    wit: str
    python: type


@dataclass(frozen=True)
class Encoded:
    """A Python type that travels as another one: a `datetime` as a string. `convert` has its codec."""

    wit: str
    python: Any


@dataclass(frozen=True)
class Json:
    """A value of any type, which travels as JSON text."""


@dataclass(frozen=True)
class ListOf:
    """A list, a set, or a tuple of any length; `make` builds it from a list."""

    item: Form
    make: type


@dataclass(frozen=True)
class MapOf:
    """A dictionary. The bindings have it as a list of pairs: see `chainlet.build.maps`."""

    key: Form
    value: Form


@dataclass(frozen=True)
class TupleOf:
    """A tuple of fixed length."""

    items: tuple[Form, ...]


@dataclass(frozen=True)
class OptionOf:
    """A value or `None`."""

    item: Form


@dataclass(frozen=True)
class StreamOf:
    """An async iterator: a parameter or the result of `run_remote`, never inside another type."""

    item: Form

    @property
    def is_bytes(self) -> bool:
        """True if the items are pieces of bytes, which travel as `stream<u8>`."""
        return isinstance(self.item, Scalar) and self.item.python is bytes


class RecordKind(enum.Enum):
    """How values of a record are built and read."""

    ATTRIBUTES = "a class that takes its fields as keyword arguments"
    DICT = "a TypedDict"


@dataclass
class RecordField:
    """A field of a record. `form` is an option if the field may be absent."""

    python: str
    wit: str
    form: Form
    # The keyword of the constructor, which an alias of pydantic changes.
    keyword: str
    has_default: bool = False


@dataclass(eq=False)
class Record:
    """A dataclass, a pydantic model, a NamedTuple or a TypedDict. `fields` is complete once the type has been read."""

    name: str
    python: type
    kind: RecordKind
    docs: str = ""
    fields: list[RecordField] = field(default_factory=list)


@dataclass(eq=False)
class Enumeration:
    """An `Enum` or a `Literal` of strings: pairs of a Python value and a WIT case."""

    name: str
    cases: list[tuple[Any, str]]
    docs: str = ""


@dataclass
class Case:
    """One type of a union. `python` tells its values from those of the other cases."""

    wit: str
    python: type
    form: Form


@dataclass(eq=False)
class Variant:
    """A union of several types."""

    name: str
    cases: list[Case]


Named = Union[Record, Enumeration, Variant]
Form = Union[Scalar, Encoded, Json, ListOf, MapOf, TupleOf, OptionOf, StreamOf, Record, Enumeration, Variant]


def children(form: Form) -> Iterator[Form]:
    """Yields the forms directly inside `form`."""
    if isinstance(form, (ListOf, OptionOf, StreamOf)):
        yield form.item
    elif isinstance(form, MapOf):
        yield form.key
        yield form.value
    elif isinstance(form, TupleOf):
        yield from form.items
    elif isinstance(form, Record):
        for each in form.fields:
            yield each.form
    elif isinstance(form, Variant):
        for case in form.cases:
            yield case.form


def named_within(forms: list[Form]) -> list[Named]:
    """Returns the named types that `forms` reach, each once, those that others need first."""
    found: list[Named] = []

    def visit(form: Form) -> None:
        if form in found:
            return
        for child in children(form):
            visit(child)
        if isinstance(form, (Record, Enumeration, Variant)):
            found.append(form)

    for form in forms:
        visit(form)
    return found
