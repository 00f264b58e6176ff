"""How WIT and the bindings of componentize-py spell a Python name."""

from __future__ import annotations

import keyword
import re

# The words of WIT that a name must escape with `%`.
_WIT_WORDS = frozenset(
    [
        "as",
        "async",
        "bool",
        "borrow",
        "char",
        "constructor",
        "enum",
        "export",
        "f32",
        "f64",
        "flags",
        "from",
        "func",
        "future",
        "import",
        "include",
        "interface",
        "list",
        "map",
        "option",
        "own",
        "package",
        "record",
        "resource",
        "result",
        "s16",
        "s32",
        "s64",
        "s8",
        "static",
        "stream",
        "string",
        "tuple",
        "type",
        "u16",
        "u32",
        "u64",
        "u8",
        "use",
        "variant",
        "with",
        "world",
        "error-context",
    ]
)

_WIT_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*")


def kebab(name: str) -> str | None:
    """Returns `HelloAll` or `hello_all` as `hello-all`, or `None` if WIT has no such name.

    Each word of a WIT name begins with a letter, so a digit joins the word before it: `top_5` is `top5`.
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).replace("_", "-").lower()
    words = re.sub(r"-+", "-", re.sub(r"-+(?=[0-9])", "", words)).strip("-")
    return words if _WIT_NAME.fullmatch(words) else None


def label(text: str) -> str | None:
    """Returns a name for people, such as `My Chain`, as a name of WIT, or `None` if it is none."""
    return kebab(re.sub(r"[^A-Za-z0-9]+", "_", text))


def escaped(name: str) -> str:
    """Returns a WIT name as WIT text: with `%` if it is a word of the language."""
    return "%" + name if name in _WIT_WORDS else name


def attribute(name: str) -> str:
    """Returns the attribute or the module that the bindings make of a WIT name."""
    name = name.replace("-", "_")
    return name + "_" if keyword.iskeyword(name) else name


def class_name(name: str) -> str:
    """Returns the class that the bindings make of a WIT name."""
    return "".join(word[:1].upper() + word[1:] for word in name.split("-"))


def dependency_module(name: str) -> str:
    """Returns the module of the bindings for a dependency, which no interface of the host can have."""
    return "dependency_" + name.replace("-", "_")
