//! `search`: answers a question with passages of a book.

use chainlet::{OrFail, Result, chainlet, context, join_all};
use retrieval::{
    best,
    question::{LONGEST, MOST_PASSAGES, Question, Refusal},
};
use serde::Deserialize;

/// `[chainlets.search.config]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The number of passages from the index that are ranked.
    candidates: u32,
}

struct Search {
    settings: Settings,
}

#[chainlet]
impl Search {
    async fn init() -> Result<Self> {
        Ok(Self { settings: context::settings()? })
    }

    async fn run_remote(&self, question: String, limit: Option<u32>) -> Result<Answer, SearchError> {
        let question = Question::new(&question, limit)?;
        let Some(vector) = embed::run_remote(vec![question.text.clone()]).await.or_fail().await.pop() else {
            return Err(SearchError::Internal("embed made no vector".to_owned()));
        };
        let hits = index::run_remote(vector, self.settings.candidates).await.or_fail().await;
        let rankings = join_all(hits.iter().map(|hit| look(&question, hit))).await;

        let considered = hits.len() as u32;
        let hits = hits.into_iter().map(|hit| (hit.passage, hit.score)).collect();
        let passages = best(hits, rankings, question.passages).into_iter().map(show).collect();
        Ok(Answer { passages, considered })
    }
}

/// Has one passage ranked.
async fn look(question: &Question, hit: &Hit) -> retrieval::Ranking {
    let ranking = rank::run_remote(question.text.clone(), hit.passage.text.clone()).await.or_fail().await;
    retrieval::Ranking { score: ranking.score, snippet: ranking.snippet }
}

fn show(finding: retrieval::Finding<Passage>) -> Finding {
    let Passage { chapter, position, text } = finding.passage;
    Finding { chapter, position, text, snippet: finding.snippet, score: finding.score }
}

impl From<Refusal> for SearchError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Empty => Self::EmptyQuestion,
            Refusal::TooLong => Self::QuestionTooLong(LONGEST),
            Refusal::OnlyCommonWords => Self::OnlyCommonWords,
            Refusal::Limit => Self::LimitOutOfRange(MOST_PASSAGES),
        }
    }
}
