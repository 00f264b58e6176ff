"""Fixtures of the tests under the host."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Test files use the helpers of others.
sys.path.insert(0, str(Path(__file__).parent))

from harness import Served, build_chain, require_host, serve


@pytest.fixture(scope="session")
def component_cache(pytestconfig: pytest.Config) -> Path:
    """The folder of components, which outlives the run. A component there has a hash of all its sources in its name."""
    return Path(pytestconfig.cache.mkdir("components"))


@pytest.fixture(scope="session")
def kitchen(tmp_path_factory: pytest.TempPathFactory, component_cache: Path) -> Iterator[Served]:
    """The chain of tests/chains/host_chain.py, served."""
    require_host()
    folder = tmp_path_factory.mktemp("kitchen")
    (folder / "source").mkdir()
    file = folder / "source" / "host_chain.py"
    file.write_bytes((Path(__file__).parent / "chains" / "host_chain.py").read_bytes())
    extra = {
        "main": 'stores = ["cache"]\nnetwork = { hosts = ["127.0.0.1", "127.0.0.0/8"] }',
        "worker": "concurrency = 64",
    }
    toml = build_chain(file, component_cache, extra, '[stores.cache]\ntype = "memory"')
    with serve(toml, folder) as served:
        yield served
