"""The provider of dependencies. In a component the SDK passes them all; elsewhere `run_local` provides them."""

from __future__ import annotations

import inspect
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ._context import DeploymentContext
    from ._declare import Chainlet


class Provider(Protocol):
    """Makes what an `__init__` needs."""

    def dependency(self, cls: type[Any]) -> Any:
        """Returns an instance of the chainlet `cls`, or something that stands for it."""

    def context(self, cls: type[Chainlet]) -> DeploymentContext:
        """Returns the deployment context for `cls`."""


provider: ContextVar[Provider | None] = ContextVar("chainlet_provider", default=None)


def fill(cls: type[Chainlet], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Returns the keyword arguments for `cls(*args, **kwargs)`, with all dependencies that are not among them."""
    from ._declare import read_wiring

    wiring = read_wiring(cls)
    positional = set(list(inspect.signature(cls.__init__).parameters)[1 : len(args) + 1])
    missing = [name for name in wiring.dependencies if name not in kwargs and name not in positional]
    wants_context = wiring.context not in (None, *kwargs, *positional)
    if not missing and not wants_context:
        return kwargs
    current = provider.get()
    if current is None:
        names = ", ".join([*missing, *([wiring.context] if wants_context and wiring.context else [])])
        raise RuntimeError(
            f"{cls.__name__}() has no `{names}`: make it inside `with run_local():`, or pass fakes as keyword arguments"
        )
    filled = {**kwargs, **{name: current.dependency(wiring.dependencies[name].cls) for name in missing}}
    if wants_context and wiring.context:
        filled[wiring.context] = current.context(cls)
    return filled
