//! `chainlet:host/context`: a chainlet's settings and secrets, and where it runs.

use std::sync::Arc;

use indexmap::IndexMap;
use wasmtime::component::{HasData, Linker};

use self::bindings::chainlet::host::context::{self as wit, Deployment, SecretError};
use crate::chainlet::state::ReplicaState;
use crate::config::{Assets, ChainSpec, ChainletName, ChainletSpec, Secret, SecretName, Settings};

mod bindings {
    wasmtime::component::bindgen!({ path: "../wit", interfaces: "import chainlet:host/context@0.1.0;" });
}

/// What all replicas of a chainlet may know.
pub(super) struct Facts {
    chain: String,
    environment: String,
    chainlet: ChainletName,
    settings: Settings,
    secrets: IndexMap<SecretName, Secret>,
    has_data: bool,
}

/// What one replica may know.
pub(crate) struct Context {
    facts: Arc<Facts>,
    replica: u32,
}

impl Facts {
    pub(super) fn new(
        chain: &ChainSpec,
        name: &ChainletName,
        chainlet: &ChainletSpec,
        secrets: IndexMap<SecretName, Secret>,
    ) -> Self {
        Facts {
            chain: chain.name.to_string(),
            environment: chain.environment.to_string(),
            chainlet: name.clone(),
            settings: chainlet.config.clone(),
            secrets,
            has_data: chainlet.assets.data.is_some(),
        }
    }

    pub(super) fn chainlet(&self) -> &ChainletName {
        &self.chainlet
    }
}

impl Context {
    pub(super) fn new(facts: Arc<Facts>, replica: u32) -> Self {
        Context { facts, replica }
    }

    /// The chainlet whose guest it is.
    pub(super) fn chainlet(&self) -> &ChainletName {
        self.facts.chainlet()
    }
}

impl wit::Host for Context {
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

struct HasContext;

impl HasData for HasContext {
    type Data<'a> = &'a mut Context;
}

pub(super) fn add_to_linker(linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
    wit::add_to_linker::<_, HasContext>(linker, |state| &mut state.capabilities.context)
}
