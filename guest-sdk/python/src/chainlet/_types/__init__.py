"""Types of a chainlet: from annotations to WIT, and values both ways.

| module | idea |
|---|---|
| `names` | how WIT and the bindings spell a Python name |
| `forms` | the types that a call can carry, as plain data |
| `annotations` | from an annotation to a form |
| `signature` | the parameters and the result of a `run_remote` |
| `wit` | from forms to the text of WIT |
| `convert` | values of Python to values of the bindings, and back |

Nothing here depends on componentize-py. The same code runs when a chain is described and inside its components.
"""
