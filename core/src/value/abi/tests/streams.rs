//! Streams of random types: a guest reads what the host wrote, and the host reads what a guest wrote, whatever the
//! sizes of the batches on either side.

use std::sync::Mutex;

use futures::StreamExt;
use futures::stream;

use super::*;
use crate::value::stream::{Items, Stream};

/// An import `sink` that keeps the stream it takes.
#[derive(Default)]
struct Sink(Mutex<Option<Items>>);

impl Import<Data> for Sink {
    fn call(
        &self,
        _: StoreContextMut<'_, Data>,
        params: Result<Passed, NoRoom>,
    ) -> BoxFuture<'static, Result<Option<Value>>> {
        let Some(Value::Stream(stream)) = params.unwrap().values.pop() else { panic!("no stream") };
        *self.0.lock().unwrap() = stream.take();
        Box::pin(async { Ok(None) })
    }
}

/// A type, values of it, and how many of them go at once on either side.
fn items() -> impl Strategy<Value = (Type, Vec<Value>, usize, u32)> {
    let item = prop_oneof![
        2 => any_type(),
        1 => Just(Type::U8),
        1 => list_of_plain_data().prop_map(|ty| match ty {
            Type::List(inner) => Type::clone(&inner),
            other => other,
        }),
    ];
    // The component model has no streams of chars yet.
    item.prop_filter("a stream of chars", |ty| *ty != Type::Char).prop_flat_map(|ty| {
        let values = proptest::collection::vec(value_of(&ty), 0..24);
        (Just(ty), values, 1_usize..8, 1_u32..8)
    })
}

fn stream_of(ty: &Type) -> Type {
    Type::Stream(Arc::new(ty.clone()))
}

fn batches(ty: &Type, values: &[Value], batch: usize) -> Stream {
    let batches: Vec<_> = values.chunks(batch).map(|part| Ok(List::of(ty, part.to_vec()).unwrap())).collect();
    Stream::new(stream::iter(batches))
}

fn values(ty: &Type, list: &List) -> Vec<Value> {
    (0..list.len()).map(|index| list.get(ty, index).unwrap()).collect()
}

async fn read(ty: &Type, items: Items) -> Vec<Value> {
    let lists: Vec<_> = items.map(Result::unwrap).collect().await;
    lists.iter().flat_map(|list| values(ty, list)).collect()
}

fn same_all(one: &[Value], other: &[Value]) -> bool {
    format!("{one:?}") == format!("{other:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_stream_of_any_type_goes_into_a_guest_out_of_one_and_through_one_unread(
        (ty, sent, ours, theirs) in items()
    ) {
        block_on(async {
            let sink = Arc::new(Sink::default());
            let mut guest = Guest::with_sink(&component::streamer(&ty, theirs), &ty, sink.clone()).await;
            let list = Type::List(Arc::new(ty.clone()));
            let asynchronous = |params: [Type; 1], result| Signature { is_async: true, ..signature(params, result) };

            let gather = asynchronous([stream_of(&ty)], Some(list.clone()));
            let got = guest.ours("gather", &gather, vec![Value::Stream(batches(&ty, &sent, ours))]).await.unwrap();
            let Some(Value::List(got)) = got else { panic!("no list") };
            prop_assert!(same_all(&values(&ty, &got), &sent), "{}: sent {:?}, the guest read {:?}", ty, sent, got);

            let spread = asynchronous([list], None);
            let list = Value::List(List::of(&ty, sent.clone()).unwrap());
            let taken = async {
                loop {
                    if let Some(items) = sink.0.lock().unwrap().take() {
                        break items;
                    }
                    tokio::task::yield_now().await;
                }
            };
            let reading = async { read(&ty, taken.await).await };
            let (got, written) = tokio::join!(reading, guest.ours("spread", &spread, vec![list]));
            written.unwrap();
            prop_assert!(same_all(&got, &sent), "{}: the guest wrote {:?}, read {:?}", ty, sent, got);

            let pass = signature([stream_of(&ty)], Some(stream_of(&ty)));
            let got = guest.passed(&pass, batches(&ty, &sent, ours), &ty).await;
            prop_assert!(same_all(&got, &sent), "{}: passed {:?}, and {:?} came back", ty, sent, got);
            Ok(())
        })?;
    }
}

impl Guest {
    /// Makes a guest whose import `sink` takes streams of `ty`.
    async fn with_sink(text: &str, ty: &Type, sink: Arc<Sink>) -> Self {
        let signature = signature([stream_of(ty)], None);
        Guest::linked(text, |linker| define(&mut linker.root(), "sink", &signature, sink).unwrap()).await
    }

    /// Passes `stream` through the guest's `pass` and returns the items that come back, while the store runs.
    async fn passed(&mut self, signature: &Signature, stream: Stream, ty: &Type) -> Vec<Value> {
        let func = self.instance.get_func(&mut self.store, "pass").unwrap();
        let export = Export::new(func, signature);
        let params = vec![Value::Stream(stream)];
        let work = self.store.run_concurrent(async |accessor| {
            let back = export.call(accessor, params, None, None, |_, _| {}).await.unwrap();
            let Some(Value::Stream(back)) = back.value else { panic!("no stream") };
            read(ty, back.take().unwrap()).await
        });
        work.await.unwrap()
    }
}
