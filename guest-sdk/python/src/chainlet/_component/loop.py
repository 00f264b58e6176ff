"""asyncio across all calls of an instance.

componentize-py 0.25.1 gives each call of an export a queue of callbacks of its own, and runs only the queue of the
call that the host has just woken. A lock that one call releases then never wakes the call that waits for it, and there
are no timers. This module mends that, in the places marked *patched* below.

A **call** here is one call of an export, with the `_FutureState` that componentize-py made for it. Its callbacks must
run in its own turn, because the host attributes everything that they import to the call whose turn it is. So:

- `call_soon` puts a callback into the queue of the call to which its context belongs. If that is not the call whose
  turn it is, a **bell** wakes it. A bell is a stream inside the instance: the ringer writes a byte, and the read end is
  among the things that the other call waits for.
- Timers are in one heap. One **alarm**, a wait of `wasi:clocks`, is set for the earliest. Some waiting call holds it.
  When it rings, each due timer goes into the queue of its call.
- A call ends when its result is returned and no task of it is left. What it still waits for (the alarm, or an import
  whose task was cancelled) moves to another waiting call, because a set of waitables that has members cannot be
  dropped, and componentize-py cannot cancel an import.

A call that is over is cancelled: all its tasks get `CancelledError`. The host cannot interrupt a guest, so each call
that waits looks from time to time, at growing intervals, whether it is over.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import componentize_py_async_support as support
import componentize_py_runtime as runtime
import wit_world
from wit_world.imports import call as host_call
from wit_world.imports import monotonic_clock

# Seconds after which a waiting call looks whether it is over: the first time, and at most.
_FIRST_LOOK, _LONGEST_LOOK = 0.05, 0.4


class Call:
    """What this module keeps of one call of an export. `state` is componentize-py's own part."""

    def __init__(self, state: Any) -> None:
        self.state = state
        self.tasks: set[asyncio.Task[Any]] = set()
        self.bell: _Bell | None = None
        self.ended = False
        # True once this is a call of `run_remote` that may be cancelled.
        self.watched = False
        self.look: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        """Cancels all tasks of the call."""
        for task in list(self.tasks):
            task.cancel()


class _Waiter:
    """Something that a call waits for. componentize-py treats it as a future."""

    def set_result(self, code: int) -> None:
        """Notes that the host has the result. `_poll` takes it, in the turn of the call."""
        _events.append((self, code))

    def take(self, code: int) -> None:
        """Takes the result from the host."""
        raise NotImplementedError


class _Bell(_Waiter):
    """Wakes a waiting call: a stream within the instance. Bells are kept and given to one call after the other."""

    def __init__(self) -> None:
        self.writer, self.reader = wit_world.byte_stream()
        self.rung = False
        self.owner: Call | None = None
        self.listen()

    def listen(self) -> None:
        self.waitable, self.promise = runtime.stream_read(self.reader.type_, self.reader.handle, 1).value

    def ring(self) -> None:
        if not self.rung:
            self.rung = True
            runtime.stream_write(self.writer.type_, self.writer.handle, b"\0")

    def take(self, code: int) -> None:
        """Takes the byte, and is then free for another call."""
        runtime.promise_get_result(code, self.promise)
        if self.owner is not None:
            self.owner.bell = None
        self.rung, self.owner = False, None
        self.listen()
        _idle_bells.append(self)


class _Alarm(_Waiter):
    """A wait of the host for a moment. `when` is in seconds of the loop's clock."""

    def __init__(self, when: float, promise: int) -> None:
        self.when, self.promise = when, promise

    def take(self, code: int) -> None:
        """Ends the wait. Each turn begins with the due timers of all calls."""
        runtime.promise_get_result(code, self.promise)
        _alarms.remove(self)


class _Pending(_Waiter):
    """An import, a read or a write under way. If nobody waits for it any more, its result is taken and dropped."""

    def __init__(self, future: asyncio.Future[int], promise: int) -> None:
        self.future, self.promise = future, promise
        # Runs after the result of something that was given up has been dropped.
        self.finish: Callable[[], None] | None = None

    def take(self, code: int) -> None:
        """Hands the code to the waiting task, or drops the result."""
        if self.future.done():
            runtime.promise_get_result(code, self.promise)
            if self.finish is not None:
                self.finish()
        else:
            self.future.set_result(code)


class _Timer(asyncio.TimerHandle):
    call: Call


_events: list[tuple[_Waiter, int]] = []
_current: Call | None = None
_waiting: dict[int, Call] = {}
_idle_bells: list[_Bell] = []
_timers: list[_Timer] = []
_cancelled_timers = 0
_alarms: list[_Alarm] = []
# Waitables of calls that have ended, while no other call waits.
_parked: dict[int, Any] = {}
_states: contextvars.ContextVar[Any] = support._future_state


def _call_of(state: Any) -> Call:
    call: Call | None = getattr(state, "call", None)
    if call is None:
        call = state.call = Call(state)
    return call


def current_call() -> Call:
    """Returns the call to which the running code belongs."""
    return _call_of(_states.get())


def watch() -> None:
    """Lets the running call be cancelled when the host says that it is over."""
    current_call().watched = True


def _home(context: contextvars.Context) -> Call:
    """Returns the call whose turn has to run a callback of `context`."""
    state = context.get(_states)
    call = _call_of(state) if state is not None else None
    if call is not None and not call.ended:
        return call
    if _current is None:
        raise RuntimeError("no call is running: use asyncio in __init__, run_remote or health, not at import")
    return _current


def _enqueue(call: Call, handle: asyncio.Handle) -> None:
    call.state.handles.append(handle)
    if call is not _current and call.bell is not None:
        call.bell.ring()


def _join(call: Call, waitable: int, waiter: Any) -> None:
    """Puts a waitable among those that the call waits for."""
    state = call.state
    if state.waitable_set is None:
        state.waitable_set = runtime.waitable_set_new()
    runtime.waitable_join(waitable, state.waitable_set)
    state.futures[waitable] = waiter


# The timers.


def _ring_due_timers() -> None:
    now = time.monotonic()
    while _timers and (_timers[0].cancelled() or _timers[0].call.ended or _timers[0].when() <= now):
        timer = heapq.heappop(_timers)
        if not timer.cancelled() and not timer.call.ended:
            _enqueue(timer.call, timer)


def _set_alarm(call: Call) -> None:
    """Sets an alarm for the earliest timer, unless one rings before. `call`, which is about to wait, holds it."""
    while _timers and (_timers[0].cancelled() or _timers[0].call.ended):
        heapq.heappop(_timers)
    if not _timers or any(alarm.when <= _timers[0].when() for alarm in _alarms):
        return
    when = _timers[0].when()
    started = _start_wait(max(1, round((when - time.monotonic()) * 1e9)))
    if started is None:
        return _ring_due_timers()
    waitable, promise = started
    alarm = _Alarm(when, promise)
    _alarms.append(alarm)
    _join(call, waitable, alarm)


class _Started(BaseException):
    """Leaves the coroutine of an import once the import has begun."""


_capture: list[Any] | None = None


def _start_wait(nanoseconds: int) -> tuple[int, int] | None:
    """Calls `wait-for`. Returns its waitable and its promise instead of waiting, or `None` if it has ended already."""
    global _capture
    _capture = []
    coroutine = monotonic_clock.wait_for(nanoseconds)
    try:
        coroutine.send(None)
    except _Started:
        pass
    finally:
        coroutine.close()
        (result,), _capture = _capture, None
    return None if isinstance(result, support.Ok) else result.value


def abandon(waitable: int, finish: Callable[[], None]) -> None:
    """Runs `finish` when a read or write has ended whose task was cancelled: until then, its stream is in use."""
    pending = current_call().state.futures.get(waitable)
    if isinstance(pending, _Pending):
        pending.finish = finish
    else:
        finish()


# What replaces the parts of componentize-py. Each has the name of the part.


async def _await_result(result: Any) -> Any:
    """*Patched*: a result may come after its task was cancelled."""
    if _capture is not None:
        _capture.append(result)
        raise _Started
    if isinstance(result, support.Ok):
        return result.value
    waitable, promise = result.value
    future = support._loop.create_future()
    _join(current_call(), waitable, _Pending(future, promise))
    return runtime.promise_get_result(await future, promise)


def _poll(state: Any) -> int:
    """*Patched*: one turn of a call. Returns what the host is to do next: to wait, or to end the call."""
    global _current
    call = _call_of(state)
    before, _current = _current, call
    _waiting.pop(id(call), None)
    try:
        while _events:
            waiter, code = _events.pop()
            waiter.take(code)
        _ring_due_timers()
        while state.handles:
            _run_queue(call)
            if state.pending_count == 0 and not call.tasks:
                _end(call)
                return int(support._CallbackCode.EXIT)
            if call.watched and call.look is None:
                _look_later(call, _FIRST_LOOK)
            _ring_due_timers()
            if not state.handles:
                _set_alarm(call)
        _wait(call)
        runtime.context_set(state)
        return int(support._CallbackCode.WAIT | (state.waitable_set << 4))
    finally:
        _current = before


def _wait(call: Call) -> None:
    """Gives the call a bell, and what ended calls have left, before it waits."""
    if call.bell is None:
        call.bell = _idle_bells.pop() if _idle_bells else _Bell()
        call.bell.owner = call
        _join(call, call.bell.waitable, call.bell)
    for waitable, waiter in list(_parked.items()):
        del _parked[waitable]
        _join(call, waitable, waiter)
    # A turn that runs nothing, for an alarm of other calls, has set no alarm for what is next.
    _set_alarm(call)
    if call.state.handles:
        # The alarm rang at once, so the call must not sleep.
        call.bell.ring()
    _waiting[id(call)] = call


def _run_queue(call: Call) -> None:
    state = call.state
    while state.handles:
        handles, state.handles = state.handles, []
        for handle in handles:
            if not handle.cancelled():
                handle._run()
        if support._loop.exception is not None:
            # componentize-py puts here what it raised itself, such as a result of a wrong type.
            exception, support._loop.exception = support._loop.exception, None
            raise exception


def _end(call: Call) -> None:
    """Moves what the call still waits for to another call, or parks it, and drops its set of waitables."""
    call.ended = True
    if call.look is not None:
        call.look.cancel()
    state = call.state
    heir = next(iter(_waiting.values()), None)
    for waitable, waiter in state.futures.items():
        runtime.waitable_join(waitable, 0)
        if isinstance(waiter, _Bell):
            waiter.owner = call.bell = None
            _idle_bells.append(waiter)
        elif heir is not None:
            _join(heir, waitable, waiter)
        else:
            _parked[waitable] = waiter
    state.futures.clear()
    if state.waitable_set is not None:
        runtime.waitable_set_drop(state.waitable_set)
        state.waitable_set = None
    # The alarm may have rung in this turn, and the timers of other calls need the next one.
    if heir is not None:
        _set_alarm(heir)


def _look_later(call: Call, delay: float) -> None:
    def look() -> None:
        if host_call.is_cancelled():
            call.cancel()
        else:
            _look_later(call, min(delay * 2, _LONGEST_LOOK))

    context = contextvars.Context()
    context.run(_states.set, call.state)
    call.look = _loop.call_later(delay, look, context=context)


class _Methods:
    """The methods that componentize-py's loop lacks, or has for one call only. All are *patched*."""

    def time(self) -> float:
        return time.monotonic()

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        context = context if context is not None else contextvars.copy_context()
        handle = asyncio.Handle(callback, args, _loop, context)
        _enqueue(_home(context), handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        context = context if context is not None else contextvars.copy_context()
        timer = _Timer(when, callback, args, _loop, context)
        timer.call = _home(context)
        heapq.heappush(_timers, timer)
        return timer

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(time.monotonic() + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, _timer: asyncio.TimerHandle) -> None:
        global _cancelled_timers
        _cancelled_timers += 1
        # As in asyncio's own loop: timeouts that did not come must not fill the heap.
        if _cancelled_timers > 100 and _cancelled_timers * 2 > len(_timers):
            _timers[:] = [each for each in _timers if not each.cancelled()]
            heapq.heapify(_timers)
            _cancelled_timers = 0

    def create_task(self, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=_loop, **options)
        context = options.get("context") or contextvars.copy_context()
        call = _home(context)
        call.tasks.add(task)
        task.add_done_callback(call.tasks.discard, context=context)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        # The exception of a task that nobody awaits must not end a call, so it only goes to the log.
        print(f"asyncio: {context.get('message')}", file=sys.stderr)
        if (exception := context.get("exception")) is not None:
            traceback.print_exception(exception)

    def run_in_executor(self, _executor: object, function: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        # There are no threads. So `asyncio.to_thread` runs the function at once, and other calls wait meanwhile.
        future: asyncio.Future[Any] = _loop.create_future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future


_loop: Any = support._loop


def install() -> None:
    """Replaces the parts of componentize-py. Call it once, before the snapshot is made."""
    support._poll = _poll
    support.await_result = _await_result
    for name, method in vars(_Methods).items():
        if callable(method) and not name.startswith("__"):
            setattr(type(_loop), name, method)
    type(_loop).call_soon_threadsafe = _Methods.call_soon
