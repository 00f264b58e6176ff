"""Keys and values that all replicas share, and that outlive them.

```python
from chainlet import keyvalue

class Login(Chainlet):
    remote_config = RemoteConfig(stores=["sessions"])

    def __init__(self) -> None:
        self.sessions = keyvalue.open("sessions")

    async def run_remote(self, user: str) -> int:
        return self.sessions.increment(f"logins:{user}")
```

An operation blocks the instance, because the standard has no asynchronous functions yet. Each is atomic. A `get` with a
`set` after it loses what another replica writes in between: use `increment`, or `update`.

Under plain Python, every name opens a store in memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from . import _host
from .errors import Error, ErrorKind

# The most attempts of `update`. Each failed attempt is a write of somebody else that succeeded.
_ATTEMPTS = 100


class StoreError(Error):
    """An operation of a store that failed."""

    def __init__(self, store: str, message: str, kind: ErrorKind = ErrorKind.UNAVAILABLE) -> None:
        super().__init__(f"the store {store!r}: {message}", kind)
        self.store = store


class Store(Protocol):
    """An open store."""

    def get(self, key: str) -> bytes | None:
        """Returns the value of `key`, or `None` if the store does not have it."""

    def set(self, key: str, value: bytes) -> None:
        """Sets the value of `key`."""

    def delete(self, key: str) -> None:
        """Removes `key`. An absent key is no error."""

    def exists(self, key: str) -> bool:
        """Returns true if the store has `key`."""

    def keys(self) -> Iterator[str]:
        """Yields all keys, in no order."""

    def increment(self, key: str, delta: int = 1) -> int:
        """Adds to the number of `key`, which is 0 if it is absent, and returns the sum."""

    def update(self, key: str, change: Callable[[bytes | None], bytes]) -> bytes:
        """Sets the value to what `change` makes of the present one, and calls it again if somebody else was faster."""

    def get_json(self, key: str) -> Any:
        """Returns the value of a JSON text, or `None` if the store does not have `key`."""

    def set_json(self, key: str, value: Any) -> None:
        """Sets the value to a JSON text."""


class _Json:
    def get_json(self, key: str) -> Any:
        text = self.get(key)  # type: ignore[attr-defined]
        return None if text is None else json.loads(text)

    def set_json(self, key: str, value: Any) -> None:
        self.set(key, json.dumps(value, ensure_ascii=False).encode())  # type: ignore[attr-defined]


def open(name: str) -> Store:
    """Opens the store that chain.toml gives this chainlet under `name`."""
    if not _host.in_component():
        return _MEMORY.setdefault(name, _Memory())
    store = _host.interface("store")
    if store is None:
        raise StoreError(name, "add stores=[…] to the RemoteConfig of this chainlet, and build it", ErrorKind.INTERNAL)
    return _HostStore(name, store, _host.interface("atomics"))


class _Memory(_Json):
    def __init__(self) -> None:
        self._entries: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self._entries.get(key)

    def set(self, key: str, value: bytes) -> None:
        self._entries[key] = bytes(value)

    def delete(self, key: str) -> None:
        self._entries.pop(key, None)

    def exists(self, key: str) -> bool:
        return key in self._entries

    def keys(self) -> Iterator[str]:
        return iter(list(self._entries))

    def increment(self, key: str, delta: int = 1) -> int:
        value = int(self._entries.get(key, b"0")) + delta
        self._entries[key] = str(value).encode()
        return value

    def update(self, key: str, change: Callable[[bytes | None], bytes]) -> bytes:
        self._entries[key] = changed = change(self.get(key))
        return changed


_MEMORY: dict[str, _Memory] = {}


class _HostStore(_Json):
    def __init__(self, name: str, store: Any, atomics: Any) -> None:
        self._name, self._atomics = name, atomics
        self._bucket = self._call(store.open, name)

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        from componentize_py_types import Err

        try:
            return function(*args)
        except Err as error:
            raise self._error(error.value) from None

    def _error(self, error: Any) -> StoreError:
        reason = type(error).__name__
        if reason.endswith("NoSuchStore"):
            return StoreError(self._name, "chain.toml gives this chainlet no such store", ErrorKind.INTERNAL)
        if reason.endswith("AccessDenied"):
            return StoreError(self._name, "chain.toml does not allow it", ErrorKind.INTERNAL)
        return StoreError(self._name, str(getattr(error, "value", reason)))

    def get(self, key: str) -> bytes | None:
        value: bytes | None = self._call(self._bucket.get, key)
        return value

    def set(self, key: str, value: bytes) -> None:
        self._call(self._bucket.set, key, bytes(value))

    def delete(self, key: str) -> None:
        self._call(self._bucket.delete, key)

    def exists(self, key: str) -> bool:
        return bool(self._call(self._bucket.exists, key))

    def keys(self) -> Iterator[str]:
        page = self._call(self._bucket.list_keys, None)
        yield from page.keys
        while page.cursor is not None:
            page = self._call(self._bucket.list_keys, page.cursor)
            yield from page.keys

    def increment(self, key: str, delta: int = 1) -> int:
        return int(self._call(self._atomics.increment, self._bucket, key, delta))

    def update(self, key: str, change: Callable[[bytes | None], bytes]) -> bytes:
        from componentize_py_types import Err

        handle = self._call(self._atomics.Cas.new, self._bucket, key)
        for _ in range(_ATTEMPTS):
            changed = change(self._call(handle.current))
            try:
                self._atomics.swap(handle, changed)
                return changed
            except Err as error:
                if not hasattr(error.value, "value") or type(error.value).__name__.endswith("StoreError"):
                    raise self._error(getattr(error.value, "value", error.value)) from None
                # The new handle has the value that the other writer has set.
                handle = error.value.value
        raise StoreError(self._name, f"other writers changed {key!r} {_ATTEMPTS} times", ErrorKind.CONFLICT)
