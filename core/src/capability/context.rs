//! `chainlet:host/context`: a chainlet's settings and secrets, and where it runs.

use std::sync::Arc;

use indexmap::IndexMap;
use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::WasiCtxBuilder;

use self::bindings::chainlet::host::context::{self as wit, Deployment, SecretError};
use super::{Capability, GrantRequest, Row, StateError, listed};
use crate::chainlet::state::ReplicaState;
use crate::config::{Assets, ChainletName, ConfigError, Secret, SecretName, Settings};

mod bindings {
    wasmtime::component::bindgen!({ path: "wit", interfaces: "import chainlet:host/context@0.1.0;" });
}

/// The capability.
pub(super) struct Context;

/// The facts that all replicas of a chainlet may know.
pub(super) struct ChainletFacts {
    chain: String,
    environment: String,
    chainlet: ChainletName,
    settings: Settings,
    secrets: IndexMap<SecretName, Secret>,
    has_data: bool,
}

/// The facts that one replica may know.
pub(super) struct ReplicaFacts {
    facts: Arc<ChainletFacts>,
    replica: u32,
}

impl Capability for Context {
    type Grant = ChainletFacts;
    type State = ReplicaFacts;

    fn name(&self) -> &'static str {
        "context"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &["chainlet:host/context"]
    }

    fn add_to_linker(&self, linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
        wit::add_to_linker::<_, HasSelf<_>>(linker, ReplicaState::of_mut::<Context>)
    }

    async fn grant(&self, chainlet: &GrantRequest<'_>) -> Result<ChainletFacts, ConfigError> {
        Ok(ChainletFacts {
            chain: chainlet.chain.name.to_string(),
            environment: chainlet.chain.environment.to_string(),
            chainlet: chainlet.name.clone(),
            settings: chainlet.chainlet.config.clone(),
            secrets: chainlet.secrets.clone(),
            has_data: chainlet.chainlet.assets.data.is_some(),
        })
    }

    fn state(
        &self,
        facts: &Arc<ChainletFacts>,
        replica: u32,
        _: &mut WasiCtxBuilder,
    ) -> Result<ReplicaFacts, StateError> {
        Ok(ReplicaFacts { facts: facts.clone(), replica })
    }

    fn rows(&self, chainlet: &GrantRequest<'_>) -> Vec<Row> {
        let secrets = &chainlet.chainlet.assets.secrets;
        if secrets.is_empty() { Vec::new() } else { vec![Row::new("secrets", listed(secrets))] }
    }
}

impl wit::Host for ReplicaFacts {
    fn setting(&mut self, name: String) -> Option<String> {
        self.facts.settings.json(&name)
    }

    fn setting_names(&mut self) -> Vec<String> {
        self.facts.settings.names().map(String::from).collect()
    }

    fn settings(&mut self) -> String {
        self.facts.settings.to_json()
    }

    fn secret(&mut self, name: String) -> Result<String, SecretError> {
        // Every declared secret has a value: a chain does not start without.
        self.facts.secrets.get(name.as_str()).map(|secret| secret.expose().to_owned()).ok_or(SecretError::Undeclared)
    }

    fn secret_names(&mut self) -> Vec<String> {
        self.facts.secrets.keys().map(ToString::to_string).collect()
    }

    fn get_deployment(&mut self) -> Deployment {
        Deployment {
            chain: self.facts.chain.clone(),
            chainlet: self.facts.chainlet.to_string(),
            replica: self.replica,
            environment: self.facts.environment.clone(),
            data_folder: self.facts.has_data.then(|| Assets::DATA_PATH.to_owned()),
        }
    }
}
