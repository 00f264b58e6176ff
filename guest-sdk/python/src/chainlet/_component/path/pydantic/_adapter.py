"""Checks values of any type, without a model."""

from __future__ import annotations

import json
from typing import Any

from ._coerce import coerce
from ._dump import dump
from ._errors import Mistake, ValidationError, line_errors


class TypeAdapter:
    """Checks and dumps values of one type."""

    def __init__(self, type: Any, **_: Any) -> None:
        self._type = type

    def __class_getitem__(cls, _item: Any) -> type:
        return cls

    def validate_python(self, value: Any, **_: Any) -> Any:
        """Returns the value as the type."""
        try:
            return coerce(self._type, value)
        except Mistake as error:
            found = line_errors(error, (), value)
            raise ValidationError(str(self._type), [{**each, "loc": ()} for each in found]) from None

    def validate_json(self, text: str | bytes, **_: Any) -> Any:
        """Returns the value of a JSON text as the type."""
        return self.validate_python(json.loads(text))

    def dump_python(self, value: Any, *, mode: str = "python", **options: Any) -> Any:
        """Returns the value without models."""
        return dump(value, mode, **options)

    def dump_json(self, value: Any, *, indent: int | None = None, **options: Any) -> bytes:
        """Returns the value as JSON."""
        return json.dumps(dump(value, "json", **options), indent=indent, ensure_ascii=False).encode()
