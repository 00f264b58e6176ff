"""The host's interfaces, if this code runs in a component.

Everything that calls the host asks here, so that the same modules work under plain Python.
"""

from __future__ import annotations

import functools
import importlib
import sys
from typing import Any


def in_component() -> bool:
    """Returns true in a component, and while componentize-py makes the snapshot of one."""
    return sys.platform == "wasi"


@functools.cache
def interface(name: str) -> Any:
    """Returns the bindings of an imported interface, or `None` if this component does not import it."""
    if not in_component():
        return None
    try:
        return importlib.import_module(f"wit_world.imports.{name}")
    except ModuleNotFoundError:
        return None
