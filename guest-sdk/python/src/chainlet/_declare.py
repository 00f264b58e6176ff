"""How a file declares its chainlets: the base class, dependencies, resources, and the entrypoint."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast, overload

from . import _wiring
from ._context import DeploymentContext
from ._types.names import label

T = TypeVar("T")
C = TypeVar("C", bound="type[Chainlet]")


class DeclarationError(TypeError):
    """A mistake in the declaration of a chainlet. `owner` and `member` say where."""

    def __init__(self, message: str, help: str, owner: object = None, member: str | None = None) -> None:
        super().__init__(f"{message}; {help}")
        self.message, self.help, self.owner, self.member = message, help, owner, member


@dataclass(frozen=True)
class Compute:
    """The part of the machine that one replica may use, and how many calls it serves at once.

    `memory` is a size such as `"512MiB"`.
    """

    cpu_count: float | None = None
    memory: str | None = None
    concurrency: int | None = None


@dataclass(frozen=True)
class Assets:
    """The secrets that the chainlet may read."""

    secret_keys: Sequence[str] = ()


@dataclass(frozen=True)
class RemoteConfig:
    """What chain.toml says about the chainlet, unless the operator writes something else there.

    `network` has the hosts that the chainlet may reach, `stores` the stores of keys and values that it opens, and
    `replicas` the number of instances, or the least and the most of them.
    """

    compute: Compute = field(default_factory=Compute)
    assets: Assets = field(default_factory=Assets)
    name: str | None = None
    network: Sequence[str] = ()
    stores: Sequence[str] = ()
    replicas: int | tuple[int, int] | None = None
    # What the host has no word for, with what to do: the build prints it as warnings.
    notes: Sequence[tuple[str, str]] = field(default=(), repr=False)


@dataclass(frozen=True)
class EdgeOptions:
    """The options of a dependency. `attempts` counts all attempts, the first one included."""

    attempts: int = 1
    timeout_sec: float | None = None
    concurrency_limit: int | None = None


@dataclass(frozen=True)
class Dependency:
    """Stands for a dependency as the default of a parameter of `__init__`."""

    cls: type[Any]
    options: EdgeOptions
    notes: Sequence[tuple[str, str]] = ()


class ContextMarker:
    """Stands for the deployment context as the default of a parameter of `__init__`."""


def depends(
    cls: type[T], *, retries: int = 1, timeout_sec: float | None = None, concurrency_limit: int | None = None
) -> T:
    """Declares a dependency on another chainlet: `def __init__(self, hello: SayHello = depends(SayHello))`.

    `retries` is the number of attempts, as in Truss: 1 never repeats a call. With more, a call may run twice.
    `timeout_sec` limits all attempts together, and `concurrency_limit` the calls at once. Neither has a default.
    """
    if not (isinstance(cls, type) and issubclass(cls, Chainlet)):
        raise DeclarationError(f"depends({cls!r}) names no chainlet", "give it a class that inherits from Chainlet")
    if retries < 1:
        raise DeclarationError(f"retries is {retries}", "1 is the least: the first attempt counts", cls)
    return cast(T, Dependency(cls, EdgeOptions(retries, timeout_sec, concurrency_limit)))


def depends_context() -> DeploymentContext:
    """Declares that `__init__` gets the deployment context: `def __init__(self, context=depends_context())`."""
    return cast(DeploymentContext, ContextMarker())


class _ChainletType(type):
    """Fills in the dependencies of a chainlet that is made without them, if somebody can."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **_wiring.fill(cast("type[Chainlet]", cls), args, kwargs))


class Chainlet(metaclass=_ChainletType):
    """The base class of all chainlets.

    `__init__` runs once in each replica, and `run_remote` for each call, many at once if it is async. A method
    `health` is optional: it raises an exception, or returns false, if the replica cannot serve now.
    """

    remote_config: Any = RemoteConfig()
    """Resources, secrets and the like."""
    config: Mapping[str, Any] = {}
    """Settings, which chain.toml can change."""


_ENTRYPOINT = "__chainlet_entrypoint__"


@overload
def entrypoint(arg: C) -> C: ...
@overload
def entrypoint(arg: str | None = None) -> Callable[[C], C]: ...
def entrypoint(arg: Any = None) -> Any:
    """Marks the chainlet that clients call, as `@entrypoint` or `@entrypoint("name-of-the-chain")`."""

    def mark(cls: Any, name: str | None = None) -> Any:
        setattr(cls, _ENTRYPOINT, (cls, name))
        return cls

    return mark(arg) if isinstance(arg, type) else lambda cls: mark(cls, arg)


def entrypoint_mark(cls: type) -> tuple[bool, str | None]:
    """Returns whether the class itself is marked as the entrypoint, and the name of the chain that it gives."""
    owner, name = getattr(cls, _ENTRYPOINT, (None, None))
    return owner is cls, name


def chainlet_name(cls: type[Chainlet]) -> str:
    """Returns the name of a chainlet in chain.toml."""
    wanted = cls.remote_config.name or cls.__name__
    name = label(wanted)
    if name is None or len(name) > 63:
        raise DeclarationError(f"{wanted!r} is no name of a chainlet", "use at most 63 letters and digits", cls)
    return name


@dataclass
class Wiring:
    """The parameters of an `__init__` that somebody has to fill in."""

    dependencies: dict[str, Dependency]
    # The name of the parameter for the deployment context.
    context: str | None


def read_wiring(cls: type[Chainlet]) -> Wiring:
    """Reads the parameters of `cls.__init__`."""
    wiring = Wiring({}, None)
    if cls.__init__ is object.__init__:
        return wiring
    for name, parameter in list(inspect.signature(cls.__init__).parameters.items())[1:]:
        default = parameter.default
        if isinstance(default, Dependency):
            wiring.dependencies[name] = default
        elif isinstance(default, ContextMarker) or (name == "context" and default is inspect.Parameter.empty):
            wiring.context = name
        elif isinstance(default, type) and issubclass(default, Chainlet):
            raise DeclarationError(
                f"{cls.__name__}.__init__: the default of `{name}` is the class itself",
                f"write `{name}: {default.__name__} = depends({default.__name__})`",
                cls.__init__,
                name,
            )
        elif default is inspect.Parameter.empty and parameter.kind not in (
            inspect.Parameter.VAR_POSITIONAL,
            inspect.Parameter.VAR_KEYWORD,
        ):
            raise DeclarationError(
                f"{cls.__name__}.__init__: nobody can fill in `{name}`",
                "give it a default: depends(…), depends_context(), or a value",
                cls.__init__,
                name,
            )
    return wiring
