"""The WIT package of a chainlet, or of the whole chain."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._types import forms, wit

if TYPE_CHECKING:
    from .describe import DescribedChainlet

# The host's interfaces that every component imports, and the clock and the stream of bytes of the event loop.
_IMPORTS = (
    "chainlet:host/call@0.1.0",
    "chainlet:host/context@0.1.0",
    "chainlet:host/errors@0.1.0",
    "chainlet:host/log@0.1.0",
    "wasi:clocks/monotonic-clock@0.3.0",
    "wasi:cli/stdout@0.3.0",
)
_HTTP = ("wasi:http/types@0.3.0", "wasi:http/client@0.3.0")
_KEYVALUE = ("wasi:keyvalue/store@0.2.0-draft2", "wasi:keyvalue/atomics@0.2.0-draft2")
_HEADER = "// Derived from {file} by `chainhost build`. Change the Python file, not this one.\npackage local:chain;\n"


def of_chain(chainlets: Sequence[DescribedChainlet]) -> str:
    """Returns the package of all chainlets, for people and for chainlets in other languages."""
    return _text(chainlets, chainlets)


def of_chainlet(chainlet: DescribedChainlet, chainlets: Sequence[DescribedChainlet]) -> str:
    """Returns the package that one component is made of: its world, its types and those of its dependencies."""
    needed = [each for each in chainlets if each is chainlet or each.name in chainlet.dependencies]
    return _text([chainlet], needed)


def world_name(chainlet: DescribedChainlet) -> str:
    """Returns the name of the chainlet's world."""
    return f"{chainlet.name}-chainlet"


def _text(worlds: Sequence[DescribedChainlet], needed: Sequence[DescribedChainlet]) -> str:
    called = {name for each in worlds for name in each.dependencies}
    parts = [wit.types_interface(forms.named_within([form for each in needed for form in each.signature.forms()]))]
    parts += [wit.dependency_interface(each.name, each.signature) for each in needed if each.name in called]
    for each in worlds:
        imports = [*imports_of(each), *(wit.escaped(name) for name in each.dependencies)]
        exports = ["chainlet:host/init@0.1.0", *(["chainlet:host/health@0.1.0"] if each.has_health else [])]
        parts.append(wit.world(each.name, each.signature, imports, exports))
    file = sys.modules[worlds[-1].cls.__module__].__file__ or ""
    return _HEADER.format(file=file.rpartition("/")[2]) + "".join(f"\n{part}" for part in parts if part)


def imports_of(chainlet: DescribedChainlet) -> list[str]:
    """Returns the interfaces of the host that the component imports."""
    imports = list(_IMPORTS)
    if chainlet.uses_http:
        imports += _HTTP
    if chainlet.config.stores:
        imports += _KEYVALUE
    return imports


def http_names(chainlet: DescribedChainlet) -> list[tuple[str, str]]:
    """Returns the modules of the bindings for wasi:http. Otherwise their names depend on the rest of the world."""
    return list(zip(_HTTP, ("http_types", "http_client"))) if chainlet.uses_http else []
