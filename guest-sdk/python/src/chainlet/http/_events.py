"""Server-sent events, the format in which most servers of language models send streams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass
class Event:
    """One event. `type` is `message` if the server names none."""

    data: str
    type: str = "message"
    id: str | None = None


async def events(pieces: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    """Yields the events in a body. Comments and fields that the format does not know are left out."""
    data: list[str] = []
    kind, last_id = "message", None
    async for line in _lines(pieces):
        if not line:
            if data:
                yield Event("\n".join(data), kind, last_id)
            data, kind = [], "message"
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            kind = value
        elif name == "id" and "\0" not in value:
            last_id = value


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Yields the lines, which end with CR, LF or both. A CR at the end of a piece may be the first half of both."""
    rest = b""
    async for piece in pieces:
        rest += piece
        held, rest = (b"\r", rest[:-1]) if rest.endswith(b"\r") else (b"", rest)
        *lines, last = rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        rest = last + held
        for line in lines:
            yield line.decode("utf-8", "replace")
    if rest.endswith(b"\r"):
        yield rest[:-1].decode("utf-8", "replace")
