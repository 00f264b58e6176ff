//! The quota of the stores in memory and in a file.

use super::super::limits::cost;
use super::{Problem, Store, StoreOptions, Swap, file, memory, open, problem};

/// Room for exactly two entries with keys of one byte and values of 100.
const LIMIT: u64 = 2 * (1 + 100 + super::super::limits::ENTRY_OVERHEAD);

fn limited(spec: StoreOptions) -> StoreOptions {
    StoreOptions { limit: LIMIT, ..spec }
}

fn bytes(count: usize) -> Vec<u8> {
    vec![b'x'; count]
}

/// Fills a store to its limit and checks that it is full to the byte.
async fn is_exact(store: &Store) {
    store.set("a", bytes(100)).await.unwrap();
    let full = Problem::Full { used: LIMIT / 2, needed: LIMIT / 2 + 1, limit: LIMIT };
    assert_eq!(problem(store.set("b", bytes(101)).await), full);
    assert_eq!(store.get("b").await.unwrap(), None);
    store.set("b", bytes(100)).await.unwrap();
    let full = Problem::Full { used: LIMIT, needed: 129, limit: LIMIT };
    assert_eq!(problem(store.set("c", bytes(0)).await), full);
    assert_eq!(problem(store.increment("c", 1).await), Problem::Full { used: LIMIT, needed: 130, limit: LIMIT });
    assert_eq!(problem(store.compare_and_swap("c", None, bytes(0)).await), full);
    assert_eq!(problem(store.set_many(vec![("c".into(), bytes(0))]).await), full);
}

#[tokio::test]
async fn the_quota_is_exact() {
    let folder = tempfile::tempdir().unwrap();
    for spec in [memory(), file(folder.path())] {
        is_exact(&open(&limited(spec)).await).await;
    }
}

#[tokio::test]
async fn a_delete_and_a_smaller_value_give_room_back() {
    let folder = tempfile::tempdir().unwrap();
    for spec in [memory(), file(folder.path())] {
        let store = open(&limited(spec)).await;
        is_exact(&store).await;
        store.delete("a").await.unwrap();
        store.delete("absent").await.unwrap();
        store.set("c", bytes(100)).await.unwrap();
        store.set("c", bytes(50)).await.unwrap();
        store.set("b", bytes(150)).await.unwrap();
        assert!(matches!(problem(store.set("b", bytes(151)).await), Problem::Full { needed: 1, .. }));
        store.delete_many(vec!["b".into(), "c".into(), "c".into()]).await.unwrap();
        is_exact(&store).await;
    }
}

#[tokio::test]
async fn a_batch_without_room_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for spec in [memory(), file(folder.path())] {
        let store = open(&limited(spec)).await;
        store.set("a", bytes(1)).await.unwrap();
        let batch =
            vec![("a".into(), bytes(2)), ("b".into(), bytes(0)), ("c".into(), bytes(0)), ("d".into(), bytes(100))];
        assert!(matches!(problem(store.set_many(batch).await), Problem::Full { .. }));
        assert_eq!(store.get("a").await.unwrap().unwrap(), bytes(1));
        assert_eq!(store.keys(None).await.unwrap().keys, ["a"]);
        // The last value of a key counts, and no other.
        store.set_many(vec![("b".into(), bytes(400)), ("b".into(), bytes(1)), ("a".into(), bytes(100))]).await.unwrap();
        assert_eq!(store.get("b").await.unwrap().unwrap(), bytes(1));
    }
}

#[tokio::test]
async fn the_quota_of_a_file_is_kept_over_a_reopen() {
    let folder = tempfile::tempdir().unwrap();
    let spec = limited(file(folder.path()));
    let store = open(&spec).await;
    is_exact(&store).await;
    store.close().await;
    let store = open(&spec).await;
    let full = Problem::Full { used: LIMIT, needed: 129, limit: LIMIT };
    assert_eq!(problem(store.set("c", bytes(0)).await), full);
    store.delete("b").await.unwrap();
    store.close().await;
    is_exact(&open(&spec).await).await;
}

#[tokio::test]
async fn a_store_over_a_lowered_limit_accepts_what_adds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&file(folder.path())).await;
    store.set("a", bytes(200)).await.unwrap();
    store.set("b", bytes(200)).await.unwrap();
    store.close().await;
    let store = open(&StoreOptions { limit: 300, ..file(folder.path()) }).await;
    assert_eq!(problem(store.set("a", bytes(201)).await), Problem::Full { used: 658, needed: 1, limit: 300 });
    store.set("a", bytes(199)).await.unwrap();
    let swap = store.compare_and_swap("a", Some(bytes(199).into()), bytes(150)).await.unwrap();
    assert_eq!(swap, Swap::Done);
    store.delete("b").await.unwrap();
    store.set("a", bytes(300 - 129)).await.unwrap();
    assert_eq!(cost("a", 300 - 129), 300);
}
