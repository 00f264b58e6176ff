"""Greets people: two Chainlets in one file."""

import asyncio

from chainlet import Chainlet, Compute, DeploymentContext, Error, RemoteConfig, depends, depends_context, entrypoint


class SayHello(Chainlet):
    remote_config = RemoteConfig(compute=Compute(memory="64MiB"))
    config = {"greeting": "Hello"}

    def __init__(self, context: DeploymentContext = depends_context()) -> None:
        self.greeting = context.settings["greeting"]

    async def run_remote(self, name: str) -> str:
        """Greets one person."""
        if not name.strip():
            raise Error("there is no one to greet: the name is empty")
        return f"{self.greeting}, {name}!"


@entrypoint
class HelloAll(Chainlet):
    def __init__(self, say_hello: SayHello = depends(SayHello, timeout_sec=10)) -> None:
        self.say_hello = say_hello

    async def run_remote(self, names: list[str]) -> list[str]:
        """Greets all people at once."""
        return await asyncio.gather(*(self.say_hello.run_remote(name) for name in names))
