//! Streams and futures as values: parts of a parameter or an answer whose items are still to come.
//!
//! Items come in batches, each a [`List`] of the stream's element type, so a `stream<u8>` moves buffers and a
//! `stream<f32>` moves slices. A future is a stream of exactly one item. Nothing is read ahead: while a reader does not
//! poll the [`Items`], their writer waits. Dropping them tells the writer that nobody reads any more.

pub(crate) mod collect;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{self, BoxStream, StreamExt};

use super::ty::Type;
use super::{List, Value};
use crate::error::CallError;

/// The batches of a stream. An error is always the last item. A stream that ends without one was written to its end.
pub type Items = BoxStream<'static, Result<List, StreamError>>;

/// A function that wraps the items of each stream and future in a value.
pub(crate) type Wrap = Arc<dyn Fn(Items, Shape) -> Items + Send + Sync>;

/// The WIT type of a [`Stream`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `stream<T>`
    Stream,
    /// `future<T>`
    Future,
}

/// The reason why a stream broke off.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StreamError {
    /// The writer of the stream is gone.
    #[error("whoever wrote the stream is gone")]
    Lost,
    /// The stream holds more than its reader takes as one value.
    #[error("the stream holds more than the {limit} bytes that its reader takes as one value")]
    TooLarge {
        /// The most bytes that the reader takes.
        limit: usize,
    },
    /// The host has no room for the items. The text says why.
    #[error("{0}")]
    NoRoom(String),
    /// The call to which the stream belongs failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// The readable end of a stream or a future. Clones are the same end: the first that takes the items gets them.
#[derive(Clone)]
pub struct Stream(Arc<Mutex<Option<Items>>>);

impl Stream {
    /// Makes a stream that yields `items`.
    pub fn new(items: impl futures::Stream<Item = Result<List, StreamError>> + Send + 'static) -> Self {
        Stream(Arc::new(Mutex::new(Some(Box::pin(items)))))
    }

    /// Makes a stream of the items of `list`, which are already there.
    pub fn of(list: List) -> Self {
        Stream::new(stream::iter([Ok(list)]))
    }

    /// Takes the items. Returns `None` if they were taken before.
    pub fn take(&self) -> Option<Items> {
        self.lock().take()
    }

    /// Replaces the stream's items by `items`.
    pub(super) fn replace(&self, items: Items) {
        *self.lock() = Some(items);
    }

    /// Returns true if the items were taken.
    pub(crate) fn is_taken(&self) -> bool {
        self.lock().is_none()
    }

    /// Takes the items, wraps them, and makes this a new end of them. Earlier clones are empty then. Does nothing if
    /// the items were taken before.
    fn wrap(&mut self, wrap: &Wrap, shape: Shape) {
        let Some(items) = self.take() else { return };
        *self = Stream(Arc::new(Mutex::new(Some(wrap(items, shape)))));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Items>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("taken", &self.is_taken()).finish_non_exhaustive()
    }
}

/// Two ends are equal if they are the same end.
impl PartialEq for Stream {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Value {
    /// Calls `each` with every stream and future in the value.
    pub(crate) fn for_each_stream(&self, each: &mut dyn FnMut(&Stream)) {
        match self {
            Value::Stream(stream) | Value::Future(stream) => each(stream),
            Value::List(List::Values(values)) => values.iter().for_each(|value| value.for_each_stream(each)),
            Value::Map(entries) => entries.iter().for_each(|(_, value)| value.for_each_stream(each)),
            Value::Record(values) | Value::Tuple(values) => {
                values.iter().for_each(|value| value.for_each_stream(each));
            }
            Value::Variant(_, Some(value)) | Value::Option(Some(value)) => value.for_each_stream(each),
            Value::Result(Ok(Some(value)) | Err(Some(value))) => value.for_each_stream(each),
            _ => {}
        }
    }

    /// Wraps the items of every stream and future in the value. `wrap` itself must wrap the streams among those items
    /// ([`List::wrap_streams`]). Clones of the value lose their streams.
    pub(crate) fn wrap_streams(&mut self, wrap: &Wrap) {
        match self {
            Value::Stream(stream) => stream.wrap(wrap, Shape::Stream),
            Value::Future(stream) => stream.wrap(wrap, Shape::Future),
            Value::List(List::Values(values)) => values.iter_mut().for_each(|value| value.wrap_streams(wrap)),
            Value::Map(entries) => entries.iter_mut().for_each(|(_, value)| value.wrap_streams(wrap)),
            Value::Record(values) | Value::Tuple(values) => {
                values.iter_mut().for_each(|value| value.wrap_streams(wrap));
            }
            Value::Variant(_, Some(value)) | Value::Option(Some(value)) => value.wrap_streams(wrap),
            Value::Result(Ok(Some(value)) | Err(Some(value))) => value.wrap_streams(wrap),
            _ => {}
        }
    }
}

impl List {
    /// Wraps the items of every stream and future in the list. Calls `wrap` only if the list can hold streams.
    pub(crate) fn wrap_streams(&mut self, wrap: impl FnOnce() -> Wrap) {
        if let List::Values(values) = self {
            let wrap = wrap();
            values.iter_mut().for_each(|value| value.wrap_streams(&wrap));
        }
    }
}

/// Reads the one item of a future.
///
/// # Errors
/// The stream broke off, or ended without an item.
pub(crate) async fn one(element: &Type, mut items: Items) -> Result<Value, StreamError> {
    while let Some(list) = items.next().await {
        if let Some(value) = list?.get(element, 0) {
            return Ok(value);
        }
    }
    Err(StreamError::Lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(items: &[u32]) -> List {
        List::U32(items.to_vec())
    }

    #[tokio::test]
    async fn whoever_is_first_takes_the_items_of_all_clones() {
        let stream = Stream::of(batch(&[1, 2]));
        let other = stream.clone();
        assert_eq!(stream, other);
        let items: Vec<_> = stream.take().unwrap().map(Result::unwrap).collect().await;
        assert_eq!(items, [batch(&[1, 2])]);
        assert!(other.is_taken() && other.take().is_none());
    }

    #[tokio::test]
    async fn a_future_is_its_first_item_and_lost_without_one() {
        let items = stream::iter([Ok(batch(&[])), Ok(batch(&[7]))]).boxed();
        assert_eq!(one(&Type::U32, items).await.unwrap(), Value::U32(7));
        assert!(matches!(one(&Type::U32, stream::empty().boxed()).await, Err(StreamError::Lost)));
    }

    #[test]
    fn streams_are_found_wherever_they_stand() {
        let stream = || Value::Stream(Stream::of(batch(&[])));
        let value = Value::Tuple(
            [
                Value::Option(Some(Box::new(stream()))),
                Value::Result(Err(Some(Box::new(Value::Future(Stream::of(batch(&[0]))))))),
                Value::List(List::Values(vec![stream(), stream()])),
                Value::Map(vec![(Value::U8(0), stream())]),
            ]
            .into(),
        );
        let mut found = 0;
        value.for_each_stream(&mut |_| found += 1);
        assert_eq!(found, 5);
    }
}
