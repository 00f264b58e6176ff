//! Sends a value that it makes itself back and forth, so that calls of the sender transfer almost nothing.

mod values;

wit_bindgen::generate!({ path: "../values.wit", world: "sender" });

use self::bench::values as echo;

struct Sender;

impl Guest for Sender {
    async fn run_remote(what: String, length: u32, times: u32) -> u64 {
        match what.as_str() {
            "bytes" => send(values::bytes(length), times, echo::bytes::run_remote, Vec::len).await,
            "floats" => send(values::floats(length), times, echo::floats::run_remote, Vec::len).await,
            "embedding" => {
                send(values::embedding(length), times, echo::embedding::run_remote, |value| value.values.len()).await
            }
            "scores" => send(values::scores(length), times, echo::scores::run_remote, Vec::len).await,
            "wide" => send(values::wide(length), times, echo::wide::run_remote, |value| value.unit9.len()).await,
            "texts" => send(values::texts(length), times, echo::texts::run_remote, Vec::len).await,
            _ => 0,
        }
    }
}

/// Sends each returned value again, so that the value is made only once.
async fn send<T>(mut value: T, times: u32, echo: impl AsyncFn(T) -> T, length: impl Fn(&T) -> usize) -> u64 {
    let mut came_back = 0;
    for _ in 0..times {
        value = echo(value).await;
        came_back += length(&value) as u64;
    }
    came_back
}

export!(Sender);
