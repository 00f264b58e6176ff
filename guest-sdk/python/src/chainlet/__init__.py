"""Write chainlets in Python: sandboxed components with one typed function each. `chainhost` serves chains of them.

```python
from chainlet import Chainlet, depends, entrypoint


class SayHello(Chainlet):
    async def run_remote(self, name: str) -> str:
        return f"Hello, {name}!"


@entrypoint
class HelloAll(Chainlet):
    def __init__(self, say_hello: SayHello = depends(SayHello)):
        self.say_hello = say_hello

    async def run_remote(self, names: list[str]) -> list[str]:
        return [await self.say_hello.run_remote(name) for name in names]
```
"""

from . import call
from ._context import DeploymentContext, Environment, Secrets
from ._declare import Assets, Chainlet, Compute, DeclarationError, RemoteConfig, depends, depends_context, entrypoint
from .errors import Edge, Error, ErrorKind, Failure, FailureKind
from .local import run_local

__version__ = "0.1.0"

__all__ = [
    "Assets",
    "Chainlet",
    "Compute",
    "DeclarationError",
    "DeploymentContext",
    "Edge",
    "Environment",
    "Error",
    "ErrorKind",
    "Failure",
    "FailureKind",
    "RemoteConfig",
    "Secrets",
    "call",
    "depends",
    "depends_context",
    "entrypoint",
    "run_local",
]
