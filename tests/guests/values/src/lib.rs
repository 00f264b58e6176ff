//! Echoes a value of every type. Made with plain wit-bindgen, without the SDK.

use bindings::exports::tests::values::echo::{Everything, Guest};

/// The output of wit-bindgen for the world.
#[allow(warnings, clippy::all, clippy::restriction)]
mod bindings {
    wit_bindgen::generate!({ world: "values" });
    export!(Values with_types_in self);
    use crate::Values;
}

struct Values;

impl Guest for Values {
    async fn run_remote(value: Everything) -> Everything {
        value
    }
}
