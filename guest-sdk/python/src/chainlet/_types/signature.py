"""The parameters and the result of a `run_remote`."""

from __future__ import annotations

import collections.abc
import inspect
import typing
from dataclasses import dataclass
from typing import Any

from . import forms
from .annotations import NoFormError, TypeReader
from .forms import Form
from .names import kebab

_STREAMS = (collections.abc.AsyncIterator, collections.abc.AsyncIterable, collections.abc.AsyncGenerator)


@dataclass
class Parameter:
    """A parameter. `form` is an option if the parameter has a default."""

    python: str
    wit: str
    form: Form
    has_default: bool
    default: Any = None


@dataclass
class Signature:
    """The type of a chainlet's `run_remote`."""

    cls: type
    parameters: list[Parameter]
    # `None` if it returns nothing.
    result: Form | None
    # False if `run_remote` is a plain function. Its callers then call it without `await`.
    is_async: bool
    docs: str

    @property
    def is_stream(self) -> bool:
        """True if the result is a stream."""
        return isinstance(self.result, forms.StreamOf)

    def forms(self) -> list[Form]:
        """Returns the forms of all parameters and of the result."""
        return [p.form for p in self.parameters] + ([self.result] if self.result is not None else [])


def read_signature(reader: TypeReader, cls: type) -> Signature:
    """Reads the signature of `cls.run_remote`."""
    function = inspect.getattr_static(cls, "run_remote", None)
    if not inspect.isfunction(function):
        raise NoFormError(
            f"{cls.__name__} has no method `run_remote`", "write `async def run_remote(self, …) -> …`", cls
        )
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        help = "import the type at the top of the module, not under TYPE_CHECKING"
        raise NoFormError(f"the annotation {error.name!r} names nothing", help, function) from None
    parameters: list[Parameter] = []
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        try:
            parameters.append(_read_parameter(reader, cls, parameter, hints, {p.wit for p in parameters}))
        except NoFormError as error:
            raise error.at(function, parameter.name) from None
    try:
        result = _read_result(reader, cls, hints)
    except NoFormError as error:
        raise error.at(function, "return") from None
    is_generator = inspect.isasyncgenfunction(function)
    if is_generator and not isinstance(result, forms.StreamOf):
        raise NoFormError(
            f"{cls.__name__}.run_remote yields, and its annotation is no stream",
            "write `-> AsyncIterator[T]`",
            function,
            "return",
        )
    is_async = is_generator or inspect.iscoroutinefunction(function)
    return Signature(cls, parameters, result, is_async, inspect.getdoc(function) or "")


def _read_parameter(
    reader: TypeReader, cls: type, parameter: inspect.Parameter, hints: dict[str, Any], taken: set[str]
) -> Parameter:
    name = parameter.name
    if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        raise NoFormError(f"the parameter `{name}` takes any number of arguments", "use a list or a dict")
    if name not in hints:
        raise NoFormError(f"the parameter `{name}` has no type", f"write its type: `{name}: str`")
    wit = kebab(name)
    if wit is None or wit in taken:
        raise NoFormError(f"WIT cannot spell the parameter `{name}`", "rename it")
    where = f"{cls.__name__}_{name}"
    if typing.get_origin(hints[name]) in _STREAMS:
        return Parameter(name, wit, forms.StreamOf(reader.read(typing.get_args(hints[name])[0], where)), False)
    form = reader.read(hints[name], where)
    has_default = parameter.default is not inspect.Parameter.empty
    if has_default and not isinstance(form, forms.OptionOf):
        form = forms.OptionOf(form)
    return Parameter(name, wit, form, has_default, parameter.default if has_default else None)


def _read_result(reader: TypeReader, cls: type, hints: dict[str, Any]) -> Form | None:
    if "return" not in hints:
        raise NoFormError(
            f"{cls.__name__}.run_remote has no result type", "write it: `-> str`, or `-> None` if it returns nothing"
        )
    result = hints["return"]
    if result is type(None):
        return None
    where = f"{cls.__name__}_result"
    if typing.get_origin(result) in _STREAMS:
        return forms.StreamOf(reader.read(typing.get_args(result)[0], where))
    return reader.read(result, where)
