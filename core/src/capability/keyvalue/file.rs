//! A store in a file, by the database redb.
//!
//! Each operation is one transaction on a blocking thread: writes one after the other, since redb has one writer, and at
//! most [`READERS`] reads beside them. A write is on the disk when it returns. An operation whose caller has gone keeps
//! its place until it ends, so the number of threads is bounded even if the disk hangs.
//!
//! redb stops after an error of the disk. The next operation then opens the file again.
//!
//! redb keeps the former state of the pages that a write changes, so the file grows to two or three times the quota.

mod database;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use redb::Database;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use self::database::{Failure, create, open};
use self::tables::{bytes_of, page, read, write};
use super::error::Problem;
use super::limits::{BatchBytes, Limits, add, length};
use super::store::{KeyPage, Swap};

/// The most reads at once.
const READERS: usize = 4;

/// The time to open a file, which can need a check of the whole file.
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) struct FileStore {
    shared: Arc<Shared>,
    readers: Arc<Semaphore>,
    writer: Arc<Semaphore>,
    timeout: Duration,
}

struct Shared {
    path: PathBuf,
    limits: Limits,
    slot: RwLock<Slot>,
    /// True if redb failed in a way that only a new open can mend.
    failed: AtomicBool,
}

/// Operations hold the lock for reading. Opening and closing hold it for writing.
enum Slot {
    Open(Database),
    /// An attempt to open the file again failed. The next operation makes another attempt.
    Lost,
    /// For tests, which open a file again.
    #[cfg(test)]
    Closed,
}

impl FileStore {
    pub(crate) async fn open(path: &Path, limits: Limits, timeout: Duration) -> Result<Self, Problem> {
        let path = path.to_owned();
        let opening = spawn_blocking(move || {
            let database = create(&path).map_err(|failure| failure.problem(&path))?;
            Ok(Shared { path, limits, slot: RwLock::new(Slot::Open(database)), failed: AtomicBool::new(false) })
        });
        let shared = match tokio::time::timeout(OPEN_TIMEOUT, opening).await {
            Ok(Ok(opened)) => Arc::new(opened?),
            Ok(Err(ended)) => return Err(Problem::Unavailable { cause: ended.to_string() }),
            Err(_) => return Err(Problem::TimedOut { after: OPEN_TIMEOUT }),
        };
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Ok(Self { shared, readers: semaphore(READERS), writer: semaphore(1), timeout })
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<Bytes>, Problem> {
        let (key, limits) = (key.to_owned(), self.shared.limits);
        self.reading(move |database| {
            let entries = read(database)?;
            let value = entries.get(key.as_str())?;
            Ok(value.map(|value| bytes_of(value.value(), &limits)).transpose()?)
        })
        .await
    }

    pub(crate) async fn set(&self, key: &str, value: Vec<u8>) -> Result<(), Problem> {
        let (key, limits) = (key.to_owned(), self.shared.limits);
        self.writing(move |database| write(database, &limits, |tables| tables.put(&key, &value))).await
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<(), Problem> {
        self.delete_many(vec![key.to_owned()]).await
    }

    pub(crate) async fn exists(&self, key: &str) -> Result<bool, Problem> {
        let key = key.to_owned();
        self.reading(move |database| Ok(read(database)?.get(key.as_str())?.is_some())).await
    }

    pub(crate) async fn keys(&self, cursor: Option<&str>) -> Result<KeyPage, Problem> {
        let cursor = cursor.map(str::to_owned);
        self.reading(move |database| page(&read(database)?, cursor.as_deref())).await
    }

    pub(crate) async fn increment(&self, key: &str, delta: i64) -> Result<i64, Problem> {
        let (key, limits) = (key.to_owned(), self.shared.limits);
        self.writing(move |database| {
            write(database, &limits, |tables| {
                let sum = tables.with(&key, |value| add(value, delta))??;
                tables.put(&key, sum.to_string().as_bytes())?;
                Ok(sum)
            })
        })
        .await
    }

    pub(crate) async fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<Bytes>,
        value: Vec<u8>,
    ) -> Result<Swap, Problem> {
        let (key, limits) = (key.to_owned(), self.shared.limits);
        self.writing(move |database| {
            write(database, &limits, |tables| {
                let stale = tables.with(&key, |current| {
                    let stale = current != expected.as_deref();
                    stale.then(|| current.map(|current| bytes_of(current, &limits)).transpose()).transpose()
                })??;
                if let Some(current) = stale {
                    return Ok(Swap::Stale(current));
                }
                tables.put(&key, &value)?;
                Ok(Swap::Done)
            })
        })
        .await
    }

    pub(crate) async fn get_many(&self, keys: Vec<String>) -> Result<Vec<Option<Bytes>>, Problem> {
        let limits = self.shared.limits;
        self.reading(move |database| {
            let entries = read(database)?;
            let mut sum = BatchBytes::new(&limits);
            let mut values = Vec::with_capacity(keys.len());
            for key in &keys {
                let value = entries.get(key.as_str())?;
                sum.add(value.as_ref().map_or(0, |value| length(value.value())))?;
                values.push(value.map(|value| bytes_of(value.value(), &limits)).transpose()?);
            }
            Ok(values)
        })
        .await
    }

    pub(crate) async fn set_many(&self, entries: Vec<(String, Vec<u8>)>) -> Result<(), Problem> {
        let limits = self.shared.limits;
        self.writing(move |database| {
            write(database, &limits, |tables| entries.iter().try_for_each(|(key, value)| tables.put(key, value)))
        })
        .await
    }

    pub(crate) async fn delete_many(&self, keys: Vec<String>) -> Result<(), Problem> {
        let limits = self.shared.limits;
        self.writing(move |database| {
            write(database, &limits, |tables| keys.iter().try_for_each(|key| tables.remove(key)))
        })
        .await
    }

    pub(crate) async fn ping(&self) -> Result<(), Problem> {
        self.reading(|database| read(database).map(drop)).await
    }

    #[cfg(test)]
    pub(crate) async fn close(&self) {
        let shared = self.shared.clone();
        let closing =
            spawn_blocking(move || *shared.slot.write().unwrap_or_else(PoisonError::into_inner) = Slot::Closed);
        // It fails only if redb panics, and then the file is closed too.
        let _ = closing.await;
    }

    async fn reading<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Problem> {
        self.run(&self.readers, work).await
    }

    async fn writing<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Problem> {
        self.run(&self.writer, work).await
    }

    /// Runs `work` on a blocking thread once there is a permit. The permit goes with the work, not with the caller.
    async fn run<T: Send + 'static>(
        &self,
        permits: &Arc<Semaphore>,
        work: impl FnOnce(&Database) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Problem> {
        let working = async {
            let permit = permits.clone().acquire_owned().await.map_err(|_| Problem::Closed)?;
            let shared = self.shared.clone();
            let ended = spawn_blocking(move || {
                let _permit = permit;
                shared.with_database(work)
            })
            .await;
            ended.unwrap_or_else(|ended| {
                self.shared.failed.store(true, Ordering::Relaxed);
                Err(Problem::Unavailable { cause: ended.to_string() })
            })
        };
        tokio::time::timeout(self.timeout, working).await.unwrap_or(Err(Problem::TimedOut { after: self.timeout }))
    }
}

impl Shared {
    fn with_database<T>(&self, work: impl FnOnce(&Database) -> Result<T, Failure>) -> Result<T, Problem> {
        self.reopen_after_failure()?;
        match &*self.slot.read().unwrap_or_else(PoisonError::into_inner) {
            Slot::Open(database) => work(database).map_err(|failure| {
                if failure.ends_database() {
                    self.failed.store(true, Ordering::Relaxed);
                }
                failure.problem(&self.path)
            }),
            Slot::Lost => Err(Problem::Unavailable { cause: format!("the file {:?} is not open", self.path) }),
            #[cfg(test)]
            Slot::Closed => Err(Problem::Closed),
        }
    }

    fn reopen_after_failure(&self) -> Result<(), Problem> {
        if !self.failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have opened the file in the meantime.
        if !self.failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        #[cfg(test)]
        if matches!(*slot, Slot::Closed) {
            return Ok(());
        }
        // Closes the file first, since one process cannot have it open twice.
        *slot = Slot::Lost;
        *slot = Slot::Open(open(&self.path).map_err(|failure| failure.problem(&self.path))?);
        self.failed.store(false, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn opened(path: &Path) -> FileStore {
        let limits = Limits { total: 1000, value: 1000 };
        FileStore::open(path, limits, Duration::from_secs(20)).await.unwrap()
    }

    #[tokio::test]
    async fn a_failure_of_the_disk_opens_the_file_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = opened(&folder.path().join("store")).await;
        store.set("a", vec![1]).await.unwrap();
        let failure = store.writing::<()>(|_| Err(std::io::Error::other("the disk failed").into())).await.unwrap_err();
        assert!(matches!(failure, Problem::Unavailable { .. }));
        assert!(store.shared.failed.load(Ordering::Relaxed));
        assert_eq!(store.get("a").await.unwrap().unwrap(), vec![1]);
        assert!(!store.shared.failed.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn a_panic_in_the_work_opens_the_file_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = opened(&folder.path().join("store")).await;
        store.set("a", vec![1]).await.unwrap();
        let panics = store.writing::<()>(|database| {
            let _transaction = database.begin_write()?;
            panic!("in a transaction")
        });
        assert!(matches!(panics.await, Err(Problem::Unavailable { .. })));
        store.set("a", vec![2]).await.unwrap();
        assert_eq!(store.get("a").await.unwrap().unwrap(), vec![2]);
    }

    #[tokio::test]
    async fn a_file_that_is_gone_after_a_failure_is_not_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let store = opened(&path).await;
        store.set("a", vec![1]).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        store.shared.failed.store(true, Ordering::Relaxed);
        for _ in 0..2 {
            assert!(matches!(store.get("a").await, Err(Problem::Unavailable { .. })));
        }
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn work_that_takes_too_long_is_an_error_and_keeps_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = opened(&folder.path().join("store")).await;
        store.timeout = Duration::from_millis(100);
        let slow = |_: &Database| {
            std::thread::sleep(Duration::from_millis(400));
            Ok(())
        };
        assert!(matches!(store.writing(slow).await, Err(Problem::TimedOut { .. })));
        assert!(matches!(store.set("a", vec![]).await, Err(Problem::TimedOut { .. })));
        assert_eq!(store.get("a").await.unwrap(), None);
        store.timeout = Duration::from_secs(20);
        store.set("a", vec![]).await.unwrap();
    }
}
