"""Which modules a component can have: pure Python, and the part of the standard library that WASI carries.

`enforce` makes the builder's own Python refuse the rest while it imports the user's file. A package that has a pure
fallback for its native code then takes the fallback, as it will in the component.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.metadata
import sys
import sysconfig
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

# The modules of the standard library that CPython for WASI does not have.
ABSENT = frozenset(
    [
        "ssl",
        "_ssl",
        "ctypes",
        "_ctypes",
        "bz2",
        "_bz2",
        "lzma",
        "_lzma",
        "mmap",
        "fcntl",
        "termios",
        "curses",
        "readline",
        "tkinter",
        "dbm.gnu",
        "dbm.ndbm",
        "multiprocessing.connection",
        "_multiprocessing",
    ]
)
INSTEAD = {
    "ssl": "send requests with chainlet.http, which speaks TLS outside the sandbox",
    "requests": "use chainlet.http, or httpx with chainlet.http.httpx",
    "aiohttp": "use chainlet.http, or httpx with chainlet.http.httpx",
}
# Packages with native code that people expect to work, for a better message if they are not installed.
NATIVE = frozenset(
    [
        "numpy",
        "torch",
        "pandas",
        "scipy",
        "sklearn",
        "transformers",
        "tensorflow",
        "jax",
        "vllm",
        "onnxruntime",
        "cv2",
        "PIL",
        "tokenizers",
        "pyarrow",
        "polars",
        "msgspec",
        "orjson",
        "lxml",
        "cryptography",
        "grpc",
        "psycopg2",
    ]
)
# The component has a pure `pydantic` of its own, so the real one may use its native core here.
_PYDANTIC = frozenset(["pydantic_core"])
NATIVE_HELP = (
    "a component runs no native code: do this work in a Rust or GPU chainlet, or in a service that you ask with "
    "chainlet.http; see docs/python.md"
)


class NativeModuleError(ImportError):
    """An import of a module of native code."""

    def __init__(self, module: str, origin: str) -> None:
        super().__init__(f"{module} is native code", name=module, path=origin)


class _Policy(importlib.abc.MetaPathFinder):
    def __init__(self) -> None:
        paths = sysconfig.get_paths()
        self._library = [Path(paths[name]).resolve() for name in ("stdlib", "platstdlib")]

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        root = name.partition(".")[0]
        if name in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if root in _PYDANTIC:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.ExtensionFileLoader) and spec.origin:
            origin = Path(spec.origin).resolve()
            inside = any(library in origin.parents for library in self._library)
            if not inside or "site-packages" in origin.parts or "dist-packages" in origin.parts:
                raise NativeModuleError(name, spec.origin)
        return None


def enforce() -> None:
    """Refuses native modules and absent ones from now on, in this process."""
    for name in ABSENT:
        sys.modules.pop(name, None)
    if not any(isinstance(finder, _Policy) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Policy())


def distribution_of(module: str) -> str:
    """Returns the name of the package that has `module`, as an installer knows it."""
    root = module.partition(".")[0]
    found = importlib.metadata.packages_distributions().get(root)
    return found[0] if found else root
