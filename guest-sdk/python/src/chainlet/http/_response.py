"""An answer."""

from __future__ import annotations

import json as jsonlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from ._errors import HttpError, HttpErrorKind
from ._events import Event, events


class Headers(Mapping[str, str]):
    """The headers of an answer. Names are compared without case; several of one name are joined with a comma."""

    def __init__(self, items: list[tuple[str, str]]) -> None:
        self._items: dict[str, str] = {}
        for name, value in items:
            key = name.lower()
            self._items[key] = f"{self._items[key]}, {value}" if key in self._items else value

    def __getitem__(self, name: str) -> str:
        return self._items[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"Headers({self._items})"


class Response:
    """An answer. Its body is read once: whole, in pieces, or as events."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: AsyncIterator[bytes], server: str) -> None:
        self.status = status
        self.headers = Headers(headers)
        self._body, self._server, self._content = body, server, None

    _content: bytes | None

    @property
    def ok(self) -> bool:
        """True if the status is below 400."""
        return self.status < 400

    def raise_for_status(self) -> Response:
        """Returns the answer itself, or raises `HttpError` if its status is 400 or above."""
        if not self.ok:
            raise HttpError(
                HttpErrorKind.STATUS, f"{self._server} answered with the status {self.status}", status=self.status
            )
        return self

    async def read(self) -> bytes:
        """Returns the whole body."""
        if self._content is None:
            self._content = b"".join([piece async for piece in self._body])
        return self._content

    async def text(self) -> str:
        """Returns the body as text in UTF-8."""
        return (await self.read()).decode("utf-8", "replace")

    async def json(self) -> Any:
        """Returns the value of the JSON in the body."""
        try:
            return jsonlib.loads(await self.read())
        except ValueError as error:
            raise HttpError(HttpErrorKind.PROTOCOL, f"the answer of {self._server} is no JSON: {error}") from None

    def stream(self) -> AsyncIterator[bytes]:
        """Yields the body in pieces, as they come."""
        return self._body

    def events(self) -> AsyncIterator[Event]:
        """Yields the server-sent events of the body, as they come."""
        return events(self._body)
