//! How far the GPU is with what one device has submitted, and who waits for it.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{SetOnce, oneshot};

use crate::gpu::metrics::Meter;
use crate::gpu::protocol::{Failure, ObjectId, Result};
use crate::gpu::quota::Charge;
use crate::gpu::turns::Turn;

/// How far the GPU is with a device's submissions.
#[derive(Default)]
pub(in crate::gpu) struct Progress {
    steps: Mutex<Steps>,
    /// Why the device is gone, once it is.
    lost: SetOnce<Failure>,
}

#[derive(Default)]
pub(super) struct Steps {
    pub submitted: u64,
    pub completed: u64,
    pub turns: VecDeque<(u64, Turn)>,
    /// What its buffers hold.
    held: HashMap<ObjectId, Charge>,
    /// What is freed once a submission is done.
    pub retired: VecDeque<(u64, Charge)>,
    pub waiting: Vec<(u64, oneshot::Sender<Result<()>>)>,
    /// Bytes written since the last submission.
    pub unsubmitted: u64,
    /// The submission that carries the writes before those.
    pub flushed: u64,
    pub meter: Option<Meter>,
    /// Whether the device is gone for good, and its memory free.
    closed: bool,
    abandoned: Option<Abandoned>,
}

/// Counts a device that was given up while its GPU is still at work, until it is gone.
struct Abandoned(Arc<AtomicUsize>);

impl Abandoned {
    fn count(of: &Arc<AtomicUsize>) -> Self {
        of.fetch_add(1, Ordering::Relaxed);
        Abandoned(of.clone())
    }
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Progress {
    pub(super) fn steps(&self) -> MutexGuard<'_, Steps> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The GPU is done with all submissions up to `number`.
    pub(in crate::gpu) fn completed(&self, number: u64) {
        let mut steps = self.steps();
        steps.completed = steps.completed.max(number);
        let turns = take_until(&mut steps.turns, number);
        let retired = take_until(&mut steps.retired, number);
        let waiting = std::mem::take(&mut steps.waiting);
        let (done, waiting): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(until, _)| *until <= number);
        steps.waiting = waiting;
        let meter = steps.meter.clone();
        // Before anybody can see that the submission is done, and count on what it held.
        drop(retired);
        drop(steps);
        for turn in turns {
            if let (Some(time), Some(meter)) = (turn.end(), &meter) {
                meter.submission(time);
            }
        }
        for (_, waiting) in done {
            // Whoever waited may have gone.
            let _ = waiting.send(Ok(()));
        }
    }

    /// The device is gone; the first reason counts.
    pub(in crate::gpu) fn lost(&self, why: Failure) {
        // Where there is a reason already, it stays.
        let _ = self.lost.set(Failure::lost(&why.message));
        let mut steps = self.steps();
        let (turns, waiting) = (std::mem::take(&mut steps.turns), std::mem::take(&mut steps.waiting));
        drop(steps);
        drop(turns);
        for (_, waiting) in waiting {
            let _ = waiting.send(Err(why.clone()));
        }
    }

    /// The device has been given up, and is counted in `count` until it is gone.
    pub(in crate::gpu) fn abandoned(&self, count: &Arc<AtomicUsize>) {
        let mut steps = self.steps();
        if !steps.closed {
            steps.abandoned.get_or_insert_with(|| Abandoned::count(count));
        }
    }

    /// The device is gone for good, and its memory free.
    pub(in crate::gpu) fn closed(&self) {
        let mut steps = self.steps();
        steps.closed = true;
        steps.abandoned = None;
        let freed = (std::mem::take(&mut steps.held), std::mem::take(&mut steps.retired));
        drop(steps);
        drop(freed);
    }

    /// Whether the device is lost, or was let go.
    pub(in crate::gpu) fn is_lost(&self) -> bool {
        self.lost.initialized()
    }

    pub(super) fn check(&self) -> Result<()> {
        self.lost.get().cloned().map_or(Ok(()), Err)
    }

    /// What `work` gives, unless the device is lost before: a driver may hold it up for as long as its GPU is busy.
    pub(super) async fn unless_lost<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            done = work => done,
            why = self.lost.wait() => Err(why.clone()),
        }
    }

    /// A buffer holds `charge` from now on.
    pub(super) fn hold(&self, buffer: ObjectId, charge: Charge) {
        let mut steps = self.steps();
        if !steps.closed {
            steps.held.insert(buffer, charge);
        }
    }

    /// The turn of submission `number` ends with it; it may have ended already.
    pub(super) fn submitted(&self, number: u64, turn: Turn) {
        let mut steps = self.steps();
        steps.submitted = steps.submitted.max(number);
        if number > steps.completed && !self.lost.initialized() {
            let place = steps.turns.partition_point(|(other, _)| *other < number);
            steps.turns.insert(place, (number, turn));
            return;
        }
        let meter = steps.meter.clone();
        drop(steps);
        if let (Some(time), Some(meter)) = (turn.end(), meter) {
            meter.submission(time);
        }
    }

    /// Frees what a buffer holds when the GPU is done with all that may use it. Writes that no submission has taken along
    /// need one more.
    pub(super) fn retire(&self, buffer: ObjectId) {
        let mut steps = self.steps();
        let until = steps.submitted + u64::from(steps.unsubmitted > 0);
        let Some(charge) = steps.held.remove(&buffer) else { return };
        if until > steps.completed {
            steps.retired.push_back((until, charge));
        }
    }
}

fn take_until<T>(queue: &mut VecDeque<(u64, T)>, number: u64) -> Vec<T> {
    let mut taken = Vec::new();
    while queue.front().is_some_and(|(of, _)| *of <= number) {
        taken.extend(queue.pop_front().map(|(_, thing)| thing));
    }
    taken
}
