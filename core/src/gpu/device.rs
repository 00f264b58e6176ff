//! A guest's device as the host sees it: its rights, its turns to submit, and its deadlines.

mod buffer;
mod lasting;
mod progress;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

pub(crate) use self::buffer::{Buffer, Content};
use self::lasting::FinishOnDrop;
pub(super) use self::progress::Progress;
use super::backend::Backend;
use super::operation::{Bulk, GpuOperation, GpuReply};
use super::protocol::{
    Create, DeviceDescriptor, DeviceId, GpuCommand, GpuFailure, GpuFailureKind, ObjectDescriptor, ObjectId, Result,
};
use super::quota::{self, Charge, Quota};
use super::share::Devices;
use super::turns::{Seat, Turn, Turns};
use crate::guest_words::clip;

/// The longest label, in bytes.
const LABEL: usize = 128;

/// A device. It lives as long as its guest or one of its objects holds it.
pub(crate) struct Device {
    pub(crate) features: wgpu::Features,
    pub(crate) limits: wgpu::Limits,
    pub(crate) timestamp_period: f32,
    id: DeviceId,
    backend: Backend,
    buffers: Arc<Quota>,
    objects: Arc<Quota>,
    seat: Arc<Seat>,
    turns: Arc<Turns>,
    time_limit: Duration,
    next_object: AtomicU64,
    destroyed: AtomicBool,
    progress: Arc<Progress>,
    /// All devices of the replica, this one included.
    siblings: Arc<Devices>,
}

/// An object of a device. Dropping this drops the object.
pub(crate) struct Object {
    pub(crate) device: Arc<Device>,
    pub(crate) id: ObjectId,
    _charge: Charge,
}

/// The parts of a device that is about to be opened.
pub(super) struct Opening {
    pub id: DeviceId,
    pub backend: Backend,
    pub buffers: Arc<Quota>,
    pub objects: Arc<Quota>,
    pub siblings: Arc<Devices>,
    pub progress: Arc<Progress>,
    pub seat: Seat,
    pub turns: Arc<Turns>,
    /// The time by which the device must be open.
    pub deadline: Instant,
}

impl Device {
    pub(super) async fn open(opening: Opening, descriptor: DeviceDescriptor) -> Result<Arc<Self>> {
        let Opening { id, backend, buffers, objects, siblings, progress, seat, turns, deadline } = opening;
        let time_limit = siblings.grant.limits.timeout;
        progress.steps().meter = Some(siblings.grant.meter.clone());
        let (features, limits) = (descriptor.features, descriptor.limits.clone());
        let facts = timeout_at(deadline, backend.open(id, descriptor)).await;
        let facts = facts
            .map_err(|_| GpuFailure::new(GpuFailureKind::Timeout, "the GPU's driver does not open a device"))??;
        Ok(Arc::new(Device {
            features,
            limits,
            timestamp_period: facts.timestamp_period,
            id,
            backend,
            buffers,
            objects,
            seat: Arc::new(seat),
            turns,
            time_limit,
            next_object: AtomicU64::new(1),
            destroyed: AtomicBool::new(false),
            progress,
            siblings,
        }))
    }

    /// Frees everything of the device. It can be used no more.
    pub(crate) fn destroy(&self) {
        if self.destroyed.swap(true, Ordering::Relaxed) {
            return;
        }
        self.progress.count_if_busy(&self.siblings.grant.abandoned);
        self.progress.lost(GpuFailure::lost("the device has been destroyed"));
        self.backend.send(self.id, GpuOperation::Close);
    }

    /// Makes an object. The bytes of a buffer are charged separately.
    pub(crate) async fn create(self: &Arc<Self>, label: Option<String>, what: ObjectDescriptor) -> Result<Object> {
        self.progress.check()?;
        let charge = self.objects.charge(quota::cost(&what))?;
        let made = match &what {
            ObjectDescriptor::ShaderModule { .. } | ObjectDescriptor::ComputePipeline(_) => "compiling a shader",
            _ => "making an object",
        };
        // Other shaders cause this wait, so a timeout does not lose the device.
        let place = timeout(self.time_limit, self.backend.place(&what)).await.map_err(|_| {
            GpuFailure::quota("other shaders of the chainlet are being compiled, and take longer than they may")
        })?;
        let id = self.next_object.fetch_add(1, Ordering::Relaxed);
        let create = self.backend.create(self.id, id, Create { label: label.map(clip_label), what }, place);
        match timeout(self.time_limit, create).await {
            Ok(created) => created.map_err(|failure| self.explain(failure))?,
            Err(_) => {
                let limit = humantime::format_duration(self.time_limit);
                let why = format!("{made} took longer than {limit}, the timeout of `resources.gpu` in chain.toml");
                self.lose(GpuFailureKind::Timeout, &why);
                return Err(GpuFailure::new(GpuFailureKind::Timeout, why));
            }
        }
        Ok(Object { device: self.clone(), id, _charge: charge })
    }

    /// Takes `bytes` of the quota. If they are not free, waits until the GPU is done with buffers that were dropped.
    async fn charge(&self, bytes: u64) -> Result<Charge> {
        if let Ok(charge) = self.buffers.charge(bytes) {
            return Ok(charge);
        }
        // Lets reads end whose guest no longer waits. That frees what they hold.
        tokio::task::yield_now().await;
        if let Ok(charge) = self.buffers.charge(bytes) {
            return Ok(charge);
        }
        let (retired, unsubmitted) = {
            let steps = self.progress.steps();
            (!steps.retired.is_empty(), steps.unsubmitted > 0)
        };
        if retired {
            if unsubmitted {
                self.submit(Vec::new()).await?;
            }
            self.wait(None).await?;
        }
        self.siblings.once_there_is_room(|| self.buffers.charge(bytes)).await
    }

    /// Submits `commands` when it is this device's turn. Returns the number of the submission.
    pub(crate) async fn submit(&self, commands: Vec<GpuCommand>) -> Result<u64> {
        let turn = self.turn().await?;
        let submitted = self.backend.execute(self.id, GpuOperation::Submit(commands), Bulk::None);
        let number = self.handed_over(submitted, Some(turn)).await?;
        number
            .ok_or_else(|| self.explain(GpuFailure::lost("the submission has no number, which is a bug of chainhost")))
    }

    /// Waits until the operation `asked` is handed to the GPU. If it is a submission, keeps its `turn` until the GPU is
    /// done with it, and returns its number. Both go on if the caller stops waiting.
    async fn handed_over(
        &self,
        asked: impl Future<Output = Result<GpuReply>> + Send + 'static,
        turn: Option<Turn>,
    ) -> Result<Option<u64>> {
        let (progress, seat) = (self.progress.clone(), self.seat.clone());
        let submission = turn.map(|turn| (turn, progress.submitting()));
        let work = async move {
            let asked = asked.await.and_then(GpuReply::submission);
            match (&asked, submission) {
                (Ok(Some(number)), Some((turn, bytes))) => progress.submitted(*number, bytes, turn, &seat),
                (_, Some((_, bytes))) => progress.not_submitted(bytes),
                (_, None) => {}
            }
            asked
        };
        let done = self.progress.unless_lost(FinishOnDrop::new(work)).await;
        done.map_err(|failure| self.explain(failure))
    }

    async fn turn(&self) -> Result<Turn> {
        self.progress.check()?;
        let turn = self.seat.turn().await.ok_or_else(|| GpuFailure::lost("the device has been destroyed"))?;
        // The device may have been lost while it waited.
        self.progress.check()?;
        Ok(turn)
    }

    /// Waits for the end of submission `number`, or of all submissions so far.
    pub(crate) fn wait(&self, number: Option<u64>) -> impl Future<Output = Result<()>> + Send + use<> {
        let waiting = self.waiting(number);
        async move {
            match waiting? {
                None => Ok(()),
                Some(receiver) => receiver.await.unwrap_or_else(|_| Err(GpuFailure::lost("the device is gone"))),
            }
        }
    }

    fn waiting(&self, number: Option<u64>) -> Result<Option<oneshot::Receiver<Result<()>>>> {
        let mut steps = self.progress.steps();
        // Under the lock: `Progress::lost` sets the reason before it takes `waiting`, so no caller stays behind.
        self.progress.check()?;
        let number = number.unwrap_or(steps.submitted);
        if number > steps.submitted {
            return Err(GpuFailure::invalid(format_args!(
                "there is no submission {number}: the last was {}",
                steps.submitted
            )));
        }
        if number <= steps.completed {
            return Ok(None);
        }
        let (sender, receiver) = oneshot::channel();
        steps.waiting.push((number, sender));
        Ok(Some(receiver))
    }

    /// Returns the number of the last submission that the GPU is done with.
    pub(crate) fn completed(&self) -> u64 {
        self.progress.steps().completed
    }

    /// Marks the device as lost and gives up its work.
    fn lose(&self, kind: GpuFailureKind, why: &str) {
        self.siblings.lose(&self.progress, GpuFailure::new(kind, why));
        self.progress.give_up(&self.siblings.grant.abandoned, &self.turns);
        self.backend.abandon(self.id);
    }

    /// Returns the failure for the guest. A failure that says that the device is lost loses it. If the device is lost,
    /// returns the first reason, which explains it best.
    fn explain(&self, failure: GpuFailure) -> GpuFailure {
        if failure.kind == GpuFailureKind::DeviceLost && !self.progress.is_lost() {
            self.lose(failure.kind, &failure.message);
        }
        self.progress.check().err().unwrap_or(failure)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.destroy();
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        self.device.backend.send(self.device.id, GpuOperation::Drop(self.id));
    }
}

fn clip_label(label: String) -> String {
    clip(label, LABEL)
}
