"""The API of Truss Chains. `from chainlet import chains` in place of `import truss_chains as chains` is the one change.

Names that have no meaning here are accepted, and the build prints a warning; others are refused with the reason when
they are used. docs/python.md has the table.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from . import _declare
from . import local as _local
from ._context import DeploymentContext
from ._declare import Dependency, EdgeOptions, depends_context
from ._declare import entrypoint as mark_entrypoint
from ._truss import BY_NAME, Support, note
from .errors import Error as GenericRemoteException

T = TypeVar("T")
Note = tuple[str, str]

__all__ = [
    "Assets", "BasetenImage", "ChainletBase", "ChainletOptions", "Compute", "CustomImage", "DeploymentContext",
    "DockerImage", "GenericRemoteException", "RPCOptions", "RemoteConfig", "depends", "depends_context",
    "make_abs_path_here", "mark_entrypoint", "run_local",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    entry = BY_NAME.get(name)
    if entry is not None and entry.support is Support.REFUSED:
        raise _declare.DeclarationError(f"chains.{name} is not in chainlet", entry.instead)
    raise AttributeError(f"Truss Chains and chainlet have no name {name!r}")


@dataclass(frozen=True)
class RPCOptions:
    """The options of a dependency. `retries` counts all attempts."""

    retries: int = 1
    timeout_sec: float = 600.0
    use_binary: bool = False
    concurrency_limit: int = 300


def depends(
    chainlet_cls: type[T],
    retries: int = 1,
    timeout_sec: float = 600.0,
    use_binary: bool = False,
    concurrency_limit: int = 300,
) -> T:
    """Declares a dependency on another chainlet."""
    made = cast(
        Dependency,
        _declare.depends(chainlet_cls, retries=retries, timeout_sec=timeout_sec, concurrency_limit=concurrency_limit),
    )
    notes = (note("depends.use_binary"),) if use_binary else ()
    return cast(T, Dependency(made.cls, EdgeOptions(retries, timeout_sec, concurrency_limit), notes))


class ChainletBase(_declare.Chainlet):
    """The base class of all chainlets."""

    async def __is_healthy(self) -> Any:
        well = self.is_healthy()  # type: ignore[attr-defined]
        return await well if inspect.isawaitable(well) else well

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if hasattr(cls, "is_healthy") and not hasattr(cls, "health"):
            cls.health = ChainletBase.__is_healthy  # type: ignore[attr-defined]


class _Ignored:
    """Keeps nothing, and notes each argument that was given."""

    def __init__(self, **given: Any) -> None:
        name = type(self).__name__
        keys = [f"{name}.{key}" for key, value in given.items() if value not in (None, [], {}, False)]
        self.notes: list[Note] = [
            note(key) if key in BY_NAME else (f"{key} has no effect", "leave it out") for key in keys
        ]


class DockerImage(_Ignored):
    """Has no effect: a component has no image."""


class ChainletOptions(_Ignored):
    """Has no effect: chain.toml has what is like it."""


class CustomImage(_Ignored):
    """Has no effect: a component has no image."""


class _Images(type):
    def __getattr__(cls, name: str) -> str:
        if name.startswith("PY"):
            return name.lower()
        raise AttributeError(name)


class BasetenImage(metaclass=_Images):
    """Has no effect: a component has no image."""


@dataclass
class Compute:
    """The part of the machine that one replica may use."""

    cpu_count: int = 1
    memory: str = "2Gi"
    gpu: Any = None
    gpu_count: int = 1
    predict_concurrency: Any = 1
    instance_type: str | None = None

    @property
    def notes(self) -> list[Note]:
        """The arguments that have no effect."""
        given = [("gpu", self.gpu), ("gpu_count", self.gpu_count != 1), ("instance_type", self.instance_type)]
        return [note(f"Compute.{name}") for name, value in given if value]


@dataclass
class Assets:
    """The secrets that the chainlet may read."""

    cached: Iterable[Any] = ()
    secret_keys: Iterable[str] = ()
    external_data: Iterable[Any] = ()
    weights: Iterable[Any] = ()

    @property
    def notes(self) -> list[Note]:
        """The arguments that have no effect."""
        given = [("cached", self.cached), ("external_data", self.external_data), ("weights", self.weights)]
        return [note(f"Assets.{name}") for name, value in given if list(value)]


@dataclass
class _Given:
    docker_image: DockerImage | None = None
    compute: Compute = field(default_factory=Compute)
    assets: Assets = field(default_factory=Assets)
    name: str | None = None
    options: ChainletOptions | None = None
    build_commands: list[str] = field(default_factory=list)


def RemoteConfig(**options: Any) -> _declare.RemoteConfig:
    """Returns what chain.toml says about the chainlet, unless the operator writes something else there."""
    given = _Given(**options)
    compute = given.compute
    concurrency = compute.cpu_count if compute.predict_concurrency == "cpu_count" else compute.predict_concurrency
    notes = [*compute.notes, *given.assets.notes]
    for ignored in (given.docker_image, given.options):
        notes += ignored.notes if ignored is not None else []
    if given.build_commands:
        notes.append(note("RemoteConfig.build_commands"))
    return _declare.RemoteConfig(
        # `gpu` needs an interface that Python does not have, so it gives no GPU, only its warning.
        compute=_declare.Compute(compute.cpu_count, compute.memory, concurrency=concurrency),
        assets=_declare.Assets(tuple(given.assets.secret_keys)),
        name=given.name,
        notes=tuple(notes),
    )


def run_local(
    secrets: Mapping[str, str] | None = None,
    data_dir: Path | str | None = None,
    chainlet_to_service: Mapping[str, Any] | None = None,
) -> _local.run_local:
    """Makes the dependencies of every chainlet that is made inside it: see `chainlet.run_local`."""
    if chainlet_to_service:
        raise TypeError(f"chainlet_to_service: {BY_NAME['run_local.chainlet_to_service'].instead}")
    return _local.run_local(secrets, data_dir=data_dir)


def make_abs_path_here(file_path: str) -> Path:
    """Returns a path from the folder of the file that calls this function."""
    caller = inspect.stack()[1].filename
    return Path(caller).parent / file_path
