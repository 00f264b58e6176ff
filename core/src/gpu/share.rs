//! One replica's part of a GPU: its devices, and the quota that they share.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, SetOnce};
use tokio::time::{Instant, timeout_at};

use super::adapters::{Adapter, AdapterAccess};
use super::backend::Backend;
use super::device::{Device, Opening, Progress};
use super::operation::GpuOperation;
use super::protocol::{DeviceDescriptor, DeviceId, Events, GpuFailure, GpuFailureKind, Result};
use super::quota::Quota;
use super::session::Session;
use super::turns::Turns;
#[cfg(unix)]
use super::worker::Worker;
use super::{FEATURES, Grant, abandoned};
use crate::deadline::moment_after;

/// The most devices that a replica may have at once.
const DEVICES: usize = 4;
/// The time that a device has to open, or the chainlet's timeout if that is longer. Drivers need some 100 ms.
const OPENING: Duration = Duration::from_secs(1);

/// One replica's part of a GPU.
pub(crate) struct ReplicaGpu {
    grant: Arc<Grant>,
    buffers: Arc<Quota>,
    objects: Arc<Quota>,
    /// Made for the first device, and again after a worker has ended.
    backend: tokio::sync::Mutex<Option<Backend>>,
    devices: Arc<Devices>,
    next: AtomicU32,
}

/// The devices of a replica. They receive the events of its backend.
pub(super) struct Devices {
    pub(super) grant: Arc<Grant>,
    open: Mutex<HashMap<DeviceId, Arc<Progress>>>,
    /// Notified when a device is gone.
    gone: Notify,
    /// Set when a device is lost that its guest has not destroyed.
    loss: SetOnce<()>,
}

impl ReplicaGpu {
    pub(crate) fn new(grant: &Arc<Grant>) -> Self {
        ReplicaGpu {
            buffers: Quota::buffers(grant.limits.memory, grant.meter.clone()),
            objects: Quota::objects(),
            backend: tokio::sync::Mutex::default(),
            devices: Arc::new(Devices {
                grant: grant.clone(),
                open: Mutex::default(),
                gone: Notify::new(),
                loss: SetOnce::new(),
            }),
            next: AtomicU32::new(1),
            grant: grant.clone(),
        }
    }

    /// Returns wgpu's information about the adapter, if there is one.
    pub(crate) fn info(&self) -> Option<&wgpu::AdapterInfo> {
        self.grant.adapter.as_ref().map(|adapter| &adapter.facts.info)
    }

    /// Returns the features that a device may have.
    pub(crate) fn features(&self) -> wgpu::Features {
        self.grant.adapter.as_ref().map_or(wgpu::Features::empty(), |adapter| adapter.facts.features & FEATURES)
    }

    /// Returns the limits that a device may have.
    pub(crate) fn limits(&self) -> wgpu::Limits {
        let mut limits = self.grant.adapter.as_ref().map(|adapter| adapter.facts.limits.clone()).unwrap_or_default();
        limits.max_buffer_size = limits.max_buffer_size.min(self.grant.limits.memory.as_bytes());
        limits
    }

    /// Returns when a device is lost and the replica should be replaced. It never returns if chain.toml says that the
    /// replica is kept.
    pub(crate) fn loss(&self) -> impl Future<Output = ()> + Send + use<> {
        let devices = self.devices.clone();
        async move {
            devices.loss.wait().await;
            if !devices.grant.limits.replace_on_loss {
                pending::<()>().await;
            }
        }
    }

    /// Opens a device. The backend must do so within the chainlet's timeout, or [`OPENING`] if that is longer. A worker
    /// that must start first has its own time for that.
    pub(crate) async fn open(&self, mut descriptor: DeviceDescriptor) -> Result<Arc<Device>> {
        let Some(adapter) = &self.grant.adapter else {
            return Err(GpuFailure::unsupported("this machine has no GPU for the chainlet"));
        };
        let missing = descriptor.features - self.features();
        if !missing.is_empty() {
            return Err(GpuFailure::unsupported(format_args!("the adapter has not the features {missing:?}")));
        }
        check(&descriptor.limits, &self.limits())?;
        if !descriptor.features.contains(wgpu::Features::IMMEDIATES) {
            descriptor.limits.max_immediate_size = 0;
        }
        let limit = self.grant.limits.timeout.max(OPENING);
        if !self.grant.abandoned.have_room(moment_after(Instant::now(), limit)).await {
            return Err(GpuFailure::quota(format_args!(
                "the GPU is still at work for {} devices of this chainlet that were given up",
                abandoned::MOST
            )));
        }
        descriptor.compiled = self.grant.compiled.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let backend = self.backend(adapter).await?;
        match self.open_by(&backend, adapter, descriptor.clone(), moment_after(Instant::now(), limit)).await {
            // The worker has just ended because of earlier work. The request is not at fault, so a new worker gets it.
            Err(failure) if backend.has_ended() && failure.kind != GpuFailureKind::Timeout => {
                let backend = self.backend(adapter).await?;
                self.open_by(&backend, adapter, descriptor, moment_after(Instant::now(), limit)).await
            }
            opened => opened,
        }
    }

    async fn open_by(
        &self,
        backend: &Backend,
        adapter: &Adapter,
        descriptor: DeviceDescriptor,
        deadline: Instant,
    ) -> Result<Arc<Device>> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let progress = self.devices.add(id, deadline).await?;
        let late = {
            // These references are weak, because the turns hold this closure, and a device's submissions hold the
            // turns.
            let (devices, turns) = (Arc::downgrade(&self.devices), Arc::downgrade(&adapter.turns));
            let (progress, backend) = (Arc::downgrade(&progress), backend.clone());
            move || {
                if let (Some(devices), Some(turns), Some(progress)) =
                    (devices.upgrade(), turns.upgrade(), progress.upgrade())
                {
                    devices.too_late(&progress, &turns);
                }
                backend.abandon(id);
            }
        };
        let depth = usize::try_from(self.grant.limits.queue).unwrap_or(usize::MAX);
        let seat = adapter.turns.join(depth, self.grant.limits.timeout, late);
        let opening = Opening {
            id,
            backend: backend.clone(),
            buffers: self.buffers.clone(),
            objects: self.objects.clone(),
            siblings: self.devices.clone(),
            progress,
            seat,
            turns: adapter.turns.clone(),
            deadline,
        };
        Device::open(opening, descriptor).await.inspect_err(|failure| {
            // After a timeout, the device may still open late, or never.
            match failure.kind {
                GpuFailureKind::Timeout => backend.abandon(id),
                _ => backend.send(id, GpuOperation::Close),
            }
            self.devices.closed(id);
        })
    }

    async fn backend(&self, adapter: &Adapter) -> Result<Backend> {
        let mut backend = self.backend.lock().await;
        match &*backend {
            Some(backend) if !backend.has_ended() => Ok(backend.clone()),
            _ => {
                let new = match &adapter.way {
                    AdapterAccess::Here(raw) => {
                        let session = Session::new(raw.clone(), self.devices.clone());
                        Backend::Here(Arc::new(session), self.grant.compilers.clone())
                    }
                    #[cfg(unix)]
                    AdapterAccess::Worker(program) => Backend::Worker(
                        Worker::start(
                            program,
                            adapter.index,
                            self.grant.limits.memory,
                            self.grant.limits.timeout,
                            self.devices.clone(),
                        )
                        .await?,
                    ),
                };
                Ok(backend.insert(new).clone())
            }
        }
    }
}

impl Drop for ReplicaGpu {
    fn drop(&mut self) {
        for progress in self.devices.all().values() {
            progress.lost(GpuFailure::lost("its replica has ended"));
        }
        if let Some(backend) = self.backend.get_mut() {
            backend.end();
        }
    }
}

/// Rejects limits that wgpu would grant although they do not exist or make no sense.
fn check(limits: &wgpu::Limits, offered: &wgpu::Limits) -> Result<()> {
    if limits.max_buffer_size > offered.max_buffer_size {
        return Err(GpuFailure::unsupported(format_args!(
            "a max_buffer_size of {} is more than the {} that there are",
            limits.max_buffer_size, offered.max_buffer_size
        )));
    }
    for alignment in [limits.min_uniform_buffer_offset_alignment, limits.min_storage_buffer_offset_alignment] {
        if !alignment.is_power_of_two() {
            return Err(GpuFailure::unsupported(format_args!("an alignment of {alignment} is no power of two")));
        }
    }
    Ok(())
}

impl Devices {
    fn all(&self) -> MutexGuard<'_, HashMap<DeviceId, Arc<Progress>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks a device as lost because of `why`, unless it was lost before or its guest has destroyed it.
    pub(super) fn lose(&self, progress: &Progress, why: GpuFailure) {
        let (chainlet, kind, error) = (&self.grant.chainlet, why.kind, why.message.clone());
        if progress.lost(why) {
            let limit = format!("chainlets.{chainlet}.resources.gpu.timeout");
            let limit = (kind == GpuFailureKind::Timeout).then_some(limit.as_str()).map(tracing::field::display);
            tracing::warn!(%chainlet, %kind, limit, error, "a GPU device is lost");
            self.grant.meter.lost.inc();
            // This fails if another loss has set it: the replica is replaced once, however many devices it loses.
            let _ = self.loss.set(());
        }
    }

    /// Gives up a device because a submission took longer than it may.
    fn too_late(&self, progress: &Progress, turns: &Arc<Turns>) {
        let limit = humantime::format_duration(self.grant.limits.timeout);
        let why = format!("a submission took longer than {limit}, the timeout of `resources.gpu` in chain.toml");
        self.lose(progress, GpuFailure::new(GpuFailureKind::Timeout, why));
        progress.give_up(&self.grant.abandoned, turns);
    }

    /// Adds a new device when there is room, at most until `deadline`.
    async fn add(&self, id: DeviceId, deadline: Instant) -> Result<Arc<Progress>> {
        self.once_there_is_room_until(deadline, || {
            let mut all = self.all();
            match all.len() < DEVICES {
                true => Ok(all.entry(id).or_default().clone()),
                false => Err(GpuFailure::quota(format_args!(
                    "the chainlet has {DEVICES} devices, with those that the GPU is not done with"
                ))),
            }
        })
        .await
    }

    /// Calls `attempt`. If it fails and lost devices are not gone yet, calls it again whenever one is gone, for at most
    /// the chainlet's timeout.
    pub(super) async fn once_there_is_room<T>(&self, attempt: impl Fn() -> Result<T>) -> Result<T> {
        self.once_there_is_room_until(moment_after(Instant::now(), self.grant.limits.timeout), attempt).await
    }

    async fn once_there_is_room_until<T>(&self, deadline: Instant, attempt: impl Fn() -> Result<T>) -> Result<T> {
        loop {
            // Made before the attempt, so that a device that is gone in the meantime is noticed.
            let gone = self.gone.notified();
            let refusal = match attempt() {
                Ok(done) => return Ok(done),
                Err(refusal) => refusal,
            };
            let some_go = self.all().values().any(|progress| progress.is_lost());
            if !some_go || timeout_at(deadline, gone).await.is_err() {
                return Err(refusal);
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

    fn timed(&self, _: DeviceId, time: Duration) {
        self.grant.meter.execution(time);
    }

    fn lost(&self, device: DeviceId, why: GpuFailure) {
        // The device keeps its turns, because the GPU may work on although the driver has given up. `completed` or
        // `closed` ends them.
        if let Some(progress) = self.get(device) {
            self.lose(&progress, why);
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
