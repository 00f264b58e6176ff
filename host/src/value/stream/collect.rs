//! A value with streams to one without: each is read to its end, and what it came to stands in its place.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;
use futures::future::{BoxFuture, try_join_all};
use futures::{FutureExt, StreamExt};

use super::{Stream, StreamError, one};
use crate::value::packed::Packed;
use crate::value::{List, Type, Value};

/// `value`, which is of type `ty`, with a list in the place of each stream and a value in that of each future.
///
/// All are read at once: their writer may wait for any of them before it goes on with another.
///
/// # Errors
/// One of them broke off, was passed on already, or they hold more than `limit` bytes together.
pub(crate) async fn collect(ty: &Type, value: Value, limit: usize) -> Result<Value, StreamError> {
    Room { limit, left: AtomicUsize::new(limit) }.collect(ty, value).await
}

struct Room {
    limit: usize,
    left: AtomicUsize,
}

impl Room {
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
        let mut batches = Vec::new();
        while let Some(batch) = items.next().await {
            let batch = batch?;
            self.take(batch.weight())?;
            batches.push(batch);
        }
        Ok(match joined(inner, batches) {
            List::Values(values) if inner.has_streams() => {
                List::Values(try_join_all(values.into_iter().map(|value| self.collect(inner, value))).await?)
            }
            list => list,
        })
    }

    fn take(&self, bytes: usize) -> Result<(), StreamError> {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes))
            .map(drop)
            .map_err(|_| StreamError::TooLarge { limit: self.limit })
    }
}

/// The items of all batches of a stream of `element`, in one list.
fn joined(element: &Type, mut batches: Vec<List>) -> List {
    if batches.len() == 1
        && let Some(only) = batches.pop()
    {
        return only;
    }
    let mut all = match List::of(element, Vec::new()) {
        Some(List::U8(_)) => {
            let mut bytes = BytesMut::new();
            for batch in &batches {
                if let List::U8(batch) = batch {
                    bytes.extend_from_slice(batch);
                }
            }
            return List::U8(bytes.freeze());
        }
        Some(List::Packed(empty)) => {
            let packed = batches.into_iter().filter_map(|batch| match batch {
                List::Packed(batch) => Some(batch),
                _ => None,
            });
            return List::Packed(Packed::concat(&empty, packed));
        }
        Some(empty) => empty,
        None => List::Values(Vec::new()),
    };
    for batch in batches {
        match (&mut all, batch) {
            (List::Bool(all), List::Bool(batch)) => all.extend(batch),
            (List::S8(all), List::S8(batch)) => all.extend(batch),
            (List::U16(all), List::U16(batch)) => all.extend(batch),
            (List::S16(all), List::S16(batch)) => all.extend(batch),
            (List::U32(all), List::U32(batch)) => all.extend(batch),
            (List::S32(all), List::S32(batch)) => all.extend(batch),
            (List::U64(all), List::U64(batch)) => all.extend(batch),
            (List::S64(all), List::S64(batch)) => all.extend(batch),
            (List::F32(all), List::F32(batch)) => all.extend(batch),
            (List::F64(all), List::F64(batch)) => all.extend(batch),
            (List::Char(all), List::Char(batch)) => all.extend(batch),
            (List::Values(all), List::Values(batch)) => all.extend(batch),
            // Which variant it is follows from the element's type, so that all are the same.
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::stream;
    use proptest::prelude::*;

    use super::*;
    use crate::value::json::arbitrary::{any_type, value_of};

    const ENOUGH: usize = 1 << 30;

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
            let joined = collect(&stream_of(ty), value, ENOUGH).now_or_never().unwrap().unwrap();
            prop_assert_eq!(format!("{joined:?}"), format!("{:?}", Value::List(expected)));
        }
    }

    #[tokio::test]
    async fn streams_are_read_at_once_whatever_their_order() {
        // A writer that ends its first stream only when its second one was read.
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
        let collected = collect(&ty, value, ENOUGH).await.unwrap();
        assert_eq!(collected, Value::Tuple([Value::List(List::U32(vec![1])), Value::U32(2)].into()));
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_or_is_too_large_is_no_value() {
        let broken = Stream::new(stream::iter([Ok(List::U8(vec![1].into())), Err(StreamError::Lost)]));
        let error = collect(&stream_of(Type::U8), Value::Stream(broken), ENOUGH).await.unwrap_err();
        assert!(matches!(error, StreamError::Lost));
        let endless = Stream::new(stream::repeat_with(|| Ok(List::U8(vec![0; 1024].into()))));
        let error = collect(&stream_of(Type::U8), Value::Stream(endless), 10_000).await.unwrap_err();
        assert!(matches!(error, StreamError::TooLarge { limit: 10_000 }));
    }
}
