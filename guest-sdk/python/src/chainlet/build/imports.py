"""The imports inside functions. A component can import only what was imported when it was built."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from .load import import_problem
from .places import tree

# Modules that the standard library imports inside its own functions, and users meet soon.
ALWAYS = (
    "_strptime",
    "encodings.idna",
    "encodings.latin_1",
    "encodings.ascii",
    "encodings.utf_16",
    "encodings.punycode",
)
# More of the standard library, for live mode: an edit may import what the sources did not.
STANDARD = tuple(
    [
        "abc",
        "argparse",
        "array",
        "ast",
        "base64",
        "binascii",
        "bisect",
        "calendar",
        "cmath",
        "collections.abc",
        "colorsys",
        "concurrent.futures",
        "configparser",
        "contextlib",
        "contextvars",
        "copy",
        "csv",
        "dataclasses",
        "datetime",
        "decimal",
        "difflib",
        "email.message",
        "enum",
        "fractions",
        "functools",
        "gettext",
        "glob",
        "graphlib",
        "gzip",
        "hashlib",
        "heapq",
        "hmac",
        "html",
        "html.parser",
        "http",
        "inspect",
        "io",
        "ipaddress",
        "itertools",
        "json",
        "keyword",
        "linecache",
        "locale",
        "logging.handlers",
        "math",
        "mimetypes",
        "numbers",
        "operator",
        "os",
        "pathlib",
        "pickle",
        "pprint",
        "queue",
        "random",
        "re",
        "secrets",
        "shlex",
        "shutil",
        "sqlite3",
        "statistics",
        "string",
        "struct",
        "tempfile",
        "textwrap",
        "threading",
        "time",
        "timeit",
        "traceback",
        "types",
        "typing",
        "unicodedata",
        "unittest.mock",
        "urllib.parse",
        "urllib.request",
        "uuid",
        "weakref",
        "xml.etree.ElementTree",
        "zipfile",
        "zlib",
        "zoneinfo",
    ]
)

# And what a file may import of the SDK.
SDK = ("chainlet.chains", "chainlet.keyvalue", "pydantic")


def own_modules(module: ModuleType) -> list[ModuleType]:
    """Returns the loaded modules that are in the folder of the user's file, the file itself included."""
    assert module.__file__ is not None
    folder = Path(module.__file__).parent
    files = [(each, getattr(each, "__file__", None)) for each in list(sys.modules.values())]
    return [each for each, file in files if file and folder in Path(file).parents and "site-packages" not in file]


def imported(modules: list[ModuleType]) -> list[str]:
    """Returns the modules that `modules` import, at their top or inside functions, without `modules` themselves."""
    names: set[str] = set()
    for module in modules:
        file = module.__file__ or ""
        if not file.endswith(".py"):
            continue
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                # A name that is imported from a package may be a module of it.
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                names.update([node.module, *(name for name in inner if name in sys.modules)])
    own = {module.__name__.partition(".")[0] for module in modules}
    return sorted(name for name in names if name.partition(".")[0] not in own)


def imported_in_functions(modules: list[ModuleType]) -> list[str]:
    """Returns the modules that functions of `modules` import. One that no component can have is a problem."""
    names: dict[str, None] = {}
    for module in modules:
        file = module.__file__ or ""
        if file.endswith(".py"):
            for name, line in _function_imports(tree(file), module.__package__ or ""):
                _check(name, Path(file), line)
                names[name] = None
    return list(names)


def _check(name: str, file: Path, line: int) -> None:
    try:
        found = importlib.util.find_spec(name) is not None
        error = ModuleNotFoundError(f"No module named {name!r}", name=name)
    except ImportError as raised:
        found, error = False, raised  # type: ignore[assignment]
    except ValueError:
        # A module without a spec is loaded already.
        found = True
    if not found:
        problem = import_problem(error, file)
        problem.line = line
        raise problem


def _function_imports(module: ast.Module, package: str) -> Iterator[tuple[str, int]]:
    """Yields the imports inside functions, but not those whose failure the function handles."""

    def visit(node: ast.AST, inside: bool, guarded: bool) -> Iterator[tuple[str, int]]:
        if inside and not guarded:
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                name = "." * node.level + (node.module or "")
                yield importlib.util.resolve_name(name, package), node.lineno
        inside = inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside, guarded or isinstance(node, ast.Try))

    yield from visit(module, False, False)
