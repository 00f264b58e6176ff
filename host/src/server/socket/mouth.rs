//! Sends messages to the client: the answer of the guest, and a ping from time to time.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use chainhost_core::chain::answer::Streamed;
use chainhost_core::error::{CallError, ErrorKind};
use chainhost_core::memory::{MemoryBudget, Reserving};
use chainhost_core::value::format::WriteError;
use chainhost_core::value::json::{self, Elements};
use chainhost_core::value::{List, Type};
use futures::SinkExt;
use futures::stream::SplitSink;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::{Farewell, PING, WebSocket};
use crate::server::streaming::has_free_keys;

/// The text before an item that could be mistaken for another message.
const ITEM: &str = r#"{"$item":"#;

/// The writing half of a conversation.
pub(super) struct Mouth<'a> {
    pub sink: SplitSink<WebSocket, Message>,
    pub speaking: &'a AtomicBool,
    /// The memory budget of messages that are on their way.
    pub bodies: MemoryBudget,
}

impl Mouth<'_> {
    /// Sends a message. Returns false if nobody takes it.
    pub(super) async fn say(&mut self, message: Message) -> bool {
        self.speaking.store(true, Ordering::Relaxed);
        let said = self.sink.send(message).await;
        self.speaking.store(false, Ordering::Relaxed);
        said.is_ok()
    }

    /// Waits for `work`, and sends a ping from time to time meanwhile. Returns `None` if the client has left.
    pub(super) async fn wait_for<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            match timeout(PING, work.as_mut()).await {
                Ok(done) => return Some(done),
                Err(_) if self.say(Message::Ping(Bytes::new())).await => {}
                Err(_) => return None,
            }
        }
    }

    /// Sends the items of the answer, and returns how the conversation ends.
    pub(super) async fn speak(&mut self, mut streamed: Streamed) -> Farewell {
        let mut pinged = Instant::now();
        loop {
            let Some(next) = self.wait_for(streamed.next()).await else { return Farewell::Gone };
            match next {
                Some(Ok(batch)) => match self.batch(&streamed.item, &batch).await {
                    Ok(true) => {}
                    Ok(false) => return Farewell::Gone,
                    Err(error) => {
                        let new = |kind| CallError::new(kind, &streamed.chainlet, &error);
                        return Farewell::Failure(match &error {
                            WriteError::Mismatch(_) => new(ErrorKind::Internal),
                            WriteError::NoRoom(no_room) => new(ErrorKind::Overloaded).limited_by(no_room.option),
                        });
                    }
                },
                Some(Err(error)) => return Farewell::Failure(error),
                None => break,
            }
            // If the guest never pauses, `wait_for` never sends a ping. So this does.
            if pinged.elapsed() >= PING {
                pinged = Instant::now();
                if !self.say(Message::Ping(Bytes::new())).await {
                    return Farewell::Gone;
                }
            }
        }
        match self.wait_for(streamed.end()).await {
            Some(Ok(rest)) => Farewell::End(rest),
            Some(Err(error)) => Farewell::Failure(error),
            None => Farewell::Gone,
        }
    }

    /// Sends a batch. Returns false if nobody takes it.
    async fn batch(&mut self, item: &Type, batch: &List) -> Result<bool, WriteError> {
        if let List::U8(bytes) = batch {
            return Ok(self.say(Message::Binary(bytes.clone())).await);
        }
        let elements = Elements::of(item, batch);
        for index in 0..elements.count() {
            let mut held = self.bodies.nothing();
            let mut text = Reserving::new(&mut held);
            let (before, after) = if has_free_keys(item) { (ITEM, "}") } else { ("", "") };
            text.put(before.as_bytes());
            let written = json::write_element(&elements, index, &mut text);
            text.put(after.as_bytes());
            let text = text.finish()?;
            written?;
            let text = String::from_utf8(text).map_err(|_| json::MismatchError::new("text that is no UTF-8"))?;
            self.speaking.store(true, Ordering::Relaxed);
            if self.sink.feed(Message::text(text)).await.is_err() {
                return Ok(false);
            }
        }
        let flushed = self.sink.flush().await;
        self.speaking.store(false, Ordering::Relaxed);
        Ok(flushed.is_ok())
    }
}
