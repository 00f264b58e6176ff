"""Components as a user builds them."""

import json
import subprocess
from pathlib import Path

import pytest
from harness import CHAINHOST, require_host, run_build

import chainlet.build.docs as docs

PACKAGE = Path(__file__).parent.parent
REPOSITORY = PACKAGE.parents[1]

ONE = """\
import sys
import typing
from chainlet import Chainlet

class One(Chainlet):
    async def run_remote(self, text: str) -> str:
        '''Says which modules there are.'''
        import csv
        return str([name for name in ("pytest", "csv", "chainlet.build", "pydantic_core") if name in sys.modules])
"""


def test_the_wit_in_the_package_is_that_of_the_host() -> None:
    if not (REPOSITORY / "wit").is_dir():
        pytest.skip("the package is not in its repository")
    copies = PACKAGE / "src/chainlet/build/wit"
    for name in ("call", "context", "errors", "health", "init", "log"):
        assert (copies / f"host/{name}.wit").read_text() == (REPOSITORY / f"wit/{name}.wit").read_text(), name
    for file in (copies / "keyvalue").iterdir():
        assert file.read_text() == (REPOSITORY / f"wit/deps/keyvalue/{file.name}").read_text(), file.name


def test_a_custom_section_has_its_size_in_leb128() -> None:
    section = docs.section(b"x" * 200)
    assert section[:3] == bytes([0, 0x80 | 0x56, 1]) and section[3:17] == b"\x0dchainlet:docs"
    assert len(section) == 3 + 14 + 200


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        (ONE, "chain.py", "names no chainlet"),
        (ONE, "chain.py:Two", "the chain has no chainlet Two"),
        (ONE.replace("import csv", "import torch"), "chain.py:One", "chain.py:8: the package torch is native code"),
        (ONE.replace("import csv", "import nobody"), "chain.py:One", "chain.py:8: there is no module nobody"),
        (ONE.replace("import csv", "import ssl"), "chain.py:One", "chain.py:8: a component has no module ssl"),
    ],
)
def test_a_mistake_is_found_before_the_slow_part(tmp_path: Path, text: str, target: str, message: str) -> None:
    pytest.importorskip("componentize_py")
    (tmp_path / "chain.py").write_text(text)
    done = run_build("component", target, "--out", "x.wasm", folder=tmp_path)
    assert done.returncode == 1, done.stderr
    assert message in done.stderr
    assert not (tmp_path / "x.wasm").exists()


def test_an_import_that_a_function_guards_may_fail(tmp_path: Path) -> None:
    guarded = ONE.replace(
        "        import csv\n", "        try:\n            import torch\n        except ImportError: pass\n"
    )
    (tmp_path / "chain.py").write_text(guarded)
    assert run_build("describe", "chain.py", folder=tmp_path).returncode == 0


@pytest.mark.host
def test_a_component_holds_what_the_file_imports_and_nothing_else(tmp_path: Path) -> None:
    require_host()
    (tmp_path / "chain.py").write_text(ONE)
    done = run_build("component", "chain.py:One", "--out", "one.wasm", "--wit-dir", "wit", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bytes"] == (tmp_path / "one.wasm").stat().st_size
    assert "world one-chainlet" in (tmp_path / "wit/chain.wit").read_text()
    assert b"Says which modules there are." in (tmp_path / "one.wasm").read_bytes()
    (tmp_path / "chain.toml").write_text('[chain]\nname = "one"\n[chainlets.one]\ncomponent = "one.wasm"\n')
    command = [CHAINHOST, "call", "chain.toml", '{"text": ""}']
    called = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout) == "['csv']"
