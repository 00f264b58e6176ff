//! What came of a call, where it may hold streams: as one value, or item by item as they are made.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::future::{BoxFuture, try_join_all};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::chainlet::Chainlet;
use crate::chainlet::callee::Callee;
use crate::config::ChainletName;
use crate::error::{CallError, Declared, ErrorKind};
use crate::value::format::Format;
use crate::value::json::{self, Typed};
use crate::value::stream::collect::collect;
use crate::value::stream::{Items, StreamError};
use crate::value::ty::Name;
use crate::value::{List, Type, Value};

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
    items: Items,
    /// What stands beside the stream. It is awaited while the stream is read, whose writer may wait for that.
    end: BoxFuture<'static, End>,
    ended: Option<End>,
}

/// What an answer comes to beside its stream, as JSON.
type End = Result<Option<Vec<u8>>, CallError>;

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

    /// The bytes of the `stream<u8>` that the answer is or has, when it has ended.
    ///
    /// # Errors
    /// It broke off, or holds too much; or what stands beside it is an error.
    pub(crate) async fn bytes(self) -> Result<Bytes, CallError> {
        let limit = self.limit;
        let mut streamed = match self.streamed() {
            Ok(streamed) => streamed,
            Err(answer) => return answer.written(Format::Bytes).await,
        };
        let mut all = BytesMut::new();
        while let Some(batch) = streamed.next().await {
            let List::U8(bytes) = batch? else { return Err(mismatch(&streamed.chainlet)) };
            if bytes.len() > limit.saturating_sub(all.len()) {
                return Err(broken(&streamed.chainlet, StreamError::TooLarge { limit }));
            }
            all.extend_from_slice(&bytes);
        }
        streamed.end().await?;
        Ok(all.freeze())
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
        let end = Box::pin(rest_of(chainlet.clone(), members, limit));
        Ok(Streamed { chainlet, item, items, end, ended: None })
    }
}

impl Streamed {
    /// The next items; none at the end. Dropping the future loses none.
    pub(crate) async fn next(&mut self) -> Option<Result<List, CallError>> {
        loop {
            tokio::select! {
                biased;
                next = self.items.next() => {
                    return next.map(|batch| batch.map_err(|error| broken(&self.chainlet, error)));
                }
                end = &mut self.end, if self.ended.is_none() => self.ended = Some(end),
            }
        }
    }

    /// What stands beside the stream, as JSON, when that has ended: an object of a record's other members, an array of a
    /// tuple's, or the member itself where a tuple has only one; `None` where there is nothing to say. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    /// A future among them broke off, or came to an `err`: that is the answer's own error.
    pub(crate) async fn end(&mut self) -> Result<Option<Vec<u8>>, CallError> {
        match self.ended.take() {
            Some(end) => end,
            None => (&mut self.end).await,
        }
    }
}

async fn rest_of(chainlet: ChainletName, members: Vec<(Option<Name>, Type, Value)>, limit: usize) -> End {
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
    let mut failure = CallError::new(ErrorKind::Chainlet, chainlet, "the chainlet answered with its error");
    if let Some(declared) = ty.zip(value).and_then(|(ty, value)| Declared::read(ty, value)) {
        failure = failure.with_declared(declared);
    }
    match String::from_utf8(text).ok().and_then(|text| serde_json::value::RawValue::from_string(text).ok()) {
        Some(error) => failure.with_guest_error(error),
        None => failure,
    }
}

/// Why a stream of an answer of `chainlet` broke off.
pub(crate) fn broken(chainlet: &ChainletName, error: StreamError) -> CallError {
    match error {
        StreamError::Call(error) => error,
        StreamError::TooLarge { limit } => {
            let message = format_args!(
                "the streams of its answer hold more than {limit} bytes, the resources.value_limit of the chainlet {chainlet}: \
                 ask for them item by item (Accept: application/x-ndjson, or Chain::stream), or raise it"
            );
            CallError::new(ErrorKind::AnswerTooLarge, chainlet, message)
        }
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
    use futures::FutureExt;

    use super::*;
    use crate::value::json::arbitrary::member;
    use crate::value::stream::Stream;
    use crate::value::ty::Declared;

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
        let Ok(mut streamed) = answer.streamed() else { panic!("the answer is no stream") };
        let mut items = Vec::new();
        while let Some(batch) = streamed.next().now_or_never().unwrap() {
            items.push(batch.unwrap());
        }
        let end = streamed.end().now_or_never().unwrap();
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

    #[test]
    fn what_stands_beside_the_stream_may_have_to_be_read_before_it() {
        // A writer that begins its stream when its future was read.
        let (read, wait) = tokio::sync::oneshot::channel();
        let head = futures::stream::once(async move {
            read.send(()).unwrap();
            Ok(List::U32(vec![7]))
        });
        let rows = futures::stream::once(async move {
            wait.await.unwrap();
            Ok(List::U32(vec![1, 2]))
        });
        let ty = Type::Tuple([Type::Future(Arc::new(Type::U32)), stream(Type::U32)].into());
        let value = Value::Tuple([Value::Future(Stream::new(head)), Value::Stream(Stream::new(rows))].into());
        let (items, end) = read_slowly(answer(ty, value));
        assert_eq!((items, end.unwrap()), (vec![List::U32(vec![1, 2])], "7".to_owned()));
    }

    fn read_slowly(answer: Answer) -> (Vec<List>, Result<String, CallError>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let Ok(mut streamed) = answer.streamed() else { panic!("the answer is no stream") };
            let mut items = Vec::new();
            while let Some(batch) = streamed.next().await {
                items.push(batch.unwrap());
            }
            let end = streamed.end().await;
            (items, end.map(|end| end.map_or(String::new(), |end| String::from_utf8(end).unwrap())))
        })
    }
}
