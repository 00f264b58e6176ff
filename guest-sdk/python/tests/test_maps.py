"""`map<K, V>`, which componentize-py does not know."""

from pathlib import Path

import pytest

from chainlet.build.maps import encode_unsigned, named_maps, restore_maps

PACKAGE = """\
package local:chain;

interface chain-types {
  record menu {
    prices: map<string, map<s64, list<f64>>>,
  }
}

interface kitchen {
  use chain-types.{menu};
  run-remote: async func(a: option<map<string, menu>>) -> menu;
}

world kitchen-chainlet {
  /// Takes a map<string, string>.
  export run-remote: async func() -> menu;
}
"""


def test_each_map_gets_a_name_that_its_users_import() -> None:
    named = named_maps(PACKAGE)
    assert "  type s64-to-list-f64-map = list<tuple<s64, list<f64>>>;\n" in named
    assert "  type string-to-s64-to-list-f64-map-map = list<tuple<string, s64-to-list-f64-map>>;\n" in named
    assert "    prices: string-to-s64-to-list-f64-map-map,\n" in named
    assert "interface kitchen {\n  use chain-types.{string-to-menu-map};\n" in named
    assert "func(a: option<string-to-menu-map>)" in named
    assert "/// Takes a map<string, string>.\n" in named
    assert "world kitchen-chainlet {\n  ///" in named


def test_a_package_without_maps_stays_as_it_is() -> None:
    plain = PACKAGE.replace("map<", "pair<")
    assert named_maps(plain) == plain


def test_an_interface_of_types_is_made_if_there_is_none() -> None:
    named = named_maps("package a:b;\n\nworld w {\n  export run-remote: func() -> map<string, s64>;\n}\n")
    assert named.startswith(
        "package a:b;\n\ninterface chain-types {\n  type string-to-s64-map = list<tuple<string, s64>>;\n}\n"
    )


def component(*declarations: bytes) -> bytes:
    """Returns a component with one instance type."""
    definition = b"\x42" + bytes([len(declarations)]) + b"".join(declarations)
    section = b"\x01" + definition
    return b"\0asm\x0d\0\x01\0" + b"\x00\x03\x01xy" + b"\x07" + encode_unsigned(len(section)) + section


PAIR, LIST = b"\x01\x6f\x02\x73\x78", b"\x01\x70\x00"


def export(name: bytes, index: int) -> bytes:
    return b"\x04\x00" + bytes([len(name)]) + name + b"\x03\x00" + bytes([index])


@pytest.mark.parametrize(
    ("name", "expected"),
    [(b"string-to-s64-map", component(PAIR, b"\x01\x63\x73\x78", export(b"string-to-s64-map", 1))), (b"pairs", None)],
)
def test_a_named_list_of_pairs_becomes_a_map(tmp_path: Path, name: bytes, expected: bytes | None) -> None:
    before = component(PAIR, LIST, export(name, 1))
    file = tmp_path / "x.wasm"
    file.write_bytes(before)
    restore_maps(file)
    assert file.read_bytes() == (expected or before)
