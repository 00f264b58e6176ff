//! GPUs for guests: what `chainlet:host/gpu` asks for is done here, by wgpu.
//!
//! From the outside in:
//! - [`Gpus`] is the machine's: which adapters there are, and whose turn it is on each ([`turns`]).
//! - A [`Grant`] is a chainlet's: the adapter and the limits that chain.toml gives it, and what is measured ([`metrics`]).
//! - A [`Share`] is a replica's: its quota ([`quota`]) and its devices ([`device`]).
//! - A [`backend`] does the work, here in a [`session`] or in a session of a worker process; [`protocol`] is what it is
//!   asked.
//!
//! Everything before the backend is a matter of rights: quotas, turns, deadlines. The backend only knows wgpu.

mod adapters;
mod backend;
pub(crate) mod device;
mod metrics;
pub(crate) mod protocol;
mod quota;
pub(crate) mod session;
mod turns;
#[cfg(unix)]
mod worker;

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use self::adapters::{Adapter, Facts, Way};
use self::backend::Backend;
use self::device::{Device, Opening, Progress};
pub(crate) use self::metrics::Meter;
use self::protocol::{DeviceDescriptor, DeviceId, Events, Failure, Result};
use self::quota::Quota;
use self::session::Session;
use self::turns::Turns;
use crate::config::{AdapterChoice, ChainletName, Gpu, Isolation};

/// The features that guests may ask for: what shaders and timestamps need, and is safe.
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

/// How many devices a replica may have at once.
const DEVICES: usize = 4;
/// How many devices of a chainlet may be at work that was given up.
const ABANDONED: usize = 4;

/// The GPUs of this machine, as all chains of a host share them. They are looked for when the first chain wants one.
#[derive(Default)]
pub(crate) struct Gpus {
    /// The program that workers are, where there is one.
    worker: Option<PathBuf>,
    here: OnceLock<Vec<Arc<Adapter>>>,
    in_workers: OnceLock<std::result::Result<Vec<Arc<Adapter>>, String>>,
    /// Those on each adapter, however it is reached.
    turns: Mutex<HashMap<usize, Arc<Turns>>>,
}

/// Why a chainlet gets no GPU.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoGpu {
    /// There is no process to work on it.
    #[error("GPU work cannot be isolated in a process: {0}")]
    Isolation(String),
    /// The machine has none at all.
    #[error("this machine has no GPU that the host can use, not even in software")]
    None,
    /// It has others than what is asked for.
    #[error("no GPU of this machine is {wanted}; there {}", list(found))]
    OtherOnly {
        /// What chain.toml asks for.
        wanted: String,
        /// What there is, in the order of its indices.
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

/// What one chainlet has of a GPU.
pub(crate) struct Grant {
    chainlet: ChainletName,
    adapter: Option<Arc<Adapter>>,
    limits: Gpu,
    meter: Meter,
    /// What drivers have compiled for its replicas, so that the next one need not wait for it.
    compiled: Mutex<Option<Vec<u8>>>,
    /// Devices that were given up and are not gone.
    abandoned: Arc<AtomicUsize>,
}

/// What one replica has of it.
pub(crate) struct Share {
    grant: Arc<Grant>,
    buffers: Arc<Quota>,
    objects: Arc<Quota>,
    /// Made for the first device, and again after a worker's end.
    backend: tokio::sync::Mutex<Option<Backend>>,
    devices: Arc<Devices>,
    next: AtomicU32,
}

/// The devices of a replica, by which what the backend tells finds to them.
struct Devices {
    grant: Arc<Grant>,
    open: Mutex<HashMap<DeviceId, Arc<Progress>>>,
    /// One of them is gone.
    gone: Notify,
}

impl Gpus {
    /// Those of this machine, where workers are started as `worker`.
    pub(crate) fn new(worker: Option<PathBuf>) -> Self {
        Gpus { worker, ..Gpus::default() }
    }

    /// Looks for adapters, which may take a second the first time.
    ///
    /// # Errors
    ///
    /// Where `isolation` asks for a worker, and none can be had.
    pub(crate) fn find(&self, isolation: Isolation) -> std::result::Result<&[Arc<Adapter>], NoGpu> {
        match isolation {
            Isolation::InProcess => Ok(self.here.get_or_init(|| {
                let found = adapters::enumerate().into_iter().map(|raw| (Facts::of(&raw), Way::Here(raw)));
                self.numbered(found)
            })),
            Isolation::Process => match self.in_workers.get_or_init(|| self.ask_a_worker()) {
                Ok(adapters) => Ok(adapters),
                Err(error) => Err(NoGpu::Isolation(error.clone())),
            },
        }
    }

    /// A line for each, which begins with its number.
    pub(crate) fn list(&self) -> Vec<String> {
        let adapters = self.find(Isolation::InProcess).unwrap_or_default();
        adapters.iter().map(|adapter| format!("{}  {}", adapter.index, adapter.facts)).collect()
    }

    #[cfg(unix)]
    fn ask_a_worker(&self) -> std::result::Result<Vec<Arc<Adapter>>, String> {
        let program = self.worker.as_ref().ok_or("the program that embeds the host names no worker")?;
        let found = worker::adapters(program)
            .map_err(|error| format!("the worker {} cannot be asked: {error}", program.display()))?;
        Ok(self.numbered(found.into_iter().map(|facts| (facts, Way::Worker(program.clone())))))
    }

    #[cfg(not(unix))]
    fn ask_a_worker(&self) -> std::result::Result<Vec<Arc<Adapter>>, String> {
        Err("that is for Unix".into())
    }

    fn numbered(&self, found: impl Iterator<Item = (Facts, Way)>) -> Vec<Arc<Adapter>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let numbered = found.enumerate().map(|(index, (facts, way))| {
            let turns = turns.entry(index).or_insert_with(Turns::new).clone();
            Arc::new(Adapter { index, facts, way, turns })
        });
        numbered.collect()
    }

    /// What chain.toml's `gpu` is on this machine, where work is done as `isolation` says.
    ///
    /// # Errors
    ///
    /// As [`Gpus::find`], and where no adapter fits and the chainlet needs one.
    pub(crate) fn grant(
        &self,
        chainlet: &ChainletName,
        gpu: &Gpu,
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
            meter: Meter::new(),
            compiled: Mutex::default(),
            abandoned: Arc::default(),
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
    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Says in the log what `chainlet` computes on.
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

    /// What a new replica has of it.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share {
            buffers: Quota::buffers(self.limits.memory, self.meter.clone()),
            objects: Quota::objects(),
            backend: tokio::sync::Mutex::default(),
            devices: Arc::new(Devices { grant: self.clone(), open: Mutex::default(), gone: Notify::new() }),
            next: AtomicU32::new(1),
            grant: self.clone(),
        }
    }
}

impl Share {
    /// The adapter, if there is one.
    pub(crate) fn info(&self) -> Option<&wgpu::AdapterInfo> {
        self.grant.adapter.as_ref().map(|adapter| &adapter.facts.info)
    }

    /// The features that a device may have.
    pub(crate) fn features(&self) -> wgpu::Features {
        self.grant.adapter.as_ref().map_or(wgpu::Features::empty(), |adapter| adapter.facts.features & FEATURES)
    }

    /// The limits that a device may have.
    pub(crate) fn limits(&self) -> wgpu::Limits {
        let mut limits = self.grant.adapter.as_ref().map(|adapter| adapter.facts.limits.clone()).unwrap_or_default();
        limits.max_buffer_size = limits.max_buffer_size.min(self.grant.limits.memory.as_bytes());
        limits
    }

    /// Opens a device.
    pub(crate) async fn open(&self, mut descriptor: DeviceDescriptor) -> Result<Arc<Device>> {
        let Some(adapter) = &self.grant.adapter else {
            return Err(Failure::unsupported("this machine has no GPU for the chainlet"));
        };
        let missing = descriptor.features - self.features();
        if !missing.is_empty() {
            return Err(Failure::unsupported(format_args!("the adapter has not the features {missing:?}")));
        }
        if self.grant.abandoned.load(Ordering::Relaxed) >= ABANDONED {
            return Err(Failure::quota(format_args!(
                "the GPU is still at work for {ABANDONED} devices of this chainlet that took longer than they may"
            )));
        }
        descriptor.compiled = self.grant.compiled.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let backend = self.backend(adapter).await?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let progress = self.devices.add(id, self.grant.limits.timeout).await?;
        let late = {
            let (progress, backend) = (Arc::downgrade(&progress), backend.clone());
            let grant = self.grant.clone();
            move || too_late(&grant, &progress, &backend, id)
        };
        let depth = usize::try_from(self.grant.limits.queue).unwrap_or(usize::MAX);
        let seat = adapter.turns.join(depth, self.grant.limits.timeout, late);
        let opening = Opening {
            id,
            backend: backend.clone(),
            buffers: self.buffers.clone(),
            objects: self.objects.clone(),
            meter: self.grant.meter.clone(),
            time_limit: self.grant.limits.timeout,
            progress,
            seat,
            abandoned: self.grant.abandoned.clone(),
        };
        Device::open(opening, descriptor).await.inspect_err(|_| {
            self.devices.closed(id);
        })
    }
}

impl Share {
    async fn backend(&self, adapter: &Adapter) -> Result<Backend> {
        let mut backend = self.backend.lock().await;
        match &*backend {
            Some(backend) if !backend.has_ended() => Ok(backend.clone()),
            _ => {
                let new = match &adapter.way {
                    Way::Here(raw) => Backend::Here(Arc::new(Session::new(raw.clone(), self.devices.clone()))),
                    #[cfg(unix)]
                    Way::Worker(program) => {
                        Backend::Worker(worker::Worker::start(program, adapter.index, self.devices.clone()).await?)
                    }
                };
                Ok(backend.insert(new).clone())
            }
        }
    }
}

/// Does the work of GPUs for a host, until that is done, where one has started this process for it.
#[cfg(unix)]
pub(crate) fn work_if_asked() -> Option<ExitCode> {
    let asked = std::env::args_os().nth(1).is_some_and(|argument| argument == worker::ARGUMENT);
    asked.then(worker::run)
}

/// Does nothing: there are no workers here.
#[cfg(not(unix))]
pub(crate) fn work_if_asked() -> Option<ExitCode> {
    None
}

/// Ends a device whose submission took longer than it may.
fn too_late(grant: &Grant, progress: &Weak<Progress>, backend: &Backend, id: DeviceId) {
    let limit = humantime::format_duration(grant.limits.timeout);
    let why = format!("a submission took longer than {limit}, the timeout of `resources.gpu` in chain.toml");
    tracing::warn!(chainlet = %grant.chainlet, reason = why, "a GPU device is lost");
    if let Some(progress) = progress.upgrade() {
        progress.lost(Failure::new(protocol::FailureKind::Timeout, why));
        progress.abandoned(&grant.abandoned);
    }
    backend.abandon(id);
}

impl Devices {
    fn all(&self) -> MutexGuard<'_, HashMap<DeviceId, Arc<Progress>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a new device in, if need be once one that was let go is gone.
    async fn add(&self, id: DeviceId, patience: Duration) -> Result<Arc<Progress>> {
        let limit = Instant::now() + patience;
        loop {
            let gone = self.gone.notified();
            {
                let mut all = self.all();
                if all.len() < DEVICES {
                    return Ok(all.entry(id).or_default().clone());
                }
                if !all.values().any(|progress| progress.is_lost()) {
                    return Err(Failure::quota(format_args!("the chainlet has {DEVICES} devices already")));
                }
            }
            if tokio::time::timeout_at(limit, gone).await.is_err() {
                return Err(Failure::quota(format_args!(
                    "the GPU is not done with the {DEVICES} devices that the chainlet had"
                )));
            }
        }
    }

    fn get(&self, id: DeviceId) -> Option<Arc<Progress>> {
        self.all().get(&id).cloned()
    }
}

impl Events for Devices {
    fn completed(&self, device: DeviceId, number: u64) {
        if let Some(progress) = self.get(device) {
            progress.completed(number);
        }
    }

    fn lost(&self, device: DeviceId, why: Failure) {
        if let Some(progress) = self.get(device) {
            tracing::warn!(chainlet = %self.grant.chainlet, reason = %why, "a GPU device is lost");
            progress.lost(why);
        }
    }

    fn compiled(&self, all: Vec<u8>) {
        *self.grant.compiled.lock().unwrap_or_else(PoisonError::into_inner) = Some(all);
    }

    fn closed(&self, device: DeviceId) {
        let progress = self.all().remove(&device);
        if let Some(progress) = progress {
            progress.closed();
        }
        self.gone.notify_waiters();
    }
}
