//! Reads streams and adds up their items, so that calls of the reader transfer almost nothing.

#[path = "../../chunk.rs"]
mod chunk;

wit_bindgen::generate!({ path: "../streams.wit", world: "reader" });

use std::time::Instant;

use wit_bindgen::rt::async_support::{StreamReader, StreamResult};

use self::bench::streams::{bytes, number, numbers, text, texts};
use self::chunk::Chunks;

const TEXT: &str = "twenty characters...";

struct Reader;

/// The result so far.
struct Tally {
    start: Instant,
    items: u64,
    sum: u64,
    /// The nanoseconds until the first item.
    first: Option<u64>,
}

impl Guest for Reader {
    async fn run_remote(what: String, count: u64, batch: u32, room: u32) -> (u64, u64, u64) {
        let mut tally = Tally { start: Instant::now(), items: 0, sum: 0, first: None };
        match what.as_str() {
            "numbers" => {
                let stream = numbers::run_remote(count, batch).await;
                tally.read(stream, room, |sum, items| items.iter().fold(sum, |sum, item| sum + u64::from(*item))).await;
            }
            "texts" => {
                let stream = texts::run_remote(count, batch).await;
                tally
                    .read(stream, room, |sum, items| items.iter().fold(sum, |sum, item| sum + item.len() as u64))
                    .await;
            }
            "bytes" => {
                let stream = bytes::run_remote(count, batch).await;
                tally.read(stream, room, checked).await;
            }
            "made-bytes" => {
                let (mut chunks, mut buffer) = (Chunks::new(count, batch), Vec::new());
                while chunks.fill(&mut buffer) {
                    tally.add(&buffer, checked);
                }
            }
            "number" => {
                for value in 0..count {
                    let value = number::run_remote(value as u32).await;
                    tally.add(&[value], |sum, _| sum + u64::from(value));
                }
            }
            "text" => {
                for _ in 0..count {
                    let value = text::run_remote(TEXT.to_owned()).await;
                    tally.add(&[()], |sum, _| sum + value.len() as u64);
                }
            }
            _ => {}
        }
        (tally.items, tally.sum, tally.first.unwrap_or_default())
    }
}

impl Tally {
    async fn read<T>(&mut self, mut stream: StreamReader<T>, room: u32, sum: impl Fn(u64, &[T]) -> u64) {
        let mut buffer = Vec::with_capacity(room as usize);
        loop {
            let (result, read) = stream.read(buffer).await;
            self.add(&read, &sum);
            if !matches!(result, StreamResult::Complete(_)) {
                break;
            }
            buffer = read;
            buffer.clear();
        }
    }

    fn add<T>(&mut self, items: &[T], sum: impl Fn(u64, &[T]) -> u64) {
        if self.first.is_none() && !items.is_empty() {
            self.first = Some(self.start.elapsed().as_nanos() as u64);
        }
        self.items += items.len() as u64;
        self.sum = sum(self.sum, items);
    }
}

/// Returns a checksum of bytes that are read in parts of whole blocks of 32 bytes. It depends on their order. Only two
/// instructions of a block wait for the block before: a check that takes as long as the streams would hide their time.
fn checked(sum: u64, bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<32>();
    let sum = blocks.iter().fold(sum, |sum, block| {
        let words = block.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).zip([0, 16, 32, 48]);
        let block = words.fold(0_u64, |block, (word, by)| block.wrapping_add(word.rotate_left(by)));
        sum.rotate_left(1).wrapping_add(block)
    });
    // There is a rest only if something is wrong.
    rest.iter().fold(sum, |sum, byte| !sum.wrapping_add(u64::from(*byte)))
}

export!(Reader);
