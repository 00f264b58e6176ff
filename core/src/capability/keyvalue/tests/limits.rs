//! The limits that all kinds of stores have.

use std::collections::BTreeSet;

use super::super::limits::{MAX_BATCH_BYTES, MAX_KEY_BYTES};
use super::{Problem, Server, StoreOptions, all_keys, file, memory, on, open, open_all, problem};

#[tokio::test]
async fn keys_have_1_to_1024_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    for store in open_all(folder.path(), server.as_ref()).await {
        let (long, too_long) = ("k".repeat(MAX_KEY_BYTES), "k".repeat(MAX_KEY_BYTES + 1));
        store.set(&long, vec![1]).await.unwrap();
        assert!(store.exists(&long).await.unwrap());
        assert_eq!(problem(store.set(&too_long, vec![]).await), Problem::KeyTooLong { length: 1025 });
        assert_eq!(problem(store.get("").await), Problem::EmptyKey);
        assert_eq!(problem(store.delete("").await), Problem::EmptyKey);
        assert_eq!(problem(store.exists("").await), Problem::EmptyKey);
        assert_eq!(problem(store.increment("", 1).await), Problem::EmptyKey);
        assert_eq!(problem(store.compare_and_swap("", None, vec![]).await), Problem::EmptyKey);
        assert_eq!(problem(store.get_many(vec!["a".into(), String::new()]).await), Problem::EmptyKey);
        assert_eq!(problem(store.set_many(vec![(String::new(), vec![])]).await), Problem::EmptyKey);
        assert_eq!(problem(store.delete_many(vec![String::new()]).await), Problem::EmptyKey);
        assert_eq!(all_keys(&store).await, [long]);
    }
}

#[tokio::test]
async fn values_have_at_most_the_value_limit() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    let specs = [Some(memory()), Some(file(folder.path())), server.as_ref().map(|server| on(server, "v"))];
    for spec in specs.into_iter().flatten() {
        let store = open(&StoreOptions { value_limit: 100, ..spec }).await;
        let too_large = Problem::ValueTooLarge { bytes: 101, limit: 100 };
        store.set("a", vec![0; 100]).await.unwrap();
        assert_eq!(problem(store.set("a", vec![0; 101]).await), too_large);
        assert_eq!(problem(store.compare_and_swap("a", None, vec![0; 101]).await), too_large);
        assert_eq!(problem(store.set_many(vec![("b".into(), vec![0; 101])]).await), too_large);
    }
}

#[tokio::test]
async fn a_stored_value_over_a_lowered_limit_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    let specs = [Some(file(folder.path())), server.as_ref().map(|server| on(server, "v"))];
    for spec in specs.into_iter().flatten() {
        let store = open(&spec).await;
        store.set("a", vec![b'1'; 101]).await.unwrap();
        store.close().await;
        let store = open(&StoreOptions { value_limit: 100, ..spec }).await;
        let too_large = Problem::StoredTooLarge { bytes: 101, limit: 100 };
        assert_eq!(problem(store.get("a").await), too_large);
        assert_eq!(problem(store.get_many(vec!["b".into(), "a".into()]).await), too_large);
        assert_eq!(problem(store.compare_and_swap("a", None, vec![]).await), too_large);
        store.set("a", vec![]).await.unwrap();
        assert_eq!(store.get("a").await.unwrap().unwrap(), "");
    }
}

#[tokio::test]
async fn batches_have_limits() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    for store in open_all(folder.path(), server.as_ref()).await {
        let keys = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
        let entries = |count: usize| keys(count).into_iter().map(|key| (key, vec![7])).collect::<Vec<_>>();
        let too_many = Problem::TooManyKeys { keys: 1001 };
        assert_eq!(problem(store.get_many(keys(1001)).await), too_many);
        assert_eq!(problem(store.set_many(entries(1001)).await), too_many);
        assert_eq!(problem(store.delete_many(keys(1001)).await), too_many);
        store.set_many(entries(1000)).await.unwrap();
        assert!(store.get_many(keys(1000)).await.unwrap().iter().all(|value| value.as_deref() == Some(&[7])));
        store.delete_many(keys(1000)).await.unwrap();
        assert!(store.get_many(keys(1000)).await.unwrap().iter().all(Option::is_none));
        assert!(store.get_many(vec![]).await.unwrap().is_empty());
        store.set_many(vec![]).await.unwrap();
        store.delete_many(vec![]).await.unwrap();

        let large = |count: usize| keys(count).into_iter().map(|key| (key, vec![7; 1 << 20])).collect::<Vec<_>>();
        let too_large = Problem::BatchTooLarge { limit: MAX_BATCH_BYTES };
        assert_eq!(problem(store.set_many(large(17)).await), too_large);
        store.set_many(large(16)).await.unwrap();
        assert_eq!(store.get_many(keys(16)).await.unwrap().len(), 16);
        store.set("16", vec![7]).await.unwrap();
        assert_eq!(problem(store.get_many(keys(17)).await), too_large);
    }
}

#[tokio::test]
async fn keys_come_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    for store in open_all(folder.path(), server.as_ref()).await {
        assert!(all_keys(&store).await.is_empty());
        let names: BTreeSet<String> = (0..2500).map(|number| format!("key {number}")).collect();
        for batch in names.iter().cloned().collect::<Vec<_>>().chunks(1000) {
            store.set_many(batch.iter().map(|key| (key.clone(), vec![])).collect()).await.unwrap();
        }
        assert_eq!(all_keys(&store).await.into_iter().collect::<BTreeSet<_>>(), names);
        assert!(store.keys(None).await.unwrap().cursor.is_some());
        assert_eq!(problem(store.keys(Some(&"x".repeat(2000))).await), Problem::BadCursor);
    }
}

#[tokio::test]
async fn a_value_limit_has_room_for_a_number() {
    let spec = StoreOptions { value_limit: 19, ..memory() };
    let error = super::Store::open("cart", &spec).await.err().unwrap();
    let text = "the store \"cart\" cannot be opened: stores.cart.value_limit must be at least 20 bytes, the length of the longest number";
    assert_eq!(error.to_string(), text);
}
