//! The stores where there is no host: maps in memory, one for each name and thread. They have the shape of the bindings and
//! the rules of chainhost's stores for keys, batches, pages and numbers, but no limit to bytes.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

type Entries = Rc<RefCell<BTreeMap<String, Vec<u8>>>>;

thread_local! {
    static STORES: RefCell<HashMap<String, Entries>> = RefCell::default();
}

/// The most bytes of a key.
const KEY_BYTES: usize = 1024;
/// The most keys of a batch, and of a page.
const KEYS: usize = 1000;

pub(super) mod store {
    use std::ops::Bound;

    use super::{Entries, KEYS, STORES, check};

    #[derive(Debug)]
    pub enum Error {
        #[expect(dead_code, reason = "every name opens a store")]
        NoSuchStore,
        #[expect(dead_code, reason = "every store may be used")]
        AccessDenied,
        Other(String),
    }

    pub struct KeyResponse {
        pub keys: Vec<String>,
        pub cursor: Option<String>,
    }

    pub struct Bucket(pub(super) Entries);

    pub fn open(identifier: &str) -> Result<Bucket, Error> {
        Ok(Bucket(STORES.with_borrow_mut(|stores| stores.entry(identifier.to_owned()).or_default().clone())))
    }

    impl Bucket {
        pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
            check([key])?;
            Ok(self.0.borrow().get(key).cloned())
        }

        pub fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
            check([key])?;
            self.0.borrow_mut().insert(key.to_owned(), value.to_owned());
            Ok(())
        }

        pub fn delete(&self, key: &str) -> Result<(), Error> {
            check([key])?;
            self.0.borrow_mut().remove(key);
            Ok(())
        }

        pub fn exists(&self, key: &str) -> Result<bool, Error> {
            check([key])?;
            Ok(self.0.borrow().contains_key(key))
        }

        /// Returns the page after `cursor`, which is the last key of the page before.
        pub fn list_keys(&self, cursor: Option<&str>) -> Result<KeyResponse, Error> {
            let start = cursor.map_or(Bound::Unbounded, Bound::Excluded);
            let entries = self.0.borrow();
            let mut following = entries.range::<str, _>((start, Bound::Unbounded)).map(|(key, _)| key.clone());
            let keys: Vec<_> = following.by_ref().take(KEYS).collect();
            let cursor = following.next().and_then(|_| keys.last().cloned());
            Ok(KeyResponse { keys, cursor })
        }
    }
}

pub(super) mod atomics {
    use super::store::{Bucket, Error};
    use super::{Entries, check};

    pub enum CasError {
        #[expect(dead_code, reason = "`Cas::new` has checked the key, and the memory does not fail")]
        StoreError(Error),
        CasFailed(Cas),
    }

    pub struct Cas {
        entries: Entries,
        key: String,
        value: Option<Vec<u8>>,
    }

    impl Cas {
        pub fn new(bucket: &Bucket, key: &str) -> Result<Self, Error> {
            let value = bucket.get(key)?;
            Ok(Cas { entries: bucket.0.clone(), key: key.to_owned(), value })
        }

        pub fn current(&self) -> Result<Option<Vec<u8>>, Error> {
            Ok(self.value.clone())
        }
    }

    pub fn increment(bucket: &Bucket, key: &str, delta: i64) -> Result<i64, Error> {
        check([key])?;
        let mut entries = bucket.0.borrow_mut();
        let number = match entries.get(key) {
            None => 0,
            Some(value) => {
                number(value).ok_or_else(|| Error::Other(format!("the value of `{key}` is not a number")))?
            }
        };
        let sum = number.checked_add(delta);
        let sum = sum.ok_or_else(|| Error::Other(format!("the sum for `{key}` does not fit in 64 bits")))?;
        entries.insert(key.to_owned(), sum.to_string().into_bytes());
        Ok(sum)
    }

    /// Reads a number from its shortest text. `07` and `+7` are none, as in Redis.
    fn number(value: &[u8]) -> Option<i64> {
        let text = std::str::from_utf8(value).ok()?;
        let number: i64 = text.parse().ok()?;
        (number.to_string() == text).then_some(number)
    }

    pub fn swap(cas: Cas, value: &[u8]) -> Result<(), CasError> {
        let Cas { entries, key, value: expected } = cas;
        let current = entries.borrow().get(&key).cloned();
        if current != expected {
            return Err(CasError::CasFailed(Cas { entries, key, value: current }));
        }
        entries.borrow_mut().insert(key, value.to_owned());
        Ok(())
    }
}

pub(super) mod batch {
    use super::check;
    use super::store::{Bucket, Error};

    type Entry = (String, Vec<u8>);

    pub fn get_many(bucket: &Bucket, keys: &[String]) -> Result<Vec<Option<Entry>>, Error> {
        check(keys)?;
        let entries = bucket.0.borrow();
        Ok(keys.iter().map(|key| entries.get_key_value(key).map(|(key, value)| (key.clone(), value.clone()))).collect())
    }

    pub fn set_many(bucket: &Bucket, entries: &[Entry]) -> Result<(), Error> {
        check(entries.iter().map(|(key, _)| key))?;
        bucket.0.borrow_mut().extend(entries.iter().cloned());
        Ok(())
    }

    pub fn delete_many(bucket: &Bucket, keys: &[String]) -> Result<(), Error> {
        check(keys)?;
        bucket.0.borrow_mut().retain(|key, _| !keys.contains(key));
        Ok(())
    }
}

/// Checks the number and the length of keys.
fn check<K: AsRef<str>>(keys: impl IntoIterator<Item = K, IntoIter: ExactSizeIterator>) -> Result<(), store::Error> {
    let keys = keys.into_iter();
    if keys.len() > KEYS {
        return Err(store::Error::Other(format!("a batch has {} keys, and may have {KEYS}", keys.len())));
    }
    for key in keys {
        let length = key.as_ref().len();
        if !(1..=KEY_BYTES).contains(&length) {
            return Err(store::Error::Other(format!("a key has {length} bytes, and needs 1 to {KEY_BYTES}")));
        }
    }
    Ok(())
}
