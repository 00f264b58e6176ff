//! Tests of all kinds of stores.

mod concurrency;
mod file;
mod limits;
mod model;
mod quota;
mod redis;
mod server;

use std::path::Path;
use std::time::Duration;

use self::server::Server;
use super::error::{Problem, StoreError};
use super::options::{StoreKind, StoreOptions};
use super::store::{Store, Swap};

fn memory() -> StoreOptions {
    StoreOptions::new(StoreKind::Memory)
}

fn file(folder: &Path) -> StoreOptions {
    StoreOptions::new(StoreKind::File { path: folder.join("made/store.redb") })
}

/// A store on `server` under a prefix that has the characters of a pattern.
fn on(server: &Server, prefix: &str) -> StoreOptions {
    let prefix = format!("{prefix}[*]?\\:");
    StoreOptions {
        timeout: Duration::from_secs(20),
        ..StoreOptions::new(StoreKind::Redis { url: server.url(), prefix })
    }
}

async fn open(spec: &StoreOptions) -> Store {
    Store::open("test", spec).await.unwrap()
}

/// Opens an empty store of each kind, and of Redis only if there is a server.
async fn open_all(folder: &Path, server: Option<&Server>) -> Vec<Store> {
    let mut stores = vec![open(&memory()).await, open(&file(folder)).await];
    if let Some(server) = server {
        stores.push(open(&on(server, "all")).await);
    }
    stores
}

fn problem<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Problem {
    result.unwrap_err().problem().clone()
}

async fn all_keys(store: &Store) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.keys(cursor.as_deref()).await.unwrap();
        assert!(page.keys.len() <= super::limits::MAX_PAGE_KEYS);
        all.extend(page.keys);
        cursor = page.cursor;
        if cursor.is_none() {
            all.sort();
            return all;
        }
    }
}
