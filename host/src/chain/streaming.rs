//! A stream that a chain answers with, as Rust values.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use serde::de::DeserializeOwned;

use super::answer::{End, Streamed, broken};
use crate::config::ChainletName;
use crate::error::{CallError, ErrorKind};
use crate::value::rust;
use crate::value::stream::Items;
use crate::value::{List, Type};

/// The items of a stream, as they are made: a [`Stream`] of `R`. An error is the last that comes; a stream that just ends has
/// been written to its end. Dropping it ends its producer.
#[must_use = "its producer waits until it is read"]
pub struct Streaming<R> {
    items: BoxStream<'static, Result<R, CallError>>,
    chainlet: ChainletName,
    end: End,
}

impl<R: DeserializeOwned + Send + 'static> Streaming<R> {
    pub(super) fn new(streamed: Streamed) -> Self {
        let Streamed { chainlet, item, items, end } = streamed;
        let (name, item) = (chainlet.clone(), Arc::new(item));
        Streaming { items: Box::pin(read(items, item, name)), chainlet, end }
    }

    /// What the answer has beside its stream, which is there when that has ended: the other member of a tuple, an array of
    /// several, an object of a record's; `()` where there is nothing.
    ///
    /// # Errors
    /// The chainlet's own error, where a future of a `result` came to one; or what stands beside the stream is no `E`.
    pub async fn end<E: DeserializeOwned>(self) -> Result<E, CallError> {
        let Streaming { items, chainlet, end } = self;
        drop(items);
        let text = end.json().await?.unwrap_or_else(|| b"null".to_vec());
        serde_json::from_slice(&text).map_err(|error| {
            CallError::new(ErrorKind::Internal, &chainlet, format_args!("the end of its answer does not fit: {error}"))
        })
    }
}

fn read<R: DeserializeOwned>(
    items: Items,
    item: Arc<Type>,
    chainlet: ChainletName,
) -> impl Stream<Item = Result<R, CallError>> {
    let batches = items.map(move |batch| match batch {
        Ok(batch) => stream::iter(elements(&batch, &item, &chainlet)),
        Err(error) => stream::iter(vec![Err(broken(&chainlet, error))]),
    });
    batches.flatten()
}

fn elements<R: DeserializeOwned>(batch: &List, item: &Type, chainlet: &ChainletName) -> Vec<Result<R, CallError>> {
    let elements = (0..batch.len()).filter_map(|index| batch.get(item, index));
    elements
        .map(|value| {
            rust::from_value(item, &value).map_err(|error| {
                CallError::new(ErrorKind::Internal, chainlet, format_args!("an item of its answer does not fit: {error}"))
            })
        })
        .collect()
}

impl<R> Stream for Streaming<R> {
    type Item = Result<R, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.items.poll_next_unpin(cx)
    }
}
