//! The values as Rust types, which wasmtime knows when it is compiled.

wasmtime::component::bindgen!({ path: "guests/values.wit", world: "sender" });

pub use self::bench::values::embedding::Embedding;
pub use self::bench::values::scores::Score;
pub use self::bench::values::wide::Wide;
