"""Async iterators to streams of WIT, and back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import componentize_py_runtime as runtime
import wit_world
from componentize_py_types import Ok

from .._types import forms
from .._types.convert import Converter
from . import loop

# The most items and bytes that one read takes.
_ITEMS, _BYTES = 1024, 64 * 1024


class StreamEnds:
    """Makes and reads the streams of one type of items."""

    def __init__(self, form: forms.StreamOf, converter: Converter) -> None:
        self.is_bytes = form.is_bytes
        self._new = getattr(wit_world, "byte_stream" if form.is_bytes else f"{constructor(form.item)}_stream")
        self._lower = converter.lower(form.item)
        self._lift = converter.lift(form.item)

    def new(self) -> tuple[Any, Any]:
        """Returns the writer and the reader of a new stream."""
        ends: tuple[Any, Any] = self._new()
        return ends

    async def write(self, writer: Any, item: Any) -> bool:
        """Writes an item. Returns false if the reader has left."""
        lowered = self._lower(item)
        handle = writer.handle
        try:
            await writer.write_all(lowered if self.is_bytes else [lowered])
        except asyncio.CancelledError:
            # The write goes on without its task. The writable end can be dropped only after it.
            drop_later(writer, handle, runtime.stream_drop_writable)
            raise
        return not writer.reader_dropped

    async def read(self, reader: Any) -> AsyncIterator[Any]:
        """Yields the items, and drops the reader at the end."""
        with reader:
            while not reader.writer_dropped:
                handle = reader.handle
                try:
                    batch = await reader.read(_BYTES if self.is_bytes else _ITEMS)
                except asyncio.CancelledError:
                    drop_later(reader, handle, runtime.stream_drop_readable)
                    raise
                if self.is_bytes:
                    if batch:
                        yield batch
                else:
                    for item in batch:
                        yield self._lift(item) if self._lift else item

    def send(self, source: Any) -> Any:
        """Returns the reader of a stream into which a new task writes the items of `source`, an async iterable."""
        writer, reader = self.new()
        # The loop keeps the tasks of a call.
        asyncio.create_task(self._send(writer, source))  # noqa: RUF006
        return reader

    async def _send(self, writer: Any, source: Any) -> None:
        with writer:
            async for item in source:
                if not await self.write(writer, item):
                    break


def drop_later(end: Any, handle: int, drop: Callable[[int, int], None]) -> None:
    """Drops an end of a stream once the operation that it has under way has ended."""
    end.finalizer.detach()
    end.handle = None
    loop.abandon(handle, lambda: drop(end.type_, handle))


def end_future() -> tuple[Any, Any]:
    """Returns the writer and the reader of a future that says how a stream has ended."""
    ends: tuple[Any, Any] = wit_world.result_unit_errors_error_future(lambda: Ok(None))
    return ends


def constructor(form: forms.Form) -> str:
    """Returns the beginning of the name of the function with which componentize-py makes streams of this type."""
    if isinstance(form, (forms.Scalar, forms.Encoded)):
        return {"list<u8>": "list_u8", "tuple<f64, f64>": "tuple2_f64_f64"}.get(form.wit, form.wit)
    if isinstance(form, forms.Json):
        return "string"
    if isinstance(form, forms.ListOf):
        return f"list_{constructor(form.item)}"
    if isinstance(form, forms.MapOf):
        return f"list_tuple2_{constructor(form.key)}_{constructor(form.value)}"
    if isinstance(form, forms.TupleOf):
        return f"tuple{len(form.items)}_{'_'.join(map(constructor, form.items))}"
    if isinstance(form, forms.OptionOf):
        return f"option_{constructor(form.item)}"
    if isinstance(form, forms.StreamOf):
        raise TypeError("a stream of streams has no form")
    return f"chain_types_{form.name.replace('-', '_')}"
