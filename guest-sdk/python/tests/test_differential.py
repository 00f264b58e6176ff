"""The same chain both ways, under plain Python and under the host: the answers are the same."""

import asyncio
import dataclasses
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import Served

from chainlet import Error, run_local

pytestmark = pytest.mark.host

CASES: list[dict[str, Any]] = [
    {"what": "queue"},
    {"what": "gather", "ms": 5},
    {"what": "gather-fails", "ms": 5},
    {"what": "timeout", "ms": 30},
    {"what": "timeout", "ms": 30, "text": "long"},
    {"what": "lock", "ms": 1},
    {"what": "worker", "text": "ü"},
    {"what": "worker", "text": "not-found"},
    {"what": "caught", "text": "not-found"},
    {"what": "caught", "text": "fine"},
    {"what": "plain", "text": "abc"},
    {"what": "words", "text": "a b c"},
    {"what": "words", "text": "a boom c"},
    {"what": "words", "text": ""},
    {"what": "first-word", "text": "a b c"},
    {"what": "order", "order": {"dish": "soup", "count": 2}, "counts": {"a": 1}},
    {"what": "order", "order": {"dish": ""}},
    {"what": "order"},
    {"what": "late-import"},
    {"what": "bug", "text": "key"},
    {"what": "bug", "text": "recursion"},
]


@dataclasses.dataclass
class Outcome:
    """A value, or the kind and the message of an error."""

    value: Any = None
    kind: str | None = None
    message: str | None = None


@pytest.fixture(scope="module")
def module() -> Iterator[Any]:
    folder = str(Path(__file__).parent / "chains")
    sys.path.insert(0, folder)
    yield importlib.import_module("host_chain")
    sys.path.remove(folder)
    del sys.modules["host_chain"]


def plain(module: Any, body: dict[str, Any]) -> Outcome:
    """Calls the chain under plain Python, with the arguments that the host would make of the JSON."""

    async def run() -> str:
        with run_local():
            chain = module.Main()
        arguments = dict(body)
        if "order" in arguments:
            try:
                arguments["order"] = module.Order(**arguments["order"])
            except ValueError as error:
                raise Error.invalid(f"order: {error}") from None
        answer: str = await chain.run_remote(**arguments)
        return answer

    try:
        return Outcome(asyncio.run(run()))
    except Error as error:
        return Outcome(kind=error.kind.value, message=error.message)
    except Exception as error:
        return Outcome(kind="internal", message=f"run_remote raised {type(error).__name__}; the log has the rest")


def hosted(kitchen: Served, body: dict[str, Any]) -> Outcome:
    status, answer = kitchen.call(body)
    if status == 200:
        return Outcome(answer)
    return Outcome(kind=answer["error"]["kind"].replace("_", "-"), message=answer["error"]["message"])


@pytest.mark.parametrize("body", CASES, ids=json.dumps)
def test_both_ways_have_the_same_outcome(kitchen: Served, module: Any, body: dict[str, Any]) -> None:
    here, there = plain(module, body), hosted(kitchen, body)
    if here.kind == "invalid":
        # The real pydantic adds a link to its documentation, and the input.
        assert there.kind == "invalid" and "dish" in (there.message or "")
    else:
        assert here == there
