//! Reads the client's messages: the parameters beside the stream, and its items.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chainhost_core::chainlet::Chainlet;
use chainhost_core::chainlet::callee::Callee;
use chainhost_core::chainlet::params::{READ_AT_ONCE, Values, invalid};
use chainhost_core::deadline::Deadline;
use chainhost_core::error::{CallError, ErrorKind};
use chainhost_core::memory::{NoRoom, Reservation};
use chainhost_core::value::json::{self, JsonError};
use chainhost_core::value::stream::StreamError;
use chainhost_core::value::ty::Member;
use chainhost_core::value::{List, Type};
use futures::{SinkExt, StreamExt, stream};
use serde::Deserialize;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout, timeout_at};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};

use super::metered::MessageMeter;
use super::{ClientMessages, FAREWELL, Farewell, Heard, SILENCE};
use crate::server::body::Limits;

/// The pause after a message without content, such as a ping.
const PACE: Duration = Duration::from_millis(10);
/// The message that ends the client's stream: `{"$end": null}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    #[serde(rename = "$end")]
    _nothing: (),
}

/// The reading half of a conversation.
pub(super) struct Ear<'a> {
    pub chainlet: &'a Chainlet,
    pub item: &'a Type,
    /// True if the client has said that its stream has ended.
    pub ended: Arc<AtomicBool>,
    pub limits: &'a Limits,
    pub meter: &'a MessageMeter,
    pub speaking: &'a AtomicBool,
}

impl Ear<'_> {
    /// Reads the parameters beside the stream, which come first.
    pub(super) async fn others(
        &self,
        source: &mut ClientMessages,
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

    /// Passes the client's items on as the guest takes them. Returns when the client has left, or has sent a message
    /// that the server rejects. An item of a wrong type only fails the guest's stream.
    pub(super) async fn listen(&self, source: &mut ClientMessages, heard: Heard) -> Farewell {
        let mut heard = Some(heard);
        loop {
            let message = match timeout(SILENCE, source.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(other) => return self.farewell(source, other).await,
                // The client may be busy reading the answer, which has a time limit of its own.
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
            // The bytes are reserved before the message is parsed, and until the guest has taken the items in it.
            let held = match self.limits.all().reserve(length) {
                Ok(held) => held,
                Err(no_room) => return Farewell::Failure(self.no_room(&no_room)),
            };
            let batch = match message {
                Message::Close(_) => return self.farewell(source, None).await,
                // The server answers each ping. Without the pause, a client could keep it busy with nothing else.
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
            // After the end of the stream, or when the guest takes no more, messages are dropped.
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

    /// Returns how the conversation ends after the client's last message: the client has closed its side, has broken
    /// off, or has sent too much.
    async fn farewell(
        &self,
        source: &mut ClientMessages,
        last: Option<Result<Message, tungstenite::Error>>,
    ) -> Farewell {
        if let Some(Err(error)) = last {
            return self.broken(&error);
        }
        // The next poll of the socket answers the client's close frame.
        let _ = timeout(FAREWELL, source.next()).await;
        Farewell::Gone
    }

    /// Returns how the conversation ends if the next message fails with `error` (RFC 6455, 7.4.1).
    fn broken(&self, error: &tungstenite::Error) -> Farewell {
        match error {
            tungstenite::Error::Capacity(_) => Farewell::Failure(self.too_long()),
            tungstenite::Error::Utf8(_) => Farewell::Broken(CloseCode::Invalid, "a text message is UTF-8"),
            // The client left without a close frame.
            tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Farewell::Gone,
            tungstenite::Error::Protocol(_) => Farewell::Broken(CloseCode::Protocol, "this breaks RFC 6455"),
            tungstenite::Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<NoRoom>()) {
                Some(no_room) => Farewell::Failure(self.no_room(no_room)),
                None => Farewell::Gone,
            },
            _ => Farewell::Gone,
        }
    }

    /// Returns the end of the items: nothing if the client has ended its stream, and an error if it has just left.
    pub(super) fn last(&self) -> impl futures::Stream<Item = Result<List, StreamError>> + Send + 'static {
        let (ended, chainlet) = (self.ended.clone(), self.chainlet.name().clone());
        stream::iter(std::iter::once_with(move || {
            let left = || CallError::new(ErrorKind::InvalidInput, &chainlet, "the client left in mid-stream");
            (!ended.load(Ordering::SeqCst)).then(|| Err(left().into()))
        }))
        .filter_map(std::future::ready)
    }

    /// Reads the item in a message. Returns it with its reservation in the host's memory budget.
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
        invalid(self.chainlet, error)
    }
}

fn is_end(text: &str) -> bool {
    // Few items contain these characters, so few are parsed twice. A backslash counts, because the name may be escaped.
    let may_be = text.contains(['$', '\\']);
    may_be && serde_json::from_slice::<End>(json::without_mark(text.as_bytes())).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_stream_is_not_mistaken_for_an_item() {
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
