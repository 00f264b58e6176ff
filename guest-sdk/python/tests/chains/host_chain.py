"""A chain for the tests under the host: each chainlet does what its parameter `what` says."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator

import pydantic

from chainlet import (
    Chainlet,
    DeploymentContext,
    Error,
    Failure,
    RemoteConfig,
    call,
    depends,
    depends_context,
    entrypoint,
    http,
    keyvalue,
)

log = logging.getLogger("kitchen")


class Order(pydantic.BaseModel):
    dish: str = pydantic.Field(min_length=1)
    count: int = 1


class Worker(Chainlet):
    async def run_remote(self, what: str, ms: int = 0) -> str:
        """Works."""
        await asyncio.sleep(ms / 1000)
        if what == "not-found":
            raise Error.not_found("there is nothing", details={"ms": ms})
        if what == "bug":
            raise ValueError("a bug")
        if what == "trap":
            try:
                import componentize_py_runtime as runtime

                runtime.waitable_set_drop(123_456)
            except ImportError:
                raise NotImplementedError from None
        return what.upper()


class Plain(Chainlet):
    def run_remote(self, text: str) -> str:
        return text[::-1]


class Words(Chainlet):
    def __init__(self) -> None:
        self.closed = 0

    async def run_remote(self, what: str, words: AsyncIterator[str]) -> AsyncIterator[str]:
        if what == "closed":
            yield str(self.closed)
            return
        if what == "fail-first":
            raise Error.not_found("no words")
        try:
            async for word in words:
                if word == "boom":
                    raise Error.invalid("boom is no word", details=[word])
                yield word.upper()
                if what == "slow":
                    await asyncio.sleep(0.05)
        finally:
            self.closed += 1


async def sent(*words: str) -> AsyncIterator[str]:
    for word in words:
        yield word


@entrypoint
class Main(Chainlet):
    remote_config = RemoteConfig(network=["127.0.0.1"], stores=["cache"])

    def __init__(
        self,
        worker: Worker = depends(Worker),
        plain: Plain = depends(Plain),
        words: Words = depends(Words),
        context: DeploymentContext = depends_context(),
    ) -> None:
        self.worker, self.plain, self.words, self.context = worker, plain, words, context
        self.store = keyvalue.open("cache")
        self.lock, self.event, self.inside, self.most = asyncio.Lock(), asyncio.Event(), 0, 0
        self.seen: list[str] = []
        self.well = True

    async def run_remote(
        self, what: str, text: str = "", ms: int = 0, order: Order | None = None, counts: dict[str, int] | None = None
    ) -> str:
        began = time.monotonic()
        action = getattr(self, "do_" + what.replace("-", "_"))
        answer = await action(text, ms, order, counts)
        return str(answer) if answer is not None else f"{(time.monotonic() - began) * 1000:.0f}"

    async def health(self) -> None:
        if not self.well:
            raise RuntimeError("the kitchen is closed")

    async def do_sleep(self, text, ms, *_):
        await asyncio.sleep(ms / 1000)

    async def do_gather(self, text, ms, *_):
        return await asyncio.gather(*(self.worker.run_remote(str(i), ms) for i in range(10)))

    async def do_gather_fails(self, text, ms, *_):
        await asyncio.gather(self.worker.run_remote("not-found"), self.worker.run_remote("x", ms))

    async def do_group_fails(self, text, ms, *_):
        async with asyncio.TaskGroup() as group:
            group.create_task(self.worker.run_remote("not-found"))
            group.create_task(self.worker.run_remote("x", ms))

    async def do_timeout(self, text, ms, *_):
        try:
            async with asyncio.timeout(ms / 1000):
                await self.worker.run_remote("x", 5_000 if text == "long" else 3 * ms)
        except TimeoutError:
            return "timed out"

    async def do_lock(self, text, ms, *_):
        async with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            await asyncio.sleep(ms / 1000)
            self.inside -= 1
        return self.most

    async def do_wait(self, *_):
        await self.event.wait()
        return "woken"

    async def do_set(self, *_):
        self.event.set()

    async def do_queue(self, *_):
        queue: asyncio.Queue[int] = asyncio.Queue(1)

        async def produce():
            for number in range(5):
                await queue.put(number)

        task = asyncio.create_task(produce())
        got = [await queue.get() for _ in range(5)]
        await task
        return got

    async def do_hang(self, text, *_):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.seen.append(f"cancelled {text}")
            raise

    async def do_seen(self, *_):
        return self.seen

    async def do_worker(self, text, ms, *_):
        return await self.worker.run_remote(text, ms)

    async def do_caught(self, text, *_):
        try:
            return await self.worker.run_remote(text)
        except Failure as failure:
            return f"{failure.kind.value} in {failure.chainlet} by {[edge.callee for edge in failure.path]}"
        except Error as error:
            return f"{error.kind.value} {error.details}"

    async def do_plain(self, text, *_):
        return self.plain.run_remote(text)

    async def do_words(self, text, *_):
        heard = []
        try:
            async for word in self.words.run_remote("echo", sent(*text.split())):
                heard.append(word)
        except Error as error:
            heard.append(f"{error.kind.value} {error.details}")
        return heard

    async def do_first_word(self, text, *_):
        async for word in self.words.run_remote("slow", sent(*text.split())):
            return word

    async def do_bug(self, text, *_):
        raise {"exit": SystemExit(3), "recursion": RecursionError("deep"), "key": KeyError("k")}[text]

    async def do_wrong_result(self, *_):
        return await self.worker.run_remote(7)  # type: ignore[arg-type]

    async def do_order(self, text, ms, order, counts):
        return f"{order!r} {counts!r}"

    async def do_log(self, text, *_):
        log.info("hello %s", text, extra={"size": len(text)})
        return call.id()

    async def do_store(self, *_):
        self.store.set_json("j", {"a": [1]})
        number = self.store.increment("n")
        changed = self.store.update("u", lambda old: (old or b"") + b"x")
        return [number, self.store.get_json("j"), changed, sorted(self.store.keys()), self.store.get("none")]

    async def do_get(self, text, *_):
        response = await http.get(text, timeout=5, headers={"x-test": "1"})
        return f"{response.status} {await response.text()}"

    async def do_post(self, text, *_):
        response = await http.post(text, json={"a": 1}, params={"q": "ä b"}, timeout=5)
        return await response.raise_for_status().json()

    async def do_events(self, text, *_):
        response = await http.get(text)
        return [(event.type, event.data) async for event in response.events()]

    async def do_httpx(self, text, *_):
        import httpx

        from chainlet.http.httpx import Transport

        async with httpx.AsyncClient(transport=Transport()) as client:
            return (await client.post(text, json={"b": 2})).json()

    async def do_late_import(self, *_):
        import csv

        return next(csv.reader(["a,b"]))

    async def do_close(self, *_):
        self.well = False
