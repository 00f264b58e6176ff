//! What the client says: the parameters beside the stream, and its items.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{SinkExt, StreamExt, stream};
use serde::Deserialize;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout, timeout_at};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};

use super::metered::Meter;
use super::{FAREWELL, Farewell, Heard, SILENCE, Source};
use crate::chain;
use crate::chainlet::Chainlet;
use crate::chainlet::callee::Callee;
use crate::chainlet::params::{READ_AT_ONCE, Values};
use crate::deadline::Deadline;
use crate::error::{CallError, ErrorKind};
use crate::memory::{NoRoom, Reservation};
use crate::server::body::Limits;
use crate::value::json::{self, JsonError};
use crate::value::stream::StreamError;
use crate::value::ty::Member;
use crate::value::{List, Type};

/// How long a message that says nothing holds up the next one.
const PACE: Duration = Duration::from_millis(10);
/// The message that ends the client's stream: `{"$end": null}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    #[serde(rename = "$end")]
    _nothing: (),
}

/// Takes what a client says.
pub(super) struct Ear<'a> {
    pub chainlet: &'a Chainlet,
    pub item: &'a Type,
    /// The client has said that its stream has ended.
    pub ended: Arc<AtomicBool>,
    pub limits: &'a Limits,
    pub meter: &'a Meter,
    pub speaking: &'a AtomicBool,
}

impl Ear<'_> {
    /// The parameters beside the stream, which come first.
    pub(super) async fn others(
        &self,
        source: &mut Source,
        others: &[Member],
        deadline: &Deadline,
    ) -> Result<Values, Farewell> {
        if others.is_empty() {
            return Ok(Values::default());
        }
        let first = async {
            loop {
                match source.next().await {
                    Some(Ok(Message::Text(text))) if text.as_str().len() > self.limits.one() => {
                        return Err(Farewell::Failure(self.too_long()));
                    }
                    Some(Ok(Message::Text(text))) => return Ok(text),
                    Some(Ok(Message::Binary(_))) => {
                        let message = "the parameters come first, as an object in a text message";
                        return Err(Farewell::Failure(self.refuse(message)));
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => sleep(PACE).await,
                    other => return Err(self.farewell(source, other).await),
                }
            }
        };
        let late = |_| Farewell::Failure(deadline.missed_by_params(self.chainlet.name()));
        let text = timeout_at(deadline.at, first).await.map_err(late)??;
        self.meter.finished();
        let (others, limit, length) = (others.to_vec(), self.chainlet.value_limit(), text.as_str().len());
        let mut held = self.chainlet.memory().nothing();
        let read = move || {
            let list = json::params_reserving(&others, text.as_str().as_bytes(), limit, &mut held)?;
            Ok(Values { list, reservation: Some(held) })
        };
        let read = if length > READ_AT_ONCE { self.chainlet.offload().run(read).await } else { read() };
        read.map_err(|error| Farewell::Failure(self.refuse_json(error)))
    }

    /// Hands on what the client says, as the guest takes it. It returns when the client has left, or says what cannot be taken.
    pub(super) async fn listen(&self, source: &mut Source, heard: Heard) -> Farewell {
        let mut heard = Some(heard);
        loop {
            let message = match timeout(SILENCE, source.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(other) => return self.farewell(source, other).await,
                // It may be busy with what it is sent, which has a limit of its own.
                Err(_) if self.speaking.load(Ordering::Relaxed) => continue,
                Err(_) => return Farewell::Gone,
            };
            let length = match &message {
                Message::Text(text) => text.as_str().len(),
                Message::Binary(bytes) => bytes.len(),
                Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => 0,
            };
            self.meter.finished();
            if length > self.limits.one() {
                return Farewell::Failure(self.too_long());
            }
            // Before it is read, and until the guest has taken what it becomes.
            let held = match self.limits.all().reserve(length) {
                Ok(held) => held,
                Err(no_room) => return Farewell::Failure(self.no_room(&no_room)),
            };
            let batch = match message {
                Message::Close(_) => return self.farewell(source, None).await,
                // Each is answered, so that a client could have the server do nothing else.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {
                    sleep(PACE).await;
                    continue;
                }
                Message::Text(text) if is_end(&text) => {
                    self.ended.store(true, Ordering::SeqCst);
                    heard = None;
                    continue;
                }
                Message::Text(text) => self.item(text).await,
                Message::Binary(bytes) if *self.item == Type::U8 => Ok((List::U8(bytes), self.limits.all().nothing())),
                Message::Binary(_) => Err(self.refuse("items come as JSON, in text messages")),
            };
            // After the end, and when the guest takes no more, nothing is done with what is said.
            let Some(open) = &mut heard else {
                yield_now().await;
                continue;
            };
            let (batch, values) = match batch {
                Ok((batch, values)) => (Ok(batch), Some(values)),
                Err(error) => (Err(StreamError::Call(error)), None),
            };
            let is_last = batch.is_err();
            if open.send(batch).await.is_err() || is_last {
                heard = None;
            }
            drop((held, values));
        }
    }

    /// How a conversation ends in which the client says nothing more: it has closed its side, or broken off, or said too much.
    async fn farewell(&self, source: &mut Source, last: Option<Result<Message, tungstenite::Error>>) -> Farewell {
        if let Some(Err(error)) = last {
            return self.broken(&error);
        }
        // It is told that its farewell was heard when the next message is asked for.
        let _ = timeout(FAREWELL, source.next()).await;
        Farewell::Gone
    }

    /// How a conversation ends whose next message does not come for this reason (RFC 6455, 7.4.1).
    fn broken(&self, error: &tungstenite::Error) -> Farewell {
        match error {
            tungstenite::Error::Capacity(_) => Farewell::Failure(self.too_long()),
            tungstenite::Error::Utf8(_) => Farewell::Broken(CloseCode::Invalid, "a text message is UTF-8"),
            // It left without a word.
            tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Farewell::Gone,
            tungstenite::Error::Protocol(_) => Farewell::Broken(CloseCode::Protocol, "this breaks RFC 6455"),
            tungstenite::Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<NoRoom>()) {
                Some(no_room) => Farewell::Failure(self.no_room(no_room)),
                None => Farewell::Gone,
            },
            _ => Farewell::Gone,
        }
    }

    /// What comes after all that was heard: nothing where the client has ended its stream, an error where it has just left.
    pub(super) fn last(&self) -> impl futures::Stream<Item = Result<List, StreamError>> + Send + 'static {
        let (ended, chainlet) = (self.ended.clone(), self.chainlet.name().clone());
        stream::iter(std::iter::once_with(move || {
            let left = || CallError::new(ErrorKind::InvalidInput, &chainlet, "the client left in mid-stream");
            (!ended.load(Ordering::SeqCst)).then(|| Err(left().into()))
        }))
        .filter_map(std::future::ready)
    }

    /// The item in a message, and what it holds of the host's budget.
    async fn item(&self, text: Utf8Bytes) -> Result<(List, Reservation), CallError> {
        if *self.item == Type::U8 {
            return Err(self.refuse("bytes come in binary messages"));
        }
        let (item, limit, length) = (self.item.clone(), self.chainlet.value_limit(), text.as_str().len());
        let mut held = self.chainlet.memory().nothing();
        let read = move || {
            let value = json::value_reserving(&item, text.as_str().as_bytes(), limit, &mut held)?;
            Ok((List::of(&item, vec![value]), held))
        };
        let read = if length > READ_AT_ONCE { self.chainlet.offload().run(read).await } else { read() };
        let (list, held) = read.map_err(|error| self.refuse_json(error))?;
        Ok((list.ok_or_else(|| self.refuse("an item is not of its type"))?, held))
    }

    fn no_room(&self, no_room: &NoRoom) -> CallError {
        CallError::new(ErrorKind::Overloaded, self.chainlet.name(), no_room).limited_by(no_room.option)
    }

    fn too_long(&self) -> CallError {
        let limit = self.limits.one();
        let message = format_args!("a message is longer than this server's limit of {limit} bytes (--body-limit)");
        CallError::new(ErrorKind::TooLarge, self.chainlet.name(), message).limited_by("--body-limit")
    }

    fn refuse(&self, message: &str) -> CallError {
        CallError::new(ErrorKind::InvalidInput, self.chainlet.name(), message)
    }

    fn refuse_json(&self, error: JsonError) -> CallError {
        chain::invalid(self.chainlet, error)
    }
}

fn is_end(text: &str) -> bool {
    // Nearly no item can be the end, so few are read twice. A name may be escaped.
    let may_be = text.contains(['$', '\\']);
    may_be && serde_json::from_slice::<End>(json::without_mark(text.as_bytes())).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_stream_is_told_from_items() {
        for end in
            [r#"{"$end":null}"#, " {\n\t\"$end\" : null } \r\n", "\u{feff}{\"$end\": null}", r#"{"\u0024end":null}"#]
        {
            assert!(is_end(end), "{end}");
        }
        for item in [
            "",
            "null",
            "{}",
            r#"{"$end":1}"#,
            r#"{"end":null}"#,
            r#"" {\"$end\":null}""#,
            r#"{"$end ":null}"#,
            r#"{"$end":nu ll}"#,
            r#"{"$end":null,"id":1}"#,
            r#"["$end"]"#,
            "\u{a0}{\"$end\":null}",
        ] {
            assert!(!is_end(item), "{item}");
        }
    }
}
