"""The chain under plain Python, without a host."""

import asyncio

import pytest

from chainlet import Error, run_local
from hello_chain import Greeting, HelloAll, SayHello, Tone, Words


def chain() -> HelloAll:
    with run_local(secrets={"signature": "Ada's friends"}):
        return HelloAll()


def test_a_list_of_names_is_greeted():
    greetings = asyncio.run(chain().run_remote(["Ada", "Alan"], Tone.LOUD))
    assert [greeting.text for greeting in greetings] == ["HELLO, ADA! ADA'S FRIENDS", "HELLO, ALAN! ADA'S FRIENDS"]


def test_a_text_is_cut_into_names():
    assert len(asyncio.run(chain().run_remote("Ada Alan Grace"))) == 3


def test_an_empty_name_is_an_error():
    with pytest.raises(Error, match="no one to greet"):
        asyncio.run(chain().run_remote([""]))


def test_a_fake_stands_for_a_dependency():
    class Fake:
        async def run_remote(self, name, tone=Tone.KIND):
            return Greeting(text=f"fake {name}", tone=tone)

    (greeting,) = asyncio.run(HelloAll(say_hello=Fake(), words=Words()).run_remote(["Ada"]))
    assert greeting == Greeting(text="fake Ada")


def test_the_class_of_a_dependency_is_the_class_itself():
    assert isinstance(chain().say_hello, SayHello)
