//! Capabilities side by side, without their types: those of a host, of a chainlet, and of a replica.

use std::any::{Any, TypeId};
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, pending, select_all};
use wasmtime::Engine;
use wasmtime::component::Linker;
use wasmtime_wasi::WasiCtxBuilder;

use super::contract::{Capability, GrantRequest, Loss, Row, StateError, without_version};
use super::measure::Measure;
use crate::chainlet::state::ReplicaState;
use crate::config::ConfigError;

/// The capabilities of a host, in the order in which they are linked.
#[derive(Clone, Default)]
pub(crate) struct Capabilities {
    all: Vec<Arc<dyn AnyCapability>>,
    /// The number of those that this crate has. Their settings are keys of their own in chain.toml.
    built_in: usize,
}

/// A capability whose type is not known.
trait AnyCapability: Send + Sync {
    fn name(&self) -> &'static str;
    fn interfaces(&self) -> &'static [&'static str];
    fn add_to_linker(&self, linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()>;
    fn allows<'a>(&'a self, chainlet: &'a GrantRequest<'a>) -> BoxFuture<'a, Result<bool, ConfigError>>;
    fn grant<'a>(&'a self, chainlet: &'a GrantRequest<'a>) -> BoxFuture<'a, Result<Box<dyn AnyGrant>, ConfigError>>;
    fn rows(&self, chainlet: &GrantRequest<'_>) -> Vec<Row>;
}

/// The part of one capability that all replicas of a chainlet share.
trait AnyGrant: Send + Sync {
    fn name(&self) -> &'static str;
    fn add_to_linker(&self, linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()>;
    fn state(
        &self,
        replica: u32,
        wasi: &mut WasiCtxBuilder,
    ) -> Result<(AnyState, Option<BoxFuture<'static, Loss>>), StateError>;
    fn measures(&self) -> Vec<Measure>;
}

/// A capability, and what it granted a chainlet.
struct Granted<C: Capability> {
    capability: Arc<C>,
    grant: Arc<C::Grant>,
}

/// The state of one capability in a store.
struct AnyState {
    /// The type of the capability.
    capability: TypeId,
    state: Box<dyn Any + Send>,
}

impl Capabilities {
    /// Adds a capability at the end.
    pub(crate) fn add(&mut self, capability: impl Capability) {
        self.all.push(Arc::new(Arc::new(capability)));
    }

    /// Notes that those so far are the ones of this crate.
    pub(super) fn are_built_in(mut self) -> Self {
        self.built_in = self.all.len();
        self
    }

    /// Returns true if there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Adds the capabilities of `other` at the end.
    ///
    /// # Errors
    ///
    /// Returns the name of a capability that is there already.
    pub(crate) fn append(&mut self, other: Capabilities) -> Result<(), &'static str> {
        for capability in other.all {
            let name = capability.name();
            if self.all.iter().any(|known| known.name() == name) {
                return Err(name);
            }
            self.all.push(capability);
        }
        Ok(())
    }

    /// Returns the names of the capabilities that the program which embeds the host has added.
    pub(crate) fn added(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.all.iter().skip(self.built_in).map(|capability| capability.name())
    }

    /// Returns true if one of them offers the interface `import`, which may have a version.
    pub(crate) fn offer(&self, import: &str) -> bool {
        self.all.iter().any(|capability| capability.interfaces().contains(&without_version(import)))
    }

    /// Adds every capability to `linker`, whether or not a chainlet may use it.
    ///
    /// # Errors
    ///
    /// Fails if two capabilities add the same function.
    pub(crate) fn add_to_linker(&self, linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
        self.all.iter().try_for_each(|capability| capability.add_to_linker(linker))
    }

    /// Adds every capability to a linker of its own.
    ///
    /// # Errors
    ///
    /// Returns the name of the first capability that does not fit beside those before it, and the reason.
    pub(crate) fn check_linker(&self, engine: &Engine) -> Result<(), (&'static str, wasmtime::Error)> {
        let mut linker = Linker::new(engine);
        let mut capabilities = self.all.iter();
        capabilities.try_for_each(|one| one.add_to_linker(&mut linker).map_err(|error| (one.name(), error)))
    }

    /// Asks each capability whether the chainlet may use it, and returns the rows that `chainhost check` prints.
    ///
    /// # Errors
    ///
    /// Returns everything that is wrong. A component that imports an interface that it may not use is wrong, too.
    pub(crate) async fn check(&self, chainlet: &GrantRequest<'_>) -> Result<Vec<Row>, Vec<ConfigError>> {
        let (mut rows, mut errors) = (Vec::new(), Vec::new());
        for capability in &self.all {
            match capability.allows(chainlet).await {
                Ok(true) => rows.extend(capability.rows(chainlet)),
                Ok(false) => errors.extend(chainlet.import_of(capability.interfaces()).map(|import| {
                    let (name, of) = (chainlet.name, capability.name());
                    ConfigError::new(
                        chainlet.chain.at(chainlet.key()),
                        format!("the component imports {import}, and chain.toml does not let {name} use it"),
                        format!("build the component without that import; the documentation of the capability {of} says what allows it"),
                    )
                })),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(rows) } else { Err(errors) }
    }

    /// Makes what the replicas of a chainlet share.
    ///
    /// # Errors
    ///
    /// Returns the first failure of a capability.
    pub(crate) async fn grant(&self, chainlet: &GrantRequest<'_>) -> Result<Grants, ConfigError> {
        let mut grants = Vec::new();
        for capability in &self.all {
            if capability.allows(chainlet).await? {
                grants.push(capability.grant(chainlet).await?);
            }
        }
        Ok(Grants(grants))
    }
}

impl<C: Capability> AnyCapability for Arc<C> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn interfaces(&self) -> &'static [&'static str] {
        (**self).interfaces()
    }

    fn add_to_linker(&self, linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
        (**self).add_to_linker(linker)
    }

    fn allows<'a>(&'a self, chainlet: &'a GrantRequest<'a>) -> BoxFuture<'a, Result<bool, ConfigError>> {
        (**self).allows(chainlet).boxed()
    }

    fn grant<'a>(&'a self, chainlet: &'a GrantRequest<'a>) -> BoxFuture<'a, Result<Box<dyn AnyGrant>, ConfigError>> {
        async move {
            let grant = (**self).grant(chainlet).await?;
            let granted: Box<dyn AnyGrant> = Box::new(Granted { capability: self.clone(), grant: Arc::new(grant) });
            Ok(granted)
        }
        .boxed()
    }

    fn rows(&self, chainlet: &GrantRequest<'_>) -> Vec<Row> {
        (**self).rows(chainlet)
    }
}

/// The parts of the host that one chainlet may use. All its replicas share them.
pub(crate) struct Grants(Vec<Box<dyn AnyGrant>>);

impl Grants {
    /// Adds the capabilities of the chainlet to its linker, and no others.
    ///
    /// # Errors
    ///
    /// Fails if two capabilities add the same function.
    pub(crate) fn add_to_linker(&self, linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
        self.0.iter().try_for_each(|grant| grant.add_to_linker(linker))
    }

    /// Makes the states for the store of replica number `replica`, and prepares its WASI context.
    ///
    /// # Errors
    ///
    /// Returns the first failure of a capability.
    pub(crate) fn states(&self, replica: u32, wasi: &mut WasiCtxBuilder) -> Result<States, StateError> {
        let (mut states, mut losses) = (Vec::new(), Vec::new());
        for grant in &self.0 {
            let (state, lost) = grant.state(replica, wasi)?;
            states.push(state);
            losses.extend(lost);
        }
        Ok(States { states, losses })
    }

    /// Returns the current values of the metrics, by the name of their capability.
    pub(crate) fn measures(&self) -> impl Iterator<Item = (&'static str, Measure)> {
        self.0.iter().flat_map(|grant| {
            let name = grant.name();
            grant.measures().into_iter().map(move |measure| (name, measure))
        })
    }
}

impl<C: Capability> AnyGrant for Granted<C> {
    fn name(&self) -> &'static str {
        self.capability.name()
    }

    fn add_to_linker(&self, linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
        self.capability.add_to_linker(linker)
    }

    fn state(
        &self,
        replica: u32,
        wasi: &mut WasiCtxBuilder,
    ) -> Result<(AnyState, Option<BoxFuture<'static, Loss>>), StateError> {
        let state = self.capability.state(&self.grant, replica, wasi)?;
        let lost = self.capability.lost(&state);
        Ok((AnyState { capability: TypeId::of::<C>(), state: Box::new(state) }, lost))
    }

    fn measures(&self) -> Vec<Measure> {
        self.capability.measures(&self.grant)
    }
}

/// The states of all capabilities in the store of one replica.
pub(crate) struct States {
    states: Vec<AnyState>,
    losses: Vec<BoxFuture<'static, Loss>>,
}

impl States {
    /// Returns the state of `C`; `None` if the chainlet has no grant of it.
    pub(crate) fn get<C: Capability>(&self) -> Option<&C::State> {
        // A handful of entries: a search is faster than a map.
        self.states.iter().find(|state| state.capability == TypeId::of::<C>())?.state.downcast_ref()
    }

    /// As [`States::get`], for a change.
    pub(crate) fn get_mut<C: Capability>(&mut self) -> Option<&mut C::State> {
        self.states.iter_mut().find(|state| state.capability == TypeId::of::<C>())?.state.downcast_mut()
    }

    /// Returns a future that is ready when the first capability says that the replica must be replaced. Only the first
    /// call gets the futures of the capabilities.
    pub(crate) fn lost(&mut self) -> BoxFuture<'static, Loss> {
        match std::mem::take(&mut self.losses) {
            losses if losses.is_empty() => pending().boxed(),
            losses => select_all(losses).map(|(loss, ..)| loss).boxed(),
        }
    }
}
