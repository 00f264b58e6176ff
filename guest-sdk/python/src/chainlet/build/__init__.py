"""The builder: what a file of chainlets declares, and components of it. `python -m chainlet.build --help` explains it.

| module | idea |
|---|---|
| `problem` | a mistake of the user, with its place and what to do |
| `places` | the line of a file where something is written |
| `policy` | which modules a component can have |
| `load` | imports the user's file as a component would |
| `describe` | the chain that the file declares, as data |
| `package` | the WIT package of a chainlet or of the whole chain |
| `component` | makes a component with componentize-py |
| `maps` | the type `map<K, V>`, which componentize-py does not know |
| `imports` | the imports inside functions |
| `docs` | the section of a component that holds its doc comments |
"""
