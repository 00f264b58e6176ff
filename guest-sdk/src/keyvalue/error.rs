//! The failures of stores.

use super::host::store;
use crate::{Error, ErrorKind, context};

/// The failure of an operation on a store.
///
/// With `?` it turns into [`chainlet::Error`](crate::Error), with these kinds:
///
/// | variant | kind |
/// |---|---|
/// | [`NoSuchStore`](Self::NoSuchStore), [`AccessDenied`](Self::AccessDenied), [`Mismatch`](Self::Mismatch) | [`Internal`](ErrorKind::Internal) |
/// | [`Contended`](Self::Contended) | [`Conflict`](ErrorKind::Conflict) |
/// | [`Other`](Self::Other) | [`Upstream`](ErrorKind::Upstream) |
///
/// Anything that is `Display` turns into an error of the kind `unprocessable`, so this type is not: its text is
/// [`message`](Self::message).
///
/// ```
/// use chainlet::keyvalue::{Store, StoreError};
///
/// fn cached(key: &str) -> chainlet::Result<Option<Vec<u8>>> {
///     match Store::open("cache") {
///         Ok(cache) => Ok(cache.get(key)?),
///         // This chain has no cache.
///         Err(StoreError::NoSuchStore { .. }) => Ok(None),
///         Err(error) => Err(error.into()),
///     }
/// }
/// # assert_eq!(cached("a").unwrap(), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// chain.toml gives this chainlet no store of this name.
    NoSuchStore {
        /// The name that was opened.
        store: String,
    },
    /// The host does not let this chainlet use the store.
    AccessDenied {
        /// The name that was opened.
        store: String,
    },
    /// A value is not JSON of the type that it was to be read as or written from.
    Mismatch {
        /// The name of the store.
        store: String,
        /// The key of the value.
        key: String,
        /// The difference, and its place in the JSON.
        reason: String,
    },
    /// Somebody else changed the key before each attempt of [`Store::update`](super::Store::update). The key has their value.
    Contended {
        /// The name of the store.
        store: String,
        /// The key.
        key: String,
        /// The number of attempts.
        attempts: u32,
    },
    /// Any other failure: the key or the value is too long, the store is full, or it cannot be reached.
    Other {
        /// The name of the store.
        store: String,
        /// The text of the host. chainhost names the store and the key of chain.toml that helps.
        reason: String,
    },
}

impl StoreError {
    pub(super) fn new(store: &str, error: store::Error) -> Self {
        let store = store.to_owned();
        match error {
            store::Error::NoSuchStore => StoreError::NoSuchStore { store },
            store::Error::AccessDenied => StoreError::AccessDenied { store },
            store::Error::Other(reason) => StoreError::Other { store, reason },
        }
    }

    /// Returns a sentence that says what happened, in which store, and what helps.
    pub fn message(&self) -> String {
        match self {
            StoreError::NoSuchStore { store } => {
                let key = format!("`stores` in `[chainlets.{}]`", context::chainlet());
                format!("there is no store `{store}` for this chainlet; add it to {key} in chain.toml")
            }
            StoreError::AccessDenied { store } => {
                let key = format!("`stores` in `[chainlets.{}]`", context::chainlet());
                format!("the host denies access to the store `{store}`; check {key} in chain.toml")
            }
            StoreError::Mismatch { store, key, reason } => {
                format!("the value of `{key}` in the store `{store}` does not fit: {reason}")
            }
            StoreError::Contended { store, key, attempts } => {
                format!("`{key}` in the store `{store}` was changed before each of {attempts} attempts to change it")
            }
            StoreError::Other { store, reason } if reason.contains(&format!("the store {store:?}")) => reason.clone(),
            StoreError::Other { store, reason } => format!("the store `{store}` fails: {reason}"),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            // A mistake of this chainlet, or of its chain.toml.
            StoreError::NoSuchStore { .. } | StoreError::AccessDenied { .. } | StoreError::Mismatch { .. } => {
                ErrorKind::Internal
            }
            StoreError::Contended { .. } => ErrorKind::Conflict,
            StoreError::Other { .. } => ErrorKind::Upstream,
        };
        Error::new(kind, error.message())
    }
}
