//! Keys and values that all replicas share, and that outlive them.
//!
//! chain.toml names the stores of a chain, and which chainlet may open which:
//!
//! ```toml
//! [stores.sessions]
//! type = "memory"            # or "file", or "redis"
//!
//! [chainlets.login]
//! stores = ["sessions"]
//! ```
//!
//! A chainlet opens a store by its name, usually in `init`:
//!
//! ```
//! # mod login {
//! use chainlet::keyvalue::Store;
//!
//! struct Login {
//!     sessions: Store,
//! }
//!
//! #[chainlet::chainlet(inline = "
//!     package example:login;
//!
//!     world login {
//!         /// How often this user has logged in.
//!         export run-remote: async func(user: string) -> result<s64, string>;
//!     }
//! ")]
//! impl Login {
//!     fn init() -> chainlet::Result<Self> {
//!         Ok(Login { sessions: Store::open("sessions")? })
//!     }
//!
//!     async fn run_remote(&self, user: String) -> chainlet::Result<i64> {
//!         Ok(self.sessions.increment(&format!("logins:{user}"), 1)?)
//!     }
//! }
//! # }
//! ```
//!
//! # What holds
//!
//! - **Each operation is atomic**, the batches of chainhost too. Of two at once, one is first.
//! - **A value is bytes.** [`Store::get_json`] and [`Store::set_json`] read and write any type of serde.
//! - **A key** is text of 1 to 1,024 bytes. A batch has at most 1,000 keys.
//! - **Nothing expires.** An entry stays until it is deleted, or until its store ends: the store of the type `memory` ends
//!   with the host.
//! - **To change a value that depends on itself**, use [`Store::increment`] or [`Store::update`]. A `get` with a `set` after
//!   it loses what another replica writes in between.
//! - **An operation blocks the instance**, because the standard has no asynchronous functions yet. No other call of the
//!   instance runs meanwhile. The `timeout` of the store in chain.toml limits the time.
//!
//! # Errors
//!
//! A [`StoreError`] names the store and the key of chain.toml that helps. With `?` it becomes a
//! [`chainlet::Error`](crate::Error) of a kind that fits.
//!
//! # Outside a host
//!
//! In a unit test on the developer's machine, every name opens a store in memory. Each thread has its own stores, so that
//! tests do not meet:
//!
//! ```
//! # use chainlet::keyvalue::Store;
//! let visits = Store::open("visits")?;
//! assert_eq!(visits.increment("home", 2)?, 2);
//! assert_eq!(Store::open("visits")?.get("home")?.as_deref(), Some(&b"2"[..]));
//! # Ok::<_, chainlet::Error>(())
//! ```
//!
//! # The standard
//!
//! The interface behind this module is `wasi:keyvalue@0.2.0-draft2`, which other hosts have as well. A world can also import
//! it directly.

#[cfg(not(target_arch = "wasm32"))]
mod absent;
mod error;
#[cfg(target_arch = "wasm32")]
mod host;
#[cfg(test)]
mod tests;

use std::fmt::{self, Debug};

use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(not(target_arch = "wasm32"))]
use self::absent as host;
pub use self::error::StoreError;
use self::host::atomics::{self, Cas, CasError};
use self::host::batch;
use self::host::store::{self, Bucket};

/// The most attempts of [`Store::update`]. Each failed attempt is a write of somebody else that succeeded.
const UPDATE_ATTEMPTS: u32 = 100;

/// An open store.
pub struct Store {
    name: String,
    bucket: Bucket,
}

impl Store {
    /// Opens the store that chain.toml gives this chainlet as `name`.
    ///
    /// # Errors
    /// [`StoreError::NoSuchStore`] if chain.toml gives it none of this name.
    pub fn open(name: &str) -> Result<Self, StoreError> {
        let bucket = store::open(name).map_err(|error| StoreError::new(name, error))?;
        Ok(Store { name: name.to_owned(), bucket })
    }

    /// Returns the name by which the store was opened.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the value of `key`, or `None` if the store does not have this key.
    ///
    /// # Errors
    /// If the store fails.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.named(self.bucket.get(key))
    }

    /// Sets the value of `key`. A former value is replaced.
    ///
    /// # Errors
    /// If the value is too large, or if the store is full or fails.
    pub fn set(&self, key: &str, value: impl AsRef<[u8]>) -> Result<(), StoreError> {
        self.named(self.bucket.set(key, value.as_ref()))
    }

    /// Removes `key`. An absent key is no error.
    ///
    /// # Errors
    /// If the store fails.
    pub fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.named(self.bucket.delete(key))
    }

    /// Returns whether the store has `key`.
    ///
    /// # Errors
    /// If the store fails.
    pub fn exists(&self, key: &str) -> Result<bool, StoreError> {
        self.named(self.bucket.exists(key))
    }

    /// Returns all keys, in no particular order. The iterator reads them page by page, and ends after an error.
    ///
    /// A key that is there all the time is returned. A key that is written or deleted meanwhile may be missing, and a store
    /// in Redis may return a key twice.
    ///
    /// ```
    /// # use chainlet::keyvalue::Store;
    /// let store = Store::open("pages")?;
    /// store.set("home", "…")?;
    /// for key in store.keys() {
    ///     assert_eq!(key?, "home");
    /// }
    /// # Ok::<_, chainlet::Error>(())
    /// ```
    pub fn keys(&self) -> Keys<'_> {
        Keys { store: self, page: Vec::new().into_iter(), next: Next::First }
    }

    /// Adds `delta` to the number of `key` and returns the sum. An absent key counts as 0. The value is the number as decimal
    /// text.
    ///
    /// # Errors
    /// If the value is not a number, if the sum does not fit in 64 bits, or if the store fails.
    pub fn increment(&self, key: &str, delta: i64) -> Result<i64, StoreError> {
        self.named(atomics::increment(&self.bucket, key, delta))
    }

    /// Returns the value of `key`, read from JSON, or `None` if the store does not have this key.
    ///
    /// # Errors
    /// If the value is not JSON of the shape of `T`, or if the store fails.
    pub fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StoreError> {
        let value = self.get(key)?;
        value.map(|value| serde_json::from_slice(&value)).transpose().map_err(|source| self.mismatch(key, source))
    }

    /// Sets the value of `key` to `value` as JSON.
    ///
    /// ```
    /// # use chainlet::keyvalue::Store;
    /// #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    /// struct Session { user: String, logins: u32 }
    ///
    /// let store = Store::open("sessions")?;
    /// let session = Session { user: "ada".to_owned(), logins: 1 };
    /// store.set_json("7f3a", &session)?;
    /// assert_eq!(store.get_json("7f3a")?, Some(session));
    /// # Ok::<_, chainlet::Error>(())
    /// ```
    ///
    /// # Errors
    /// If `value` cannot be written as JSON or is too large, or if the store is full or fails.
    pub fn set_json<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<(), StoreError> {
        let json = serde_json::to_vec(value).map_err(|source| self.mismatch(key, source))?;
        self.set(key, json)
    }

    /// Sets the value of `key` to what `change` makes of the present one, where `None` is an absent key, and returns the new
    /// value. No write of somebody else is lost: if one comes in between, `change` is called again with that value.
    ///
    /// ```
    /// # use chainlet::keyvalue::Store;
    /// let store = Store::open("baskets")?;
    /// let add = |basket: Option<Vec<u8>>| [basket.unwrap_or_default(), b"tea;".to_vec()].concat();
    /// store.update("ada", add)?;
    /// assert_eq!(store.update("ada", add)?, b"tea;tea;");
    /// # Ok::<_, chainlet::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Contended`] if somebody else wrote before each of 100 attempts. Otherwise as [`set`](Self::set).
    pub fn update(&self, key: &str, mut change: impl FnMut(Option<Vec<u8>>) -> Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let mut cas = self.named(Cas::new(&self.bucket, key))?;
        for _ in 0..UPDATE_ATTEMPTS {
            let value = change(self.named(cas.current())?);
            match atomics::swap(cas, &value) {
                Ok(()) => return Ok(value),
                Err(CasError::StoreError(error)) => return self.named(Err(error)),
                Err(CasError::CasFailed(fresh)) => cas = fresh,
            }
        }
        Err(StoreError::Contended { store: self.name.clone(), key: key.to_owned(), attempts: UPDATE_ATTEMPTS })
    }

    /// Returns the values of `keys`, in their order, at once. `None` stands for an absent key.
    ///
    /// # Errors
    /// If there are more than 1,000 keys, if the values have too many bytes together, or if the store fails.
    pub fn get_many<K: Into<String>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let entries = self.named(batch::get_many(&self.bucket, &owned(keys)))?;
        Ok(entries.into_iter().map(|entry| entry.map(|(_, value)| value)).collect())
    }

    /// Sets all keys to their values at once. On chainhost, either all are set or none.
    ///
    /// ```
    /// # use chainlet::keyvalue::Store;
    /// let store = Store::open("prices")?;
    /// store.set_many([("tea", "3"), ("coffee", "4")])?;
    /// assert_eq!(store.get_many(["coffee", "milk"])?, [Some(b"4".to_vec()), None]);
    /// # Ok::<_, chainlet::Error>(())
    /// ```
    ///
    /// # Errors
    /// If there are more than 1,000 keys, if the values have too many bytes together, or if the store is full or fails.
    pub fn set_many<K: Into<String>, V: Into<Vec<u8>>>(
        &self,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), StoreError> {
        let entries: Vec<_> = entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        self.named(batch::set_many(&self.bucket, &entries))
    }

    /// Removes all keys at once. Absent keys are no error.
    ///
    /// # Errors
    /// If there are more than 1,000 keys, or if the store fails.
    pub fn delete_many<K: Into<String>>(&self, keys: impl IntoIterator<Item = K>) -> Result<(), StoreError> {
        self.named(batch::delete_many(&self.bucket, &owned(keys)))
    }

    fn named<T>(&self, result: Result<T, store::Error>) -> Result<T, StoreError> {
        result.map_err(|error| StoreError::new(&self.name, error))
    }

    fn mismatch(&self, key: &str, source: serde_json::Error) -> StoreError {
        StoreError::Mismatch { store: self.name.clone(), key: key.to_owned(), reason: source.to_string() }
    }
}

impl Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The keys of a store. [`Store::keys`] makes it.
#[derive(Debug)]
pub struct Keys<'a> {
    store: &'a Store,
    page: std::vec::IntoIter<String>,
    next: Next,
}

/// The page that a list of keys reads next.
#[derive(Debug)]
enum Next {
    First,
    /// The page at this cursor.
    At(String),
    /// None: the list is at its end, or has failed.
    End,
}

impl Iterator for Keys<'_> {
    type Item = Result<String, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        // A page can be empty although more pages follow.
        loop {
            if let Some(key) = self.page.next() {
                return Some(Ok(key));
            }
            let cursor = match std::mem::replace(&mut self.next, Next::End) {
                Next::First => None,
                Next::At(cursor) => Some(cursor),
                Next::End => return None,
            };
            match self.store.named(self.store.bucket.list_keys(cursor.as_deref())) {
                Ok(page) => {
                    self.page = page.keys.into_iter();
                    self.next = page.cursor.map_or(Next::End, Next::At);
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl std::iter::FusedIterator for Keys<'_> {}

fn owned<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Vec<String> {
    keys.into_iter().map(Into::into).collect()
}
