//! A text on its way from the server.

use std::collections::VecDeque;

use answer_parts::Delta;
use chainlet::http::{Events, Response};
use chainlet::{Error, Result};

use crate::wit::Finish;

/// The most bytes that one event may have.
const LONGEST: usize = 64 * 1024;

/// A text that is read token by token. Dropping it closes its connection.
pub struct Completion {
    events: Events,
    /// The parts that have come and have not been read.
    deltas: VecDeque<Delta>,
    finish: Option<Finish>,
}

impl Completion {
    pub fn new(answer: Response) -> Self {
        Self { events: answer.limit(LONGEST).events(), deltas: VecDeque::new(), finish: None }
    }

    /// Returns the next token; `None` after the last. Fails if the server has not finished the text.
    pub async fn next(&mut self) -> Result<Option<String>> {
        loop {
            match self.deltas.pop_front() {
                Some(Delta::Text(text)) => return Ok(Some(text)),
                Some(Delta::Stop) => self.finish = Some(Finish::Stop),
                Some(Delta::Length) => self.finish = Some(Finish::Length),
                Some(Delta::Done) => return Ok(None),
                Some(Delta::Failed) => {
                    return Err(Error::upstream("the model's server failed in the middle of the text"));
                }
                Some(Delta::Nothing) => {}
                None => self.read().await?,
            }
        }
    }

    /// Returns the reason why the text has ended.
    pub fn finish(&self) -> Finish {
        self.finish.unwrap_or(Finish::Stop)
    }

    /// Reads another event of the answer.
    async fn read(&mut self) -> Result<()> {
        let broken = "the connection to the model's server broke off in the middle of the text";
        let event =
            self.events.next().await.map_err(|error| Error::upstream(format!("{broken}: {}", error.message())))?;
        match (event, self.finish) {
            (Some(event), _) => {
                let deltas = Delta::read(&event.data)
                    .map_err(|_| Error::upstream("the model's server sends events that it should not"))?;
                self.deltas.extend(deltas);
                Ok(())
            }
            // Some servers end without `[DONE]`, but none ends without a reason to finish.
            (None, Some(_)) => {
                self.deltas.push_back(Delta::Done);
                Ok(())
            }
            (None, None) => Err(Error::upstream(broken)),
        }
    }
}
