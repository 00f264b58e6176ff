//! `wasi:keyvalue`: the stores that chain.toml names, for the chainlets that name them.
//!
//! - [`config`] has the keys of chain.toml.
//! - [`registry`] opens each store once for a host.
//! - `store` and the modules below it are the stores themselves: in memory, in a file, in Redis.
//!
//! Here are the functions that guests call. A guest does nothing else while it waits for one of them, because the standard
//! has no asynchronous functions yet; each ends within the timeout of its store.

pub(crate) mod config;
mod error;
mod file;
mod limits;
mod memory;
mod options;
mod redis;
mod registry;
mod store;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use wasmtime::component::{HasSelf, Linker, Resource, ResourceTable};
use wasmtime_wasi::WasiCtxBuilder;

use self::bindings::wasi::keyvalue::{atomics, batch, store as wit};
pub use self::config::{ChainletStores, StoreBackend, StoreSpec};
use self::error::StoreError;
use self::registry::Registry;
use self::store::{Store, Swap};
use super::{Capability, GrantRequest, Row, StateError};
use crate::chainlet::state::ReplicaState;
use crate::config::ConfigError;

mod bindings {
    wasmtime::component::bindgen!({
        path: "wit/deps/keyvalue",
        world: "wasi:keyvalue/imports",
        with: {
            "wasi:keyvalue/store.bucket": super::Bucket,
            "wasi:keyvalue/atomics.cas": super::Cas,
        },
        imports: { default: async | trappable },
    });
}

/// The most handles of stores and of swaps that a guest may hold. One more is a trap, as with all handles.
const HANDLES: usize = 4_096;

/// The capability, with the stores that are open.
#[derive(Default)]
pub(super) struct KeyValue(Registry);

/// The stores of one chainlet, by the names that its guests open.
pub(super) type Stores = HashMap<String, Store>;

/// The part of `wasi:keyvalue` that the store of one replica holds.
pub(super) struct KeyValueState {
    stores: Arc<Stores>,
    table: ResourceTable,
}

/// The handle of a store.
pub struct Bucket(Store);

/// The handle of a compare-and-swap.
pub struct Cas {
    store: Store,
    key: String,
    /// The value of the key when the handle was made.
    value: Option<Bytes>,
}

impl Capability for KeyValue {
    type Grant = Stores;
    type State = KeyValueState;

    fn name(&self) -> &'static str {
        "keyvalue"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &["wasi:keyvalue/store", "wasi:keyvalue/atomics", "wasi:keyvalue/batch"]
    }

    fn add_to_linker(&self, linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
        wit::add_to_linker::<_, HasSelf<_>>(linker, ReplicaState::of_mut::<KeyValue>)?;
        atomics::add_to_linker::<_, HasSelf<_>>(linker, ReplicaState::of_mut::<KeyValue>)?;
        batch::add_to_linker::<_, HasSelf<_>>(linker, ReplicaState::of_mut::<KeyValue>)
    }

    async fn allows(&self, chainlet: &GrantRequest<'_>) -> Result<bool, ConfigError> {
        if !chainlet.chainlet.stores.is_empty() {
            return Ok(true);
        }
        match chainlet.import_of(self.interfaces()) {
            None => Ok(false),
            Some(import) => Err(ConfigError::new(
                chainlet.chain.at(chainlet.key()),
                format!("the component imports {import}, and chain.toml gives {} no store", chainlet.name),
                "write `stores = [\"NAME\"]`, with [stores.NAME] and type = \"memory\" in it",
            )),
        }
    }

    async fn grant(&self, chainlet: &GrantRequest<'_>) -> Result<Stores, ConfigError> {
        let mut stores = Stores::new();
        for (identifier, name) in &chainlet.chainlet.stores.0 {
            stores.insert(identifier.clone(), self.0.open(chainlet, name).await?);
        }
        Ok(stores)
    }

    fn state(&self, stores: &Arc<Stores>, _: u32, _: &mut WasiCtxBuilder) -> Result<KeyValueState, StateError> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES);
        Ok(KeyValueState { stores: stores.clone(), table })
    }

    fn rows(&self, chainlet: &GrantRequest<'_>) -> Vec<Row> {
        let stores = chainlet.chainlet.stores.0.iter();
        let row = |(identifier, name): (&String, _)| {
            let spec = chainlet.chain.stores.get(name)?;
            Some(Row::new("store", config::in_words(identifier, name, spec)))
        };
        stores.filter_map(row).collect()
    }
}

/// The result of a function: the guest's own result, unless the guest must end.
type Outcome<T> = wasmtime::Result<Result<T, wit::Error>>;

impl KeyValueState {
    fn store(&self, handle: &Resource<Bucket>) -> wasmtime::Result<Store> {
        Ok(self.table.get(handle)?.0.clone())
    }
}

impl From<StoreError> for wit::Error {
    fn from(error: StoreError) -> Self {
        wit::Error::Other(error.to_string())
    }
}

impl wit::Host for KeyValueState {
    async fn open(&mut self, identifier: String) -> Outcome<Resource<Bucket>> {
        match self.stores.get(&identifier).cloned() {
            Some(store) => Ok(Ok(self.table.push(Bucket(store))?)),
            // A guest does not learn which stores other chainlets have.
            None => Ok(Err(wit::Error::NoSuchStore)),
        }
    }
}

impl wit::HostBucket for KeyValueState {
    async fn get(&mut self, bucket: Resource<Bucket>, key: String) -> Outcome<Option<Vec<u8>>> {
        let value = self.store(&bucket)?.get(&key).await;
        Ok(value.map(|value| value.map(Vec::from)).map_err(wit::Error::from))
    }

    async fn set(&mut self, bucket: Resource<Bucket>, key: String, value: Vec<u8>) -> Outcome<()> {
        Ok(self.store(&bucket)?.set(&key, value).await.map_err(wit::Error::from))
    }

    async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> Outcome<()> {
        Ok(self.store(&bucket)?.delete(&key).await.map_err(wit::Error::from))
    }

    async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> Outcome<bool> {
        Ok(self.store(&bucket)?.exists(&key).await.map_err(wit::Error::from))
    }

    async fn list_keys(&mut self, bucket: Resource<Bucket>, cursor: Option<String>) -> Outcome<wit::KeyResponse> {
        let page = self.store(&bucket)?.keys(cursor.as_deref()).await;
        Ok(page.map(|page| wit::KeyResponse { keys: page.keys, cursor: page.cursor }).map_err(wit::Error::from))
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for KeyValueState {
    async fn increment(&mut self, bucket: Resource<Bucket>, key: String, delta: i64) -> Outcome<i64> {
        Ok(self.store(&bucket)?.increment(&key, delta).await.map_err(wit::Error::from))
    }

    async fn swap(&mut self, cas: Resource<Cas>, value: Vec<u8>) -> wasmtime::Result<Result<(), atomics::CasError>> {
        let Cas { store, key, value: expected } = self.table.delete(cas)?;
        match store.compare_and_swap(&key, expected, value).await {
            Ok(Swap::Done) => Ok(Ok(())),
            Ok(Swap::Stale(value)) => {
                let next = self.table.push(Cas { store, key, value })?;
                Ok(Err(atomics::CasError::CasFailed(next)))
            }
            Err(error) => Ok(Err(atomics::CasError::StoreError(error.into()))),
        }
    }
}

impl atomics::HostCas for KeyValueState {
    async fn new(&mut self, bucket: Resource<Bucket>, key: String) -> Outcome<Resource<Cas>> {
        let store = self.store(&bucket)?;
        match store.get(&key).await {
            Ok(value) => Ok(Ok(self.table.push(Cas { store, key, value })?)),
            Err(error) => Ok(Err(error.into())),
        }
    }

    async fn current(&mut self, cas: Resource<Cas>) -> Outcome<Option<Vec<u8>>> {
        Ok(Ok(self.table.get(&cas)?.value.clone().map(Vec::from)))
    }

    async fn drop(&mut self, cas: Resource<Cas>) -> wasmtime::Result<()> {
        self.table.delete(cas)?;
        Ok(())
    }
}

impl batch::Host for KeyValueState {
    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Outcome<Vec<Option<(String, Vec<u8>)>>> {
        let values = self.store(&bucket)?.get_many(keys.clone()).await;
        let entries = |values: Vec<Option<Bytes>>| {
            let entries = keys.into_iter().zip(values);
            entries.map(|(key, value)| value.map(|value| (key, Vec::from(value)))).collect()
        };
        Ok(values.map(entries).map_err(wit::Error::from))
    }

    async fn set_many(&mut self, bucket: Resource<Bucket>, entries: Vec<(String, Vec<u8>)>) -> Outcome<()> {
        Ok(self.store(&bucket)?.set_many(entries).await.map_err(wit::Error::from))
    }

    async fn delete_many(&mut self, bucket: Resource<Bucket>, keys: Vec<String>) -> Outcome<()> {
        Ok(self.store(&bucket)?.delete_many(keys).await.map_err(wit::Error::from))
    }
}
