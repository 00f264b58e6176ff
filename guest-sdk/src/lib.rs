//! Write chainlets: sandboxed components with one typed function, served in
//! chains by `chainhost`.
//!
//! A chainlet is a WIT world that says what goes in and what comes out, a
//! struct that holds what every call needs, and one function. The macro
//! [`chainlet`](macro@chainlet) makes a component of them:
//!
//! ```
//! # mod greeter {
//! struct Greeter {
//!     greeting: String,
//! }
//!
//! #[chainlet::chainlet(inline = "
//!     package example:greetings;
//!
//!     world greeter {
//!         /// A greeting for each of the people, in their order.
//!         export run-remote: async func(names: list<string>) -> result<list<string>, string>;
//!     }
//! ")]
//! impl Greeter {
//!     /// Runs once, before the first call. Leave it out if there is nothing to do.
//!     async fn init() -> chainlet::Result<Self> {
//!         Ok(Greeter { greeting: chainlet::context::setting("greeting")? })
//!     }
//!
//!     /// Runs for each call, and for many at once.
//!     async fn run_remote(&self, names: Vec<String>) -> chainlet::Result<Vec<String>> {
//!         if names.is_empty() {
//!             return Err("there is no one to greet".into());
//!         }
//!         Ok(names.iter().map(|name| format!("{}, {name}!", self.greeting)).collect())
//!     }
//! }
//! # }
//! ```
//!
//! Usually the world stands in a file of its own, which the chainlets of a
//! chain share; see [Where the world is](#where-the-world-is).
//!
//! # A crate for a chainlet
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! chainlet = "0.1"
//! ```
//!
//! It is built with plain `cargo build --release --target wasm32-wasip2`
//! (`rustup target add wasm32-wasip2`, once). Nothing of the host's has to be
//! copied: the macro knows the host's WIT.
//!
//! # Calling other chainlets
//!
//! An import of an interface with a `run-remote` is a dependency. It appears as
//! a module of its name with a function `run_remote`, `async` where the WIT
//! says `async func`:
//!
//! ```
//! # mod hello_all {
//! #[derive(Default)]
//! struct HelloAll;
//!
//! #[chainlet::chainlet(inline = "
//!     package example:greetings;
//!
//!     world hello-all {
//!         import say-hello: interface {
//!             run-remote: async func(name: string) -> result<string, string>;
//!         }
//!         export run-remote: async func(names: list<string>) -> result<list<string>, string>;
//!     }
//! ")]
//! impl HelloAll {
//!     async fn run_remote(&self, names: Vec<String>) -> chainlet::Result<Vec<String>> {
//!         // All at once; the first error ends it.
//!         Ok(chainlet::try_join_all(names.into_iter().map(say_hello::run_remote)).await?)
//!     }
//! }
//! # }
//! ```
//!
//! Which chainlet answers is decided by chain.toml: by default, the one of the
//! dependency's name.
//!
//! A call can fail for reasons that the WIT does not mention: the dependency
//! has too much to do, traps, or takes too long. So `run_remote` returns a
//! `Result` in any case. Its error is a [`CallError`], which is such a
//! [`Failure`] or the error that the WIT declares, or a [`Failure`] where the WIT
//! declares none. With `?` either reaches the caller as what it was; with
//! `match`, a chainlet falls back on something else. [`OrFail`] is for a
//! `run_remote` whose own type has no place for it.
//!
//! One interface can be imported twice, as two dependencies:
//!
//! ```
//! # mod careful {
//! #[derive(Default)]
//! struct Careful;
//!
//! #[chainlet::chainlet(inline = "
//!     package example:careful;
//!
//!     interface model {
//!         record question { text: string, words: u32 }
//!         run-remote: async func(question: question) -> result<string, string>;
//!     }
//!
//!     world careful {
//!         import primary: model;
//!         import fallback: model;
//!         export run-remote: async func(text: string) -> result<string, string>;
//!     }
//! ")]
//! impl Careful {
//!     async fn run_remote(&self, text: String) -> chainlet::Result<String> {
//!         let question = primary::Question { text: text.clone(), words: 100 };
//!         if let Ok(answer) = primary::run_remote(question).await {
//!             return Ok(answer);
//!         }
//!         Ok(fallback::run_remote(fallback::Question { text, words: 20 }).await?)
//!     }
//! }
//! # }
//! ```
//!
//! # Errors
//!
//! Where `run-remote` returns `result<_, string>`, or a result with the host's
//! standard error, the function may return any error that can be displayed, and
//! [`Error`] is one into which all others turn with `?`. [`Context::context`]
//! says what was being done. Where the error is a type of the world, the
//! function returns that, or anything that turns into it: write
//! `impl From<chainlet::Error>` for it to use `?` on everything. A panic is not
//! an error but a trap, which ends the instance with all the calls in it.
//!
//! # The end of a call
//!
//! When nobody wants a call's answer any more, because the client has left or
//! the time is up, the future of `run_remote` is dropped at the `await` where it
//! stands. What it holds is free then, and the calls that it waits for are
//! cancelled in their chainlets in turn. A future that is dropped before, by a
//! `select` or a timeout, cancels its call in the same way. [`call`] is about
//! the running call.
//!
//! # State
//!
//! `init` makes the value that all calls share, once in each instance. It may
//! be `async` or not, return `Self` or a `Result`, and call dependencies. A
//! chainlet without `init` needs `Default`. Calls run on one thread, and
//! change places only where they `await`; so [`Cell`](std::cell::Cell) and
//! [`RefCell`](std::cell::RefCell) do for state that changes, but a `RefCell`
//! must not be borrowed across an `await`.
//!
//! A third function, `async fn is_healthy(&self) -> Result<(), …>`, may say
//! that the instance cannot serve now, and why. One that goes on saying so is
//! replaced.
//!
//! # Settings, secrets and the deployment
//!
//! See [`context`].
//!
//! # Keys and values
//!
//! [`keyvalue`] has stores that all replicas share: in the memory of the host, in
//! a file, or in Redis.
//!
//! # Maps
//!
//! `map<K, V>` is a [`BTreeMap`](std::collections::BTreeMap). Its keys are
//! strings, chars, bools or integers:
//!
//! ```
//! # mod count {
//! use std::collections::BTreeMap;
//!
//! #[derive(Default)]
//! struct Count;
//!
//! #[chainlet::chainlet(derives = [PartialEq], inline = "
//!     package example:words;
//!
//!     world count {
//!         record counted { words: map<string, u32>, longest: option<string> }
//!         export run-remote: async func(texts: map<u32, string>) -> counted;
//!     }
//! ")]
//! impl Count {
//!     async fn run_remote(&self, texts: BTreeMap<u32, String>) -> Counted {
//!         let mut words = BTreeMap::new();
//!         for word in texts.values().flat_map(|text| text.split_whitespace()) {
//!             *words.entry(word.to_owned()).or_default() += 1;
//!         }
//!         let longest = words.keys().max_by_key(|word| word.len()).cloned();
//!         Counted { words, longest }
//!     }
//! }
//! # }
//! ```
//!
//! # Streams
//!
//! `stream<T>` and `future<T>` may stand in parameters and results; see
//! [`stream`].
//!
//! # GPU
//!
//! See [`gpu`].
//!
//! # Names
//!
//! Beside the `impl` block the macro writes a module `wit`, and brings its
//! names into scope:
//!
//! - `wit::NAME` for each dependency, by its name in snake_case;
//! - `wit::TYPE` for each type in the signature of `run-remote`, and for those
//!   of the dependencies that have a name of their own; records are structs,
//!   variants and enums are enums, flags are a set of constants;
//! - `wit::stream`, `wit::future` and `wit::try_stream`, where the world has
//!   [streams](stream) or futures;
//! - `wit::bindings` for everything that the world imports and exports, such
//!   as `wit::bindings::chainlet::host::context`, as `wit-bindgen` lays
//!   it out. There is one `wit` to a crate, as there is one chainlet.
//!
//! # Where the world is
//!
//! Everything in the parentheses of the attribute may be left out.
//!
//! | argument | meaning | default |
//! |---|---|---|
//! | `world = "…"` | the name of the world | the name of the struct: `hello-all` for `HelloAll` |
//! | `path = "…"` | the folder or file with the WIT, relative to Cargo.toml | `wit`, or `../wit` if there is none |
//! | `inline = "…"` | the WIT itself, in place of `path` | |
//! | `derives = […]` | traits to derive for the world's types, besides `Clone` and `Debug` | none |
//!
//! # Mistakes
//!
//! A block that does not fit its world does not compile; the error is at what
//! does not fit. A wrong type is reported with the WIT's type and its line:
//!
//! ```text
//! error: `words` is `list<string>` (in Rust `Vec<String>`) in wit/chain.wit:4, and `String` here
//! ```
//!
//! ```compile_fail
//! # mod count {
//! #[derive(Default)]
//! struct Count;
//!
//! #[chainlet::chainlet(inline = "
//!     package example:mistakes;
//!     world count { export run-remote: async func(words: list<string>) -> u64; }
//! ")]
//! impl Count {
//!     // The world says `list<string>`, which is `Vec<String>`.
//!     async fn run_remote(&self, words: String) -> u64 { 0 }
//! }
//! # }
//! ```
//!
//! ```compile_fail
//! # mod count {
//! # #[derive(Default)]
//! # struct Count;
//! # #[chainlet::chainlet(inline = "
//! #     package example:mistakes;
//! #     world count { export run-remote: async func(words: list<string>) -> u64; }
//! # ")]
//! impl Count {
//!     // The world has no error to return.
//!     async fn run_remote(&self, words: Vec<String>) -> Result<u64, String> { Ok(0) }
//! }
//! # }
//! ```
//!
//! ```compile_fail
//! # mod count {
//! // Neither `init` nor `Default`.
//! struct Count(u64);
//! # #[chainlet::chainlet(inline = "
//! #     package example:mistakes;
//! #     world count { export run-remote: async func(words: list<string>) -> u64; }
//! # ")]
//! impl Count {
//!     async fn run_remote(&self, words: Vec<String>) -> u64 { self.0 }
//! }
//! # }
//! ```
//!
//! # Without this crate
//!
//! Nothing of this is needed: any component with a `run-remote` is a chainlet,
//! in any language. This crate adds the context, the state and the docs of the
//! WIT, which a component would lose; the [format](docs_section) in which it
//! keeps them is open to others.

/// Makes a component of an `impl` block and a WIT world. The [crate]
/// says how.
pub use chainlet_macros::chainlet;
pub use futures::future::{join, join_all, try_join, try_join_all};

#[doc(hidden)]
pub mod __private;
mod background;
pub mod call;
pub mod context;
mod error;
mod failure;
pub mod gpu;
pub mod http;
pub mod keyvalue;
pub mod log;
pub mod retry;
pub mod stream;
pub mod time;

#[cfg(doc)]
#[doc = include_str!("../DOCS-SECTION.md")]
pub mod docs_section {}

pub use background::spawn;
pub use error::{Context, Error, ErrorKind, Result};
pub use failure::{CallError, Edge, Failure, FailureKind, OrFail};
pub use stream::{FutureReader, StreamReader};

/// The host's interfaces, as every chainlet imports them. The linker leaves
/// out what a chainlet does not use. Outside a host nothing of it may be called.
#[allow(warnings, clippy::all, clippy::pedantic, clippy::restriction)]
mod host {
    wit_bindgen::generate!({
        path: "wit",
        world: "imports",
        generate_all,
        generate_unused_types: true,
    });
}
