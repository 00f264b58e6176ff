"""The exports of a world, made from a class. It runs before the snapshot, apart from `init` and all after it."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from typing import Any

import wit_world
import wit_world.exports
import wit_world.imports
from componentize_py_types import Err
from wit_world.imports import context as host_context

from .. import log
from .._context import DeploymentContext, Secrets
from .._declare import Chainlet, chainlet_name, read_wiring
from .._types import wit
from .._types.annotations import TypeReader
from .._types.convert import Converter
from .._types.signature import read_signature
from . import loop, outcome
from .remote import Remote
from .serve import Server

loop.install()
# A component can import only what was imported when it was built, and `_host` imports when it is asked.
for _module in pkgutil.iter_modules(wit_world.imports.__path__):
    importlib.import_module(f"wit_world.imports.{_module.name}")


class App:
    """A chainlet of this component: its server, and what its `__init__` gets."""

    def __init__(self, cls: type[Chainlet]) -> None:
        self.cls = cls
        self._wiring = read_wiring(cls)
        reader = TypeReader()
        targets = {each.cls for each in self._wiring.dependencies.values()}
        signatures = {each: read_signature(reader, each) for each in [*targets, cls]}
        self.contract = wit.contract(signatures[cls], [(chainlet_name(each), signatures[each]) for each in targets])
        converter = Converter(_types_module())
        self._remotes = {
            each: Remote(chainlet_name(each), signature, converter)
            for each, signature in signatures.items()
            if each in targets
        }
        self.server = Server(signatures[cls], converter)

    async def init(self) -> None:
        """Makes the instance. An error is a sentence for the operator."""
        log.install()
        try:
            given: dict[str, Any] = {
                name: self._remotes[dependency.cls] for name, dependency in self._wiring.dependencies.items()
            }
            if self._wiring.context is not None:
                given[self._wiring.context] = _deployment()
            self.server.instance = self.cls(**given)
        except BaseException as error:
            raise Err(outcome.reported(f"{self.cls.__name__}.__init__", error)) from None

    async def is_healthy(self) -> None:
        """Asks the instance for its health."""
        try:
            well = self.server.instance.health()
            if inspect.isawaitable(well):
                well = await well
        except BaseException as error:
            raise Err(outcome.reported("health", error)) from None
        if well is False:
            raise Err("health returned False")


def exports(app: Any) -> tuple[type, type, type]:
    """Returns the classes `WitWorld`, `Init` and `Health` that componentize-py looks for."""

    class WitWorld(wit_world.WitWorld):  # type: ignore[misc]
        async def run_remote(self, *values: Any) -> Any:
            return await app.server.serve(values)

    # Without the generated class as its base, an export is not found at run time.
    class Init(wit_world.exports.Init):  # type: ignore[misc]
        async def init(self) -> None:
            await app.init()

    class Health(getattr(wit_world.exports, "Health", object)):  # type: ignore[misc]
        async def is_healthy(self) -> None:
            await app.is_healthy()

    return WitWorld, Init, Health


def _types_module() -> Any:
    try:
        return importlib.import_module("wit_world.imports.chain_types")
    except ModuleNotFoundError:
        # The chain has no named types.
        return None


def _deployment() -> DeploymentContext:
    place = host_context.get_deployment()
    return DeploymentContext(
        settings=json.loads(host_context.settings()),
        secrets=Secrets(host_context.secret_names(), _secret),
        data_dir=place.data_folder,
        environment=place.environment,
        chain=place.chain,
        chainlet=place.chainlet,
        replica=place.replica,
    )


def _secret(name: str) -> str:
    try:
        value: str = host_context.secret(name)
    except Err as error:
        reason = getattr(error.value, "value", "it is not declared")
        raise KeyError(f"the secret {name!r}: {reason}") from None
    return value
