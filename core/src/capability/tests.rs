//! Tests of the set of capabilities.

use wasmtime::{Config, Engine};

use super::*;
use crate::host::Host;

fn engine() -> Engine {
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    Engine::new(&config).unwrap()
}

/// Returns true if wasmtime-wasi has the function `name` in `interface`, so that a function of ours replaces it rather
/// than standing beside it.
pub(super) fn stands_in((interface, name): (&str, &str)) -> bool {
    let mut linker = Linker::<ReplicaState>::new(&engine());
    add_wasi(&mut linker).unwrap();
    // The linker rejects a second function of the same name.
    linker.instance(interface).unwrap().func_wrap(name, |_, (): ()| Ok(())).is_err()
}

#[test]
fn all_capabilities_fit_into_one_linker() {
    let mut linker = Linker::<ReplicaState>::new(&engine());
    add_wasi(&mut linker).unwrap();
    built_in(&Arc::default()).add_to_linker(&mut linker).unwrap();
}

#[test]
fn a_second_capability_of_the_same_name_is_refused_when_the_host_is_built() {
    let host = Host::builder().without_code_cache().capability(context::Context).build();
    let error = host.map(drop).unwrap_err().to_string();
    assert_eq!(error, "the capability context cannot be added: another capability has this name");
}
