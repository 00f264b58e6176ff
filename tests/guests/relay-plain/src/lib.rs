//! Passes its request on to one of two dependencies, without the SDK.

#[allow(warnings, clippy::all, clippy::pedantic, clippy::restriction, missing_docs)]
mod bindings {
    wit_bindgen::generate!({ world: "relay-plain" });
    use crate::RelayPlain;
    export!(RelayPlain with_types_in self);
}

use bindings::{next, other};

struct RelayPlain;

impl bindings::Guest for RelayPlain {
    async fn run_remote(what: String) -> Result<String, String> {
        match what.strip_prefix("other:") {
            Some(what) => other::run_remote(what.to_owned()).await,
            None => next::run_remote(what).await,
        }
    }
}
