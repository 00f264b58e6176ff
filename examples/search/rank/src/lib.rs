//! `rank`: looks closely at one passage.

use chainlet::{Result, chainlet, context};
use retrieval::rank;
use serde::Deserialize;

/// `[chainlets.rank.config]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    mark: String,
}

struct Ranker {
    settings: Settings,
}

#[chainlet]
impl Ranker {
    async fn init() -> Result<Self> {
        Ok(Self { settings: context::settings()? })
    }

    async fn run_remote(&self, question: String, passage: String) -> Ranking {
        let retrieval::Ranking { score, snippet } = rank(&question, &passage, &self.settings.mark);
        Ranking { score, snippet }
    }
}
