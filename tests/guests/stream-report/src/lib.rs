//! Returns a stream with a result at its end.

use chainlet::{FutureReader, StreamReader};

#[derive(Default)]
struct Report;

#[chainlet::chainlet]
impl Report {
    async fn run_remote(
        &self,
        count: u32,
        fail: Option<String>,
    ) -> Result<(StreamReader<Row>, FutureReader<Result<u32, String>>), String> {
        if count == 0 {
            return Err("a report has rows".to_owned());
        }
        Ok(wit::try_stream(async move |mut rows| {
            for number in 0..count {
                let name = (number % 2 == 0).then(|| format!("row {number}"));
                rows.send(Row { number, square: f64::from(number).powi(2), name }).await;
            }
            drop(rows);
            match fail {
                Some(error) => Err(error),
                None => Ok(count),
            }
        }))
    }
}
