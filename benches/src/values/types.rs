//! The values as types of Rust, which wasmtime moves as it knows them from when it is compiled.

wasmtime::component::bindgen!({ path: "guests/values.wit", world: "sender" });

pub use self::bench::values::embedding::Embedding;
pub use self::bench::values::scores::Score;
pub use self::bench::values::wide::Wide;
