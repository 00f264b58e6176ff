//! Random operations, compared with a model.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};

use super::super::limits::{Limits, add, cost};
use super::{Problem, Server, Store, StoreOptions, Swap, all_keys, file, memory, on, open};

#[derive(Debug, Clone)]
enum Operation {
    Get(String),
    Set(String, Vec<u8>),
    Delete(String),
    Exists(String),
    Increment(String, i64),
    /// Expects the value that the key has.
    SwapCurrent(String, Vec<u8>),
    Swap(String, Option<Vec<u8>>, Vec<u8>),
    GetMany(Vec<String>),
    SetMany(Vec<(String, Vec<u8>)>),
    DeleteMany(Vec<String>),
    Keys,
    /// Closes a file and opens it again.
    Reopen,
}

#[derive(Debug, PartialEq)]
enum Answer {
    Nothing,
    Value(Option<Bytes>),
    Values(Vec<Option<Bytes>>),
    Exists(bool),
    Sum(i64),
    Swap(Swap),
    Keys(Vec<String>),
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "ab", "ä", "*", "[a]", " ", "\0"]).prop_map(str::to_owned)
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![-3..3_i64, any::<i64>(), prop::sample::select(vec![i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX]),]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let texts = vec!["", "-", "-0", "+1", "01", " 1", "1 ", "1\n", "1.0", "1e3", "0x1", "٣", "9223372036854775808"];
    prop_oneof![
        2 => vec(any::<u8>(), 0..20),
        1 => (0..400_usize).prop_map(|length| vec![b'x'; length]),
        3 => number().prop_map(|number| number.to_string().into_bytes()),
        2 => prop::sample::select(texts).prop_map(|text| text.as_bytes().to_vec()),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation as O;
    prop_oneof![
        2 => key().prop_map(O::Get),
        4 => (key(), value()).prop_map(|(key, value)| O::Set(key, value)),
        2 => key().prop_map(O::Delete),
        1 => key().prop_map(O::Exists),
        4 => (key(), number()).prop_map(|(key, delta)| O::Increment(key, delta)),
        2 => (key(), value()).prop_map(|(key, value)| O::SwapCurrent(key, value)),
        2 => (key(), prop::option::of(value()), value()).prop_map(|(key, old, new)| O::Swap(key, old, new)),
        1 => vec(key(), 0..6).prop_map(O::GetMany),
        2 => vec((key(), value()), 0..6).prop_map(O::SetMany),
        1 => vec(key(), 0..6).prop_map(O::DeleteMany),
        1 => Just(O::Keys),
        1 => Just(O::Reopen),
    ]
}

struct Model {
    entries: BTreeMap<String, Vec<u8>>,
    limits: Limits,
}

impl Model {
    fn used(&self) -> u64 {
        self.entries.iter().map(|(key, value)| cost(key, value.len() as u64)).sum()
    }

    fn value(&self, key: &str) -> Option<Bytes> {
        self.entries.get(key).cloned().map(Bytes::from)
    }

    fn put(&mut self, new: Vec<(String, Vec<u8>)>) -> Result<(), Problem> {
        let (used, before) = (self.used(), self.entries.clone());
        self.entries.extend(new);
        self.limits.check_total(used, self.used()).inspect_err(|_| self.entries = before)
    }

    fn swap(&mut self, key: String, expected: Option<Vec<u8>>, value: Vec<u8>) -> Result<Answer, Problem> {
        if self.entries.get(&key) != expected.as_ref() {
            return Ok(Answer::Swap(Swap::Stale(self.value(&key))));
        }
        self.put(vec![(key, value)])?;
        Ok(Answer::Swap(Swap::Done))
    }

    fn run(&mut self, operation: Operation) -> Result<Answer, Problem> {
        Ok(match operation {
            Operation::Get(key) => Answer::Value(self.value(&key)),
            Operation::Set(key, value) => return self.put(vec![(key, value)]).map(|()| Answer::Nothing),
            Operation::Delete(key) => return self.run(Operation::DeleteMany(vec![key])),
            Operation::Exists(key) => Answer::Exists(self.entries.contains_key(&key)),
            Operation::Increment(key, delta) => {
                let sum = add(self.entries.get(&key).map(Vec::as_slice), delta)?;
                self.put(vec![(key, sum.to_string().into_bytes())])?;
                Answer::Sum(sum)
            }
            Operation::SwapCurrent(key, value) => {
                let current = self.entries.get(&key).cloned();
                return self.swap(key, current, value);
            }
            Operation::Swap(key, expected, value) => return self.swap(key, expected, value),
            Operation::GetMany(keys) => Answer::Values(keys.iter().map(|key| self.value(key)).collect()),
            Operation::SetMany(entries) => return self.put(entries).map(|()| Answer::Nothing),
            Operation::DeleteMany(keys) => {
                keys.iter().for_each(|key| drop(self.entries.remove(key)));
                Answer::Nothing
            }
            Operation::Keys => Answer::Keys(self.entries.keys().cloned().collect()),
            Operation::Reopen => Answer::Nothing,
        })
    }
}

async fn run(store: &mut Store, spec: &StoreOptions, operation: Operation) -> Result<Answer, Problem> {
    let result = match operation {
        Operation::Get(key) => store.get(&key).await.map(Answer::Value),
        Operation::Set(key, value) => store.set(&key, value).await.map(|()| Answer::Nothing),
        Operation::Delete(key) => store.delete(&key).await.map(|()| Answer::Nothing),
        Operation::Exists(key) => store.exists(&key).await.map(Answer::Exists),
        Operation::Increment(key, delta) => store.increment(&key, delta).await.map(Answer::Sum),
        Operation::SwapCurrent(key, value) => {
            let current = store.get(&key).await.unwrap();
            store.compare_and_swap(&key, current, value).await.map(Answer::Swap)
        }
        Operation::Swap(key, expected, value) => {
            store.compare_and_swap(&key, expected.map(Bytes::from), value).await.map(Answer::Swap)
        }
        Operation::GetMany(keys) => store.get_many(keys).await.map(Answer::Values),
        Operation::SetMany(entries) => store.set_many(entries).await.map(|()| Answer::Nothing),
        Operation::DeleteMany(keys) => store.delete_many(keys).await.map(|()| Answer::Nothing),
        Operation::Keys => Ok(Answer::Keys(all_keys(store).await)),
        Operation::Reopen => {
            store.close().await;
            if matches!(spec.kind, super::StoreKind::File { .. }) {
                *store = open(spec).await;
            }
            Ok(Answer::Nothing)
        }
    };
    result.map_err(|error| error.problem().clone())
}

async fn compare(spec: &StoreOptions, limit: u64, operations: &[Operation]) -> TestCaseResult {
    let mut model = Model { entries: BTreeMap::new(), limits: Limits { total: limit, value: spec.value_limit } };
    let mut store = open(spec).await;
    for operation in operations {
        let expected = model.run(operation.clone());
        let found = run(&mut store, spec, operation.clone()).await;
        prop_assert_eq!(expected, found, "{:?} on {:?}", operation, spec.kind);
    }
    let keys = all_keys(&store).await;
    prop_assert_eq!(keys, model.entries.keys().cloned().collect::<Vec<_>>());
    Ok(())
}

#[test]
fn all_kinds_do_what_the_model_does() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = Server::start(&["--appendonly", "no"]);
    let mut runner = TestRunner::new(Config { cases: 100, failure_persistence: None, ..Config::default() });
    let case = std::cell::Cell::new(0);
    let limited = |spec| StoreOptions { limit: 1500, ..spec };
    runner
        .run(&vec(operation(), 1..40), |operations| {
            case.set(case.get() + 1);
            let folder = tempfile::tempdir().unwrap();
            runtime.block_on(async {
                compare(&limited(memory()), 1500, &operations).await?;
                compare(&limited(file(folder.path())), 1500, &operations).await?;
                match &server {
                    Some(server) => compare(&on(server, &case.get().to_string()), u64::MAX, &operations).await,
                    None => Ok(()),
                }
            })
        })
        .unwrap();
}
