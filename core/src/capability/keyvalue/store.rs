//! An open store, which all replicas share.

use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::error::{Problem, StoreError};
use super::file::FileStore;
use super::limits::{BatchBytes, Limits, MIN_VALUE_LIMIT, length};
use super::memory::MemoryStore;
use super::options::{StoreKind, StoreOptions};
use super::redis::RedisStore;

/// An open store. Clones are handles to the same store.
///
/// All operations are atomic, the batches too, and end within the [timeout](StoreOptions::timeout). A dropped future
/// cancels the wait, but not a write that has begun.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

/// A handle that does not keep the store open.
pub(super) struct WeakStore(Weak<Inner>);

impl WeakStore {
    /// Returns the store if it is open.
    pub(super) fn upgrade(&self) -> Option<Store> {
        self.0.upgrade().map(Store)
    }

    /// Returns true if the store is open.
    pub(super) fn is_open(&self) -> bool {
        self.0.strong_count() > 0
    }
}

struct Inner {
    name: Arc<str>,
    limits: Limits,
    kind: Kind,
}

enum Kind {
    Memory(MemoryStore),
    File(FileStore),
    Redis(Box<RedisStore>),
}

/// Some keys of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPage {
    /// At most [`MAX_PAGE_KEYS`](super::limits::MAX_PAGE_KEYS) keys. It can be empty although more pages follow.
    pub keys: Vec<String>,
    /// The position of the next page, or `None` at the end.
    pub cursor: Option<String>,
}

/// The result of a compare-and-swap that reached the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swap {
    /// The key has the new value.
    Done,
    /// The key had another value than expected, and keeps it: this one, or none.
    Stale(Option<Bytes>),
}

/// Calls a method of whichever kind the store is. Only the memory answers at once.
macro_rules! each_kind {
    ($store:expr, $memory:ident => $now:expr, $other:ident => $later:expr) => {
        match &$store.0.kind {
            Kind::Memory($memory) => $now,
            Kind::File($other) => $later.await,
            Kind::Redis($other) => $later.await,
        }
    };
}

impl Store {
    /// Opens the store `name`, which is that of its table `stores.NAME` in chain.toml.
    ///
    /// A Redis server is not asked yet, so that a host starts while the server is away. [`ping`](Self::ping) asks it.
    ///
    /// # Errors
    /// If the description is wrong, or if the file is damaged, in use, or cannot be read and written.
    pub async fn open(name: &str, spec: &StoreOptions) -> Result<Self, StoreError> {
        let name: Arc<str> = name.into();
        let limits = Limits { total: spec.limit, value: spec.value_limit };
        let kind = Self::open_kind(spec, limits).await.map_err(|problem| StoreError::new(&name, problem))?;
        Ok(Self(Arc::new(Inner { name, limits, kind })))
    }

    async fn open_kind(spec: &StoreOptions, limits: Limits) -> Result<Kind, Problem> {
        if limits.value < MIN_VALUE_LIMIT {
            return Err(Problem::small_value_limit());
        }
        Ok(match &spec.kind {
            StoreKind::Memory => Kind::Memory(MemoryStore::new(limits)),
            StoreKind::File { path } => Kind::File(FileStore::open(path, limits, spec.timeout).await?),
            StoreKind::Redis { url, prefix } => {
                Kind::Redis(Box::new(RedisStore::new(url, prefix, limits, spec.timeout)?))
            }
        })
    }

    /// Returns a handle that does not keep the store open.
    pub(super) fn downgrade(&self) -> WeakStore {
        WeakStore(Arc::downgrade(&self.0))
    }

    /// Returns the value of `key`.
    ///
    /// # Errors
    /// If the key has a wrong length, or if the store fails, as with all operations.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.named(Limits::check_key(key))?;
        self.named(each_kind!(self, memory => Ok(memory.get(key)), store => store.get(key)))
    }

    /// Sets the value of `key`.
    ///
    /// # Errors
    /// If the value is too large, or if the store is full.
    pub async fn set(&self, key: &str, value: Vec<u8>) -> Result<(), StoreError> {
        self.named(self.check_entry(key, &value))?;
        self.named(each_kind!(self, memory => memory.set(key, value), store => store.set(key, value)))
    }

    /// Removes `key`. An absent key is no error.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.named(Limits::check_key(key))?;
        self.named(each_kind!(self, memory => { memory.delete(key); Ok(()) }, store => store.delete(key)))
    }

    /// Returns whether the store has `key`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn exists(&self, key: &str) -> Result<bool, StoreError> {
        self.named(Limits::check_key(key))?;
        self.named(each_kind!(self, memory => Ok(memory.exists(key)), store => store.exists(key)))
    }

    /// Returns one page of the keys. The first call passes `None`, each further call the cursor of the page before.
    ///
    /// A key that is there all the time is listed. In Redis it can be listed in two pages.
    ///
    /// # Errors
    /// If the store did not return this cursor.
    pub async fn keys(&self, cursor: Option<&str>) -> Result<KeyPage, StoreError> {
        self.named(each_kind!(self, memory => memory.keys(cursor), store => store.keys(cursor)))
    }

    /// Adds `delta` to the number in `key` and returns the sum. A number is its shortest decimal text. An absent key
    /// counts as 0.
    ///
    /// # Errors
    /// If the value is not a number, or if the sum does not fit in 64 bits.
    pub async fn increment(&self, key: &str, delta: i64) -> Result<i64, StoreError> {
        self.named(Limits::check_key(key))?;
        self.named(each_kind!(self, memory => memory.increment(key, delta), store => store.increment(key, delta)))
    }

    /// Sets the value of `key` if it is `expected` now, where `None` is an absent key. The values are compared, so a
    /// value that changed and changed back counts as unchanged.
    ///
    /// # Errors
    /// As [`set`](Self::set). Another value than the expected one is not an error, but [`Swap::Stale`].
    pub async fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<Bytes>,
        value: Vec<u8>,
    ) -> Result<Swap, StoreError> {
        self.named(self.check_entry(key, &value))?;
        self.named(each_kind!(
            self,
            memory => memory.compare_and_swap(key, expected.as_deref(), value),
            store => store.compare_and_swap(key, expected, value)
        ))
    }

    /// Returns the values of `keys`, in their order.
    ///
    /// # Errors
    /// If there are too many keys, or if the values have too many bytes together.
    pub async fn get_many(&self, keys: Vec<String>) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.named(Limits::check_keys(keys.iter().map(String::as_str)))?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.named(each_kind!(self, memory => memory.get_many(&keys), store => store.get_many(keys)))
    }

    /// Sets all keys to their values, or none if that fails. The last value of a key that is there twice wins.
    ///
    /// # Errors
    /// If there are too many keys, if the values have too many bytes together, or if the store is full.
    pub async fn set_many(&self, entries: Vec<(String, Vec<u8>)>) -> Result<(), StoreError> {
        self.named(self.check_entries(&entries))?;
        if entries.is_empty() {
            return Ok(());
        }
        self.named(each_kind!(self, memory => memory.set_many(entries), store => store.set_many(entries)))
    }

    /// Removes all keys. Absent keys are no error.
    ///
    /// # Errors
    /// If there are too many keys.
    pub async fn delete_many(&self, keys: Vec<String>) -> Result<(), StoreError> {
        self.named(Limits::check_keys(keys.iter().map(String::as_str)))?;
        if keys.is_empty() {
            return Ok(());
        }
        self.named(each_kind!(self, memory => { memory.delete_many(&keys); Ok(()) }, store => store.delete_many(keys)))
    }

    /// Checks that the store answers.
    ///
    /// # Errors
    /// If it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.named(each_kind!(self, memory => { let _ = memory; Ok(()) }, store => store.ping()))
    }

    /// Closes the file of a store, so that another one can open it. It waits for the operations that run. Later ones
    /// fail. Stores of other kinds stay open.
    #[cfg(test)]
    pub async fn close(&self) {
        if let Kind::File(store) = &self.0.kind {
            store.close().await;
        }
    }

    fn check_entry(&self, key: &str, value: &[u8]) -> Result<(), Problem> {
        Limits::check_key(key)?;
        self.0.limits.check_value(value)
    }

    fn check_entries(&self, entries: &[(String, Vec<u8>)]) -> Result<(), Problem> {
        Limits::check_keys(entries.iter().map(|(key, _)| key.as_str()))?;
        let mut sum = BatchBytes::new(&self.0.limits);
        for (_, value) in entries {
            self.0.limits.check_value(value)?;
            sum.add(length(value))?;
        }
        Ok(())
    }

    fn named<T>(&self, result: Result<T, Problem>) -> Result<T, StoreError> {
        result.map_err(|problem| StoreError::new(&self.0.name, problem))
    }
}
