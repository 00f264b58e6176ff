//! `quote`: the price of some pieces of an article, from the catalogue of the program that runs the chain.

use wit::bindings::shop::catalogue::prices;

struct Quote;

#[chainlet::chainlet]
impl Quote {
    async fn init() -> chainlet::Result<Self> {
        Ok(Quote)
    }

    async fn run_remote(&self, article: String, count: u32) -> Result<String, String> {
        let price = prices::price(&article).ok_or_else(|| format!("there is no article named {article}"))?;
        let cents = price.saturating_mul(u64::from(count));
        Ok(format!("{count} x {article}: {}.{:02}", cents / 100, cents % 100))
    }
}
