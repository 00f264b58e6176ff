"""The line of a file where a class, a function or one of its members is written."""

from __future__ import annotations

import ast
import functools
import inspect
import os
from pathlib import Path


@functools.cache
def tree(file: str) -> ast.Module:
    """Returns the syntax tree of a file."""
    return ast.parse(Path(file).read_bytes(), file)


def shown(file: str) -> str:
    """Returns a path as the user would write it: from the working folder, if it is inside."""
    relative = os.path.relpath(file)
    return file if relative.startswith("..") else relative


def place_of(owner: object, member: str | None) -> tuple[str | None, int | None]:
    """Returns the file and the line of `member` of the class or function `owner`, or of `owner` itself."""
    try:
        file = inspect.getsourcefile(owner)  # type: ignore[arg-type]
        _, first = inspect.getsourcelines(owner)  # type: ignore[arg-type]
    except (TypeError, OSError):
        return None, None
    if file is None:
        return None, None
    node = _definition(file, getattr(owner, "__name__", ""), first)
    line = node.lineno if node is not None else first
    if node is not None and member is not None:
        line = _member_line(node, member) or line
    return shown(file), line


_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _definition(file: str, name: str, first: int) -> _Definition | None:
    for node in ast.walk(tree(file)):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
            # The source of a decorated definition begins at its first decorator.
            start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if start == first:
                return node
    return None


def _member_line(node: _Definition, member: str) -> int | None:
    if isinstance(node, ast.ClassDef):
        for statement in node.body:
            targets = [statement.target] if isinstance(statement, ast.AnnAssign) else getattr(statement, "targets", [])
            if any(isinstance(target, ast.Name) and target.id == member for target in targets):
                return statement.lineno
        return None
    if member == "return":
        return node.returns.lineno if node.returns else None
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    arguments += [extra for extra in (node.args.vararg, node.args.kwarg) if extra]
    return next((argument.lineno for argument in arguments if argument.arg == member), None)
