//! Returns its argument, in one interface for each type.

wit_bindgen::generate!({ path: "../values.wit", world: "echo" });

use self::exports::bench::values::{bytes, embedding, floats, scores, texts, wide};

struct Echo;

macro_rules! give_back {
    ($($interface:ident: $value:ty,)*) => {$(
        impl $interface::Guest for Echo {
            async fn run_remote(value: $value) -> $value {
                value
            }
        }
    )*};
}

give_back! {
    bytes: Vec<u8>,
    floats: Vec<f32>,
    embedding: embedding::Embedding,
    scores: Vec<scores::Score>,
    wide: wide::Wide,
    texts: Vec<String>,
}

export!(Echo);
