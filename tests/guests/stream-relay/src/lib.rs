//! Passes a stream of tokens on.

use chainlet::{OrFail, StreamReader};

#[derive(Default)]
struct Relay;

#[chainlet::chainlet]
impl Relay {
    async fn run_remote(&self, plan: String, count: u32) -> StreamReader<String> {
        if let Some(plan) = plan.strip_prefix("hand:") {
            return next::run_remote(plan.to_owned(), count).await.or_fail().await;
        }
        let mut tokens = chainlet::stream::Items::new(next::run_remote(plan, count).await.or_fail().await);
        wit::stream(async move |mut capitals| {
            while let Some(token) = tokens.next().await {
                if !capitals.send(token.to_uppercase()).await {
                    break;
                }
            }
        })
    }
}
