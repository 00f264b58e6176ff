"""Runs chains under the program chainhost, with components of live mode that tests share."""

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parent.parent / "src"
CHAINHOST = os.environ.get("CHAINHOST") or shutil.which("chainhost") or ""


def require_host() -> None:
    """Skips the test if the machine has no chainhost or no componentize-py."""
    pytest.importorskip("componentize_py")
    if not CHAINHOST:
        pytest.skip("the program chainhost is not on the path, and CHAINHOST does not name it")


def run_build(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs `python -m chainlet.build`."""
    command = [sys.executable, "-m", "chainlet.build", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def sdk_hash() -> str:
    """Returns a hash of the SDK's sources, of which every component has a copy."""
    digest = hashlib.sha256()
    for file in sorted(SOURCE.rglob("*.py")) + sorted(SOURCE.rglob("*.wit")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def build_chain(file: Path, cache: Path, extra: dict[str, str] | None = None, head: str = "") -> Path:
    """Builds the components of a file and writes its chain.toml. `extra` has lines of a chainlet's table."""
    done = run_build("describe", file.name, "--json", folder=file.parent)
    assert done.returncode == 0, done.stderr
    chain = json.loads(done.stdout)
    lines = ["[chain]", f'name = "{chain["name"]}"', f'entrypoint = "{chain["entrypoint"]}"', head]
    for each in chain["chainlets"]:
        component = cache / f"{sdk_hash()}-{each['key'][:16]}.wasm"
        if not component.exists():
            target = f"{file.name}:{each['class']}"
            done = run_build("component", target, "--live", "--out", str(component), folder=file.parent)
            assert done.returncode == 0, done.stderr
        lines += [f"[chainlets.{each['name']}]", f"component = {json.dumps(str(component))}"]
        files = json.dumps(str(file.parent))
        lines.append(f'assets = {{ files = [{{ source = {files}, path = "/source" }}] }}')
        lines.append((extra or {}).get(each["name"], ""))
        lines += [f"depends.{d['name']} = {{ attempts = {d['attempts']} }}" for d in each["dependencies"]]
    toml = file.parent.parent / f"{file.stem}.toml"
    toml.write_text("\n".join(lines) + "\n")
    return toml


class Served:
    """A chain that chainhost serves."""

    def __init__(self, process: "subprocess.Popen[str]", port: int, admin: int, log: Path) -> None:
        self.process, self.port, self.admin, self._log = process, port, admin, log

    def call(
        self, body: Any, *, chainlet: str | None = None, accept: str = "application/json", **headers: str
    ) -> tuple[int, Any]:
        """Calls the entrypoint, or a chainlet by its name. Returns the status and the JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin if chainlet else self.port, timeout=30)
        path = f"/chainlets/{chainlet}/run_remote" if chainlet else "/run_remote"
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(connection):
            connection.request(
                "POST", path, json.dumps(body), {"content-type": "application/json", "accept": accept, **names}
            )
            answer = connection.getresponse()
            text = answer.read().decode()
        return answer.status, json.loads(text) if accept == "application/json" else text

    def log_lines(self) -> list[dict[str, Any]]:
        """Returns the lines of the log so far."""
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]

    def get(self, path: str) -> tuple[int, str]:
        """Asks the public listener."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()


def until(condition: Any, seconds: float = 20.0) -> Any:
    """Waits for a condition and returns its first true value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.02)
    return value


def free_port() -> int:
    """Returns a port that is free now."""
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextlib.contextmanager
def serve(toml: Path, folder: Path) -> Iterator[Served]:
    """Serves a chain until the end of the `with`."""
    port, admin, log = free_port(), free_port(), folder / "serve.log"
    command = [
        CHAINHOST,
        "serve",
        str(toml),
        "--listen",
        f"127.0.0.1:{port}",
        "--admin",
        f"127.0.0.1:{admin}",
        "--log",
        "json",
    ]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, text=True)
    served = Served(process, port, admin, log)

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return served.get("/readyz")[0] == 200
        except OSError:
            return False

    try:
        until(ready, 300)
        yield served
    finally:
        process.terminate()
        process.wait(60)
