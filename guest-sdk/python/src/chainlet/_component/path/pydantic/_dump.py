"""Values of a model as plain Python, or as JSON has them."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import math
import uuid
from typing import Any


def dump(value: Any, mode: str, **options: Any) -> Any:
    """Returns a value without models, and in the mode `json` only what JSON has."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode=mode, **options)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: dump(getattr(value, each.name), mode, **options) for each in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {dump(key, mode): dump(item, mode, **options) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [dump(item, mode, **options) for item in value]
        return items if mode == "json" else type(value)(items) if not hasattr(value, "_fields") else value
    return _json(value) if mode == "json" else value


def _json(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, datetime.timedelta):
        return _duration(value)
    if isinstance(value, (uuid.UUID, decimal.Decimal)):
        return str(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.urlsafe_b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _duration(value: datetime.timedelta) -> str:
    """Returns a length of time as ISO 8601 has it, as pydantic does."""
    seconds = value.seconds + value.microseconds / 1e6
    days = f"{value.days}D" if value.days else ""
    time = f"T{seconds:g}S" if seconds or not days else ""
    return f"P{days}{time}"
