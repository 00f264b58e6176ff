"""Greets people: three chainlets in one file."""

import asyncio
import enum
import logging
from collections.abc import AsyncIterator

from pydantic import BaseModel, Field

from chainlet import Assets, Chainlet, Compute, DeploymentContext, Error, RemoteConfig
from chainlet import depends, depends_context, entrypoint

log = logging.getLogger(__name__)


class Tone(enum.Enum):
    KIND = "kind"
    LOUD = "loud"


class Greeting(BaseModel):
    """What is said to one person."""

    text: str = Field(min_length=1)
    tone: Tone = Tone.KIND


class SayHello(Chainlet):
    remote_config = RemoteConfig(
        compute=Compute(memory="256MiB", concurrency=64),
        assets=Assets(secret_keys=["signature"]),
    )
    config = {"greeting": "Hello"}

    def __init__(self, context: DeploymentContext = depends_context()) -> None:
        self.greeting = context.settings["greeting"]
        self.signature = context.secrets["signature"]

    async def run_remote(self, name: str, tone: Tone = Tone.KIND) -> Greeting:
        """Greets one person."""
        if not name.strip():
            raise Error("there is no one to greet: the name is empty")
        text = f"{self.greeting}, {name}! {self.signature}"
        return Greeting(text=text.upper() if tone is Tone.LOUD else text, tone=tone)


class Words(Chainlet):
    async def run_remote(self, text: str) -> AsyncIterator[str]:
        """The words of a text, one by one."""
        for word in text.split():
            yield word


@entrypoint
class HelloAll(Chainlet):
    def __init__(
        self,
        say_hello: SayHello = depends(SayHello, retries=2, timeout_sec=10),
        words: Words = depends(Words),
    ) -> None:
        self.say_hello, self.words = say_hello, words

    async def run_remote(self, names: list[str] | str, tone: Tone = Tone.KIND) -> list[Greeting]:
        """Greets all people: a list of names, or a text with the names in it."""
        if isinstance(names, str):
            names = [word async for word in self.words.run_remote(names)]
        log.info("greeting %d people", len(names), extra={"tone": tone.value})
        return await asyncio.gather(*(self.say_hello.run_remote(name, tone) for name in names))
