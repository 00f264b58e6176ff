//! `answer`: answers questions over documents.

mod models;
mod retrievers;

use std::cell::RefCell;
use std::rc::Rc;

use answer_parts::{Cache, SYSTEM, Turn, Turns, normal, prompt};
use chainlet::{Error, FutureReader, Result, StreamReader, chainlet, context, join};
use futures::StreamExt;
use futures::channel::mpsc;
use models::Written;
use serde::Deserialize;

/// The most bytes that a question may have.
const LONGEST: usize = 1000;

/// `[chainlets.answer.config]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The number of passages that the model gets.
    sources: u32,
    /// The number of answers that are kept.
    cache: usize,
}

/// A complete answer.
struct Complete {
    sources: Vec<Source>,
    tokens: Vec<String>,
    usage: Usage,
}

struct Answer {
    settings: Settings,
    cache: RefCell<Cache<Rc<Complete>>>,
    turns: Turns,
}

/// The result of `run-remote`.
type Pieces = (StreamReader<Piece>, FutureReader<Result<Usage, wit::Error>>);

#[chainlet]
impl Answer {
    async fn init() -> Result<Self> {
        let settings: Settings = context::settings()?;
        let cache = RefCell::new(Cache::new(settings.cache));
        Ok(Self { settings, cache, turns: Turns::default() })
    }

    async fn run_remote(&'static self, question: String) -> Result<Pieces> {
        let question = question.trim();
        if question.is_empty() {
            return Err(Error::invalid("the question has no text"));
        }
        if question.len() > LONGEST {
            return Err(Error::invalid(format!("the question has more than {LONGEST} bytes")));
        }
        self.answer(question).await
    }
}

impl Answer {
    /// Answers from the cache, or asks the model. The model never gets the same question from two calls at once.
    async fn answer(&'static self, question: &str) -> Result<Pieces> {
        let key = normal(question);
        if let Some(complete) = self.cached(&key) {
            return Ok(replay(complete));
        }
        let turn = self.turns.take(&key).await;
        // The call before this one may have answered the question.
        if let Some(complete) = self.cached(&key) {
            return Ok(replay(complete));
        }
        let (found, without) = retrievers::gather(question, self.settings.sources).await?;
        let prompt = prompt(question, &found);
        let sources: Vec<_> = found
            .into_iter()
            .zip(1..)
            .map(|(found, number)| Source {
                number,
                document: found.passage.document,
                text: found.passage.text,
                found_by: found.by,
            })
            .collect();
        let written = models::ask(SYSTEM, &prompt).await?;
        Ok(self.show(turn, sources, without, written))
    }

    /// Streams an answer, and keeps it when it is complete.
    ///
    /// The text is read as fast as the model writes it. So a slow client holds up neither the model nor the calls that
    /// wait for this answer.
    fn show(&'static self, turn: Turn, sources: Vec<Source>, without: Vec<String>, written: Written) -> Pieces {
        wit::try_stream(async move |mut pieces| {
            let (sender, mut receiver) = mpsc::unbounded();
            let first = sources.clone();
            let read = async move {
                let Written { model, mut tokens, end } = written;
                let mut text = Vec::new();
                while let Some(token) = tokens.next().await {
                    text.push(token.clone());
                    // It fails if the client has left, which ends all of this.
                    let _ = sender.unbounded_send(token);
                }
                let usage = Usage { model: model.to_owned(), finish: end.await?, cached: false, without };
                let complete = Rc::new(Complete { sources, tokens: text, usage: usage.clone() });
                // An answer that lacks a retriever's passages is not kept: the next one may be better.
                if usage.without.is_empty() {
                    self.cache.borrow_mut().insert(turn.key(), complete);
                }
                drop(turn);
                Ok::<_, wit::Error>(usage)
            };
            let show = async move {
                for source in first {
                    if !pieces.send(Piece::Source(source)).await {
                        return;
                    }
                }
                while let Some(token) = receiver.next().await {
                    if !pieces.send(Piece::Text(token)).await {
                        return;
                    }
                }
            };
            // If the client leaves, both are dropped, which gives the turn to the next call.
            let (usage, ()) = join(read, show).await;
            usage
        })
    }

    fn cached(&self, key: &str) -> Option<Rc<Complete>> {
        self.cache.borrow().get(key).cloned()
    }
}

/// Streams an answer from the cache.
fn replay(complete: Rc<Complete>) -> Pieces {
    wit::try_stream(async move |mut pieces| {
        let sources = complete.sources.iter().cloned().map(Piece::Source);
        let text = complete.tokens.iter().cloned().map(Piece::Text);
        pieces.send_all(sources.chain(text).collect()).await;
        Ok(Usage { cached: true, ..complete.usage.clone() })
    })
}
