//! Many tasks on one store.

use super::{Server, Store, Swap, open_all};

#[tokio::test(flavor = "multi_thread")]
async fn increments_of_100_tasks_all_count() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&["--appendfsync", "no"]);
    for store in open_all(folder.path(), server.as_ref()).await {
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    for _ in 0..5 {
                        store.increment("sum", 3).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(store.get("sum").await.unwrap().unwrap(), "1500");
    }
}

/// Adds 1 by compare-and-swap until it works.
async fn add_one(store: &Store) {
    let mut current = store.get("sum").await.unwrap();
    loop {
        let number: i64 = current.as_ref().map_or(0, |text| str::from_utf8(text).unwrap().parse().unwrap());
        let next = (number + 1).to_string().into_bytes();
        match store.compare_and_swap("sum", current, next).await.unwrap() {
            Swap::Done => return,
            Swap::Stale(now) => current = now,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn swaps_of_many_tasks_all_count() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&["--appendfsync", "no"]);
    for store in open_all(folder.path(), server.as_ref()).await {
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    for _ in 0..5 {
                        add_one(&store).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(store.get("sum").await.unwrap().unwrap(), "100");
    }
}

#[tokio::test]
async fn dropped_operations_leave_the_store_usable() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    for store in open_all(folder.path(), server.as_ref()).await {
        for _ in 0..50 {
            let dropped = tokio::time::timeout(std::time::Duration::from_micros(50), store.increment("sum", 1));
            let _ = dropped.await;
        }
        let before = store.increment("other", 1).await.unwrap();
        assert_eq!(before, 1);
        store.set("sum", b"0".to_vec()).await.unwrap();
        assert_eq!(store.increment("sum", 1).await.unwrap(), 1);
    }
}
