"""Sends HTTP requests to the hosts that chain.toml names.

```python
from chainlet import http

response = await http.post("https://api.example.com/weather", json={"city": "Basel"}, timeout=5)
weather = response.raise_for_status().json()
```

The host owns the connections and speaks TLS, so there is no client to share and no `ssl` to import. Redirects are not
followed. Requests carry the trace context of the running call. A chainlet names the hosts that it asks in
`RemoteConfig(network=["api.example.com"])`.

Under plain Python, as with `run_local`, requests go through `urllib`.
"""

from ._client import delete, get, patch, post, put, request
from ._errors import HttpError, HttpErrorKind
from ._events import Event
from ._response import Response

__all__ = ["Event", "HttpError", "HttpErrorKind", "Response", "delete", "get", "patch", "post", "put", "request"]
