"""A mistake of the user: what is wrong, where, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Problem(Exception):
    """One message to act on."""

    message: str
    help: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        return f"{place}{self.message}\nhelp: {self.help}"

    def to_json(self) -> dict[str, Any]:
        """Returns the problem for programs."""
        return {"file": self.file, "line": self.line, "message": self.message, "help": self.help}
