//! Collects the streams and futures of a value: reads each to its end and puts the result in its place.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::future::{BoxFuture, try_join_all};
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};

use super::{Items, Stream, StreamError, one};
use crate::memory::Reservation;
use crate::value::{List, Type, Value};

/// Returns `value`, which is of type `ty`, with a list in the place of each stream and a value in the place of each
/// future. Adds the bytes that these hold to `reservation`.
///
/// All streams are read at once, because their writer may wait for any of them before it goes on with another.
///
/// # Errors
/// A stream broke off or was passed on already, or all together hold more than `limit` bytes, or more than the host has
/// room for.
pub(crate) async fn collect(
    ty: &Type,
    value: Value,
    limit: usize,
    reservation: &mut Reservation,
) -> Result<Value, StreamError> {
    let before = reservation.bytes();
    let nothing = reservation.budget().nothing();
    let held = Mutex::new(std::mem::replace(reservation, nothing));
    let room = Collector { limit, left: AtomicUsize::new(limit), held };
    let collected = room.collect(ty, value).await;
    let Collector { left, held, .. } = room;
    *reservation = held.into_inner().unwrap_or_else(PoisonError::into_inner);
    reservation.shrink_to(before + (limit - left.into_inner()));
    collected
}

/// The memory that a list takes while it grows, as a multiple of what it holds.
const GROWING: usize = 2;

struct Collector {
    limit: usize,
    left: AtomicUsize,
    held: Mutex<Reservation>,
}

impl Collector {
    fn collect<'a>(&'a self, ty: &'a Type, value: Value) -> BoxFuture<'a, Result<Value, StreamError>> {
        async move {
            Ok(match (ty, value) {
                (ty, value) if !ty.has_streams() => value,
                (Type::Stream(inner), Value::Stream(stream)) => Value::List(self.read(inner, &stream).await?),
                (Type::Future(inner), Value::Future(stream)) => {
                    let items = stream.take().ok_or(StreamError::Lost)?;
                    let value = one(inner, items).await?;
                    self.take(value.weight())?;
                    self.collect(inner, value).await?
                }
                (Type::List(inner), Value::List(List::Values(values))) => {
                    let values = values.into_iter().map(|value| self.collect(inner, value));
                    Value::List(List::Values(try_join_all(values).await?))
                }
                (Type::Map { value: inner, .. }, Value::Map(entries)) => {
                    let entries = entries
                        .into_iter()
                        .map(|(key, value)| async { Ok::<_, StreamError>((key, self.collect(inner, value).await?)) });
                    Value::Map(try_join_all(entries).await?)
                }
                (Type::Tuple(types), Value::Tuple(values)) => {
                    let values = types.iter().zip(values).map(|(ty, value)| self.collect(ty, value));
                    Value::Tuple(try_join_all(values).await?.into())
                }
                (Type::Record(declared), Value::Record(values)) => {
                    let types = declared.members.iter().filter_map(|member| member.ty.as_ref());
                    let values = types.zip(values).map(|(ty, value)| self.collect(ty, value));
                    Value::Record(try_join_all(values).await?.into())
                }
                (Type::Option(inner), Value::Option(Some(value))) => {
                    Value::Option(Some(Box::new(self.collect(inner, *value).await?)))
                }
                (Type::Result { ok: Some(ok), .. }, Value::Result(Ok(Some(value)))) => {
                    Value::Result(Ok(Some(Box::new(self.collect(ok, *value).await?))))
                }
                (Type::Result { err: Some(err), .. }, Value::Result(Err(Some(value)))) => {
                    Value::Result(Err(Some(Box::new(self.collect(err, *value).await?))))
                }
                (Type::Variant(declared), Value::Variant(case, Some(value))) => {
                    let member = usize::try_from(case).ok().and_then(|index| declared.members.get(index));
                    let value = match member.and_then(|member| member.ty.as_ref()) {
                        Some(ty) => self.collect(ty, *value).await?,
                        None => *value,
                    };
                    Value::Variant(case, Some(Box::new(value)))
                }
                (_, value) => value,
            })
        }
        .boxed()
    }

    async fn read(&self, inner: &Type, stream: &Stream) -> Result<List, StreamError> {
        let mut items = stream.take().ok_or(StreamError::Lost)?;
        if inner.has_streams() {
            return self.read_nested(inner, items).await;
        }
        // Joins the batches as they come, because many small batches take more memory than their items.
        let mut all: Option<List> = None;
        while let Some(batch) = items.next().await {
            let batch = batch?;
            self.take(batch.weight())?;
            match &mut all {
                None => all = Some(batch),
                Some(all) => {
                    all.append(batch);
                }
            }
        }
        Ok(all.or_else(|| List::of(inner, Vec::new())).unwrap_or_else(|| List::Values(Vec::new())))
    }

    /// Reads the streams among the items while more items come, because their writer may wait for any of them.
    async fn read_nested(&self, inner: &Type, mut items: Items) -> Result<List, StreamError> {
        let (mut reading, mut all, mut open) = (FuturesOrdered::new(), Vec::new(), true);
        while open || !reading.is_empty() {
            tokio::select! {
                batch = items.next(), if open => match batch.transpose()? {
                    Some(List::Values(values)) => {
                        self.take(values.iter().map(Value::weight).sum())?;
                        values.into_iter().for_each(|value| reading.push_back(self.collect(inner, value)));
                    }
                    Some(_) => {}
                    None => open = false,
                },
                Some(value) = reading.next(), if !reading.is_empty() => all.push(value?),
            }
        }
        Ok(List::Values(all))
    }

    fn take(&self, bytes: usize) -> Result<(), StreamError> {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes))
            .map_err(|_| StreamError::TooLarge { limit: self.limit })?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.grow(bytes.saturating_mul(GROWING)).map_err(|no_room| StreamError::NoRoom(no_room.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::stream;
    use proptest::prelude::*;

    use super::*;
    use crate::memory::MemoryBudget;
    use crate::value::json::arbitrary::{any_type, value_of};

    const ENOUGH: usize = 1 << 30;

    fn unlimited() -> Reservation {
        MemoryBudget::unlimited().nothing()
    }

    fn stream_of(ty: Type) -> Type {
        Type::Stream(Arc::new(ty))
    }

    proptest! {
        #[test]
        fn batches_are_joined_whatever_their_type_is((ty, one, other) in any_type().prop_flat_map(|ty| {
            let list = Type::List(Arc::new(ty.clone()));
            (Just(ty), value_of(&list), value_of(&list))
        })) {
            let (Value::List(one), Value::List(other)) = (one, other) else { panic!("lists are lists") };
            let elements = |list: &List| (0..list.len()).map(|index| list.get(&ty, index).unwrap()).collect::<Vec<_>>();
            let expected = List::of(&ty, [elements(&one), elements(&other)].concat()).unwrap();
            let value = Value::Stream(Stream::new(stream::iter([Ok(one), Ok(other)])));
            let joined = collect(&stream_of(ty), value, ENOUGH, &mut unlimited()).now_or_never().unwrap().unwrap();
            prop_assert_eq!(format!("{joined:?}"), format!("{:?}", Value::List(expected)));
        }
    }

    #[tokio::test]
    async fn streams_are_read_at_once_whatever_their_order() {
        // A writer that ends its first stream only after its second one was read.
        let (done, wait) = tokio::sync::oneshot::channel();
        let first = stream::once(async move {
            wait.await.unwrap();
            Ok(List::U32(vec![1]))
        });
        let second = stream::once(async move {
            done.send(()).unwrap();
            Ok(List::U32(vec![2]))
        });
        let ty = Type::Tuple([stream_of(Type::U32), Type::Future(Arc::new(Type::U32))].into());
        let value = Value::Tuple([Value::Stream(Stream::new(first)), Value::Future(Stream::new(second))].into());
        let collected = collect(&ty, value, ENOUGH, &mut unlimited()).await.unwrap();
        assert_eq!(collected, Value::Tuple([Value::List(List::U32(vec![1])), Value::U32(2)].into()));
    }

    #[tokio::test]
    async fn streams_of_streams_are_read_while_they_come() {
        // A writer that passes its next stream on only after the one before was read.
        let (done, wait) = tokio::sync::oneshot::channel();
        let inner = |item, then: Option<tokio::sync::oneshot::Sender<()>>| {
            Value::Stream(Stream::new(stream::once(async move {
                if let Some(then) = then {
                    then.send(()).unwrap();
                }
                Ok(List::U32(vec![item]))
            })))
        };
        let (first, second) = (inner(1, Some(done)), inner(2, None));
        let outer = stream::iter([Ok(List::Values(vec![first]))]).chain(stream::once(async move {
            wait.await.unwrap();
            Ok(List::Values(vec![second]))
        }));
        let ty = stream_of(stream_of(Type::U32));
        let collected = collect(&ty, Value::Stream(Stream::new(outer)), ENOUGH, &mut unlimited()).await.unwrap();
        let lists = [1, 2].map(|item| Value::List(List::U32(vec![item])));
        assert_eq!(collected, Value::List(List::Values(lists.to_vec())));
    }

    #[tokio::test]
    async fn streams_under_keys_are_read_in_their_places() {
        let ty = Type::Map { key: Type::String.into(), value: stream_of(Type::U8).into() };
        let bytes = |byte: u8| List::U8(vec![byte].into());
        let entries = [("b", 1), ("a", 2)];
        let streams = entries.map(|(key, byte)| {
            (key.into(), Value::Stream(Stream::new(stream::iter([Ok(bytes(byte)), Ok(bytes(byte))]))))
        });
        let collected = collect(&ty, Value::Map(streams.into()), ENOUGH, &mut unlimited()).await.unwrap();
        let lists = entries.map(|(key, byte)| (key.into(), Value::List(List::U8(vec![byte, byte].into()))));
        assert_eq!(collected, Value::Map(lists.into()));
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_or_is_too_large_is_no_value() {
        let broken = Stream::new(stream::iter([Ok(List::U8(vec![1].into())), Err(StreamError::Lost)]));
        let error = collect(&stream_of(Type::U8), Value::Stream(broken), ENOUGH, &mut unlimited()).await.unwrap_err();
        assert!(matches!(error, StreamError::Lost));
        let endless = Stream::new(stream::repeat_with(|| Ok(List::U8(vec![0; 1024].into()))));
        let error = collect(&stream_of(Type::U8), Value::Stream(endless), 10_000, &mut unlimited()).await.unwrap_err();
        assert!(matches!(error, StreamError::TooLarge { limit: 10_000 }));
    }
}
