"""What a chainlet may know about its deployment: settings, secrets, the folder for its data, the environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any


class Secrets(Mapping[str, str]):
    """The secrets that chain.toml declares for the chainlet. A secret is read when it is asked for."""

    def __init__(self, names: list[str], read: Callable[[str], str]) -> None:
        self._names, self._read = names, read

    def __getitem__(self, name: str) -> str:
        if name not in self._names:
            raise KeyError(
                f"the secret {name!r} is not declared: add it to Assets(secret_keys=[…]) of the chainlet, "
                "or to assets.secrets in chain.toml"
            )
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"Secrets({self._names})"


class Environment(str):
    """The name of the environment, such as `production`. `name` is the same text, as in Truss."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The name."""
        return str(self)


class DeploymentContext:
    """The deployment of this instance. It stays the same for the life of the instance."""

    def __init__(
        self,
        *,
        settings: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
        data_dir: Path | str | None = None,
        environment: str = "development",
        chain: str = "",
        chainlet: str = "",
        replica: int = 0,
    ) -> None:
        self.settings: Mapping[str, Any] = settings if settings is not None else {}
        """The settings of `[chainlets.NAME.config]` in chain.toml."""
        self.secrets: Mapping[str, str] = secrets if secrets is not None else {}
        """The secrets, by name."""
        self.data_dir = Path(data_dir) if data_dir is not None else None
        """The folder for data that outlives the instance; `None` if chain.toml has no `assets.data`."""
        self.environment = Environment(environment)
        """The environment that the operator named."""
        self.chain, self.chainlet, self.replica = chain, chainlet, replica
