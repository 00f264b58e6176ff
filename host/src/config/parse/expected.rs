//! The value that each key of chain.toml must have, for messages about wrong types and missing keys.

use super::super::reader::Expected;

macro_rules! expected {
    ($($NAME:ident: $what:literal, like $example:literal;)+) => {
        $(pub(super) const $NAME: Expected = Expected { what: $what, example: $example };)+
    };
}

expected! {
    CHAIN: "a table with the name of the chain", like "[chain] with name = \"hello-all\" in it";
    CHAIN_NAME: "the name of the chain", like "name = \"hello-all\"";
    ENTRYPOINT: "the name of a chainlet", like "entrypoint = \"hello-all\"";
    ENVIRONMENT: "the name of an environment", like "environment = \"production\"";

    ROLLOUT: "\"atomic\", \"canary\", or a table that describes a canary", like "rollout = { canary = { share = 0.1, trial = \"5m\" } }";

    GPU_HOST: "a table that says how GPU work runs", like "[gpu] with isolation = \"process\" in it; what a chainlet may use of a GPU is said in its resources.gpu";

    CHAINLETS: "a table of chainlets", like "[chainlets.say-hello] with component = \"say_hello.wasm\" in it";
    CHAINLET: "a table that describes a chainlet", like "[chainlets.say-hello] with component = \"say_hello.wasm\" in it";
    COMPONENT: "the path of a component file", like "component = \"say_hello.wasm\"";
    EXPORT: "the name of an exported interface", like "export = \"demo:hello/greeter@1.0.0\"";
    CONCURRENCY: "a whole number from 1 to 4294967295", like "concurrency = 16";
    QUEUE: "a whole number from 0 to 4294967295", like "queue = 1024";

    BUILD: "a command, or a table with a command", like "build = \"cargo build --release --target wasm32-wasip2\"";

    REPLICAS: "a whole number from 1 to 4294967295, or bounds", like "replicas = 2 or replicas = { min = 1, max = 4 }";

    START_TIMEOUT: "a length of time with a unit", like "start_timeout = \"5m\"";
    GRACE: "a length of time with a unit", like "grace = \"30s\"";
    STALL: "a length of time with a unit", like "stall = \"1s\"";
    HEALTH: "a table", like "health = { interval = \"1s\", failures = 3 }";

    RESOURCES: "a table of resources", like "resources = { memory = \"256MiB\" }";

    ASSETS: "a table of assets", like "assets = { secrets = [\"hf_access_token\"] }";

    NETWORK: "a table of hosts", like "network = { hosts = [\"api.example.com\"] }";

    CAPABILITIES: "a table of capabilities", like "capabilities.search = { index = \"products\" }";
    CAPABILITY: "a table with the settings of the capability", like "search = { index = \"products\" }";
    CONFIG: "a table of settings", like "config = { greeting = \"Hello\" }";

    DEPENDS: "a table of dependencies", like "depends = { say-hello = \"say-hello\" }";
}
