//! Streams and futures as values: what is still to come of an answer, or of a parameter.
//!
//! Items come in batches, each a [`List`] of the stream's element type, so that a `stream<u8>` moves buffers and a
//! `stream<f32>` moves slices. A future is a stream of exactly one item. Nothing is read ahead: who does not poll the
//! [`Items`] holds up whoever writes them. Dropping them tells the writer that nobody reads any more.

pub(crate) mod collect;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{self, BoxStream, StreamExt};

use super::ty::Type;
use super::{List, Value};
use crate::error::CallError;

/// The batches of a stream. An error is the last that comes of it; a stream that just ends has been written to its end.
pub type Items = BoxStream<'static, Result<List, StreamError>>;

/// What is done to the items of all streams and futures in a value.
pub(crate) type Wrap = Arc<dyn Fn(Items, Shape) -> Items + Send + Sync>;

/// What a [`Stream`] is in WIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `stream<T>`
    Stream,
    /// `future<T>`
    Future,
}

/// Why a stream broke off.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StreamError {
    /// Whoever wrote it is gone.
    #[error("whoever wrote the stream is gone")]
    Lost,
    /// It holds more than whoever gathers it takes.
    #[error("the stream holds more than the {limit} bytes that its reader takes as one value")]
    TooLarge {
        /// How many bytes are taken.
        limit: usize,
    },
    /// The host has no room for what it holds, for the reason that this says.
    #[error("{0}")]
    NoRoom(String),
    /// The call that it belongs to failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// The readable end of a stream or a future. Clones are the same end: who first takes the items has them.
#[derive(Clone)]
pub struct Stream(Arc<Mutex<Option<Items>>>);

impl Stream {
    /// A stream of what `items` yields.
    pub fn new(items: impl futures::Stream<Item = Result<List, StreamError>> + Send + 'static) -> Self {
        Stream(Arc::new(Mutex::new(Some(Box::pin(items)))))
    }

    /// A stream of the items of `list`, which are there already.
    pub fn of(list: List) -> Self {
        Stream::new(stream::iter([Ok(list)]))
    }

    /// The items, for whoever is the first to ask.
    pub fn take(&self) -> Option<Items> {
        self.lock().take()
    }

    /// Has it yield `items` in place of its own.
    pub(super) fn replace(&self, items: Items) {
        *self.lock() = Some(items);
    }

    /// Whether the items were taken.
    pub(crate) fn is_taken(&self) -> bool {
        self.lock().is_none()
    }

    /// Takes the items, unless they were taken, and is a new end of them with `wrap` around them. What was cloned before is
    /// spent.
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

/// Two ends are equal where they are the same.
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

    /// Puts `wrap` around the items of every stream and future in the value; streams among those items are its own to wrap
    /// ([`List::wrap_streams`]). Clones of the value have none of them any more.
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
    /// Puts what `wrap` makes around the items of every stream and future in the list.
    pub(crate) fn wrap_streams(&mut self, wrap: impl FnOnce() -> Wrap) {
        if let List::Values(values) = self {
            let wrap = wrap();
            values.iter_mut().for_each(|value| value.wrap_streams(&wrap));
        }
    }
}

/// Reads one item: what a future comes to.
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
