"""Values both ways, with classes that stand for the bindings of componentize-py."""

import dataclasses
import datetime
import decimal
import enum
import types
import uuid
from typing import Any, TypedDict

import pytest

from chainlet._types import forms
from chainlet._types.annotations import TypeReader
from chainlet._types.convert import ConversionError, Converter
from chainlet._types.names import attribute, class_name


def bindings(*named: forms.Named) -> types.SimpleNamespace:
    """Makes the classes that componentize-py makes for named types."""
    module = types.SimpleNamespace()
    for form in named:
        name = class_name(form.name)
        if isinstance(form, forms.Record):
            fields = [(attribute(field.wit), Any) for field in form.fields]
            setattr(module, name, dataclasses.make_dataclass(name, fields))
        elif isinstance(form, forms.Enumeration):
            cases = [wit.replace("-", "_").upper() for _, wit in form.cases]
            setattr(module, name, enum.Enum(name, {case: i for i, case in enumerate(cases)}))
        else:
            for case in form.cases:
                label = f"{name}_{class_name(case.wit)}"
                setattr(module, label, dataclasses.make_dataclass(label, [("value", Any)]))
    return module


def both_ways(annotation: Any, value: Any) -> tuple[Any, Any]:
    form = TypeReader().read(annotation, "where")
    converter = Converter(bindings(*forms.named_within([form])))
    lowered = converter.lower(form)(value)
    lift = converter.lift(form)
    return lowered, lift(lowered) if lift else lowered


class Tone(enum.Enum):
    KIND = "kind"
    LOUD = "loud"


@dataclasses.dataclass
class Point:
    x: float
    label: str = "none"
    tone: Tone = Tone.KIND


class Options(TypedDict, total=False):
    depth: int
    width: int


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (bool, True),
        (int, -(2**63)),
        (float, 1.5),
        (str, "ü"),
        (bytes, b"\0\xff"),
        (list[int], [1, 2]),
        (set[str], {"a"}),
        (tuple[int, ...], (1, 2)),
        (tuple[int, str], (1, "a")),
        (dict[str, list[int]], {"b": [1], "a": []}),
        (int | None, None),
        (int | str, "three"),
        (Point | None, Point(1.0, "here", Tone.LOUD)),
        (list[Tone], [Tone.LOUD, Tone.KIND]),
        (Options, {"depth": 3}),
        (datetime.datetime, datetime.datetime(2026, 5, 1, 10, tzinfo=datetime.timezone.utc)),
        (datetime.timedelta, datetime.timedelta(milliseconds=1500)),
        (decimal.Decimal, decimal.Decimal("0.10")),
        (uuid.UUID, uuid.UUID(int=7)),
        (complex, 1 + 2j),
        (Any, {"a": [1, None]}),
    ],
)
def test_a_value_comes_back_as_it_was(annotation: Any, value: Any) -> None:
    _, back = both_ways(annotation, value)
    assert back == value and type(back) is type(value)


def test_an_int_is_a_float_and_a_bool_is_no_int() -> None:
    assert both_ways(float, 1)[0] == 1.0
    with pytest.raises(ConversionError, match="expected int, found bool"):
        both_ways(int, True)


def test_a_union_is_told_apart_by_the_class_of_the_value() -> None:
    assert type(both_ways(int | str, 3)[0]).__name__ == "Where_Integer"
    assert type(both_ways(int | str, "3")[0]).__name__ == "Where_Text"
    with pytest.raises(ConversionError, match="int or str"):
        both_ways(int | str, 3.5)


def test_an_absent_member_takes_the_default_of_the_class() -> None:
    form = TypeReader().read(Point, "where")
    module = bindings(*forms.named_within([form]))
    lift = Converter(module).lift(form)
    assert lift is not None
    assert lift(module.Point(1.0, None, None)) == Point(1.0)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (list[Point], [Point(1.0), Point("no")], "[1].x: expected float, found str 'no'"),
        (dict[str, int], {"a": "b"}, "['a']: expected int, found str 'b'"),
        (int, 2**63, "more than 64 bits"),
        (list[int], "text", "expected list, found str 'text'"),
        (tuple[int, int], (1,), "expected a tuple of 2"),
        (Tone, "kind", "expected one of Tone.KIND, Tone.LOUD"),
        (Any, {1, 2}, "it is not JSON"),
        (bytes, "text", "expected bytes"),
    ],
)
def test_a_value_that_does_not_fit_names_its_place(annotation: Any, value: Any, message: str) -> None:
    with pytest.raises(ConversionError) as raised:
        both_ways(annotation, value)
    assert message in str(raised.value)


def test_a_text_that_is_no_date_is_refused() -> None:
    lift = Converter(None).lift(TypeReader().read(datetime.date, ""))
    assert lift is not None
    with pytest.raises(ConversionError, match="'tomorrow' is no date"):
        lift("tomorrow")


def test_a_class_that_checks_its_values_refuses_them() -> None:
    @dataclasses.dataclass
    class Positive:
        value: int

        def __post_init__(self) -> None:
            if self.value < 0:
                raise ValueError("it is below zero")

    form = TypeReader().read(Positive, "")
    module = bindings(*forms.named_within([form]))
    lift = Converter(module).lift(form)
    assert lift is not None
    with pytest.raises(ConversionError, match="below zero"):
        lift(module.Positive(-1))
