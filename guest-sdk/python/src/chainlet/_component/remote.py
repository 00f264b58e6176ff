"""Stands for a dependency: its `run_remote` calls the chainlet that chain.toml names."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import AsyncIterator
from typing import Any

from componentize_py_types import Err

from .._types import forms
from .._types.convert import ConversionError, Converter
from .._types.names import dependency_module
from .._types.signature import Signature
from .outcome import from_error, from_failure
from .streams import StreamEnds


class Remote:
    """What `__init__` gets for a dependency. Calls have the arguments of the class, checked here."""

    def __init__(self, name: str, signature: Signature, converter: Converter) -> None:
        self._name, self._signature = name, signature
        self._call = importlib.import_module(f"wit_world.imports.{dependency_module(name)}").run_remote
        self._arguments = _Arguments(signature, converter)
        result = signature.result
        self.run_remote: Any
        if isinstance(result, forms.StreamOf):
            self._ends = StreamEnds(result, converter)
            self.run_remote = self._stream
        else:
            self._lift = converter.lift(result) if result is not None else None
            self.run_remote = self._value if signature.is_async else self._blocking

    async def _value(self, *args: Any, **kwargs: Any) -> Any:
        try:
            answer = await self._call(*self._arguments.lower(args, kwargs))
        except Err as error:
            raise from_failure(error.value) from None
        return self._answer(answer)

    def _blocking(self, *args: Any, **kwargs: Any) -> Any:
        try:
            answer = self._call(*self._arguments.lower(args, kwargs))
        except Err as error:
            raise from_failure(error.value) from None
        return self._answer(answer)

    def _answer(self, answer: Any) -> Any:
        if isinstance(answer, Err):
            raise from_error(answer.value, self._name)
        return self._lift(answer.value) if self._lift else answer.value

    async def _stream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        try:
            answer = await self._call(*self._arguments.lower(args, kwargs))
        except Err as error:
            raise from_failure(error.value) from None
        if isinstance(answer, Err):
            raise from_error(answer.value, self._name)
        reader, ended = answer.value
        with ended:
            async for item in self._ends.read(reader):
                yield item
            end = await ended.read()
        if isinstance(end, Err):
            raise from_error(end.value, self._name)

    def __repr__(self) -> str:
        return f"<the chainlet {self._name}>"


class _Arguments:
    """Lowers the arguments of a call, in the order of the parameters."""

    def __init__(self, signature: Signature, converter: Converter) -> None:
        self._class = signature.cls.__name__
        self._bind = inspect.signature(signature.cls.run_remote).bind  # type: ignore[attr-defined]
        self._lowers = [
            (
                parameter.python,
                StreamEnds(parameter.form, converter).send
                if isinstance(parameter.form, forms.StreamOf)
                else converter.lower(parameter.form),
            )
            for parameter in signature.parameters
        ]

    def lower(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        given = self._bind(None, *args, **kwargs).arguments
        lowered = []
        for name, lower in self._lowers:
            try:
                lowered.append(lower(given[name]) if name in given else None)
            except ConversionError as error:
                raise error.inside(f"{self._class}.run_remote: {name}") from None
        return lowered
