"""From annotations to WIT."""

import dataclasses
import datetime
import decimal
import enum
import typing
import uuid
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Optional, TypedDict, Union

import pytest

from chainlet._types import forms, wit
from chainlet._types.annotations import NoFormError, TypeReader
from chainlet._types.names import attribute, class_name, escaped, kebab


class Tone(enum.Enum):
    KIND = "kind"
    LOUD = "very loud"


class Level(enum.Enum):
    LOW = "low"
    VERY_HIGH = "very_high"


@dataclasses.dataclass
class Point:
    """A place."""

    x: float
    y: float = 0.0


class Pair(NamedTuple):
    left: int
    right: str = ""


class Options(TypedDict, total=False):
    depth: int


@dataclasses.dataclass
class Tree:
    children: list["Tree"]


class Empty(TypedDict):
    pass


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (bool, "bool"),
        (int, "s64"),
        (float, "f64"),
        (str, "string"),
        (bytes, "list<u8>"),
        (list[int], "list<s64>"),
        (Sequence[str], "list<string>"),
        (set[int], "list<s64>"),
        (tuple[int, ...], "list<s64>"),
        (tuple[int, str], "tuple<s64, string>"),
        (dict[str, float], "map<string, f64>"),
        (dict[tuple[int, int], str], "list<tuple<tuple<s64, s64>, string>>"),
        (Optional[int], "option<s64>"),  # noqa: UP045
        (int | None, "option<s64>"),
        (Union[int, str], "where"),
        (int | str | None, "option<where>"),
        (Literal["a", "b"], "where"),
        (Tone, "tone"),
        (Point, "point"),
        (Pair, "pair"),
        (Options, "options"),
        (datetime.datetime, "string"),
        (datetime.timedelta, "f64"),
        (decimal.Decimal, "string"),
        (uuid.UUID, "string"),
        (complex, "tuple<f64, f64>"),
        (Any, "string"),
        (dict, "string"),
        (typing.Annotated[int, "positive"], "s64"),
        (typing.NewType("Id", str), "string"),
    ],
)
def test_an_annotation_has_its_form(annotation: Any, expected: str) -> None:
    assert wit.type_text(TypeReader().read(annotation, "where")) == expected


def test_declarations_have_docs_and_optional_fields() -> None:
    point = TypeReader().read(Point, "where")
    assert isinstance(point, forms.Record)
    assert wit.declaration(point) == "  /// A place.\n  record point {\n    x: f64,\n    y: option<f64>,\n  }\n"


def test_an_enum_has_the_names_of_its_values_if_wit_can_spell_them_all() -> None:
    reader = TypeReader()
    level, tone = reader.read(Level, ""), reader.read(Tone, "")
    assert isinstance(level, forms.Enumeration) and isinstance(tone, forms.Enumeration)
    assert [name for _, name in level.cases] == ["low", "very-high"]
    assert [name for _, name in tone.cases] == ["kind", "loud"]


def test_a_typeddict_that_need_not_have_a_key_has_an_option() -> None:
    options = TypeReader().read(Options, "")
    assert isinstance(options, forms.Record)
    assert wit.type_text(options.fields[0].form) == "option<s64>"


def test_one_type_is_declared_once() -> None:
    reader = TypeReader()
    both = [reader.read(list[Point], ""), reader.read(dict[str, Point], "")]
    assert [form.name for form in forms.named_within(both)] == ["point"]


@pytest.mark.parametrize(
    ("annotation", "message", "help"),
    [
        (Tree, "Tree contains itself", "Any"),
        (Literal[1, 2], "cases that are not strings", "Enum"),
        (Literal["a b"], "cannot spell the case 'a b'", "Enum"),
        (list[int] | list[str], "cannot be told apart", "class of its own"),
        (typing.Iterator[int], "not async", "AsyncIterator"),
        (list[typing.AsyncIterator[int]], "stream inside another type", "whole type of a parameter"),
        (Empty, "no fields", "add a field"),
        (object(), "no form in WIT", "dataclass"),
        (memoryview, "`memoryview` has no form", "table"),
        (None, "None alone", "str | None"),
        ("Missing", "names nothing", "import the type"),
    ],
)
def test_a_type_without_form_is_refused_with_advice(annotation: Any, message: str, help: str) -> None:
    with pytest.raises(NoFormError) as raised:
        TypeReader().read(annotation, "where")
    assert message in raised.value.message
    assert help in raised.value.help


def test_two_types_of_one_name_are_refused() -> None:
    reader = TypeReader()
    reader.read(Point, "")
    other = dataclasses.make_dataclass("Point", [("z", int)])
    with pytest.raises(NoFormError, match="two types"):
        reader.read(other, "")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("HelloAll", "hello-all"),
        ("hello_all", "hello-all"),
        ("HTTPServer", "http-server"),
        ("top_5", "top5"),
        ("_private", "private"),
        ("5th", None),
        ("größe", None),
    ],
)
def test_kebab_spells_names_for_wit(name: str, expected: str | None) -> None:
    assert kebab(name) == expected


def test_words_of_both_languages_are_escaped() -> None:
    assert (escaped("list"), escaped("lists")) == ("%list", "lists")
    assert (attribute("from"), attribute("top-k")) == ("from_", "top_k")
    assert class_name("hello-all") == "HelloAll"
