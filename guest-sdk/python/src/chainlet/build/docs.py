"""The section of a component that holds its doc comments, which componentize-py drops.

The host takes the descriptions of its OpenAPI document from it: see guest-sdk/DOCS-SECTION.md.
"""

from __future__ import annotations

import json
from pathlib import Path

from .._types import forms
from .._types.signature import Signature
from .maps import encode_unsigned

_SECTION = b"chainlet:docs"


def append(component: Path, signature: Signature) -> None:
    """Appends the section to a component, if there are docs."""
    types = {
        form.name: {"docs": form.docs}
        for form in forms.named_within(signature.forms())
        if not isinstance(form, forms.Variant) and form.docs
    }
    if not signature.docs and not types:
        return
    docs = {"run-remote": {"docs": signature.docs}, "types": types}
    with component.open("ab") as file:
        file.write(section(json.dumps(docs, ensure_ascii=False).encode()))


def section(payload: bytes) -> bytes:
    """Returns a custom section of WebAssembly: its id 0, its size, its name, and the payload."""
    content = encode_unsigned(len(_SECTION)) + _SECTION + payload
    return b"\0" + encode_unsigned(len(content)) + content
