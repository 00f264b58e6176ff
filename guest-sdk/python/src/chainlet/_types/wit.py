"""From forms to the text of WIT."""

from __future__ import annotations

from collections.abc import Iterable

from . import forms
from .forms import Form, Named
from .names import escaped as escaped
from .signature import Signature

# The names under which an interface uses the host's own types, so that a chain may have a type `error` of its own.
ERROR, FAILURE = "chain-error", "chain-failure"

# The keys that a map of WIT can have, of those that Python has.
_MAP_KEYS = ("string", "bool", "s64")


def type_text(form: Form) -> str:
    """Returns the type as WIT names it where it is used."""
    if isinstance(form, (forms.Scalar, forms.Encoded)):
        return form.wit
    if isinstance(form, forms.Json):
        return "string"
    if isinstance(form, forms.ListOf):
        return f"list<{type_text(form.item)}>"
    if isinstance(form, forms.MapOf):
        key, value = type_text(form.key), type_text(form.value)
        return f"map<{key}, {value}>" if key in _MAP_KEYS else f"list<tuple<{key}, {value}>>"
    if isinstance(form, forms.TupleOf):
        return f"tuple<{', '.join(map(type_text, form.items))}>"
    if isinstance(form, forms.OptionOf):
        return f"option<{type_text(form.item)}>"
    if isinstance(form, forms.StreamOf):
        return "stream<u8>" if form.is_bytes else f"stream<{type_text(form.item)}>"
    return escaped(form.name)


def declaration(form: Named) -> str:
    """Returns the declaration of a named type, indented for an interface."""
    if isinstance(form, forms.Record):
        head = f"record {escaped(form.name)}"
        body = [f"{escaped(each.wit)}: {type_text(each.form)}" for each in form.fields]
    elif isinstance(form, forms.Enumeration):
        head = f"enum {escaped(form.name)}"
        body = [escaped(name) for _, name in form.cases]
    else:
        head = f"variant {escaped(form.name)}"
        body = [f"{escaped(case.wit)}({type_text(case.form)})" for case in form.cases]
    docs = _docs("" if isinstance(form, forms.Variant) else form.docs, "  ")
    return f"{docs}  {head} {{\n" + "".join(f"    {line},\n" for line in body) + "  }\n"


def result_text(signature: Signature) -> str:
    """Returns the result of `run-remote` as its callee exports it."""
    if signature.result is None:
        return f"result<_, {ERROR}>"
    text = type_text(signature.result)
    if signature.is_stream:
        # The future says whether the stream is complete, or has the error that ended it.
        text = f"tuple<{text}, future<result<_, {ERROR}>>>"
    return f"result<{text}, {ERROR}>"


def function_text(signature: Signature, *, imported: bool = False) -> str:
    """Returns the type of `run-remote`. `imported` is the view of a caller, which also gets failures as values."""
    parameters = ", ".join(f"{escaped(p.wit)}: {type_text(p.form)}" for p in signature.parameters)
    result = result_text(signature)
    if imported:
        # A caller that calls without `await` has to block until there is an answer.
        word = "async func" if signature.is_async else "func"
        return f"{word}({parameters}) -> result<{result}, {FAILURE}>"
    return f"async func({parameters}) -> {result}"


def contract(signature: Signature, dependencies: Iterable[tuple[str, Signature]]) -> str:
    """Returns all that a component fixes when it is built, without docs, to compare it with other sources."""
    called = list(dependencies)
    reached = [form for each in [signature, *(each for _, each in called)] for form in each.forms()]
    parts = [declaration(form) for form in sorted(forms.named_within(reached), key=lambda form: form.name)]
    parts += sorted(f"{name}: {function_text(each, imported=True)}\n" for name, each in called)
    text = "".join([*parts, f"run-remote: {function_text(signature)}\n"])
    return "".join(line for line in text.splitlines(keepends=True) if not line.lstrip().startswith("///"))


def types_interface(named: Iterable[Named]) -> str:
    """Returns the interface with all named types, or an empty text if there are none."""
    declarations = [declaration(form) for form in named]
    return "interface chain-types {\n" + "\n".join(declarations) + "}\n" if declarations else ""


def dependency_interface(name: str, signature: Signature) -> str:
    """Returns the interface by which callers import the chainlet `name`."""
    return (
        f"interface {escaped(name)} {{\n{_uses(signature)}"
        f"  use chainlet:host/call@0.1.0.{{failure as {FAILURE}}};\n"
        f"{_docs(signature.docs, '  ')}  run-remote: {function_text(signature, imported=True)};\n}}\n"
    )


def world(name: str, signature: Signature, imports: Iterable[str], exports: Iterable[str]) -> str:
    """Returns the world of one chainlet."""
    lines = [f"  import {each};\n" for each in imports] + [f"  export {each};\n" for each in exports]
    return (
        f"world {name}-chainlet {{\n{_uses(signature)}{''.join(lines)}"
        f"{_docs(signature.docs, '  ')}  export run-remote: {function_text(signature)};\n}}\n"
    )


def _uses(signature: Signature) -> str:
    names = sorted(form.name for form in forms.named_within(signature.forms()))
    own = f"  use chain-types.{{{', '.join(map(escaped, names))}}};\n" if names else ""
    return f"{own}  use chainlet:host/errors@0.1.0.{{error as {ERROR}}};\n"


def _docs(text: str, indent: str) -> str:
    return "".join(f"{indent}///{' ' + line if line else ''}\n" for line in text.splitlines())
