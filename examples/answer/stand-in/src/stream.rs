//! An answer as a stream of server-sent events.

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, stream};
use serde_json::{Value as Json, json};
use tokio::time::sleep;

use crate::{Behaviour, StandIn};

/// An error that breaks the connection off.
#[derive(Debug)]
pub struct BreaksOff;

impl std::fmt::Display for BreaksOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the answer breaks off, as it was told to")
    }
}

impl std::error::Error for BreaksOff {}

/// An answer on its way. If it is dropped before its end, its client has left.
struct Answer {
    stand_in: StandIn,
    model: String,
    behaviour: Behaviour,
    tokens: std::vec::IntoIter<String>,
    sent: usize,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Text,
    Finish,
    Done,
    Ended,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.stand_in.end(&self.model, self.state == State::Ended);
    }
}

/// The events of an answer whose text is `text`.
pub fn events(
    stand_in: StandIn,
    model: String,
    behaviour: Behaviour,
    text: String,
) -> impl Stream<Item = Result<Bytes, BreaksOff>> {
    let tokens: Vec<_> = text.split_inclusive(' ').map(str::to_owned).collect();
    let answer = Answer { stand_in, model, behaviour, tokens: tokens.into_iter(), sent: 0, state: State::Text };
    stream::unfold(answer, |mut answer| async move {
        let event = answer.next().await?;
        Some((event, answer))
    })
}

impl Answer {
    async fn next(&mut self) -> Option<Result<Bytes, BreaksOff>> {
        match self.state {
            State::Text => {
                let Behaviour { first_token, between, break_after, .. } = self.behaviour;
                sleep(Duration::from_millis(if self.sent == 0 { first_token } else { between })).await;
                if break_after == Some(self.sent) {
                    self.state = State::Ended;
                    return Some(Err(BreaksOff));
                }
                self.sent += 1;
                let delta = match self.tokens.next() {
                    Some(token) => json!({ "content": token }),
                    None => json!({}),
                };
                if self.tokens.len() == 0 {
                    self.state = State::Finish;
                }
                Some(Ok(self.event(&delta, &Json::Null)))
            }
            State::Finish => {
                self.state = State::Done;
                Some(Ok(self.event(&json!({}), &json!("stop"))))
            }
            State::Done => {
                self.state = State::Ended;
                Some(Ok(Bytes::from_static(b"data: [DONE]\n\n")))
            }
            State::Ended => None,
        }
    }

    fn event(&self, delta: &Json, finish_reason: &Json) -> Bytes {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish_reason });
        let chunk = json!({ "object": "chat.completion.chunk", "model": self.model, "choices": [choice] });
        format!("data: {chunk}\n\n").into()
    }
}
