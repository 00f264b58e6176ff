//! Passes a stream of bytes on.

wit_bindgen::generate!({ path: "../streams.wit", world: "relay" });

use wit_bindgen::rt::async_support::{StreamReader, StreamResult, spawn_local};

use self::bench::streams::bytes;
use self::exports::bench::streams::{handed_on, read_and_written};

struct Relay;

impl read_and_written::Guest for Relay {
    async fn run_remote(count: u64, batch: u32) -> StreamReader<u8> {
        let mut source = bytes::run_remote(count, batch).await;
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            let mut buffer = Vec::with_capacity(batch as usize);
            loop {
                let (result, read) = source.read(buffer).await;
                buffer = writer.write_all(read).await;
                if !matches!(result, StreamResult::Complete(_)) || !buffer.is_empty() {
                    break;
                }
            }
        });
        reader
    }
}

impl handed_on::Guest for Relay {
    async fn run_remote(count: u64, batch: u32) -> StreamReader<u8> {
        bytes::run_remote(count, batch).await
    }
}

export!(Relay);
