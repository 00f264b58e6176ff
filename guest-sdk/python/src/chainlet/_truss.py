"""Each name of the API of Truss Chains, and what becomes of it here.

`chains` and the page docs/python.md both use this table: a test compares the page with it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Support(enum.Enum):
    """What becomes of a name."""

    WORKS = "works"
    WARNS = "accepted with a warning"
    REFUSED = "refused"


@dataclass(frozen=True)
class Entry:
    """A name of the API. `instead` is the reason, or what to do."""

    name: str
    support: Support
    instead: str = ""


_W, _A, _R = Support.WORKS, Support.WARNS, Support.REFUSED

TABLE = (
    Entry("ChainletBase", _W),
    Entry("depends", _W, "`retries` counts all attempts"),
    Entry("depends.use_binary", _A, "values are never text here, so there is nothing to gain"),
    Entry("depends_context", _W),
    Entry("DeploymentContext", _W, "`secrets[…]`, `data_dir`, `environment.name`"),
    Entry("DeploymentContext.get_service_descriptor", _R, "a dependency has no URL: declare it with depends()"),
    Entry("DeploymentContext.get_baseten_api_key", _R, "declare a secret in Assets(secret_keys=…)"),
    Entry("mark_entrypoint", _W),
    Entry("run_local", _W),
    Entry("run_local.chainlet_to_service", _R, "pass fakes as keyword arguments"),
    Entry("RemoteConfig", _W),
    Entry("RemoteConfig.docker_image", _A, "there is no image: packages come from the project's environment"),
    Entry("RemoteConfig.options", _A, "see the options below"),
    Entry("RemoteConfig.build_commands", _A, "there is no image"),
    Entry("Compute.cpu_count", _W, "a replica computes on one thread; raise `replicas` in chain.toml for more"),
    Entry("Compute.memory", _W),
    Entry("Compute.predict_concurrency", _W),
    Entry("Compute.gpu", _A, "Python has no interface to a GPU: compute in a Rust chainlet, or ask a service"),
    Entry("Compute.gpu_count", _A, "a replica has one GPU"),
    Entry("Compute.instance_type", _A, "the host runs on the machine that you give it"),
    Entry("Assets.secret_keys", _W),
    Entry("Assets.cached", _A, "put the files in a folder, and name it in assets.files of chain.toml"),
    Entry("Assets.external_data", _A, "put the files in a folder, and name it in assets.files of chain.toml"),
    Entry("Assets.weights", _A, "put the files in a folder, and name it in assets.files of chain.toml"),
    Entry("DockerImage", _A, "there is no image"),
    Entry("DockerImage.pip_requirements", _A, "add them to the project's dependencies; native ones are refused"),
    Entry("DockerImage.requirements_file", _A, "add them to the project's dependencies; native ones are refused"),
    Entry("DockerImage.apt_requirements", _A, "a component runs no programs of the system"),
    Entry("DockerImage.base_image", _A, "there is no image"),
    Entry("DockerImage.data_dir", _A, "name the folder in assets.files of chain.toml"),
    Entry("DockerImage.external_package_dirs", _A, "install the packages into the project's environment"),
    Entry("BasetenImage", _A, "there is no image"),
    Entry("CustomImage", _A, "there is no image"),
    Entry("ChainletOptions", _A, "see the next lines"),
    Entry("ChainletOptions.env_variables", _A, "a component has no environment variables: use settings in chain.toml"),
    Entry("ChainletOptions.enable_debug_logs", _A, "set CHAINHOST_LOG for the host"),
    Entry("ChainletOptions.health_checks", _A, "set health in chain.toml"),
    Entry("ChainletOptions.streaming_read_timeout", _A, "set item_timeout of the edge in chain.toml"),
    Entry("RPCOptions", _W),
    Entry("GenericRemoteException", _W, "it is chainlet.Error: an error that a dependency declared"),
    Entry("ChainletBase.is_healthy", _W, "it is called as `health`"),
    Entry("make_abs_path_here", _W),
    Entry("WebSocketProtocol", _R, "take an AsyncIterator and return one: the host serves it as a WebSocket"),
    Entry("ModelBase", _R, "write a Chainlet with run_remote"),
    Entry("TrussChainlet", _R, "a component cannot hold a Truss: run it as a service, and ask it with chainlet.http"),
    Entry("EngineBuilderLLMChainlet", _R, "run the engine as a service, and ask it with chainlet.http"),
    Entry("EngineBuilderLLMInput", _R, "write a model with the fields that you use"),
    Entry("StubBase", _R, "declare the dependency with depends(); for a service outside, use chainlet.http"),
    Entry("RemoteErrorDetail", _R, "chainlet.Error has kind, message and details; the log has the traceback"),
    Entry("DeployedServiceDescriptor", _R, "a dependency has no URL"),
    Entry("push", _R, "run `chainhost serve chain.toml`"),
    Entry("deploy_remotely", _R, "run `chainhost serve chain.toml`"),
)

BY_NAME = {entry.name: entry for entry in TABLE}


def note(name: str) -> tuple[str, str]:
    """Returns the warning for a name: what, and what to do."""
    return f"{name} has no effect", BY_NAME[name].instead
