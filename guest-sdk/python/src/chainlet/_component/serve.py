"""One call of `run_remote`, from its arguments to its outcome."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

from componentize_py_types import Ok

from .._types import forms
from .._types.convert import ConversionError, Converter
from .._types.signature import Signature
from . import loop
from .outcome import end, invalid_input
from .streams import StreamEnds, end_future


class Server:
    """Serves the calls of one chainlet. `instance` is the object that `init` made."""

    def __init__(self, signature: Signature, converter: Converter) -> None:
        self.instance: Any = None
        self._parameters = [
            (
                parameter,
                StreamEnds(parameter.form, converter).read
                if isinstance(parameter.form, forms.StreamOf)
                else converter.lift(parameter.form),
            )
            for parameter in signature.parameters
        ]
        result = signature.result
        self._ends = StreamEnds(result, converter) if isinstance(result, forms.StreamOf) else None
        self._lower: Callable[[Any], Any] | None = None
        if result is not None and self._ends is None:
            self._lower = converter.lower(result)

    async def serve(self, values: tuple[Any, ...]) -> Any:
        """Runs one call. Raises `Err` for every error, so that none of them is a trap."""
        loop.watch()
        try:
            answer = self.instance.run_remote(**self._lift(values))
            if self._ends is not None:
                return await self._serve_stream(answer, self._ends)
            if inspect.isawaitable(answer):
                answer = await answer
            return self._answer(answer)
        except BaseException as error:
            raise end(error) from None

    def _lift(self, values: tuple[Any, ...]) -> dict[str, Any]:
        lifted = {}
        for (parameter, lift), value in zip(self._parameters, values):
            if value is None and parameter.has_default:
                continue
            try:
                lifted[parameter.python] = lift(value) if lift else value
            except ConversionError as error:
                raise invalid_input(error.inside(parameter.python)) from error
        return lifted

    def _answer(self, answer: Any) -> Any:
        if self._lower is None:
            return None
        try:
            return self._lower(answer)
        except ConversionError as error:
            raise error.inside("the result of run_remote") from None

    async def _serve_stream(self, source: Any, ends: StreamEnds) -> tuple[Any, Any]:
        if inspect.isawaitable(source):
            source = await source
        items = aiter(source)
        # The answer begins with the first item, so an error before it is an error of the call, with a status.
        first = [item] if (item := await anext(items, _NOTHING)) is not _NOTHING else []
        writer, reader = ends.new()
        end_writer, end_reader = end_future()
        # The loop keeps the tasks of a call, and the call lasts until they end.
        asyncio.create_task(_write(ends, writer, end_writer, first, items))  # noqa: RUF006
        return reader, end_reader


_NOTHING = object()


async def _write(ends: StreamEnds, writer: Any, end_writer: Any, first: list[Any], items: AsyncIterator[Any]) -> None:
    """Writes all items, and then how the stream has ended."""
    outcome: Any = Ok(None)
    try:
        with writer:
            for item in first:
                if not await ends.write(writer, item):
                    return
            async for item in items:
                if not await ends.write(writer, item):
                    return
    except BaseException as error:
        outcome = end(error)
    finally:
        # A generator whose reader has left must run its `finally` now, not at some collection of garbage.
        if (close := getattr(items, "aclose", None)) is not None:
            await close()
        await end_writer.write(outcome)
