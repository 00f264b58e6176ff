"""Calls examples/hello through the client that openapi-python-client generates: `call.py FOLDER_OF_THE_CLIENT URL`."""

import sys

folder, url = sys.argv[1:]
sys.path.insert(0, folder)

from hello_client import Client  # noqa: E402
from hello_client.api.chain import run_remote  # noqa: E402
from hello_client.api.host import readyz  # noqa: E402
from hello_client.models import Problem, RunRemoteJsonBody  # noqa: E402

with Client(base_url=url) as client:
    greetings = run_remote.sync(client=client, body=RunRemoteJsonBody(names=["Ada", "Alan"]))
    assert greetings == ["Hello, Ada!", "Hello, Alan!"], greetings
    refused = run_remote.sync_detailed(client=client, body=RunRemoteJsonBody(names=["Ada", ""]))
    assert refused.status_code == 422, refused
    assert refused.parsed.error == "there is no one to greet: the name is empty", refused.parsed
    assert refused.parsed.type_ == "urn:chainhost:problem:chainlet-error", refused.parsed
    ready = readyz.sync(client=client)
    assert not isinstance(ready, Problem) and ready.status == "ready", ready
print("the client got", greetings)
