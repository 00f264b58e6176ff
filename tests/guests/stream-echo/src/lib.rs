//! Returns the bytes of its stream as they come.

use chainlet::StreamReader;

/// The most bytes that are read at once.
const CHUNK: usize = 256 * 1024;

#[derive(Default)]
struct Echo;

#[chainlet::chainlet]
impl Echo {
    async fn run_remote(&self, mut data: StreamReader<u8>) -> StreamReader<u8> {
        wit::stream(async move |mut back| {
            let mut buffer = Vec::with_capacity(CHUNK);
            loop {
                let (_, read) = data.read(buffer).await;
                if read.is_empty() || !back.send_all(read).await {
                    break;
                }
                buffer = Vec::with_capacity(CHUNK);
            }
        })
    }
}
