//! Loads a chain from its description: first its [`Plan`], then its chainlets.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use wasmtime::component::Linker;

use super::edge::{Edge, EdgeImport};
use super::link::{Unresolved, link};
use super::plan::{self, Plan};
use super::progress::{Stage, StartProgress};
use super::{Chain, Inner, LoadError};
use crate::bounded_file;
use crate::capability::GrantRequest;
use crate::chainlet::Chainlet;
use crate::chainlet::call::Patience;
use crate::chainlet::limits::ValueLimits;
use crate::chainlet::replica::ReplicaTemplate;
use crate::chainlet::state::ReplicaState;
use crate::component::{self, Component, Loading};
use crate::config::{ChainSecrets, ChainSpec, ChainletName, ComponentSource, ConfigError, ConfigErrors, KeyPath};
use crate::engine::HostParts;
use crate::error::{CallError, ErrorKind};
use crate::log_rate::LogRate;
use crate::machine::{self, MachineError};
use crate::offload::Offload;

/// Compiles the components of `spec` and resolves its dependencies. No guest code runs.
pub(crate) async fn plan(shared: &HostParts, spec: &ChainSpec, progress: &StartProgress) -> Result<Plan, LoadError> {
    spec.validate()?;
    spec.check_files()?;
    progress.begin(spec.chainlets.keys());
    let (threads, loading) = (Offload::on_all_processors(), Arc::new(Loading::default()));
    machine::has_threads(threads.most().min(spec.chainlets.len()), "loading components")?;
    let loads: Vec<_> = spec
        .chainlets
        .iter()
        .map(|(name, chainlet)| {
            let (shared, source) = (shared.clone(), chainlet.component.clone());
            let path = match &source {
                ComponentSource::File(path) => Some(spec.resolve(path)),
                ComponentSource::Bytes(_) => None,
            };
            let export = chainlet.export.as_ref().map(ToString::to_string);
            let (threads, loading) = (threads.clone(), loading.clone());
            let (progress, chainlet) = (progress.clone(), name.clone());
            // A task each, of which only some work at once: a chain may have a thousand chainlets.
            let load = tokio::spawn(async move {
                threads
                    .run(move || {
                        let wasm = match (&source, &path) {
                            (ComponentSource::Bytes(bytes), _) => bytes.clone(),
                            (ComponentSource::File(path), resolved) => {
                                bounded_file::read(resolved.as_ref().unwrap_or(path), bounded_file::COMPONENT)?.into()
                            }
                        };
                        let component = Component::load(&shared, &wasm, export.as_deref(), &loading);
                        progress.set(&chainlet, Stage::InLine);
                        Ok::<_, std::io::Error>(component)
                    })
                    .await
            });
            (name.clone(), load)
        })
        .collect();
    let mut components = IndexMap::new();
    let mut errors = Vec::new();
    let mut refused: Option<MachineError> = None;
    for (name, load) in loads {
        let place = KeyPath::root().key("chainlets").key(&name).key("component");
        let (message, help) = match load.await {
            Ok(Ok(Ok(component))) => match check_imports(shared, &component) {
                Ok(()) => {
                    components.insert(name, component);
                    continue;
                }
                Err(error) => (
                    format!("the component imports something that the host does not offer: {error}"),
                    "a chainlet may import wasi 0.2 and 0.3, chainlet:host, and other chainlets".into(),
                ),
            },
            // It would refuse the others for the same reason.
            Ok(Ok(Err(component::LoadError::Machine(error)))) => {
                refused.get_or_insert(error);
                continue;
            }
            Ok(Ok(Err(component::LoadError::Component(error)))) => {
                let help =
                    error.help.clone().unwrap_or_else(|| "see the component contract in the documentation".into());
                (error.to_string(), help)
            }
            Ok(Err(error)) if machine::remedy(&error).is_some() => {
                refused
                    .get_or_insert(MachineError::new(format_args!("the component of {name} cannot be read"), &error));
                continue;
            }
            Ok(Err(error)) => {
                (format!("the component cannot be read: {error}"), "check the file and its permissions".into())
            }
            Err(error) => {
                (format!("the component's load was cut short: {error}"), "report this as a bug of chainhost".into())
            }
        };
        errors.push(ConfigError::new(spec.at(place), message, help));
    }
    threads
        .run({
            let (shared, loading) = (shared.clone(), loading.clone());
            move || loading.end(&shared)
        })
        .await;
    if let Some(error) = refused {
        return Err(error.into());
    }
    errors.extend(spec.unknown_capabilities(shared.capabilities.added()));
    let mut rows = IndexMap::new();
    for (name, component) in &components {
        let Some(chainlet) = spec.chainlets.get(name) else { continue };
        let request = GrantRequest {
            chain: spec,
            name,
            chainlet,
            component,
            secrets: &IndexMap::new(),
            store_urls: &IndexMap::new(),
        };
        match shared.capabilities.check(&request).await {
            Ok(granted) => drop(rows.insert(name.clone(), granted)),
            Err(refused) => errors.extend(refused),
        }
    }
    ConfigErrors::check(errors)?;
    let plan = plan::resolve(spec, components, shared.max_replicas)?;
    Ok(Plan { rows, ..plan })
}

/// Checks that the host offers everything that `component` imports.
fn check_imports(shared: &HostParts, component: &Component) -> Result<(), String> {
    let check = || {
        let add_all = |linker: &mut Linker<ReplicaState>| shared.capabilities.add_to_linker(linker);
        let linked = link(&shared.engine, component, add_all, |_| Arc::new(Unresolved));
        linked.map(drop).map_err(|error| format!("{error:#}"))
    };
    component.imports.get_or_init(check).clone()
}

/// Starts the chainlets of `plan`, each after those that it calls.
pub(crate) async fn start(
    shared: &HostParts,
    spec: &ChainSpec,
    plan: Plan,
    mut secrets: ChainSecrets,
    progress: &StartProgress,
) -> Result<Chain, LoadError> {
    let mut running: IndexMap<ChainletName, Arc<Chainlet>> = IndexMap::new();
    for (name, component) in &plan.chainlets {
        let Some(chainlet) = spec.chainlets.get(name) else { continue };
        let own = secrets.take(name.as_str());
        let request =
            GrantRequest { chain: spec, name, chainlet, component, secrets: &own, store_urls: &secrets.store_urls };
        let grants = match shared.capabilities.grant(&request).await {
            Ok(grants) => Arc::new(grants),
            Err(error) => {
                stop_all(&running).await;
                return Err(LoadError::Config(error.into()));
            }
        };
        let linked = link(
            &shared.engine,
            component,
            |linker| grants.add_to_linker(linker),
            |dependency| {
                let edge = plan.edges_from(name).find(|edge| edge.dependency.import == dependency.import);
                match edge.and_then(|edge| Some((edge, running.get(&edge.name.to)?))) {
                    Some((edge, target)) => Arc::new(EdgeImport {
                        edge: Arc::new(Edge::new(edge.name.clone(), target.clone(), &edge.policy)),
                        is_async: dependency.signature.is_async,
                        is_fallible: edge.is_fallible,
                    }),
                    None => Arc::new(Unresolved),
                }
            },
        );
        let instance = match linked {
            Ok(instance) => instance,
            Err(error) => {
                stop_all(&running).await;
                return Err(LoadError::Start(CallError::new(ErrorKind::Internal, name, format_args!("{error:#}"))));
            }
        };
        let template = ReplicaTemplate {
            name: name.clone(),
            signature: component.run_remote.signature.clone(),
            component: component.clone(),
            instance,
            grants,
            concurrency: match component.run_remote.signature.is_async {
                true => usize::try_from(chainlet.concurrency).unwrap_or(usize::MAX),
                false => 1,
            },
            queue: usize::try_from(chainlet.queue).unwrap_or(usize::MAX),
            memory: chainlet.resources.memory.as_bytes(),
            values: ValueLimits::from(&chainlet.resources),
            cpu: chainlet.resources.cpu,
            patience: Arc::new(Patience {
                grace: chainlet.grace,
                stall: chainlet.stall,
                runtime: shared.threads.handle().clone(),
            }),
            log_rate: LogRate::default(),
            start_timeout: chainlet.start_timeout,
            health: chainlet.health,
            errors: shared.errors.of(spec.name.as_str(), name),
            host_memory: shared.memory.clone(),
            offload: shared.offload.clone(),
            threads: shared.threads.clone(),
        };
        progress.set(name, Stage::Starting);
        match Chainlet::start(template, chainlet.replicas).await {
            Ok(chainlet) => {
                progress.set(name, Stage::Ready);
                running.insert(name.clone(), chainlet);
            }
            Err(error) => {
                stop_all(&running).await;
                return Err(LoadError::Start(error));
            }
        }
    }
    let entrypoint = running.get(&plan.entrypoint).cloned().ok_or_else(|| {
        LoadError::Start(CallError::new(ErrorKind::Internal, &plan.entrypoint, "the entrypoint is no chainlet"))
    })?;
    let edges = plan.edges.into_iter().map(|edge| edge.name).collect();
    Ok(Chain(Arc::new(Inner {
        name: spec.name.to_string(),
        entrypoint,
        chainlets: running,
        edges,
        memory: shared.memory.clone(),
    })))
}

/// Stops the chainlets of a chain that does not start.
async fn stop_all(running: &IndexMap<ChainletName, Arc<Chainlet>>) {
    for chainlet in running.values().rev() {
        chainlet.stop(Duration::ZERO).await;
    }
}
