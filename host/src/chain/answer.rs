//! What came of a call, where it may hold streams: as one value, or item by item as they are made.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::try_join_all;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::chainlet::Chainlet;
use crate::config::ChainletName;
use crate::error::{CallError, ErrorKind};
use crate::value::format::Format;
use crate::value::json::{self, Typed};
use crate::value::stream::collect::collect;
use crate::value::stream::{Items, StreamError};
use crate::value::ty::Name;
use crate::value::{Type, Value};

/// The answer of a chainlet: the `T` of its result.
pub(crate) struct Answer {
    pub chainlet: ChainletName,
    /// None where the function returns nothing.
    pub value: Option<(Arc<Type>, Value)>,
    /// How many bytes its streams may hold where they are gathered.
    pub limit: usize,
}

/// An answer with one stream, item by item.
pub(crate) struct Streamed {
    pub chainlet: ChainletName,
    pub item: Type,
    pub items: Items,
    pub end: End,
}

/// What an answer has beside its stream. It is there when the stream has ended.
pub(crate) struct End {
    chainlet: ChainletName,
    members: Vec<(Option<Name>, Type, Value)>,
    limit: usize,
}

/// The place of the one stream of a type that is served as it is made: the whole value, or a member of a tuple or record at
/// its top. `None` where there is no stream, or it stands elsewhere, or there are several.
pub(crate) fn stream_of(ty: &Type) -> Option<(Option<usize>, &Type)> {
    if let Type::Stream(item) = ty {
        return (!item.has_streams()).then_some((None, &**item));
    }
    let members: Vec<&Type> = match ty {
        Type::Tuple(types) => types.iter().collect(),
        Type::Record(declared) => declared.members.iter().filter_map(|member| member.ty.as_ref()).collect(),
        _ => return None,
    };
    let mut found = None;
    for (index, member) in members.into_iter().enumerate() {
        match member {
            Type::Stream(item) if found.is_none() && !item.has_streams() => found = Some((Some(index), &**item)),
            Type::Future(value) if !value.has_streams() => {}
            other if other.has_streams() => return None,
            _ => {}
        }
    }
    found
}

impl Answer {
    pub(super) fn new(chainlet: &Chainlet, value: Option<(Arc<Type>, Value)>) -> Self {
        Answer { chainlet: chainlet.name().clone(), value, limit: chainlet.value_limit() }
    }

    /// The answer in `format`, which its type has, with what its streams come to in their places.
    ///
    /// # Errors
    /// A stream broke off, or they hold too much.
    pub(crate) async fn written(self, format: Format) -> Result<Bytes, CallError> {
        let chainlet = self.chainlet.clone();
        let (ty, value) = self.whole().await?.unzip();
        format.write(ty.as_deref(), value).map_err(|error| CallError::new(ErrorKind::Internal, &chainlet, error))
    }

    /// The answer with what its streams come to in their places.
    ///
    /// # Errors
    /// A stream broke off, or they hold too much.
    pub(crate) async fn whole(self) -> Result<Option<(Arc<Type>, Value)>, CallError> {
        let Answer { chainlet, value, limit } = self;
        match value {
            Some((ty, value)) if ty.has_streams() => {
                let value = collect(&ty, value, limit).await.map_err(|error| broken(&chainlet, error))?;
                Ok(Some((ty, value)))
            }
            value => Ok(value),
        }
    }

    /// The answer item by item, or as it is where its type [does not ask for it](stream_of).
    pub(crate) fn streamed(self) -> Result<Streamed, Answer> {
        let Some((ty, value)) = &self.value else { return Err(self) };
        let Some((place, item)) = stream_of(ty) else { return Err(self) };
        let item = item.clone();
        let stream = match (place, value) {
            (None, Value::Stream(stream)) => stream.take(),
            (Some(index), Value::Tuple(values) | Value::Record(values)) => match values.get(index) {
                Some(Value::Stream(stream)) => stream.take(),
                _ => None,
            },
            _ => None,
        };
        let Some(items) = stream else { return Err(self) };
        let Answer { chainlet, value, limit } = self;
        let mut members = match value.as_ref().map(|(ty, value)| (&**ty, value)) {
            Some((Type::Tuple(types), Value::Tuple(values))) => {
                types.iter().zip(values).map(|(ty, value)| (None, ty.clone(), value.clone())).collect()
            }
            Some((Type::Record(declared), Value::Record(values))) => declared
                .members
                .iter()
                .zip(values)
                .filter_map(|(member, value)| Some((Some(member.name.clone()), member.ty.clone()?, value.clone())))
                .collect(),
            _ => Vec::new(),
        };
        if let Some(index) = place.filter(|index| *index < members.len()) {
            members.remove(index);
        }
        let end = End { chainlet: chainlet.clone(), members, limit };
        Ok(Streamed { chainlet, item, items, end })
    }
}

impl End {
    /// What the rest of the answer comes to, as JSON: an object of a record's other members, an array of a tuple's, or the
    /// member itself where a tuple has only one; `None` where there is nothing to say. It is awaited when the stream has
    /// ended.
    ///
    /// # Errors
    /// A future among them broke off, or came to an `err`: that is the answer's own error.
    pub(crate) async fn json(self) -> Result<Option<Vec<u8>>, CallError> {
        let End { chainlet, members, limit } = self;
        let members = try_join_all(members.into_iter().map(async |(name, ty, value)| {
            let value = collect(&ty, value, limit).await.map_err(|error| broken(&chainlet, error))?;
            Ok::<_, CallError>((name, ty, value))
        }))
        .await?;
        let mut rest = Vec::new();
        for (name, ty, value) in members {
            match (ty, value) {
                (Type::Future(inner), Value::Result(outcome)) => {
                    let Type::Result { ok, err } = &*inner else { return Err(mismatch(&chainlet)) };
                    match (outcome, ok) {
                        (Ok(Some(value)), Some(ok)) => rest.push((name, ok.clone(), *value)),
                        (Ok(_), _) => {}
                        (Err(value), _) => return Err(own_error(&chainlet, err.as_deref(), value.as_deref())),
                    }
                }
                (ty, value) => rest.push((name, Arc::new(ty), value)),
            }
        }
        if rest.is_empty() {
            return Ok(None);
        }
        serde_json::to_vec(&Rest(&rest)).map(Some).map_err(|_| mismatch(&chainlet))
    }
}

/// The chainlet's own error `value`, of type `ty`, as the failure of its call.
pub(crate) fn own_error(chainlet: &ChainletName, ty: Option<&Type>, value: Option<&Value>) -> CallError {
    let mut text = Vec::new();
    match (ty, value) {
        (Some(ty), Some(value)) => {
            if json::write(ty, value, &mut text).is_err() {
                return mismatch(chainlet);
            }
        }
        _ => text.extend_from_slice(b"null"),
    }
    let failure = CallError::new(ErrorKind::Chainlet, chainlet, "the chainlet answered with its error");
    match String::from_utf8(text).ok().and_then(|text| serde_json::value::RawValue::from_string(text).ok()) {
        Some(error) => failure.with_guest_error(error),
        None => failure,
    }
}

/// Why a stream of an answer of `chainlet` broke off.
pub(crate) fn broken(chainlet: &ChainletName, error: StreamError) -> CallError {
    match error {
        StreamError::Call(error) => error,
        other => CallError::new(ErrorKind::Internal, chainlet, format_args!("its answer cannot be read: {other}")),
    }
}

fn mismatch(chainlet: &ChainletName) -> CallError {
    CallError::new(ErrorKind::Internal, chainlet, "an answer is not of its type, which is a bug of chainhost")
}

struct Rest<'a>(&'a [(Option<Name>, Arc<Type>, Value)]);

impl Serialize for Rest<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [(None, ty, value)] => Typed { ty, value }.serialize(serializer),
            [(None, ..), ..] => {
                let mut array = serializer.serialize_seq(Some(self.0.len()))?;
                for (_, ty, value) in self.0 {
                    array.serialize_element(&Typed { ty, value })?;
                }
                array.end()
            }
            members => {
                let mut object = serializer.serialize_map(Some(members.len()))?;
                for (name, ty, value) in members {
                    object.serialize_entry(name.as_ref().map_or("", Name::snake), &Typed { ty, value })?;
                }
                object.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;
    use crate::value::json::arbitrary::member;
    use crate::value::ty::Declared;
    use crate::value::{List, stream::Stream};

    fn stream(item: Type) -> Type {
        Type::Stream(Arc::new(item))
    }

    fn outcome() -> Type {
        let result = Type::Result { ok: Some(Arc::new(Type::U32)), err: Some(Arc::new(Type::String)) };
        Type::Future(Arc::new(result))
    }

    fn record(members: impl IntoIterator<Item = (&'static str, Type)>) -> Type {
        let members = members.into_iter().map(|(name, ty)| member(name, Some(ty))).collect();
        Type::Record(Arc::new(Declared { name: None, docs: None, members }))
    }

    fn answer(ty: Type, value: Value) -> Answer {
        Answer { chainlet: "a".parse().unwrap(), value: Some((Arc::new(ty), value)), limit: 1 << 20 }
    }

    fn items() -> Value {
        Value::Stream(Stream::of(List::U32(vec![1, 2])))
    }

    fn future(result: Result<u32, &str>) -> Value {
        let boxed = |value| Some(Box::new(value));
        let result = result.map(|number| boxed(Value::U32(number))).map_err(|text| boxed(Value::from(text)));
        Value::Future(Stream::of(List::Values(vec![Value::Result(result)])))
    }

    /// The items, and the end.
    fn read(answer: Answer) -> (Vec<List>, Result<String, CallError>) {
        let Ok(Streamed { items, end, .. }) = answer.streamed() else { panic!("the answer is no stream") };
        let items = items.map(Result::unwrap).collect().now_or_never().unwrap();
        let end = end.json().now_or_never().unwrap();
        (items, end.map(|end| end.map_or(String::new(), |end| String::from_utf8(end).unwrap())))
    }

    #[test]
    fn one_stream_at_the_top_is_served_as_it_is_made() {
        assert_eq!(stream_of(&stream(Type::U32)), Some((None, &Type::U32)));
        assert_eq!(stream_of(&Type::Tuple([outcome(), stream(Type::U8)].into())), Some((Some(1), &Type::U8)));
        assert_eq!(
            stream_of(&record([("model", Type::String), ("tokens", stream(Type::String))])),
            Some((Some(1), &Type::String))
        );
        for ty in [
            Type::U32,
            Type::Option(Arc::new(stream(Type::U32))),
            Type::Tuple([stream(Type::U8), stream(Type::U8)].into()),
            Type::Tuple([stream(Type::U8), Type::List(Arc::new(stream(Type::U8)))].into()),
            stream(stream(Type::U8)),
            record([("a", Type::U8)]),
        ] {
            assert_eq!(stream_of(&ty), None, "{ty}");
        }
    }

    #[test]
    fn what_stands_beside_the_stream_comes_at_its_end() {
        let batch = vec![List::U32(vec![1, 2])];
        assert_eq!(read(answer(stream(Type::U32), items())).1.unwrap(), "");
        let pair = || Type::Tuple([stream(Type::U32), outcome()].into());
        let (items_read, end) = read(answer(pair(), Value::Tuple([items(), future(Ok(7))].into())));
        assert_eq!((items_read, end.unwrap()), (batch, "7".to_owned()));
        let three = Type::Tuple([Type::Bool, stream(Type::U32), outcome()].into());
        let value = Value::Tuple([Value::Bool(true), items(), future(Ok(7))].into());
        assert_eq!(read(answer(three, value)).1.unwrap(), "[true,7]");
        let ty = record([("top-k", Type::U8), ("rows", stream(Type::U32)), ("end", outcome())]);
        let value = Value::Record([Value::U8(3), items(), future(Ok(7))].into());
        assert_eq!(read(answer(ty, value)).1.unwrap(), r#"{"top_k":3,"end":7}"#);
    }

    #[test]
    fn an_error_at_the_end_is_the_chainlets_own() {
        let ty = Type::Tuple([stream(Type::U32), outcome()].into());
        let error = read(answer(ty, Value::Tuple([items(), future(Err("late"))].into()))).1.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Chainlet);
        assert_eq!(error.guest_error().map(|error| error.get()), Some(r#""late""#));
    }
}
