//! Greets many people at once, by asking `say-hello` about each.

use chainlet::try_join_all;

#[derive(Default)]
struct HelloAll;

#[chainlet::chainlet]
impl HelloAll {
    async fn run_remote(&self, names: Vec<String>) -> chainlet::Result<Vec<String>> {
        Ok(try_join_all(names.into_iter().map(say_hello::run_remote)).await?)
    }
}
