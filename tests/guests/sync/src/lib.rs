//! Echoes a text and counts its calls, through a plain `func`, without the SDK.

use std::sync::atomic::{AtomicU64, Ordering};

use bindings::{Guest, Reply};

/// The output of wit-bindgen for the world.
#[allow(warnings, clippy::all, clippy::restriction)]
mod bindings {
    wit_bindgen::generate!({ world: "sync" });
    export!(Sync with_types_in self);
    use crate::Sync;
}

static CALLS: AtomicU64 = AtomicU64::new(0);

struct Sync;

impl Guest for Sync {
    fn run_remote(text: String) -> Reply {
        Reply { text, calls: CALLS.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}
