//! Adds up the items of its stream.

use std::cell::Cell;

use chainlet::StreamReader;

#[derive(Default)]
struct Sum {
    /// The number of streams that have come to their ends.
    ended: Cell<u32>,
}

#[chainlet::chainlet]
impl Sum {
    async fn run_remote(&self, mut points: StreamReader<Point>, scale: f64) -> Result<Total, String> {
        if scale < 0.0 {
            return Ok(Total { count: self.ended.get(), score: 0.0 });
        }
        let mut total = Total { count: 0, score: 0.0 };
        while let Some(point) = points.next().await {
            if point.id == 13 {
                return Err("13 brings bad luck".to_owned());
            }
            total.count += 1;
            total.score += f64::from(point.score) * scale;
        }
        self.ended.set(self.ended.get() + 1);
        Ok(total)
    }
}
