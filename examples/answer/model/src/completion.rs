//! A text on its way from the server.

use std::collections::VecDeque;

use answer_parts::{Delta, Events};
use chainlet::Result;

use crate::http::Answer;
use crate::wit::{Error, ErrorKind, Finish};

/// A text that is read token by token.
pub struct Completion {
    answer: Answer,
    events: Events,
    /// What has come and has not been read.
    deltas: VecDeque<Delta>,
    finish: Option<Finish>,
}

impl Completion {
    pub fn new(answer: Answer) -> Self {
        Self { answer, events: Events::default(), deltas: VecDeque::new(), finish: None }
    }

    /// The next token; `None` after the last. A text that the server has not finished is an error.
    pub async fn next(&mut self) -> Result<Option<String>, Error> {
        loop {
            match self.deltas.pop_front() {
                Some(Delta::Text(text)) => return Ok(Some(text)),
                Some(Delta::Stop) => self.finish = Some(Finish::Stop),
                Some(Delta::Length) => self.finish = Some(Finish::Length),
                Some(Delta::Done) => return Ok(None),
                Some(Delta::Failed) => return Err(broken("the model's server failed in the middle of the text")),
                Some(Delta::Nothing) => {}
                None => self.read().await?,
            }
        }
    }

    /// Why the text has ended.
    pub fn finish(&self) -> Finish {
        self.finish.unwrap_or(Finish::Stop)
    }

    /// Reads more of the answer.
    async fn read(&mut self) -> Result<(), Error> {
        let bytes = self.answer.read().await;
        if bytes.is_empty() {
            // Some servers end without `[DONE]`, but none ends without a reason to finish.
            return match self.finish {
                Some(_) => {
                    self.deltas.push_back(Delta::Done);
                    Ok(())
                }
                None => Err(broken("the connection to the model's server broke off in the middle of the text")),
            };
        }
        let events =
            self.events.read(&bytes).map_err(|_| broken("the model's server sends events that are too long"))?;
        for data in events {
            let deltas = Delta::read(&data);
            self.deltas.extend(deltas.map_err(|_| broken("the model's server sends events that it should not"))?);
        }
        Ok(())
    }
}

fn broken(message: &str) -> Error {
    Error { kind: ErrorKind::Upstream, message: message.to_owned(), details: None, repeatable: false }
}
