//! A checked chain as JSON for programs. `docs/cli.md` describes the members.

use std::path::Path;

use chainhost::chain::PlannedEdge;
use chainhost::component::Component;
use chainhost::config::{
    BreakerPolicy, ChainletName, ChainletSpec, ChainletStores, FileMount, GpuHost, Health, NetworkAccess, Replicas,
    Resources, RetryKind, SecretName, StoreName, StoreSpec,
};
use indexmap::IndexMap;
use serde::Serialize;

use super::Checked;

/// The chain.
#[derive(Serialize)]
pub(super) struct ChainJson<'a> {
    chain: &'a str,
    environment: &'a str,
    gpu: &'a GpuHost,
    entrypoint: &'a ChainletName,
    stores: &'a IndexMap<StoreName, StoreSpec>,
    /// The chainlets in the order in which they start: each after those that it calls.
    chainlets: Vec<ChainletJson<'a>>,
}

#[derive(Serialize)]
struct ChainletJson<'a> {
    name: &'a ChainletName,
    component: String,
    /// The exported interface that holds run-remote; null if run-remote is at the root of the world.
    interface: Option<&'a str>,
    signature: String,
    #[serde(rename = "async")]
    is_async: bool,
    docs: Option<&'a str>,
    calls: Vec<EdgeJson<'a>>,
    replicas: Replicas,
    /// The most concurrent calls in one replica.
    concurrency: u32,
    queue: u32,
    resources: &'a Resources,
    capabilities: &'a [String],
    secrets: &'a [SecretName],
    network: &'a NetworkAccess,
    /// The stores by the names that the guest opens.
    stores: &'a ChainletStores,
    files: &'a [FileMount],
    data: Option<&'a Path>,
    start_timeout_ms: u128,
    grace_ms: u128,
    stall_ms: u128,
    /// Null if the component does not tell its health.
    health: Option<Health>,
}

#[derive(Serialize)]
struct EdgeJson<'a> {
    dependency: &'a str,
    import: &'a str,
    chainlet: &'a ChainletName,
    signature: String,
    timeout_ms: Option<u128>,
    attempts: u32,
    concurrency: Option<u32>,
    idempotent: bool,
    retry_on: &'a [RetryKind],
    first_item_timeout_ms: Option<u128>,
    item_timeout_ms: Option<u128>,
    breaker: Option<BreakerPolicy>,
    /// True if the import gives failures to its guest as values.
    failures_as_values: bool,
}

impl Checked<'_> {
    pub(super) fn to_json(&self) -> ChainJson<'_> {
        let chainlets = self.plan.chainlets.iter().filter_map(|(name, component)| {
            let chainlet = self.spec.chainlets.get(name)?;
            Some(self.chainlet_json(name, chainlet, component))
        });
        ChainJson {
            chain: self.spec.name.as_str(),
            environment: self.spec.environment.as_str(),
            gpu: &self.spec.gpu,
            entrypoint: &self.plan.entrypoint,
            stores: &self.spec.stores,
            chainlets: chainlets.collect(),
        }
    }

    fn chainlet_json<'a>(
        &'a self,
        name: &'a ChainletName,
        chainlet: &'a ChainletSpec,
        component: &'a Component,
    ) -> ChainletJson<'a> {
        let signature = &component.run_remote.signature;
        ChainletJson {
            name,
            component: chainlet.component.to_string(),
            interface: component.run_remote.interface.as_deref(),
            signature: signature.to_string(),
            is_async: signature.is_async,
            docs: signature.docs.0.as_deref(),
            calls: self.plan.edges_from(name).map(edge_json).collect(),
            replicas: chainlet.replicas,
            concurrency: if signature.is_async { chainlet.concurrency } else { 1 },
            queue: chainlet.queue,
            resources: &chainlet.resources,
            capabilities: &component.capabilities,
            secrets: &chainlet.assets.secrets,
            network: &chainlet.network,
            stores: &chainlet.stores,
            files: &chainlet.assets.files,
            data: chainlet.assets.data.as_deref(),
            start_timeout_ms: chainlet.start_timeout.as_millis(),
            grace_ms: chainlet.grace.as_millis(),
            stall_ms: chainlet.stall.as_millis(),
            health: component.health.as_ref().map(|_| chainlet.health),
        }
    }
}

fn edge_json(edge: &PlannedEdge) -> EdgeJson<'_> {
    EdgeJson {
        dependency: edge.name.dependency.as_str(),
        import: &edge.dependency.import,
        chainlet: &edge.name.to,
        signature: edge.carried().to_string(),
        timeout_ms: edge.policy.timeout.map(|timeout| timeout.as_millis()),
        attempts: edge.policy.attempts,
        concurrency: edge.policy.concurrency,
        idempotent: edge.policy.idempotent,
        retry_on: &edge.policy.retry_on,
        first_item_timeout_ms: edge.policy.first_item_timeout.map(|timeout| timeout.as_millis()),
        item_timeout_ms: edge.policy.item_timeout.map(|timeout| timeout.as_millis()),
        breaker: edge.policy.breaker,
        failures_as_values: edge.is_fallible,
    }
}
