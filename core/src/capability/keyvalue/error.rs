//! The failures of stores.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::limits::{MAX_BATCH_KEYS, MAX_KEY_BYTES, MIN_VALUE_LIMIT};

/// The failure of an operation on a store.
///
/// Its text says what happened, in which store, and what to do:
///
/// ```text
/// the store "cart" is full: it holds 67108800 of 67108864 bytes, and this write needs 200 more: delete keys, or raise stores.cart.limit
/// ```
#[derive(Debug, Clone)]
pub struct StoreError {
    store: Arc<str>,
    problem: Problem,
}

/// The reason for the failure of an operation on a store. A failed operation changed nothing, unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The key has no byte.
    EmptyKey,
    /// The key has more than [`MAX_KEY_BYTES`](super::limits::MAX_KEY_BYTES).
    KeyTooLong {
        /// The bytes of the key.
        length: usize,
    },
    /// The value to write has more bytes than a value may have.
    ValueTooLarge {
        /// The bytes of the value.
        bytes: u64,
        /// The most bytes that a value may have.
        limit: u64,
    },
    /// The value in the store has more bytes than a value may have.
    StoredTooLarge {
        /// The bytes of the value.
        bytes: u64,
        /// The most bytes that a value may have.
        limit: u64,
    },
    /// The batch has more than [`MAX_BATCH_KEYS`](super::limits::MAX_BATCH_KEYS).
    TooManyKeys {
        /// The keys of the batch.
        keys: usize,
    },
    /// The values of the batch have too many bytes together.
    BatchTooLarge {
        /// The most bytes that the values of a batch may have together.
        limit: u64,
    },
    /// The store has no room for the write.
    Full {
        /// The bytes in use.
        used: u64,
        /// The bytes that the write needs in addition.
        needed: u64,
        /// The most bytes that may be in use.
        limit: u64,
    },
    /// The server of the store has no memory left.
    ServerFull,
    /// The value to increment is not the text of a decimal number of 64 bits with a sign.
    NotANumber,
    /// The sum does not fit in 64 bits with a sign.
    Overflow,
    /// The cursor is none that this store returned.
    BadCursor,
    /// The operation took too long. A write may still take effect.
    TimedOut {
        /// The most time that an operation may take.
        after: Duration,
    },
    /// Another process, or this one, has the file open.
    InUse {
        /// The file of the store.
        path: PathBuf,
    },
    /// The file is damaged, or is not the file of a store.
    Corrupt {
        /// The file of the store.
        path: PathBuf,
        /// The damage.
        cause: String,
    },
    /// The store cannot be reached or used. A write may have taken effect if the store failed in the middle of it.
    Unavailable {
        /// The reason.
        cause: String,
    },
    /// The description of the store is wrong.
    BadSpec {
        /// The last part of the key in chain.toml.
        key: &'static str,
        /// The mistake and the remedy.
        cause: String,
    },
    /// The store was closed.
    Closed,
}

impl StoreError {
    pub(crate) fn new(store: &Arc<str>, problem: Problem) -> Self {
        Self { store: store.clone(), problem }
    }

    /// Returns the reason.
    #[cfg(test)]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = &*self.store;
        match &self.problem {
            Problem::EmptyKey => {
                write!(f, "a key for the store {store:?} is empty: use keys of 1 to {MAX_KEY_BYTES} bytes")
            }
            Problem::KeyTooLong { length } => {
                let advice = format_args!("use keys of 1 to {MAX_KEY_BYTES} bytes");
                write!(f, "a key for the store {store:?} has {length} bytes: {advice}")
            }
            Problem::ValueTooLarge { bytes, limit } => {
                let advice = format_args!("write a smaller one, or raise stores.{store}.value_limit");
                write!(
                    f,
                    "a value for the store {store:?} has {bytes} bytes, and at most {limit} are allowed: {advice}"
                )
            }
            Problem::StoredTooLarge { bytes, limit } => {
                let advice = format_args!("delete or replace it, or raise stores.{store}.value_limit");
                write!(f, "a value in the store {store:?} has {bytes} bytes, and at most {limit} are allowed: {advice}")
            }
            Problem::TooManyKeys { keys } => {
                let advice = format_args!("use batches of at most {MAX_BATCH_KEYS} keys");
                write!(f, "a batch for the store {store:?} has {keys} keys: {advice}")
            }
            Problem::BatchTooLarge { limit } => {
                let advice = "use smaller batches";
                write!(f, "the values of a batch for the store {store:?} have more than {limit} bytes: {advice}")
            }
            Problem::Full { used, needed, limit } => {
                let state = format_args!("it holds {used} of {limit} bytes, and this write needs {needed} more");
                write!(f, "the store {store:?} is full: {state}: delete keys, or raise stores.{store}.limit")
            }
            Problem::ServerFull => {
                write!(f, "the Redis server of the store {store:?} is full: delete keys, or raise its maxmemory")
            }
            Problem::NotANumber => {
                let advice = "increment only keys that hold a decimal number of 64 bits";
                write!(f, "a value in the store {store:?} is not a number: {advice}, or delete the key")
            }
            Problem::Overflow => {
                let advice = "use a smaller step, or set the key to a smaller number";
                write!(f, "a sum in the store {store:?} does not fit in 64 bits: {advice}")
            }
            Problem::BadCursor => {
                let advice = "pass the cursor of the page before, or none to start again";
                write!(f, "the store {store:?} did not return this cursor: {advice}")
            }
            Problem::TimedOut { after } => {
                let advice = format_args!("try again later, or raise stores.{store}.timeout");
                let effect = "a write may still take effect";
                write!(f, "the store {store:?} did not answer within {after:?}; {effect}: {advice}")
            }
            Problem::InUse { path } => {
                let advice = format_args!("end that process, or choose another stores.{store}.path");
                write!(f, "another process has the file {path:?} of the store {store:?} open: {advice}")
            }
            Problem::Corrupt { path, cause } => {
                let advice =
                    format_args!("restore it from a backup, move it away, or choose another stores.{store}.path");
                write!(f, "the file {path:?} of the store {store:?} is damaged ({cause}): {advice}")
            }
            Problem::Unavailable { cause } => {
                write!(f, "the store {store:?} is unavailable: {cause}: try again later, and check stores.{store}")
            }
            Problem::BadSpec { key, cause } => {
                write!(f, "the store {store:?} cannot be opened: stores.{store}.{key} {cause}")
            }
            Problem::Closed => write!(f, "the store {store:?} is closed: open it again"),
        }
    }
}

impl std::error::Error for StoreError {}

impl Problem {
    /// Makes the problem of a `value_limit` that is too small.
    pub(crate) fn small_value_limit() -> Self {
        let cause = format!("must be at least {MIN_VALUE_LIMIT} bytes, the length of the longest number");
        Problem::BadSpec { key: "value_limit", cause }
    }
}
