"""`run_local`, and the modules of the outside world under plain Python."""

import asyncio
import http.server
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from test_host import Handler

from chainlet import Chainlet, DeploymentContext, call, depends, depends_context, keyvalue, run_local
from chainlet import http as client
from chainlet.http._events import events


class Leaf(Chainlet):
    config = {"greeting": "Hello", "end": "!"}

    def __init__(self, context: DeploymentContext = depends_context()) -> None:
        self.context = context

    async def run_remote(self, name: str) -> str:
        return f"{self.context.settings['greeting']}, {name}{self.context.settings['end']}"


class Left(Chainlet):
    def __init__(self, leaf: Leaf = depends(Leaf)) -> None:
        self.leaf = leaf

    async def run_remote(self, name: str) -> str:
        return await self.leaf.run_remote(name)


class Root(Chainlet):
    def __init__(self, left: Left = depends(Left), leaf: Leaf = depends(Leaf), extra: int = 3) -> None:
        self.left, self.leaf, self.extra = left, leaf, extra

    async def run_remote(self, name: str) -> str:
        return await self.left.run_remote(name)


def test_dependencies_are_made_once_each() -> None:
    with run_local():
        root = Root()
    assert root.leaf is root.left.leaf and root.extra == 3
    assert asyncio.run(root.run_remote("Ada")) == "Hello, Ada!"


def test_settings_secrets_and_the_environment_can_be_given(tmp_path: Path) -> None:
    with run_local({"key": "s"}, settings={Leaf: {"end": "?"}}, data_dir=tmp_path, environment="test"):
        leaf = Leaf()
    assert leaf.context.secrets["key"] == "s"
    assert (leaf.context.environment, leaf.context.environment.name, leaf.context.data_dir) == (
        "test",
        "test",
        tmp_path,
    )
    assert asyncio.run(leaf.run_remote("Ada")) == "Hello, Ada?"


class Fake:
    async def run_remote(self, name: str) -> str:
        return f"fake {name}"


def test_a_fake_is_a_keyword_argument() -> None:
    left = Left(leaf=Fake())  # type: ignore[arg-type]
    assert asyncio.run(left.run_remote("Ada")) == "fake Ada"


def test_a_fake_can_stand_for_a_class_everywhere() -> None:
    with run_local(fakes={Leaf: Fake()}):
        root = Root()
    assert asyncio.run(root.run_remote("Ada")) == "fake Ada"


def test_outside_run_local_a_missing_dependency_is_an_error_that_says_so() -> None:
    with pytest.raises(RuntimeError, match=r"Root\(\) has no `left, leaf`.*run_local"):
        Root()


def test_there_is_no_running_call() -> None:
    assert (call.id(), call.time_left(), call.is_cancelled(), call.trace_context()) == (None, None, False, {})


def test_a_store_is_in_memory() -> None:
    store = keyvalue.open("test_local")
    assert (store.increment("n"), store.increment("n", 2)) == (1, 3)
    store.set_json("j", [1])
    assert (store.get_json("j"), store.get("none"), store.exists("j")) == ([1], None, True)
    assert store.update("j", lambda old: (old or b"") + b"!") == b"[1]!"
    store.delete("j")
    assert sorted(keyvalue.open("test_local").keys()) == ["n"]


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_requests_go_through_urllib(server: str) -> None:
    async def ask() -> None:
        answer = await client.get(server + "/missing", timeout=5)
        assert (answer.status, answer.ok, await answer.text()) == (404, False, "hello")
        assert answer.headers["Content-Length"] == "5"
        with pytest.raises(client.HttpError) as raised:
            answer.raise_for_status()
        assert (raised.value.status, raised.value.kind.value) == (404, "upstream")
        posted = await client.post(server + "/e", json={"a": "ü"}, params={"q": 1})
        assert await posted.json() == {"path": "/e?q=1", "body": {"a": "ü"}}

    asyncio.run(ask())


@pytest.mark.parametrize("url", ["example.com", "ftp://example.com", "http://"])
def test_a_url_that_is_none_is_refused_before_it_is_sent(url: str) -> None:
    with pytest.raises(client.HttpError, match="does not begin with http"):
        asyncio.run(client.get(url))


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_events_come_out_of_any_pieces(size: int) -> None:
    text = b"data: a\r\ndata: b\r\n\r\n: c\nevent: x\nid: 7\ndata:c\n\ndata: \xc3\xbc\r\rdata: unfinished\n"

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(text), size):
            yield text[start : start + size]

    async def collect() -> list[tuple[str, str, str | None]]:
        return [(event.data, event.type, event.id) async for event in events(pieces())]

    assert asyncio.run(collect()) == [("a\nb", "message", None), ("c", "x", "7"), ("ü", "message", "7")]
