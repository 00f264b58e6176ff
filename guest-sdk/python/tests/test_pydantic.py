"""The pure `pydantic` of components, beside the real one: each test runs with both, and wants the same."""

import datetime
import enum
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, Optional

import pytest

PURE = Path(__file__).parent.parent / "src/chainlet/_component/path"


@pytest.fixture(params=["pure", "real"])
def pydantic(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    if request.param == "real":
        yield pytest.importorskip("pydantic")
        return
    saved = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "pydantic"}
    for name in saved:
        del sys.modules[name]
    sys.path.insert(0, str(PURE))
    try:
        yield importlib.import_module("pydantic")
    finally:
        sys.path.remove(str(PURE))
        for name in [name for name in sys.modules if name.partition(".")[0] == "pydantic"]:
            del sys.modules[name]
        sys.modules.update(saved)


class Color(enum.Enum):
    RED = "red"


def test_values_become_what_the_annotations_want(pydantic: ModuleType) -> None:
    class Inner(pydantic.BaseModel):
        n: int

    class Model(pydantic.BaseModel):
        i: int
        f: float
        b: bool
        when: datetime.datetime
        color: Color
        inner: Inner
        many: list[Inner]
        by_name: dict[str, int]
        pair: tuple[int, str]
        maybe: Optional[int] = None  # noqa: UP045
        mode: Literal["a", "b"] = "a"

    model = Model(
        i="1", f=2, b="yes", when="2026-05-01T10:00:00", color="red", inner={"n": 3}, many=[{"n": 4}],
        by_name={"x": "5"}, pair=["6", "y"],
    )  # fmt: skip
    assert (model.i, model.f, model.b, model.color) == (1, 2.0, True, Color.RED)
    assert (model.inner.n, model.many[0].n, model.by_name, model.pair) == (3, 4, {"x": 5}, (6, "y"))
    assert (model.when.hour, model.maybe, model.mode) == (10, None, "a")


@pytest.mark.parametrize(
    ("data", "locations", "types"),
    [
        ({}, [("n",)], ["missing"]),
        ({"n": "x"}, [("n",)], ["int_parsing"]),
        ({"n": 1.5}, [("n",)], ["int_from_float"]),
        ({"n": -1}, [("n",)], ["greater_than_equal"]),
        ({"n": 1, "names": ["a", 2]}, [("names", 1)], ["string_type"]),
        ({"n": 1, "names": ["a"] * 4}, [("names",)], ["too_long"]),
        ({"n": 1, "code": "abc"}, [("code",)], ["string_pattern_mismatch"]),
        ({"n": 1, "mode": "c"}, [("mode",)], ["literal_error"]),
    ],
)
def test_mistakes_have_their_place_and_type(
    pydantic: ModuleType, data: dict[str, Any], locations: list[Any], types: list[str]
) -> None:
    class Model(pydantic.BaseModel):
        n: int = pydantic.Field(ge=0)
        names: list[str] = pydantic.Field(default_factory=list, max_length=3)
        code: str = pydantic.Field("AB", pattern="^[A-Z]+$")
        mode: Literal["a", "b"] = "a"

    with pytest.raises(pydantic.ValidationError) as raised:
        Model(**data)
    assert [error["loc"] for error in raised.value.errors()] == locations
    assert [error["type"] for error in raised.value.errors()] == types


def test_validators_run_before_and_after(pydantic: ModuleType) -> None:
    class Model(pydantic.BaseModel):
        name: str
        low: int = 0
        high: int = 1

        @pydantic.field_validator("name", mode="before")
        @classmethod
        def to_text(cls, value: Any) -> Any:
            return str(value)

        @pydantic.field_validator("name")
        @classmethod
        def capitalised(cls, value: str) -> str:
            if not value:
                raise ValueError("the name is empty")
            return value.title()

        @pydantic.field_validator("high")
        @classmethod
        def above(cls, value: int, info: Any) -> int:
            assert value > info.data["low"], "high is not above low"
            return value

        @pydantic.model_validator(mode="before")
        @classmethod
        def renamed(cls, data: Any) -> Any:
            return {("name" if key == "title" else key): value for key, value in data.items()}

        @pydantic.model_validator(mode="after")
        def consistent(self) -> Any:
            if self.name == "Nobody":
                raise ValueError("nobody is not allowed")
            return self

    assert Model(title="ada").name == "Ada"
    assert Model(name=7).name == "7"
    for data in ({"name": ""}, {"name": "x", "low": 5, "high": 2}, {"name": "nobody"}):
        with pytest.raises(pydantic.ValidationError):
            Model(**data)


def test_a_model_is_dumped_and_read_again(pydantic: ModuleType) -> None:
    class Inner(pydantic.BaseModel):
        data: bytes = b"x"
        when: Optional[datetime.date] = None  # noqa: UP045

    class Model(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(populate_by_name=True)
        user_name: str = pydantic.Field(alias="userName")
        inner: Inner = pydantic.Field(default_factory=Inner)
        color: Color = Color.RED

        @pydantic.computed_field
        @property
        def shout(self) -> str:
            return self.user_name.upper()

        @pydantic.field_serializer("color")
        def first_letter(self, value: Color) -> str:
            return value.value[0]

    model = Model(userName="ada", inner={"when": "2026-05-01"})
    assert Model(user_name="ada").user_name == "ada"
    assert model.model_dump() == {
        "user_name": "ada", "inner": {"data": b"x", "when": datetime.date(2026, 5, 1)}, "color": "r", "shout": "ADA",
    }  # fmt: skip
    text = model.model_dump_json(by_alias=True, exclude_none=True)
    assert json.loads(text) == {
        "userName": "ada", "inner": {"data": "x", "when": "2026-05-01"}, "color": "r", "shout": "ADA",
    }  # fmt: skip
    assert model.model_dump(exclude_unset=True, include={"user_name", "color"}) == {"user_name": "ada"}
    assert Model.model_validate_json('{"userName": "x"}').user_name == "x"


def test_configuration_is_obeyed(pydantic: ModuleType) -> None:
    class Frozen(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
        n: int

    class Open(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="allow", validate_assignment=True)
        n: int = 0
        _private: int = pydantic.PrivateAttr(default=3)

    assert Frozen(n=1) == Frozen(n="1") and hash(Frozen(n=1)) == hash(Frozen(n=1))
    with pytest.raises(pydantic.ValidationError):
        Frozen(n=1).n = 2
    with pytest.raises(pydantic.ValidationError):
        Frozen(n=1, m=2)
    opened = Open(more="x")
    assert opened.model_dump() == {"n": 0, "more": "x"}
    opened.n = "5"
    assert (opened.n, opened._private) == (5, 3)
    with pytest.raises(pydantic.ValidationError):
        opened.n = "five"


def test_copies_and_unchecked_models(pydantic: ModuleType) -> None:
    class Base(pydantic.BaseModel):
        a: int
        b: list[int] = []

    class Derived(Base):
        c: Annotated[str, pydantic.Field(min_length=1)] = "c"

    model = Derived(a=1)
    model.b.append(2)
    assert Derived(a=1).b == []
    copied = model.model_copy(update={"a": 5})
    assert (copied.a, copied.b, model.a) == (5, [2], 1)
    assert Derived.model_construct(a="unchecked").a == "unchecked"
    assert list(Derived.model_fields) == ["a", "b", "c"]
    assert repr(model) == "Derived(a=1, b=[2], c='c')"


def test_an_adapter_checks_any_type(pydantic: ModuleType) -> None:
    adapter = pydantic.TypeAdapter(list[int])
    assert adapter.validate_python(["1", 2]) == [1, 2]
    assert adapter.validate_json("[3]") == [3]
    assert adapter.dump_json([4]) == b"[4]"
    with pytest.raises(pydantic.ValidationError):
        adapter.validate_python(["x"])


def test_the_smart_union_keeps_the_type_of_the_value(pydantic: ModuleType) -> None:
    class Model(pydantic.BaseModel):
        value: int | str | None = None

    assert [Model(value=v).value for v in (1, "1", None)] == [1, "1", None]
