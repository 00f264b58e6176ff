//! An answer as a stream of server-sent events.

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, stream};
use serde_json::{Value as Json, json};
use tokio::time::sleep;

use crate::state::End;
use crate::{Behaviour, StandIn};

/// The error that breaks off the connection.
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

enum State {
    Text,
    Finish,
    Done,
    Complete,
    Broken,
}

impl Drop for Answer {
    fn drop(&mut self) {
        let end = match self.state {
            State::Complete => End::Complete,
            State::Broken => End::Broken,
            State::Text | State::Finish | State::Done => End::Left,
        };
        self.stand_in.end(&self.model, end);
    }
}

/// Returns the events of an answer with this text.
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
                    self.state = State::Broken;
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
                self.state = State::Complete;
                Some(Ok(Bytes::from_static(b"data: [DONE]\n\n")))
            }
            State::Complete | State::Broken => None,
        }
    }

    fn event(&self, delta: &Json, finish_reason: &Json) -> Bytes {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish_reason });
        let chunk = json!({ "object": "chat.completion.chunk", "model": self.model, "choices": [choice] });
        format!("data: {chunk}\n\n").into()
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;
    use crate::Counts;

    const QUICK: Behaviour = Behaviour { first_token: 0, between: 0, refuse: false, break_after: None };

    fn stand_in() -> StandIn {
        StandIn::new("key", QUICK)
    }

    /// Returns the data of an event.
    fn data(event: Result<Bytes, BreaksOff>) -> Option<String> {
        let event = event.ok()?;
        let text = std::str::from_utf8(&event).unwrap();
        Some(text.strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap().to_owned())
    }

    #[tokio::test]
    async fn a_text_is_an_event_for_each_word_and_one_for_the_end() {
        let stand_in = stand_in();
        let events = events(stand_in.clone(), "large".to_owned(), QUICK, "Two words".to_owned());
        let mut data: Vec<_> = events.map(|event| data(event).unwrap()).collect().await;
        assert_eq!(data.pop().as_deref(), Some("[DONE]"));
        let chunks: Vec<Json> = data.iter().map(|data| serde_json::from_str(data).unwrap()).collect();
        let texts: Vec<_> = chunks.iter().map(|chunk| chunk.pointer("/choices/0/delta/content").cloned()).collect();
        assert_eq!(texts, [Some(json!("Two ")), Some(json!("words")), None]);
        assert_eq!(chunks.last().unwrap().pointer("/choices/0/finish_reason"), Some(&json!("stop")));
        assert_eq!(stand_in.counts("large"), Counts { complete: 1, ..Counts::default() });
    }

    #[tokio::test]
    async fn a_text_breaks_off_after_the_allowed_tokens() {
        let stand_in = stand_in();
        let behaviour = Behaviour { break_after: Some(1), ..QUICK };
        let events = events(stand_in.clone(), "large".to_owned(), behaviour, "Two words".to_owned());
        let seen: Vec<_> = events.map(|event| event.is_ok()).collect().await;
        assert_eq!(seen, [true, false]);
        assert_eq!(stand_in.counts("large"), Counts { broken: 1, ..Counts::default() });
    }

    #[tokio::test]
    async fn a_dropped_answer_counts_as_left() {
        let stand_in = stand_in();
        let mut events = Box::pin(events(stand_in.clone(), "large".to_owned(), QUICK, "Two words".to_owned()));
        events.next().await.unwrap().unwrap();
        drop(events);
        assert_eq!(stand_in.counts("large"), Counts { left: 1, ..Counts::default() });
    }
}
