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

}
