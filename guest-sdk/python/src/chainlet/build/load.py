"""Imports the user's file, as a component would."""

from __future__ import annotations

import contextlib
import importlib.util
import keyword
import sys
import traceback
from pathlib import Path
from types import ModuleType

from .._declare import DeclarationError
from . import policy
from .places import place_of, shown
from .problem import Problem


def load(file: Path) -> ModuleType:
    """Returns the module of `file`. Its folder is then the first of `sys.path`."""
    if not file.is_file():
        raise Problem(f"there is no file {shown(str(file))}", "name the Python file that has the chainlets")
    name = file.stem
    if not name.isidentifier() or keyword.iskeyword(name):
        raise Problem(f"{file.name} is no name of a module", "use letters, digits and underscores", shown(str(file)))
    if name in sys.stdlib_module_names or name in ("chainlet", "pydantic", "wit_world"):
        raise Problem(f"the file has the name of the module {name!r}", "rename the file", shown(str(file)))
    policy.enforce()
    sys.path.insert(0, str(file.parent.resolve()))
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        # stdout is for the answer of the builder.
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except SyntaxError as error:
        raise Problem(error.msg, "correct the syntax", shown(error.filename or str(file)), error.lineno) from None
    except DeclarationError as error:
        where, line = place_of(error.owner, error.member) if error.owner else _line_of(error, file)
        raise Problem(error.message, error.help, where, line) from None
    except ImportError as error:
        raise import_problem(error, file) from None
    except Exception as error:
        where, line = _line_of(error, file)
        raise Problem(
            f"the import of the file raised {type(error).__name__}: {error}",
            "correct it; work that needs settings or secrets belongs in __init__",
            where,
            line,
        ) from error
    return module


def import_problem(error: ImportError, file: Path) -> Problem:
    """Returns the message for an import that fails in a component."""
    where, line = _line_of(error, file)
    module = error.name or ""
    root = module.partition(".")[0]
    if isinstance(error, policy.NativeModuleError):
        package = policy.distribution_of(module)
        return Problem(f"the package {package} needs native code ({module})", policy.NATIVE_HELP, where, line)
    if root in policy.NATIVE:
        return Problem(f"the package {policy.distribution_of(root)} is native code", policy.NATIVE_HELP, where, line)
    if module in policy.ABSENT:
        help = policy.INSTEAD.get(root, "the standard library of a component is without it; see docs/python.md")
        return Problem(f"a component has no module {module}", help, where, line)
    if isinstance(error, ModuleNotFoundError):
        help = f"add the package to the project's dependencies and install it, or correct the name {module!r}"
        return Problem(f"there is no module {module}", help, where, line)
    return Problem(f"the import failed: {error}", "correct the import", where, line)


def _line_of(error: BaseException, file: Path) -> tuple[str | None, int | None]:
    """Returns the last line in the user's own folder that led to `error`."""
    folder = str(file.parent.resolve())
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(folder) and "site-packages" not in frame.filename
    ]
    return (shown(own[-1].filename), own[-1].lineno) if own else (shown(str(file)), None)
