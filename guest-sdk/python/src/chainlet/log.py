"""Lines of `logging` in the host's log, with their level, their logger and their fields.

The host adds the chainlet, the replica and the id of the request. In a component the SDK installs the handler before
`__init__` runs; under plain Python, `logging` works as always.

```python
log = logging.getLogger(__name__)
log.info("found %d passages", len(hits), extra={"question": question})
```
"""

from __future__ import annotations

import logging
from typing import Any

from . import _host

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# From the host's levels, in their order, to the least level of logging that has it.
_LEVELS = {"TRACE": 0, "DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARN": logging.WARNING, "ERROR": logging.ERROR}


class HostHandler(logging.Handler):
    """Writes records to the host's log. `extra=` gives fields."""

    def __init__(self, host: Any) -> None:
        super().__init__()
        self._host = host

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record."""
        name = next(name for name, least in reversed(_LEVELS.items()) if record.levelno >= least)
        fields = [("logger", record.name)]
        fields += [(key, str(value)) for key, value in vars(record).items() if key not in _STANDARD]
        self._host.write(getattr(self._host.Level, name), self.format(record), fields)


def install() -> None:
    """Sends all records to the host's log. Does nothing outside a component."""
    host = _host.interface("log")
    if host is None:
        return
    # Facts that the handler does not write, and that take most of the time of a record.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.logAsyncioTasks = False  # type: ignore[attr-defined]
    logging._srcfile = None
    root = logging.getLogger()
    root.handlers[:] = [HostHandler(host)]
    # The least level that the host writes, so that no record is made in vain.
    enabled = [least for name, least in _LEVELS.items() if host.is_enabled(getattr(host.Level, name))]
    root.setLevel(max(1, enabled[0]) if enabled else logging.CRITICAL)
