"""The part of pydantic 2 that models of a chain need, in pure Python.

pydantic 2 has its core in native code, which a component cannot run. This package has its place in a component, and
only there: the builder reads the models with the real pydantic if it is installed. docs/python.md lists what is here.
"""

from ._adapter import TypeAdapter
from ._errors import ValidationError
from ._fields import (
    AliasChoices,
    ConfigDict,
    Field,
    PrivateAttr,
    computed_field,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)
from ._model import BaseModel
from ._types import (
    AfterValidator,
    BeforeValidator,
    NegativeFloat,
    NegativeInt,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    conint,
    conlist,
    constr,
)

VERSION = "2.0.0+chainlet"
__version__ = VERSION

__all__ = [
    "AfterValidator", "AliasChoices", "BaseModel", "BeforeValidator", "ConfigDict", "Field", "NegativeFloat",
    "NegativeInt", "NonNegativeFloat", "NonNegativeInt", "PositiveFloat", "PositiveInt", "PrivateAttr",
    "StringConstraints", "TypeAdapter", "ValidationError", "computed_field", "conint", "conlist", "constr",
    "field_serializer", "field_validator", "model_serializer", "model_validator",
]  # fmt: skip


def __getattr__(name: str) -> object:
    raise AttributeError(f"the pydantic of a component has no {name}: docs/python.md lists what it has")
