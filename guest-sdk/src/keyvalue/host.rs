//! The interface `wasi:keyvalue`. A chainlet imports the parts of it that it calls, and no others.

#[allow(warnings, clippy::all, clippy::pedantic, clippy::restriction)]
mod bindings {
    wit_bindgen::generate!({
        path: "wit/deps/keyvalue",
        world: "wasi:keyvalue/imports",
        generate_all,
    });
}

pub(super) use self::bindings::wasi::keyvalue::{atomics, batch, store};
