"""The names of Truss Chains."""

import asyncio
import importlib
import logging
import re
import sys
from pathlib import Path

import pytest
from test_describe import described

from chainlet import chains
from chainlet._truss import BY_NAME, TABLE, Support

TRUSS = """\
from chainlet import chains

class Say(chains.ChainletBase):
    remote_config = chains.RemoteConfig(
        docker_image=chains.DockerImage(
            base_image=chains.BasetenImage.PY311, pip_requirements=["numpy"], apt_requirements=["git"]),
        compute=chains.Compute(cpu_count=2, memory="4Gi", gpu="A10G", predict_concurrency="cpu_count"),
        assets=chains.Assets(secret_keys=["token"], cached=["model"]),
        options=chains.ChainletOptions(env_variables={"A": "b"}), name="Say It",
    )

    def __init__(self, context: chains.DeploymentContext = chains.depends_context()):
        self.environment = context.environment.name

    async def run_remote(self, text: str) -> str:
        return f"{self.environment}: {text}"

    def is_healthy(self) -> bool:
        return True

@chains.mark_entrypoint("My Chain")
class Main(chains.ChainletBase):
    def __init__(self, say: Say = chains.depends(Say, retries=3, use_binary=True)):
        self.say = say

    async def run_remote(self, text: str) -> str:
        return await self.say.run_remote(text)
"""


def test_a_file_of_truss_is_described_with_warnings(tmp_path: Path) -> None:
    chain = described(tmp_path, TRUSS)
    say, main = chain["chainlets"]
    assert (chain["name"], say["name"], say["health"]) == ("my-chain", "say-it", True)
    assert (say["resources"], say["concurrency"]) == ({"cpu": 2, "memory": "4GiB"}, 2)
    assert main["dependencies"][0]["timeout_ms"] == 600_000
    assert [warning["message"].removesuffix(" has no effect") for warning in chain["warnings"]] == [
        "Compute.gpu", "Assets.cached", "DockerImage.base_image", "DockerImage.pip_requirements",
        "DockerImage.apt_requirements", "ChainletOptions.env_variables", "depends.use_binary",
    ]  # fmt: skip


def test_the_same_file_runs_under_plain_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "truss_file.py").write_text(TRUSS)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("truss_file")
    try:
        with chains.run_local(secrets={"token": "x"}):
            assert asyncio.run(module.Main().run_remote("hello")) == "local: hello"
    finally:
        del sys.modules["truss_file"]


@pytest.mark.parametrize("entry", [entry for entry in TABLE if "." not in entry.name], ids=lambda entry: entry.name)
def test_each_name_of_truss_is_there_or_refused_with_a_reason(entry: object) -> None:
    name, support, instead = entry.name, entry.support, entry.instead  # type: ignore[attr-defined]
    if support is Support.REFUSED:
        with pytest.raises(TypeError, match=re.escape(instead)):
            getattr(chains, name)
    else:
        assert getattr(chains, name) is not None


def test_the_page_has_the_table() -> None:
    page = Path(__file__).parents[3] / "docs/python.md"
    if not page.exists():
        pytest.skip("the package is not in its repository")
    text = page.read_text()
    missing = [
        name for name, entry in BY_NAME.items() if f"| `{name}` | {entry.support.value} | {entry.instead} |" not in text
    ]
    assert missing == []


def test_logging_works_as_always_outside_a_component(caplog: pytest.LogCaptureFixture) -> None:
    from chainlet import log

    log.install()
    with caplog.at_level(logging.INFO):
        logging.getLogger("x").info("hello")
    assert caplog.messages == ["hello"]
