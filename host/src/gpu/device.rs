//! A guest's device as the host sees it: what it may have, when it may submit, and when it has taken too long.

mod buffer;
mod lasting;
mod progress;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::TryFutureExt;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

pub(crate) use self::buffer::{Buffer, Content};
use self::lasting::Lasting;
pub(super) use self::progress::Progress;
use super::backend::Backend;
use super::protocol::{Blueprint, Command, Create, DeviceDescriptor, DeviceId, Failure, FailureKind, ObjectId, Result};
use super::quota::{self, Charge, Quota};
use super::share::Devices;
use super::turns::{Seat, Turn, Turns};
use crate::guest_words::clip;

/// The longest label, in bytes.
const LABEL: usize = 128;

/// A device, for as long as its guest or one of its objects holds it.
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

/// An object of a device, which is gone when this is.
pub(crate) struct Object {
    pub(crate) device: Arc<Device>,
    pub(crate) id: ObjectId,
    _charge: Charge,
}

/// What a device is opened with.
pub(super) struct Opening {
    pub id: DeviceId,
    pub backend: Backend,
    pub buffers: Arc<Quota>,
    pub objects: Arc<Quota>,
    pub siblings: Arc<Devices>,
    pub progress: Arc<Progress>,
    pub seat: Seat,
    pub turns: Arc<Turns>,
    /// When it must be open.
    pub deadline: Instant,
}

impl Device {
    pub(super) async fn open(opening: Opening, descriptor: DeviceDescriptor) -> Result<Arc<Self>> {
        let Opening { id, backend, buffers, objects, siblings, progress, seat, turns, deadline } = opening;
        let time_limit = siblings.grant.limits.timeout;
        progress.steps().meter = Some(siblings.grant.meter.clone());
        let (features, limits) = (descriptor.features, descriptor.limits.clone());
        let facts = timeout_at(deadline, backend.open(id, descriptor)).await;
        let facts =
            facts.map_err(|_| Failure::new(FailureKind::Timeout, "the GPU's driver does not open a device"))??;
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

    /// Frees everything of the device, which can be used no more.
    pub(crate) fn destroy(&self) {
        if self.destroyed.swap(true, Ordering::Relaxed) {
            return;
        }
        self.progress.count_if_busy(&self.siblings.grant.abandoned);
        self.progress.lost(Failure::lost("the device has been destroyed"));
        self.backend.close(self.id);
    }

    /// Makes an object. The bytes of a buffer are counted apart.
    pub(crate) async fn create(self: &Arc<Self>, label: Option<String>, what: Blueprint) -> Result<Object> {
        self.progress.check()?;
        let charge = self.objects.charge(quota::cost(&what))?;
        let made = match &what {
            Blueprint::ShaderModule { .. } | Blueprint::ComputePipeline(_) => "compiling a shader",
            _ => "making an object",
        };
        // Waiting for a place is not the shader's fault, and costs no device.
        let place = timeout(self.time_limit, self.backend.place(&what)).await.map_err(|_| {
            Failure::quota("other shaders of the chainlet are being compiled, and take longer than they may")
        })?;
        let id = self.next_object.fetch_add(1, Ordering::Relaxed);
        let create = self.backend.create(self.id, id, Create { label: label.map(clip_label), what }, place);
        match timeout(self.time_limit, create).await {
            Ok(created) => created.map_err(|failure| self.explain(failure))?,
            Err(_) => {
                let limit = humantime::format_duration(self.time_limit);
                let why = format!("{made} took longer than {limit}, the timeout of `resources.gpu` in chain.toml");
                self.lose(FailureKind::Timeout, &why);
                return Err(Failure::new(FailureKind::Timeout, why));
            }
        }
        Ok(Object { device: self.clone(), id, _charge: charge })
    }

    /// Takes `bytes` of the quota, if need be once the GPU is done with what was dropped.
    async fn charge(&self, bytes: u64) -> Result<Charge> {
        if let Ok(charge) = self.buffers.charge(bytes) {
            return Ok(charge);
        }
        // Reads that their guest has left end in between.
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

    /// Submits `commands` when it is this device's turn.
    pub(crate) async fn submit(&self, commands: Vec<Command>) -> Result<u64> {
        let turn = self.turn().await?;
        let submitted = self.backend.submit(self.id, commands).map_ok(Some);
        let number = self.handed_over(submitted, Some(turn)).await?;
        number.ok_or_else(|| Failure::lost("the submission has no number, which is a bug of chainhost"))
    }

    /// Waits until what is `asked` for is handed to the GPU, and has it hold its `turn` until the GPU is done, if it is a
    /// submission. Both go on where nobody waits any more.
    async fn handed_over(
        &self,
        asked: impl Future<Output = Result<Option<u64>>> + Send + 'static,
        turn: Option<Turn>,
    ) -> Result<Option<u64>> {
        let (progress, seat) = (self.progress.clone(), self.seat.clone());
        let submission = turn.map(|turn| (turn, progress.submitting()));
        let work = async move {
            let asked = asked.await;
            match (&asked, submission) {
                (Ok(Some(number)), Some((turn, bytes))) => progress.submitted(*number, bytes, turn, &seat),
                (_, Some((_, bytes))) => progress.not_submitted(bytes),
                (_, None) => {}
            }
            asked
        };
        let done = self.progress.unless_lost(Lasting::new(work)).await;
        done.map_err(|failure| self.explain(failure))
    }

    async fn turn(&self) -> Result<Turn> {
        self.progress.check()?;
        let turn = self.seat.turn().await.ok_or_else(|| Failure::lost("the device has been destroyed"))?;
        // It may have been lost meanwhile.
        self.progress.check()?;
        Ok(turn)
    }

    /// Waits for the end of submission `number`, or of all so far.
    pub(crate) fn wait(&self, number: Option<u64>) -> impl Future<Output = Result<()>> + Send + use<> {
        let waiting = self.waiting(number);
        async move {
            match waiting? {
                None => Ok(()),
                Some(receiver) => receiver.await.unwrap_or_else(|_| Err(Failure::lost("the device is gone"))),
            }
        }
    }

    fn waiting(&self, number: Option<u64>) -> Result<Option<oneshot::Receiver<Result<()>>>> {
        let mut steps = self.progress.steps();
        self.progress.check()?;
        let number = number.unwrap_or(steps.submitted);
        if number > steps.submitted {
            return Err(Failure::invalid(format_args!(
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

    /// The last submission that the GPU is done with.
    pub(crate) fn completed(&self) -> u64 {
        self.progress.steps().completed
    }

    /// Gives the device up.
    fn lose(&self, kind: FailureKind, why: &str) {
        self.siblings.lose(&self.progress, Failure::new(kind, why));
        self.progress.give_up(&self.siblings.grant.abandoned, &self.turns);
        self.backend.abandon(self.id);
    }

    /// What a failure means to the device: one that is lost stays so, and what it is lost for explains it best.
    fn explain(&self, failure: Failure) -> Failure {
        if failure.kind == FailureKind::DeviceLost && !self.progress.is_lost() {
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
        self.device.backend.drop_object(self.device.id, self.id);
    }
}

fn clip_label(label: String) -> String {
    clip(label, LABEL)
}
