//! The stream of a chain's answer, as Rust values.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use futures::Stream;
use serde::de::DeserializeOwned;

use super::answer::Streamed;
use crate::error::{CallError, ErrorKind};
use crate::value::rust;

/// The items of a stream as they are made: a [`Stream`] of `R`. An error is always the last item. A stream that ends
/// without one was written to its end. Dropping this ends the stream's producer.
#[must_use = "its producer waits until it is read"]
pub struct Streaming<R> {
    streamed: Streamed,
    /// Items that have come but were not read yet.
    here: VecDeque<Result<R, CallError>>,
    ended: bool,
}

impl<R> Streaming<R> {
    pub(super) fn new(streamed: Streamed) -> Self {
        Streaming { streamed, here: VecDeque::new(), ended: false }
    }

    /// Returns the members of the answer beside its stream, after they ended: the other member of a tuple, an array of
    /// several, or an object for a record; `()` if there are none. Reads the rest of the stream first, and drops it.
    ///
    /// # Errors
    /// The stream broke off, a future of a `result` yielded the chainlet's own error, or the members are not an `E`.
    pub async fn end<E: DeserializeOwned>(mut self) -> Result<E, CallError> {
        while !self.ended {
            match self.streamed.next().await {
                Some(batch) => drop(batch?),
                None => self.ended = true,
            }
        }
        let text = self.streamed.end().await?.unwrap_or_else(|| b"null".to_vec());
        serde_json::from_slice(&text).map_err(|error| {
            let message = format_args!("the end of its answer does not fit: {error}");
            CallError::new(ErrorKind::Internal, &self.streamed.chainlet, message)
        })
    }
}

impl<R: DeserializeOwned + Unpin> Stream for Streaming<R> {
    type Item = Result<R, CallError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Streaming { streamed, here, ended } = self.get_mut();
        while here.is_empty() && !*ended {
            let next = pin!(streamed.next()).poll(cx);
            match ready!(next) {
                Some(Ok(batch)) => {
                    let values = (0..batch.len()).filter_map(|index| batch.get(&streamed.item, index));
                    here.extend(values.map(|value| {
                        rust::from_value(&streamed.item, &value).map_err(|error| {
                            let message = format_args!("an item of its answer does not fit: {error}");
                            CallError::new(ErrorKind::Internal, &streamed.chainlet, message)
                        })
                    }));
                }
                last => {
                    *ended = true;
                    here.extend(last.and_then(Result::err).map(Err));
                }
            }
        }
        Poll::Ready(here.pop_front())
    }
}
