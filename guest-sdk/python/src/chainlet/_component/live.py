"""Live mode: a component that was built for a signature, and loads the user's sources when an instance starts."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from componentize_py_types import Err

from . import outcome
from .app import App

FOLDER = "/source"


class LiveApp:
    """Loads the class at `init`. `contract` is what the component was built for."""

    def __init__(self, module: str, cls: str, contract: str) -> None:
        self._module, self._class, self._contract = module, cls, contract
        self._app: Any = None

    @property
    def server(self) -> Any:
        """The server of the class that `init` has loaded."""
        return self._app.server

    async def init(self) -> None:
        """Imports the sources, compares their signature with the component's, and makes the instance."""
        # CPython for WASI would try to write next to the sources, which are read-only.
        sys.dont_write_bytecode = True
        sys.path.insert(0, FOLDER)
        try:
            self._app = App(getattr(importlib.import_module(self._module), self._class))
        except ModuleNotFoundError as error:
            raise Err(self._missing(error)) from None
        except BaseException as error:
            raise Err(outcome.reported(f"the import of {self._module}", error)) from None
        if self._app.contract != self._contract:
            raise Err(f"{self._class} in {self._module}.py has another signature than the component: build it again")
        await self._app.init()

    async def is_healthy(self) -> None:
        """Asks the instance for its health."""
        await self._app.is_healthy()

    def _missing(self, error: ModuleNotFoundError) -> str:
        if error.name == self._module:
            return (
                f"there is no {self._module}.py in {FOLDER}: chain.toml needs the folder of the sources in assets.files"
            )
        return (
            f"the import of {self._module} needs the module {error.name}, which is not in the component: build it again"
        )
