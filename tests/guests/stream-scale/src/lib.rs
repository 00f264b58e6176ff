//! Reads and writes streams of points at the same time.

use chainlet::{FutureReader, StreamReader};

#[derive(Default)]
struct Scale;

#[chainlet::chainlet]
impl Scale {
    async fn run_remote(
        &self,
        mut points: StreamReader<Point>,
        factor: f32,
    ) -> (StreamReader<Point>, FutureReader<Result<u32, String>>) {
        wit::try_stream(async move |mut scaled| {
            let mut count = 0;
            while let Some(Point { id, score }) = points.next().await {
                if id == 13 {
                    return Err("13 brings bad luck".to_owned());
                }
                count += 1;
                if !scaled.send(Point { id, score: score * factor }).await {
                    break;
                }
            }
            Ok(count)
        })
    }
}
