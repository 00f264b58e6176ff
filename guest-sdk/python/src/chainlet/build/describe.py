"""The chain that a file declares, as data."""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from .. import _declare
from .._declare import Chainlet, DeclarationError, EdgeOptions, RemoteConfig, chainlet_name
from .._types.annotations import NoFormError, TypeReader
from .._types.names import label
from .._types.signature import Signature, read_signature
from . import imports, package
from .load import load
from .places import place_of, shown
from .problem import Problem


@dataclass
class DescribedChainlet:
    """One chainlet of the chain."""

    name: str
    cls: type[Chainlet]
    signature: Signature
    # The options of each dependency, by the name of the chainlet.
    dependencies: dict[str, EdgeOptions]
    config: RemoteConfig
    has_health: bool
    uses_http: bool = False


@dataclass
class Description:
    """All that the file declares."""

    file: Path
    module: ModuleType
    name: str
    entrypoint: str
    # Dependencies first.
    chainlets: list[DescribedChainlet]
    # The modules that only functions import.
    late_imports: list[str]
    warnings: list[Problem] = field(default_factory=list)

    def find(self, cls_name: str) -> DescribedChainlet:
        """Returns the chainlet of the class `cls_name`."""
        for each in self.chainlets:
            if each.cls.__name__ == cls_name:
                return each
        known = ", ".join(each.cls.__name__ for each in self.chainlets)
        raise Problem(f"the chain has no chainlet {cls_name}", f"it has {known}", shown(str(self.file)))

    def to_json(self) -> dict[str, Any]:
        """Returns the description for programs. docs/python.md documents its members."""
        return {
            "format": 1,
            "file": shown(str(self.file)),
            "name": self.name,
            "entrypoint": self.entrypoint,
            "wit": package.of_chain(self.chainlets),
            "chainlets": [_chainlet_json(self, each) for each in self.chainlets],
            "warnings": [warning.to_json() for warning in self.warnings],
        }


def describe(file: Path) -> Description:
    """Imports `file` and returns the chain that it declares."""
    module = load(file)
    try:
        return _describe(file, module)
    except (NoFormError, DeclarationError) as error:
        raise Problem(error.message, error.help, *place_of(error.owner, error.member)) from None


def _describe(file: Path, module: ModuleType) -> Description:
    entry, name = _entrypoint(module, file)
    reader = TypeReader()
    chainlets: list[DescribedChainlet] = []
    warnings: list[Problem] = []
    for cls in _reachable(entry):
        try:
            chainlets.append(_describe_chainlet(reader, cls))
        except NoFormError as error:
            raise error.at(cls, None) from None
        wiring = _declare.read_wiring(cls)
        notes = [note for dependency in wiring.dependencies.values() for note in dependency.notes]
        for message, help in [*reader.hints, *cls.remote_config.notes, *notes]:
            warnings.append(Problem(message, help, *place_of(cls, "remote_config")))
        reader.hints.clear()
    _refuse_equal_names(chainlets)
    late = imports.imported_in_functions(imports.own_modules(module))
    _note_http(chainlets, late)
    if unused := [cls.__name__ for cls in _own(module) if cls not in [each.cls for each in chainlets]]:
        help = "depend on it, or leave it out"
        warnings += [Problem(f"the entrypoint does not reach {name}", help, shown(str(file))) for name in unused]
    chain_name = label(name or module.__name__)
    if chain_name is None:
        raise Problem(f"{name!r} is no name of a chain", "use letters, digits and hyphens", *place_of(entry, None))
    entry_name = next(each.name for each in chainlets if each.cls is entry)
    return Description(file, module, chain_name, entry_name, chainlets, late, warnings)


def _note_http(chainlets: list[DescribedChainlet], late: list[str]) -> None:
    """Notes which chainlets send requests: those that name hosts, or all of a file with the client that names none."""
    has_client = "chainlet.http" in sys.modules or any(name.startswith("chainlet.http") for name in late)
    names_hosts = any(each.config.network for each in chainlets)
    for each in chainlets:
        each.uses_http = bool(each.config.network) or (has_client and not names_hosts)


def _own(module: ModuleType) -> list[type[Chainlet]]:
    return [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Chainlet)
        and value.__module__ == module.__name__
        and hasattr(value, "run_remote")
    ]


def _entrypoint(module: ModuleType, file: Path) -> tuple[type[Chainlet], str | None]:
    own = _own(module)
    where = shown(str(file))
    if not own:
        raise Problem("the file has no chainlet", "write a class that inherits from Chainlet, with a run_remote", where)
    marked = [cls for cls in own if _declare.entrypoint_mark(cls)[0]]
    if len(marked) > 1:
        raise Problem(
            f"{marked[0].__name__} and {marked[1].__name__} are both the entrypoint",
            "mark one of them",
            *place_of(marked[1], None),
        )
    if not marked:
        called = {dependency.cls for cls in own for dependency in _declare.read_wiring(cls).dependencies.values()}
        marked = [cls for cls in own if cls not in called]
        if len(marked) != 1:
            names = " and ".join(cls.__name__ for cls in marked)
            raise Problem(f"no chainlet calls {names}, so the entrypoint is not clear", "mark it: @entrypoint", where)
    return marked[0], _declare.entrypoint_mark(marked[0])[1]


def _reachable(entry: type[Chainlet]) -> list[type[Chainlet]]:
    """Returns the chainlets that `entry` reaches, dependencies first. A class exists before it is named: no cycles."""
    found: list[type[Chainlet]] = []

    def visit(cls: type[Chainlet]) -> None:
        for dependency in _declare.read_wiring(cls).dependencies.values():
            visit(dependency.cls)
        if cls not in found:
            found.append(cls)

    visit(entry)
    return found


def _describe_chainlet(reader: TypeReader, cls: type[Chainlet]) -> DescribedChainlet:
    config = cls.remote_config
    if not isinstance(config, RemoteConfig):
        raise DeclarationError(
            f"{cls.__name__}.remote_config is no RemoteConfig", "write RemoteConfig(…)", cls, "remote_config"
        )
    dependencies: dict[str, EdgeOptions] = {}
    for dependency in _declare.read_wiring(cls).dependencies.values():
        name = chainlet_name(dependency.cls)
        if dependencies.setdefault(name, dependency.options) != dependency.options:
            raise DeclarationError(
                f"{cls.__name__} depends on {dependency.cls.__name__} twice, with different options",
                "use the same options, or depend on it once",
                cls.__init__,
            )
    if config.compute.memory is not None and memory_size(config.compute.memory) is None:
        raise DeclarationError(
            f"{config.compute.memory!r} is no size of memory", 'write "512MiB" or "2GiB"', cls, "remote_config"
        )
    signature = read_signature(reader, cls)
    return DescribedChainlet(chainlet_name(cls), cls, signature, dependencies, config, hasattr(cls, "health"))


def memory_size(text: str) -> str | None:
    """Returns a size as chain.toml writes it: `512Mi` is `512MiB`; `None` if it is no size."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG])(i?)B?", text)
    return f"{match[1]}{match[2]}{match[3]}B" if match else None


def _refuse_equal_names(chainlets: list[DescribedChainlet]) -> None:
    seen: dict[str, DescribedChainlet] = {}
    for each in chainlets:
        if other := seen.get(each.name):
            raise Problem(
                f"{each.cls.__name__} and {other.cls.__name__} have the same name `{each.name}`",
                "rename one of them, or give it RemoteConfig(name=…)",
                *place_of(each.cls, None),
            )
        seen[each.name] = each


@functools.cache
def _sdk() -> str:
    """Returns a hash of the SDK's own files."""
    folder = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _key(description: Description, chainlet: DescribedChainlet, wit: str) -> str:
    """Returns a hash of all that a component of live mode is made of, apart from packages. Docs are not part of it."""
    code = "".join(line for line in wit.splitlines(keepends=True) if not line.lstrip().startswith("//"))
    modules = imports.imported(imports.own_modules(description.module))
    parts = (_sdk(), chainlet.cls.__module__, chainlet.cls.__name__, code, *modules)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _chainlet_json(description: Description, each: DescribedChainlet) -> dict[str, Any]:
    config = each.config
    resources: dict[str, Any] = {}
    if config.compute.cpu_count is not None:
        resources["cpu"] = config.compute.cpu_count
    if config.compute.memory is not None:
        resources["memory"] = memory_size(config.compute.memory)
    wit = package.of_chainlet(each, description.chainlets)
    file, line = place_of(each.cls, None)
    return {
        "name": each.name,
        "class": each.cls.__name__,
        "module": each.cls.__module__,
        "file": file,
        "line": line,
        "docs": each.signature.docs,
        "wit": wit,
        "world": package.world_name(each),
        "key": _key(description, each, wit),
        "dependencies": [
            {
                "name": name,
                "attempts": options.attempts,
                "idempotent": options.attempts > 1,
                "timeout_ms": None if options.timeout_sec is None else round(options.timeout_sec * 1000),
                "concurrency": options.concurrency_limit,
            }
            for name, options in each.dependencies.items()
        ],
        "resources": resources,
        "concurrency": config.compute.concurrency,
        "replicas": {"min": config.replicas[0], "max": config.replicas[1]}
        if isinstance(config.replicas, tuple)
        else config.replicas,
        "secrets": list(config.assets.secret_keys),
        "network": list(config.network),
        "stores": list(config.stores),
        "config": dict(each.cls.config),
        "health": each.has_health,
    }
