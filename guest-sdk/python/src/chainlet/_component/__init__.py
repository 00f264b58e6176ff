"""The side of the component: what runs between the host and the user's class.

| module | idea |
|---|---|
| `loop` | asyncio across all calls of an instance |
| `app` | the exports of a world, made from a class |
| `serve` | one call of `run_remote`, from its arguments to its outcome |
| `remote` | stands for a dependency |
| `streams` | async iterators to streams of WIT, and back |
| `outcome` | errors and failures, from and to the host |
| `live` | loads the user's sources when an instance starts |

The folder `path` comes first on the component's module path: it has the pure `pydantic`.
"""
