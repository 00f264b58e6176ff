"""Gives a component the type `map<K, V>`, which componentize-py 0.25.1 does not know.

A map and a list of pairs are the same bytes in memory: only the type of the component tells them apart. So the builder

1. hands componentize-py the same WIT with a name for each map, `type string-to-s64-map = list<tuple<string, s64>>`, and
2. replaces these lists by maps in the types of the component that it gets.

The reader of types follows the binary format of the component model:
https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_SUFFIX = "-map"
_BLOCK = re.compile(r"^(interface|world) ([%\w-]+) \{\n", re.M)
_TYPES = "interface chain-types {\n"


def named_maps(package: str) -> str:
    """Returns the text of a WIT package with a name for each map, declared in `chain-types` as a list of pairs."""
    aliases: dict[str, str] = {}
    starts = [match.start() for match in _BLOCK.finditer(package)]
    if not starts:
        return package
    blocks = [package[start:end] for start, end in zip(starts, [*starts[1:], len(package)])]
    named = [_name_maps(block, aliases) for block in blocks]
    if not aliases:
        return package
    if not any(block.startswith(_TYPES) for block in named):
        named.insert(0, _TYPES + "}\n\n")
    declarations = "".join(f"  type {name} = {pairs};\n" for name, pairs in aliases.items())
    named = [block.replace(_TYPES, _TYPES + declarations) for block in named]
    return package[: starts[0]] + "".join(named)


def _name_maps(block: str, aliases: dict[str, str]) -> str:
    """Replaces the maps of one block by names, the innermost first, and lets the block use these names."""
    used: dict[str, None] = {}
    lines = []
    for line in block.splitlines(keepends=True):
        while not line.lstrip().startswith("///") and (found := _inner_map(line)) is not None:
            start, end, inner = found
            name = re.sub(r"[^a-z0-9]+", "-", inner.replace(",", " to", 1)).strip("-") + _SUFFIX
            aliases[name] = f"list<tuple<{inner}>>"
            used[name] = None
            line = line[:start] + name + line[end:]
        lines.append(line)
    text = "".join(lines)
    if used and not text.startswith(_TYPES):
        head, newline, rest = text.partition("\n")
        text = f"{head}{newline}  use chain-types.{{{', '.join(used)}}};\n{rest}"
    return text


def _inner_map(line: str) -> tuple[int, int, str] | None:
    """Returns the place and the parameters of a map that has no map inside."""
    start = line.rfind("map<")
    if start < 0 or (start > 0 and (line[start - 1].isalnum() or line[start - 1] in "-%")):
        return None
    depth = 0
    for end in range(start + 3, len(line)):
        depth += {"<": 1, ">": -1}.get(line[end], 0)
        if depth == 0:
            return start, end + 1, line[start + 4 : end]
    return None


def restore_maps(component: Path) -> None:
    """Replaces the named lists of pairs in the types of a component by maps."""
    data = component.read_bytes()
    parts, position, changed = [data[:8]], 8, False
    while position < len(data):
        reader = _Reader(data, position + 1)
        size = reader.unsigned()
        body = data[reader.position : reader.position + size]
        if data[position] == _TYPE_SECTION and (rewritten := _rewrite_section(body)) is not None:
            parts.append(bytes([_TYPE_SECTION]) + encode_unsigned(len(rewritten)) + rewritten)
            changed = True
        else:
            parts.append(data[position : reader.position + size])
        position = reader.position + size
    if changed:
        component.write_bytes(b"".join(parts))


_TYPE_SECTION = 7
_LIST, _TUPLE, _MAP = 0x70, 0x6F, 0x63


def _rewrite_section(body: bytes) -> bytes | None:
    """Returns the section with maps, or `None` if it has no named list of pairs."""
    reader = _Reader(body, 0)
    edits: list[tuple[int, int, bytes]] = []
    for _ in range(reader.unsigned()):
        reader.definition(edits)
    if not edits:
        return None
    parts, position = [], 0
    for start, end, text in sorted(edits):
        parts += [body[position:start], text]
        position = end
    return b"".join([*parts, body[position:]])


@dataclass
class _Type:
    """A type of an instance type: where its definition is, and the value types in it if it is a list or a tuple."""

    start: int
    end: int
    code: int
    inner: list[bytes]


class _Reader:
    """Reads the types of a component."""

    def __init__(self, data: bytes, position: int) -> None:
        self.data, self.position = data, position

    def byte(self) -> int:
        """Reads a byte."""
        self.position += 1
        return self.data[self.position - 1]

    def unsigned(self) -> int:
        """Reads an integer in LEB128."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def name(self) -> str:
        """Reads a text with its size before it."""
        size = self.unsigned()
        self.position += size
        return self.data[self.position - size : self.position].decode()

    def value_type(self) -> bytes:
        """Reads a value type: a byte for a primitive one, or an index. Both are one number in LEB128."""
        start = self.position
        self.unsigned()
        return self.data[start : self.position]

    def optional(self) -> None:
        """Reads a value type that may be absent."""
        if self.byte():
            self.value_type()

    def definition(self, edits: list[tuple[int, int, bytes]]) -> _Type:
        """Reads the definition of a type. Adds the edits that an instance type needs."""
        start = self.position
        code, inner = self.byte(), []
        if code in (_LIST, 0x6B):
            inner = [self.value_type()]
        elif code == _TUPLE:
            inner = [self.value_type() for _ in range(self.unsigned())]
        elif code == 0x72:
            self.labelled()
        elif code == 0x71:
            for _ in range(self.unsigned()):
                self.name()
                self.optional()
                self.byte()
        elif code in (0x6D, 0x6E):
            for _ in range(self.unsigned()):
                self.name()
        elif code == 0x6A:
            self.optional()
            self.optional()
        elif code in (0x65, 0x66):
            self.optional()
        elif code in (0x68, 0x69):
            self.unsigned()
        elif code in (0x67, _MAP):
            self.value_type()
            self.value_type()
        elif code in (0x40, 0x43):
            self.labelled()
            if self.byte() == 0:
                self.value_type()
            else:
                self.byte()
        elif code == 0x3F:
            self.byte()
            self.optional()
        elif code in (0x41, 0x42):
            self.declarations(edits)
        elif not (0x73 <= code <= 0x7F or code == 0x64):
            raise ValueError(f"the component has a type of the unknown form {code:#x}")
        return _Type(start, self.position, code, inner)

    def labelled(self) -> None:
        """Reads value types that have names: fields or parameters."""
        for _ in range(self.unsigned()):
            self.name()
            self.value_type()

    def declarations(self, edits: list[tuple[int, int, bytes]]) -> None:
        """Reads the declarations of an instance or component type, which have indices of their own."""
        types: list[_Type | None] = []
        for _ in range(self.unsigned()):
            kind = self.byte()
            if kind == 0x01:
                types.append(self.definition(edits))
            elif kind == 0x02:
                if self.alias():
                    types.append(None)
            elif kind in (0x03, 0x04):
                name, bound = self.external()
                if bound is not None:
                    types.append(None)
                    if name.endswith(_SUFFIX) and bound >= 0 and (edit := _map_edit(types, bound)) is not None:
                        edits.append(edit)
            else:
                raise ValueError(f"the component has a declaration of the unknown form {kind:#x}")

    def alias(self) -> bool:
        """Reads an alias. Returns true if it is one of a type."""
        sort = self.byte()
        if sort == 0x00:
            self.byte()
        if self.byte() == 0x02:
            self.unsigned()
            self.unsigned()
        else:
            self.unsigned()
            self.name()
        return sort == 0x03

    def external(self) -> tuple[str, int | None]:
        """Reads an import or an export. Returns its name, and for a type its index, or -1 for a resource."""
        self.byte()
        name = self.name()
        sort = self.byte()
        if sort == 0x03:
            return name, self.unsigned() if self.byte() == 0 else -1
        if sort == 0x00:
            self.byte()
        self.unsigned()
        return name, None


def _map_edit(types: list[_Type | None], index: int) -> tuple[int, int, bytes] | None:
    """Returns the edit that makes a map of the type `index`, if it is a list of pairs of this scope."""
    found = types[index]
    if found is None or found.code != _LIST:
        return None
    (item,) = found.inner
    # One byte from 0x40 to 0x7F is a primitive type, all else an index.
    pair = None if 0x40 <= item[0] <= 0x7F else types[_Reader(item, 0).unsigned()]
    if pair is None or pair.code != _TUPLE or len(pair.inner) != 2:
        return None
    return found.start, found.end, bytes([_MAP]) + b"".join(pair.inner)


def encode_unsigned(value: int) -> bytes:
    """Returns an integer in LEB128."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
