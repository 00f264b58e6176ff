"""Runs a chain under plain Python, in one process and without a sandbox: for tests and the debugger."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Token
from pathlib import Path
from types import TracebackType
from typing import Any

from . import _wiring
from ._context import DeploymentContext
from ._declare import Chainlet


class run_local:
    """Makes the dependencies of every chainlet that is made inside it.

    ```python
    with run_local(secrets={"api_key": "test"}):
        chain = HelloAll()
    assert asyncio.run(chain.run_remote(names=["Ada"])) == ["Hello, Ada!"]
    ```

    Each class has one instance. A fake replaces it: pass the fake as a keyword argument of the class that uses it, or
    to `fakes` for all of them.
    """

    def __init__(
        self,
        secrets: Mapping[str, str] | None = None,
        *,
        settings: Mapping[type[Chainlet], Mapping[str, Any]] | None = None,
        data_dir: Path | str | None = None,
        environment: str = "local",
        fakes: Mapping[type[Any], Any] | None = None,
    ) -> None:
        self._secrets, self._settings, self._data_dir = secrets or {}, settings or {}, data_dir
        self._environment = environment
        self._instances: dict[type[Any], Any] = dict(fakes or {})
        self._token: Token[_wiring.Provider | None] | None = None

    def __enter__(self) -> run_local:
        self._token = _wiring.provider.set(self)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            _wiring.provider.reset(self._token)

    def dependency(self, cls: type[Any]) -> Any:
        """Returns the one instance of `cls`."""
        if cls not in self._instances:
            self._instances[cls] = cls()
        return self._instances[cls]

    def context(self, cls: type[Chainlet]) -> DeploymentContext:
        """Returns the context for `cls`, with the settings of its class and of this object."""
        return DeploymentContext(
            settings={**cls.config, **self._settings.get(cls, {})},
            secrets=self._secrets,
            data_dir=self._data_dir,
            environment=self._environment,
            chain="local",
            chainlet=cls.__name__,
        )
