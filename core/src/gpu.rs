//! GPUs for guests: the implementation of `chainlet:host/gpu`, with wgpu.
//!
//! From the outside in:
//! - [`Gpus`] are the GPUs of the machine: its adapters, and the turns on each ([`turns`]).
//! - A [`Grant`] is one chainlet's right to a GPU: the adapter and the limits that chain.toml gives it, its
//!   measurements ([`metrics`]), the threads that compile its shaders ([`compilers`]), and the count of its abandoned
//!   devices ([`abandoned`]).
//! - A [`ReplicaGpu`] is one replica's part of a GPU ([`share`]): its quota ([`quota`]) and its devices ([`device`]).
//! - A [`backend`] does the work, in a [`session`] of this process or of a worker process. [`operation`] lists all that
//!   it can be asked to do, and [`protocol`] has the plain data of that.
//!
//! Everything before the backend checks rights: quotas, turns, deadlines. The backend only knows wgpu.

mod abandoned;
mod adapters;
mod backend;
mod compilers;
pub(crate) mod device;
mod metrics;
mod operation;
pub(crate) mod protocol;
mod quota;
pub(crate) mod session;
mod share;
mod turns;
#[cfg(unix)]
mod worker;

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use self::abandoned::Abandoned;
use self::adapters::{Adapter, AdapterAccess, AdapterFacts};
use self::compilers::Compilers;
pub(crate) use self::metrics::GpuMetrics;
pub(crate) use self::share::ReplicaGpu;
use self::turns::Turns;
use crate::config::{AdapterChoice, ChainletName, GpuResources, Isolation};

/// The features that guests may request: those that compute shaders and timestamps need and that are safe.
pub(crate) const FEATURES: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY
    .union(wgpu::Features::SHADER_F16)
    .union(wgpu::Features::SHADER_F64)
    .union(wgpu::Features::SHADER_I16)
    .union(wgpu::Features::SHADER_INT64)
    .union(wgpu::Features::SHADER_INT64_ATOMIC_MIN_MAX)
    .union(wgpu::Features::SHADER_INT64_ATOMIC_ALL_OPS)
    .union(wgpu::Features::SHADER_FLOAT32_ATOMIC)
    .union(wgpu::Features::SUBGROUP)
    .union(wgpu::Features::SUBGROUP_BARRIER)
    .union(wgpu::Features::IMMEDIATES);

/// The GPUs of this machine, which all chains of a host share. The host looks for them when the first chain needs one.
#[derive(Default)]
pub(crate) struct Gpus {
    /// The program that workers run; `None` if there is none.
    worker: Option<PathBuf>,
    here: OnceLock<Vec<Arc<Adapter>>>,
    in_workers: OnceLock<std::result::Result<Vec<Arc<Adapter>>, String>>,
    /// The turns on each adapter, by its index: the same for sessions here and for workers.
    turns: Mutex<HashMap<usize, Arc<Turns>>>,
}

/// The reason why a chainlet gets no GPU.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoGpu {
    /// No worker process can be used.
    #[error("GPU work cannot be isolated in a process: {0}")]
    Isolation(String),
    /// The machine has no GPU at all.
    #[error("this machine has no GPU that the host can use, not even in software")]
    None,
    /// The machine has GPUs, but none that chain.toml asks for.
    #[error("no GPU of this machine is {wanted}; there {}", list(found))]
    OtherOnly {
        /// The GPU that chain.toml asks for.
        wanted: String,
        /// The GPUs of the machine, in the order of their indices.
        found: Vec<String>,
    },
}

fn list(found: &[String]) -> String {
    let listed: Vec<_> = found.iter().enumerate().map(|(index, name)| format!("{index}: {name}")).collect();
    match listed.len() {
        1 => format!("is {}", listed.join("")),
        _ => format!("are {}", listed.join("; ")),
    }
}

/// One chainlet's right to a GPU.
pub(crate) struct Grant {
    chainlet: ChainletName,
    /// `None` if no adapter fits and chain.toml says `optional`.
    adapter: Option<Arc<Adapter>>,
    limits: GpuResources,
    meter: GpuMetrics,
    /// The code that drivers have compiled for its replicas, so that later devices need not wait for it.
    compiled: Mutex<Option<Vec<u8>>>,
    abandoned: Arc<Abandoned>,
    compilers: Arc<Compilers>,
}

impl Gpus {
    /// Makes the GPUs of this machine. Workers run the program `worker`.
    pub(crate) fn new(worker: Option<PathBuf>) -> Self {
        Gpus { worker, ..Gpus::default() }
    }

    /// Returns the adapters. The first call looks for them, which may take a second.
    ///
    /// # Errors
    ///
    /// Fails if `isolation` asks for a worker and none can be used.
    pub(crate) fn find(&self, isolation: Isolation) -> std::result::Result<&[Arc<Adapter>], NoGpu> {
        match isolation {
            Isolation::InProcess => Ok(self.here.get_or_init(|| {
                let found =
                    adapters::enumerate().into_iter().map(|raw| (AdapterFacts::of(&raw), AdapterAccess::Here(raw)));
                self.numbered(found)
            })),
            Isolation::Process => match self.in_workers.get_or_init(|| self.ask_a_worker()) {
                Ok(adapters) => Ok(adapters),
                Err(error) => Err(NoGpu::Isolation(error.clone())),
            },
        }
    }

    /// Returns a line for each adapter, which begins with its number.
    pub(crate) fn list(&self) -> Vec<String> {
        let adapters = self.find(Isolation::InProcess).unwrap_or_default();
        adapters.iter().map(|adapter| format!("{}  {}", adapter.index, adapter.facts)).collect()
    }

    #[cfg(unix)]
    fn ask_a_worker(&self) -> std::result::Result<Vec<Arc<Adapter>>, String> {
        let program = self.worker.as_ref().ok_or("the program that embeds the host names no worker")?;
        let found = worker::adapters(program)
            .map_err(|error| format!("the worker {} cannot be asked: {error}", program.display()))?;
        Ok(self.numbered(found.into_iter().map(|facts| (facts, AdapterAccess::Worker(program.clone())))))
    }

    #[cfg(not(unix))]
    fn ask_a_worker(&self) -> std::result::Result<Vec<Arc<Adapter>>, String> {
        Err("this needs a Unix system".into())
    }

    fn numbered(&self, found: impl Iterator<Item = (AdapterFacts, AdapterAccess)>) -> Vec<Arc<Adapter>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let numbered = found.enumerate().map(|(index, (facts, way))| {
            let turns = turns.entry(index).or_insert_with(Turns::new).clone();
            Arc::new(Adapter { index, facts, way, turns })
        });
        numbered.collect()
    }

    /// Returns the right to the adapter that chain.toml's `gpu` chooses. The work is done as `isolation` says.
    ///
    /// # Errors
    ///
    /// Fails like [`Gpus::find`], and if no adapter fits and the chainlet needs one.
    pub(crate) fn grant(
        &self,
        chainlet: &ChainletName,
        gpu: &GpuResources,
        isolation: Isolation,
    ) -> std::result::Result<Grant, NoGpu> {
        let adapters = self.find(isolation)?;
        let adapter = adapters::choose(adapters, gpu.adapter.as_ref()).cloned();
        if adapter.is_none() && !gpu.optional {
            return Err(match &gpu.adapter {
                Some(wanted) if !adapters.is_empty() => NoGpu::OtherOnly {
                    wanted: wanted_text(wanted),
                    found: adapters.iter().map(|adapter| adapter.facts.to_string()).collect(),
                },
                _ => NoGpu::None,
            });
        }
        Ok(Grant {
            chainlet: chainlet.clone(),
            adapter,
            limits: gpu.clone(),
            meter: GpuMetrics::new(),
            compiled: Mutex::default(),
            abandoned: Arc::default(),
            compilers: Compilers::new(),
        })
    }
}

fn wanted_text(choice: &AdapterChoice) -> String {
    match choice {
        AdapterChoice::Kind(kind) => format!("of kind {kind}"),
        AdapterChoice::Index(index) => format!("number {index}"),
        AdapterChoice::Name(name) => format!("called {name:?}"),
    }
}

impl Grant {
    pub(crate) fn meter(&self) -> &GpuMetrics {
        &self.meter
    }

    /// Logs which GPU the chainlet has.
    pub(crate) fn announce(&self) {
        let chainlet = &self.chainlet;
        let Some(adapter) = &self.adapter else {
            return tracing::warn!(%chainlet, "this machine has no GPU that fits, and the chainlet goes without");
        };
        match adapter.facts.info.device_type {
            wgpu::DeviceType::Cpu => tracing::warn!(
                %chainlet, adapter = %adapter.facts,
                "the GPU is one in software: it computes on the processors, and slowly"
            ),
            _ => tracing::info!(%chainlet, adapter = %adapter.facts, "the chainlet has a GPU"),
        }
    }
}

/// If a host has started this process as a worker, does that host's GPU work to its end. Otherwise returns `None`.
#[cfg(unix)]
pub(crate) fn work_if_asked() -> Option<ExitCode> {
    let asked = std::env::args_os().nth(1).is_some_and(|argument| argument == worker::ARGUMENT);
    asked.then(worker::run)
}

/// Returns `None`, because there are no workers here.
#[cfg(not(unix))]
pub(crate) fn work_if_asked() -> Option<ExitCode> {
    None
}
