//! Answers with streams, item by item and as a whole.

use futures::FutureExt;

use super::*;
use crate::memory::MemoryBudget;
use crate::value::json::arbitrary::member;
use crate::value::stream::Stream;
use crate::value::ty::DeclaredType;

fn stream(item: Type) -> Type {
    Type::Stream(Arc::new(item))
}

fn outcome() -> Type {
    let result = Type::Result { ok: Some(Arc::new(Type::U32)), err: Some(Arc::new(Type::String)) };
    Type::Future(Arc::new(result))
}

fn record(members: impl IntoIterator<Item = (&'static str, Type)>) -> Type {
    let members = members.into_iter().map(|(name, ty)| member(name, Some(ty))).collect();
    Type::Record(Arc::new(DeclaredType { name: None, docs: None, members }))
}

fn answer(ty: Type, value: Value) -> Answer {
    Answer {
        chainlet: "a".parse().unwrap(),
        value: Some((Arc::new(ty), value)),
        limit: 1 << 20,
        reservation: MemoryBudget::unlimited().nothing(),
        offload: Offload::default(),
        errors: None,
    }
}

fn items() -> Value {
    Value::Stream(Stream::of(List::U32(vec![1, 2])))
}

fn future(result: Result<u32, &str>) -> Value {
    let boxed = |value| Some(Box::new(value));
    let result = result.map(|number| boxed(Value::U32(number))).map_err(|text| boxed(Value::from(text)));
    Value::Future(Stream::of(List::Values(vec![Value::Result(result)])))
}

/// Reads the items, and the end.
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
    // A writer that begins its stream only after its future was read.
    let (was_read, wait) = tokio::sync::oneshot::channel();
    let head = futures::stream::once(async move {
        was_read.send(()).unwrap();
        Ok(List::U32(vec![7]))
    });
    let rows = futures::stream::once(async move {
        wait.await.unwrap();
        Ok(List::U32(vec![1, 2]))
    });
    let ty = Type::Tuple([Type::Future(Arc::new(Type::U32)), stream(Type::U32)].into());
    let value = Value::Tuple([Value::Future(Stream::new(head)), Value::Stream(Stream::new(rows))].into());
    let (items, end) = read_in_a_runtime(answer(ty, value));
    assert_eq!((items, end.unwrap()), (vec![List::U32(vec![1, 2])], "7".to_owned()));
}

fn read_in_a_runtime(answer: Answer) -> (Vec<List>, Result<String, CallError>) {
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
