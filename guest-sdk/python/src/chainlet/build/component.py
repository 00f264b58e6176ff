"""Makes the component of one chainlet with componentize-py."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from .._types import wit
from .._types.names import dependency_module
from . import docs, imports, maps, package, policy
from .describe import DescribedChainlet, Description, describe
from .places import shown
from .problem import Problem

COMPONENTIZE_PY = "0.25.1"
_WIT = Path(__file__).parent / "wit"
_SDK = Path(__file__).parent.parent
# Folders of a project that hold no sources.
_IGNORED = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "target", "node_modules", "*.wasm", "*.pyc")


@dataclass
class BuildFailed(Exception):
    """componentize-py failed, and not by a mistake that this builder knows."""

    message: str
    help: str

    def __str__(self) -> str:
        return self.message


@dataclass
class Built:
    """A component that has been made."""

    out: Path
    bytes: int
    seconds: float
    live: bool

    def to_json(self) -> dict[str, Any]:
        """Returns the facts for programs."""
        return {"out": str(self.out), "bytes": self.bytes, "seconds": round(self.seconds, 2), "live": self.live}


def build_component(
    file: Path, cls: str, out: Path, *, live: bool = False, sites: list[Path] | None = None, wit_dir: Path | None = None
) -> Built:
    """Makes the component of the class `cls` in `file` and writes it to `out`."""
    tool = _componentize()
    description = describe(file)
    chainlet = description.find(cls)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chainlet-") as folder:
        stage = Path(folder)
        _write_wit(stage / "wit", description, chainlet)
        _write_app(stage / "app", description, chainlet, live)
        paths = [stage / "app", *_stage_sources(stage, file), *(_own_sites() if sites is None else sites)]
        made = stage / "made.wasm"
        _run(tool, stage, paths, chainlet, made, file)
        maps.restore_maps(made)
        docs.append(made, chainlet.signature)
        out.parent.mkdir(parents=True, exist_ok=True)
        # A rename is atomic, so a host that watches the file never reads half of it.
        partial = out.with_name(out.name + ".partial")
        shutil.copyfile(made, partial)
        partial.replace(out)
        if wit_dir is not None:
            wit_dir.mkdir(parents=True, exist_ok=True)
            (wit_dir / "chain.wit").write_text(package.of_chain(description.chainlets))
    return Built(out, out.stat().st_size, time.monotonic() - began, live)


def _componentize() -> str:
    """Returns the path of the program componentize-py beside this Python."""
    install = f"install it: `pip install componentize-py=={COMPONENTIZE_PY}`"
    try:
        version = metadata.version("componentize-py")
    except metadata.PackageNotFoundError:
        raise Problem("componentize-py is not installed", install) from None
    if version != COMPONENTIZE_PY:
        # The event loop replaces private parts of it.
        raise Problem(f"componentize-py is {version}, and this SDK works with {COMPONENTIZE_PY}", install)
    found = shutil.which("componentize-py", path=str(Path(sys.executable).parent)) or shutil.which("componentize-py")
    if found is None:
        raise Problem("the program componentize-py is not on the path", install)
    return found


def _own_sites() -> list[Path]:
    """Returns the folders of installed packages of the Python that runs the build: the locked environment."""
    return list(dict.fromkeys(Path(sysconfig.get_paths()[name]) for name in ("purelib", "platlib")))


def _write_wit(folder: Path, description: Description, chainlet: DescribedChainlet) -> None:
    (folder / "deps").mkdir(parents=True)
    (folder / "chain.wit").write_text(maps.named_maps(package.of_chainlet(chainlet, description.chainlets)))
    for each in _WIT.iterdir():
        if each.is_dir():
            shutil.copytree(each, folder / "deps" / each.name)
        else:
            shutil.copy(each, folder / "deps")


def _write_app(folder: Path, description: Description, chainlet: DescribedChainlet, live: bool) -> None:
    module, cls = chainlet.cls.__module__, chainlet.cls.__name__
    lines = [f"import {name}" for name in dict.fromkeys([*imports.ALWAYS, *description.late_imports])]
    if chainlet.uses_http:
        lines.append("import chainlet.http._wasi")
    if live:
        by_name = {each.name: each.signature for each in description.chainlets}
        contract = wit.contract(chainlet.signature, [(name, by_name[name]) for name in chainlet.dependencies])
        lines += [f"import {name}" for name in [*imports.STANDARD, *imports.SDK]]
        # What the sources import now. The import of the sources tells which of these a component cannot have.
        for name in imports.imported(imports.own_modules(description.module)):
            lines += ["try:", f"    import {name}", "except ImportError:", "    pass"]
        lines += [
            "from chainlet._component import app, live",
            f"app_ = live.LiveApp({module!r}, {cls!r}, {contract!r})",
        ]
    else:
        lines += ["from chainlet._component import app", f"import {module} as chain", f"app_ = app.App(chain.{cls})"]
    lines.append("WitWorld, Init, Health = app.exports(app_)")
    folder.mkdir()
    (folder / "chainlet_app.py").write_text("\n".join(lines) + "\n")


def _stage_sources(stage: Path, file: Path) -> list[Path]:
    """Copies the SDK and the user's folder, without what the component has no use for."""
    shutil.copytree(_SDK, stage / "sdk" / "chainlet", ignore=shutil.ignore_patterns("__pycache__", "build"))

    def ignored(folder: str, names: list[str]) -> set[str]:
        environments = {name for name in names if (Path(folder) / name / "pyvenv.cfg").exists()}
        return environments | _IGNORED(folder, names)

    shutil.copytree(file.resolve().parent, stage / "user", ignore=ignored)
    # The pure pydantic comes before the installed one, whose core is native.
    return [stage / "sdk" / "chainlet" / "_component" / "path", stage / "sdk", stage / "user"]


def _run(tool: str, stage: Path, paths: list[Path], chainlet: DescribedChainlet, out: Path, file: Path) -> None:
    names = ["local:chain/chain-types=chain_types"]
    names += [f"{interface}={name}" for interface, name in package.http_names(chainlet)]
    names += [f"local:chain/{name}={dependency_module(name)}" for name in chainlet.dependencies]
    command = [tool, "--quiet", "--wit-path", str(stage / "wit"), "--world", package.world_name(chainlet)]
    command += [option for name in names for option in ("--import-interface-name", name)]
    command += ["componentize", "chainlet_app", "--output", str(out)]
    command += [option for path in paths if path.is_dir() for option in ("--python-path", str(path))]
    # Otherwise componentize-py adds the packages of whatever environment it finds.
    empty = stage / "environment"
    (empty / "lib").mkdir(parents=True)
    environment = {**os.environ, "VIRTUAL_ENV": str(empty)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=stage)
    if done.returncode != 0:
        raise _failure(done.stdout + done.stderr, stage, file)


def _failure(output: str, stage: Path, file: Path) -> Exception:
    """Returns the error for a failed run: a problem if it is an import of the user's that the component lacks."""
    user = re.findall(r'File "(?:/\d+|' + re.escape(str(stage / "user")) + r')/([^"]+\.py)", line (\d+)', output)
    lines = [line for line in output.strip().splitlines() if re.match(r"(\w+\.)*\w*(Error|Exception): ", line.strip())]
    last = lines[-1].strip() if lines else ""
    where = next(((name, int(line)) for name, line in reversed(user) if (file.parent / name).exists()), None)
    place = (shown(str(file.parent / where[0])), where[1]) if where else (shown(str(file)), None)
    if absent := re.search(r"cannot import name '(\w+)' from '([\w.]+)'", last):
        help = "docs/python.md lists what the pydantic of a component has" if absent[2] == "pydantic" else "correct it"
        return Problem(f"the module {absent[2]} of the component has no {absent[1]}", help, *place)
    if missing := re.search(r"No module named '([\w.]+)'", last):
        module = missing[1]
        native = policy.distribution_of(module)
        help = f"if {native} needs native code: {policy.NATIVE_HELP}"
        return Problem(f"the component cannot import {module}", help, *place)
    if last and where:
        return Problem(f"the import of the file in the component raised {last}", "correct it", *place)
    return BuildFailed(f"componentize-py failed:\n{output.strip()}", "if the message is unclear, please report it")
