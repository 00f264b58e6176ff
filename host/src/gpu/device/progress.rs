//! How far the GPU is with what one device has submitted, and who waits for it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::gpu::metrics::Meter;
use crate::gpu::protocol::{Failure, Result};
use crate::gpu::quota::Charge;
use crate::gpu::turns::Turn;

/// How far the GPU is with a device's submissions.
#[derive(Default)]
pub(in crate::gpu) struct Progress(Mutex<Steps>);

#[derive(Default)]
pub(super) struct Steps {
    pub submitted: u64,
    pub completed: u64,
    pub turns: VecDeque<(u64, Turn)>,
    /// What is freed once a submission is done.
    pub retired: VecDeque<(u64, Charge)>,
    pub waiting: Vec<(u64, oneshot::Sender<Result<()>>)>,
    pub lost: Option<Failure>,
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        drop(steps);
        drop(retired);
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
        let mut steps = self.steps();
        let gone = Failure::lost(&why.message);
        steps.lost.get_or_insert(gone);
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
        let retired = std::mem::take(&mut steps.retired);
        drop(steps);
        drop(retired);
    }

    /// Whether the device is lost, or was let go.
    pub(in crate::gpu) fn is_lost(&self) -> bool {
        self.steps().lost.is_some()
    }

    pub(super) fn check(&self) -> Result<()> {
        self.steps().lost.clone().map_or(Ok(()), Err)
    }

    /// The turn of submission `number` ends with it; it may have ended already.
    pub(super) fn submitted(&self, number: u64, turn: Turn) {
        let mut steps = self.steps();
        steps.submitted = steps.submitted.max(number);
        if number > steps.completed && steps.lost.is_none() {
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

    /// Frees `charge` when the GPU is done with all that may use it. Writes that no submission has taken along need one
    /// more.
    pub(super) fn retire(&self, charge: Charge) {
        let mut steps = self.steps();
        let until = steps.submitted + u64::from(steps.unsubmitted > 0);
        if until > steps.completed && !steps.closed {
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
