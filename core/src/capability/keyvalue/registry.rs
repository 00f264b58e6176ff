//! The open stores of a host. Each is open once, whatever chains, versions of a chain and chainlets use it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tokio::sync::Mutex;

use super::config::{StoreBackend, StoreSpec};
use super::options::{StoreKind, StoreOptions};
use super::store::{Store, WeakStore};
use crate::capability::GrantRequest;
use crate::config::{ConfigError, KeyPath, StoreName};

/// The open stores. A store closes when the last chainlet that uses it has ended.
#[derive(Default)]
pub(super) struct Registry(Mutex<HashMap<Place, Open>>);

/// The entries that a store has. Two descriptions of one place are one store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    Memory { chain: String, store: String },
    File(PathBuf),
    Redis { url: String, prefix: String },
}

struct Open {
    store: WeakStore,
    options: StoreOptions,
}

impl Registry {
    /// Returns the store `name` of the chain, which is opened if it is not open.
    ///
    /// # Errors
    ///
    /// Fails if the store cannot be opened, with its place in chain.toml.
    pub(super) async fn open(&self, chainlet: &GrantRequest<'_>, name: &StoreName) -> Result<Store, ConfigError> {
        let key = KeyPath::from(["stores", name.as_str()]);
        let Some(spec) = chainlet.chain.stores.get(name) else {
            let message = format!("there is no store named {name}");
            return Err(ConfigError::new(chainlet.chain.at(key), message, format!("add [stores.{name}]")));
        };
        let (place, options) = describe(chainlet, name, spec);
        // Held while the store opens, so that nobody else opens the same file meanwhile.
        let mut open = self.0.lock().await;
        open.retain(|_, open| open.store.is_open());
        if let Some((store, before)) = open.get(&place).and_then(|open| Some((open.store.upgrade()?, &open.options))) {
            if *before != options {
                tracing::warn!(
                    store = %name,
                    "the store is open with other limits, which it keeps until no version of a chain uses it"
                );
            }
            return Ok(store);
        }
        let store = Store::open(name.as_str(), &options).await.map_err(|error| {
            let help = "see docs/key-value.md for what each type of store needs";
            ConfigError::new(chainlet.chain.at(key), error.to_string(), help)
        })?;
        if let Err(error) = store.ping().await {
            // The chain starts nevertheless: the server may come later, and each call says what is wrong.
            tracing::warn!(store = %name, %error, "the store does not answer yet");
        }
        open.insert(place, Open { store: store.downgrade(), options });
        Ok(store)
    }
}

/// Returns the path of a file without symbolic links. It is the same before and after the store has made the file and its
/// folders.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // The parts that are missing will be made, and be no links.
    let found = path.ancestors().find_map(|there| Some((there.canonicalize().ok()?, path.strip_prefix(there).ok()?)));
    match found {
        Some((there, missing)) => there.join(missing),
        None => path,
    }
}

/// Returns the place and the options of a store.
fn describe(chainlet: &GrantRequest<'_>, name: &StoreName, spec: &StoreSpec) -> (Place, StoreOptions) {
    let chain = chainlet.chain.name.as_str();
    let (place, kind) = match &spec.backend {
        StoreBackend::Memory => (Place::Memory { chain: chain.to_owned(), store: name.to_string() }, StoreKind::Memory),
        StoreBackend::File { path } => {
            let path = chainlet.chain.resolve(path);
            (Place::File(real(&path)), StoreKind::File { path })
        }
        StoreBackend::Redis { url, prefix, .. } => {
            let secret = chainlet.store_urls.get(name).map(|secret| secret.expose().to_owned());
            let url = secret.or_else(|| url.clone()).unwrap_or_default();
            let prefix = prefix.clone().unwrap_or_else(|| format!("{chain}:{name}:"));
            (Place::Redis { url: url.clone(), prefix: prefix.clone() }, StoreKind::Redis { url, prefix })
        }
    };
    let options = StoreOptions {
        kind,
        limit: spec.limit.as_bytes(),
        value_limit: spec.value_limit.as_bytes(),
        timeout: spec.timeout,
    };
    (place, options)
}
