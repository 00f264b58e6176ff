//! Writes streams, in one interface for each type of item.

#[path = "../../chunk.rs"]
mod chunk;

wit_bindgen::generate!({ path: "../streams.wit", world: "source" });

use wit_bindgen::rt::async_support::{StreamReader, StreamWriter, spawn_local};

use self::chunk::Chunks;
use self::exports::bench::streams::{bytes, number, numbers, text, texts};

/// A string of the length of a token or a name.
const TEXT: &str = "twenty characters...";

struct Source;

impl numbers::Guest for Source {
    async fn run_remote(count: u64, batch: u32) -> StreamReader<u32> {
        let (writer, reader) = wit_stream::new();
        spawn_local(write(writer, count, batch, |number| number as u32));
        reader
    }
}

impl texts::Guest for Source {
    async fn run_remote(count: u64, batch: u32) -> StreamReader<String> {
        let (writer, reader) = wit_stream::new();
        spawn_local(write(writer, count, batch, |_| TEXT.to_owned()));
        reader
    }
}

impl bytes::Guest for Source {
    async fn run_remote(count: u64, batch: u32) -> StreamReader<u8> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            let mut buffer = Vec::new();
            let mut chunks = Chunks::new(count, batch);
            while chunks.fill(&mut buffer) {
                buffer = writer.write_all(buffer).await;
                if !buffer.is_empty() {
                    break;
                }
            }
        });
        reader
    }
}

impl number::Guest for Source {
    async fn run_remote(value: u32) -> u32 {
        value
    }
}

impl text::Guest for Source {
    async fn run_remote(value: String) -> String {
        value
    }
}

/// Writes the items from 0 to `count`, `batch` at a time, as long as somebody reads.
async fn write<T: 'static>(mut writer: StreamWriter<T>, count: u64, batch: u32, item: impl Fn(u64) -> T) {
    let mut next = 0;
    // A write returns its buffer, which is used again.
    let mut items = Vec::new();
    while next < count {
        let end = count.min(next + u64::from(batch));
        items.extend((next..end).map(&item));
        items = writer.write_all(items).await;
        if !items.is_empty() {
            break;
        }
        next = end;
    }
}

export!(Source);
