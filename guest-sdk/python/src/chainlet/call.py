"""The running call: the id of its request, its deadline, and its end.

Outside a host, and in work that belongs to no call such as `__init__`, there is no id, no deadline and no trace
context, and nothing is ever cancelled.
"""

from __future__ import annotations

from . import _host


def id() -> str | None:
    """Returns the id of the request: the same in all chainlets, in the log, and in the header `x-request-id`."""
    host = _host.interface("call")
    value: str | None = host.id() if host else None
    return value


def time_left() -> float | None:
    """Returns the seconds until the deadline of the call: 0 after it, `None` if it has none."""
    host = _host.interface("call")
    left = host.time_left() if host else None
    return None if left is None else left / 1e9


def is_cancelled() -> bool:
    """Returns true if nobody wants the answer any more. Use it in work that computes for long without an `await`."""
    host = _host.interface("call")
    return bool(host and host.is_cancelled())


def trace_context() -> dict[str, str]:
    """Returns the W3C trace context of the call as headers, for requests to other services; empty if it has none."""
    host = _host.interface("call")
    context = host.get_trace_context() if host else None
    if context is None:
        return {}
    headers = {"traceparent": context.traceparent}
    if context.tracestate:
        headers["tracestate"] = context.tracestate
    return headers
