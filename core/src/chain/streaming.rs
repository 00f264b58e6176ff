//! The stream of a chain's answer, as Rust values.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use futures::Stream;
use serde::de::DeserializeOwned;

use super::answer::Streamed;
use super::handle::unreadable;
use crate::error::CallError;
use crate::value::rust;

/// The items of a stream as they are made: a [`Stream`] of `R`. An error is always the last item. A stream that ends
/// without one was written to its end. Dropping this ends the stream's producer.
#[must_use = "its producer waits until it is read"]
pub struct Streaming<R> {
    streamed: Streamed,
    /// Items that have come but were not read yet.
    here: VecDeque<Result<R, CallError>>,
    ended: bool,
    /// Called with the failure, if there is one, when the stream has ended.
    on_end: Option<OnEnd>,
}

/// A function that is called at the end of a stream, with its failure.
pub(crate) type OnEnd = Box<dyn FnOnce(Option<&CallError>) + Send>;

impl<R> Streaming<R> {
    pub(super) fn new(streamed: Streamed) -> Self {
        Streaming { streamed, here: VecDeque::new(), ended: false, on_end: None }
    }

    /// Calls `on_end` when the stream has ended. A stream that is dropped before drops `on_end`, too.
    pub(crate) fn on_end(mut self, on_end: OnEnd) -> Self {
        self.on_end = Some(on_end);
        self
    }

    fn has_ended(&mut self, failure: Option<&CallError>) {
        self.ended = true;
        if let Some(on_end) = self.on_end.take() {
            on_end(failure);
        }
    }

    /// Returns the members of the answer beside its stream, after they ended: the other member of a tuple, an array of
    /// several, or an object for a record; `()` if there are none. Reads the rest of the stream first, and drops it.
    ///
    /// # Errors
    /// The stream broke off, a future of a `result` yielded the chainlet's own error, or the members are not an `E`.
    pub async fn end<E: DeserializeOwned>(mut self) -> Result<E, CallError> {
        while !self.ended {
            match self.streamed.next().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    self.has_ended(Some(&error));
                    return Err(error);
                }
                None => self.has_ended(None),
            }
        }
        let text = self.streamed.end().await?.unwrap_or_else(|| b"null".to_vec());
        serde_json::from_slice(&text)
            .map_err(|error| unreadable::<E>(&self.streamed.chainlet, "the end of its answer", error))
    }
}

impl<R: DeserializeOwned + Unpin> Stream for Streaming<R> {
    type Item = Result<R, CallError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        while this.here.is_empty() && !this.ended {
            let streamed = &mut this.streamed;
            let next = pin!(streamed.next()).poll(cx);
            match ready!(next) {
                Some(Ok(batch)) => {
                    let values = (0..batch.len()).filter_map(|index| batch.get(&streamed.item, index));
                    this.here.extend(values.map(|value| {
                        rust::from_value(&streamed.item, &value)
                            .map_err(|error| unreadable::<R>(&streamed.chainlet, "an item of its answer", error))
                    }));
                }
                Some(Err(error)) => {
                    this.has_ended(Some(&error));
                    this.here.push_back(Err(error));
                }
                None => this.has_ended(None),
            }
        }
        Poll::Ready(this.here.pop_front())
    }
}
