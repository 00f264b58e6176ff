"""The chain under plain Python, without a host."""

import asyncio

import pytest
from chainlet import Error, run_local

from chain import HelloAll


def chain() -> HelloAll:
    with run_local():
        return HelloAll()


def test_people_are_greeted():
    assert asyncio.run(chain().run_remote(["Ada", "Alan"])) == ["Hello, Ada!", "Hello, Alan!"]


def test_an_empty_name_is_an_error():
    with pytest.raises(Error, match="no one to greet"):
        asyncio.run(chain().run_remote([""]))


def test_a_fake_stands_for_a_dependency():
    class Fake:
        async def run_remote(self, name: str) -> str:
            return f"fake {name}"

    assert asyncio.run(HelloAll(say_hello=Fake()).run_remote(["Ada"])) == ["fake Ada"]
