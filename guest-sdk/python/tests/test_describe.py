"""`python -m chainlet.build describe`, as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parent.parent / "src"


def describe(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "my_chain.py").write_text(text)
    command = [sys.executable, "-m", "chainlet.build", "describe", "my_chain.py", *options]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def described(folder: Path, text: str) -> dict[str, Any]:
    done = describe(folder, text, "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


HELLO = """\
from chainlet import Assets, Chainlet, Compute, RemoteConfig, depends, entrypoint

class SayHello(Chainlet):
    remote_config = RemoteConfig(
        compute=Compute(cpu_count=0.5, memory="512MiB", concurrency=4),
        assets=Assets(secret_keys=["token"]), network=["api.example.com"], stores=["cache"], replicas=(1, 3),
    )
    config = {"greeting": "Hello"}

    async def run_remote(self, name: str, loud: bool = False) -> str:
        '''Greets one person.'''
        return name

    async def health(self) -> None: ...

@entrypoint("greetings")
class HelloAll(Chainlet):
    def __init__(self, hello: SayHello = depends(SayHello, retries=2, timeout_sec=1.5, concurrency_limit=9)):
        self.hello = hello

    async def run_remote(self, names: list[str]) -> list[str]:
        return [await self.hello.run_remote(name) for name in names]
"""


def test_all_that_a_file_declares_is_in_the_json(tmp_path: Path) -> None:
    chain = described(tmp_path, HELLO)
    assert (chain["format"], chain["name"], chain["entrypoint"]) == (1, "greetings", "hello-all")
    hello, entry = chain["chainlets"]
    assert (hello["name"], hello["class"], hello["module"], hello["line"]) == (
        "say-hello", "SayHello", "my_chain", 3,
    )  # fmt: skip
    assert hello["docs"] == "Greets one person."
    assert hello["resources"] == {"cpu": 0.5, "memory": "512MiB"}
    assert (hello["concurrency"], hello["replicas"]) == (4, {"min": 1, "max": 3})
    assert (hello["secrets"], hello["network"], hello["stores"]) == (["token"], ["api.example.com"], ["cache"])
    assert (hello["config"], hello["health"]) == ({"greeting": "Hello"}, True)
    assert entry["dependencies"] == [
        {"name": "say-hello", "attempts": 2, "idempotent": True, "timeout_ms": 1500, "concurrency": 9}
    ]
    assert chain["warnings"] == []


def test_the_wit_has_the_worlds_and_the_views_of_callers(tmp_path: Path) -> None:
    done = describe(tmp_path, HELLO)
    assert "  /// Greets one person.\n  export run-remote: async func(name: string, loud: option<bool>)" in done.stdout
    assert "-> result<result<string, chain-error>, chain-failure>;" in done.stdout
    assert "  export chainlet:host/health@0.1.0;\n" in done.stdout
    assert "  import wasi:http/client@0.3.0;\n" in done.stdout


def test_the_key_stays_when_only_the_docs_change(tmp_path: Path) -> None:
    first = described(tmp_path, HELLO)["chainlets"][0]["key"]
    assert described(tmp_path, HELLO.replace("Greets one", "Welcomes one"))["chainlets"][0]["key"] == first
    assert described(tmp_path, HELLO.replace("loud: bool", "loud: int"))["chainlets"][0]["key"] != first


def test_without_a_mark_the_chainlet_that_nobody_calls_is_the_entrypoint(tmp_path: Path) -> None:
    assert described(tmp_path, HELLO.replace('@entrypoint("greetings")\n', ""))["entrypoint"] == "hello-all"


ONE = "from chainlet import *\nimport typing\nclass A(Chainlet):\n    {}\n"
RUN = "async def run_remote(self, text: str) -> str: return text"


@pytest.mark.parametrize(
    ("text", "message", "help"),
    [
        ("def f(:\n", "my_chain.py:1: invalid syntax", "correct the syntax"),
        (ONE.format("async def run_remote(self, text): ..."), "my_chain.py:4: the parameter `text` has no type", "text: str"),
        (ONE.format("async def run_remote(self, text: str): ..."), "my_chain.py:4: A.run_remote has no result type", "-> str"),
        (ONE.format("async def run_remote(self, t: memoryview) -> str: ..."), "my_chain.py:4: `memoryview` has no form", "dataclass"),
        (ONE.format("async def run_remote(self, t: 'Nothing') -> str: ..."), "names nothing", "TYPE_CHECKING"),
        (ONE.format("async def run_remote(self, größe: int) -> str: ..."), "cannot spell the parameter `größe`", "rename"),
        (ONE.format("async def run_remote(self, *args: int) -> str: ..."), "any number of arguments", "list"),
        (ONE.format("pass"), "the file has no chainlet", "run_remote"),
        (ONE.format(RUN) + "class B(A): pass\n", "no chainlet calls A and B", "@entrypoint"),
        (ONE.format("def __init__(self, x): pass\n    " + RUN), "my_chain.py:4: A.__init__: nobody can fill in `x`", "depends"),
        (ONE.format(RUN) + "class B(Chainlet):\n    def __init__(self, a: A = A): pass\n    " + RUN,
         "my_chain.py:6: B.__init__: the default of `a` is the class itself", "depends(A)"),
        (ONE.format("remote_config = RemoteConfig(compute=Compute(memory='much'))\n    " + RUN),
         "my_chain.py:4: 'much' is no size of memory", "512MiB"),
        (ONE.format(RUN) + "import numpy_of_nobody\n", "my_chain.py:5: there is no module numpy_of_nobody", "dependencies"),
        (ONE.format(RUN) + "import ssl\n", "my_chain.py:5: a component has no module ssl", "chainlet.http"),
        (ONE.format(RUN) + "import torch\n", "my_chain.py:5: the package torch is native code", "GPU chainlet"),
        (ONE.format(RUN) + "1 / 0\n", "my_chain.py:5: the import of the file raised ZeroDivisionError", "__init__"),
        (ONE.format(RUN) + "depends(int)\n", "depends(<class 'int'>) names no chainlet", "inherits from Chainlet"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_message_with_its_place(tmp_path: Path, text: str, message: str, help: str) -> None:
    done = describe(tmp_path, text)
    assert (done.returncode, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert message in first
    assert second.startswith("help: ") and help in second


def test_with_json_the_error_is_json_too(tmp_path: Path) -> None:
    done = describe(tmp_path, ONE.format("async def run_remote(self, text) -> str: ..."), "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["line"] == 4


def test_a_native_package_is_refused_by_name(tmp_path: Path) -> None:
    pytest.importorskip("pydantic_core")
    done = describe(tmp_path, "import yaml._yaml\n")
    if "there is no module" in done.stderr:
        pytest.skip("PyYAML is not installed")
    assert "my_chain.py:1: the package PyYAML needs native code (yaml._yaml)" in done.stderr


def test_an_open_type_is_a_warning(tmp_path: Path) -> None:
    chain = described(tmp_path, ONE.format("async def run_remote(self, text: dict) -> str: ..."))
    assert [warning["message"] for warning in chain["warnings"]] == ["A_text: `dict` travels as JSON text"]
