//! Adds up what it is sent.

use chainlet::StreamReader;

#[derive(Default)]
struct Sum;

#[chainlet::chainlet]
impl Sum {
    async fn run_remote(&self, mut points: StreamReader<Point>, scale: f64) -> Result<Total, String> {
        let mut total = Total { count: 0, score: 0.0 };
        while let Some(point) = points.next().await {
            if point.id == 13 {
                return Err("13 brings bad luck".to_owned());
            }
            total.count += 1;
            total.score += f64::from(point.score) * scale;
        }
        Ok(total)
    }
}
