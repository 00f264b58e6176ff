//! Write chainlets: sandboxed components with one typed function each. The program `chainhost` serves chains of them.
//!
//! A chainlet is a WIT world that declares its input and output, a struct that holds the state of all calls, and one
//! function. The macro [`chainlet`](macro@chainlet) makes a component of them:
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
//! Usually the world is in a file of its own, which the chainlets of a chain share; see [Where the world
//! is](#where-the-world-is).
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
//! Build it with plain `cargo build --release --target wasm32-wasip2`, after `rustup target add wasm32-wasip2`. You
//! need no copy of the host's WIT: the macro contains it.
//!
//! # Calling other chainlets
//!
//! An imported interface with a `run-remote` is a dependency. It appears as a module of the same name with a function
//! `run_remote`, which is `async` if the WIT says `async func`:
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
//!         // Calls for all names at once. The first error cancels the rest.
//!         Ok(chainlet::try_join_all(names.into_iter().map(say_hello::run_remote)).await?)
//!     }
//! }
//! # }
//! ```
//!
//! In chain.toml, the operator decides which chainlet answers. By default, it is the one that has the dependency's
//! name.
//!
//! A call can fail for reasons that the WIT does not mention: the dependency has too much to do, traps, or takes too
//! long. So `run_remote` always returns a `Result`. If the WIT declares an error, the error of the `Result` is a
//! [`CallError`]: either the declared error or such a [`Failure`]. If the WIT declares none, it is a [`Failure`]. `?`
//! passes either on to the caller unchanged. `match` lets a chainlet fall back on something else. Use [`OrFail`] if the
//! chainlet's own `run_remote` has no type for errors.
//!
//! A world can import one interface twice, as two dependencies:
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
//! If `run-remote` returns `result<_, string>`, or a result with the host's standard error, the function may return any
//! error that implements `Display`. `?` turns all of them into [`Error`], and [`Context::context`] adds what the
//! chainlet was doing. If the error is a type of the world, the function returns that type, or anything that turns into
//! it; implement `From<chainlet::Error>` for it to use `?` on all errors. A panic is not an error but a trap: it ends
//! the instance and all calls in it.
//!
//! # The end of a call
//!
//! A call is over when nobody wants its answer any more, because the client has left or the time is up. The macro then
//! drops the future of `run_remote` at its current `await`. This frees everything that the future holds, and cancels
//! the calls to other chainlets that it waits for. If a `select` or a timeout drops the future of such a call earlier,
//! this cancels the call as well. The module [`call`] tells about the running call.
//!
//! # State
//!
//! `init` runs once in each instance and makes the value that all calls share. It may be `async`, may return `Self` or
//! a `Result`, and may call dependencies. A chainlet without `init` needs `Default`. All calls of an instance run on
//! one thread, and one lets another run only at an `await`. So [`Cell`](std::cell::Cell) and
//! [`RefCell`](std::cell::RefCell) are enough for state that changes, but never hold a borrow of a `RefCell` across an
//! `await`.
//!
//! A third function, `async fn is_healthy(&self) -> Result<(), …>`, is optional. Its error says why the instance cannot
//! serve now. The host replaces an instance that returns errors several times in a row.
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
//! Parameters and results may contain `stream<T>` and `future<T>`; see [`stream`].
//!
//! # GPU
//!
//! See [`gpu`].
//!
//! # Names
//!
//! The macro writes a module `wit` beside the `impl` block, and brings its names into scope:
//!
//! - `wit::NAME` for each dependency, by its name in snake_case;
//! - `wit::TYPE` for each type in the signature of `run-remote`, and for each type of a dependency whose name is
//!   still free; records are structs, variants and enums are enums, flags are a set of constants;
//! - `wit::stream`, `wit::future` and `wit::try_stream`, if the world has [streams](stream) or futures;
//! - `wit::bindings` for everything that the world imports and exports, such as
//!   `wit::bindings::chainlet::host::context`, in the layout of `wit-bindgen`. A crate has one `wit`, because it has
//!   one chainlet.
//!
//! # Where the world is
//!
//! All arguments of the attribute are optional.
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
//! A block that does not match its world does not compile, and the error points at the part that does not match. For a
//! wrong type, the error names the type in the WIT and its line:
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
//! You can write a chainlet without this crate: any component with a `run-remote` is a chainlet, in any language. This
//! crate adds the context, the state, and the docs of the WIT, which other tools drop. Other tools may write the same
//! [format of docs](docs_section).

/// Makes a component of an `impl` block and a WIT world. The documentation of the [crate] shows its use.
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

/// The host's interfaces, as every chainlet imports them. The linker leaves out the functions that a chainlet does not
/// use. Code outside a host must not call any of them.
#[allow(warnings, clippy::all, clippy::pedantic, clippy::restriction)]
mod host {
    wit_bindgen::generate!({
        path: "wit",
        world: "imports",
        generate_all,
        generate_unused_types: true,
    });
}
