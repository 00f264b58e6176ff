//! How far the GPU is with what one device has submitted, and who waits for it.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{SetOnce, oneshot};

use crate::gpu::abandoned::{Abandoned, Counted};
use crate::gpu::metrics::Meter;
use crate::gpu::protocol::{Failure, ObjectId, Result};
use crate::gpu::quota::Charge;
use crate::gpu::turns::{GivenUp, Seat, Turn, Turns};

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
    /// Submissions that are being handed over and have no number yet.
    submitting: u64,
    flying: VecDeque<Flying>,
    /// What its buffers hold.
    held: HashMap<ObjectId, Charge>,
    /// What is freed once a submission is done.
    pub retired: VecDeque<(u64, Charge)>,
    pub waiting: Vec<(u64, oneshot::Sender<Result<()>>)>,
    /// Bytes written since the last submission.
    pub unsubmitted: u64,
    /// The submissions that carry the writes before those, and how many bytes.
    written: VecDeque<(u64, u64)>,
    pub meter: Option<Meter>,
    /// Whether the device is gone for good, and its memory free.
    closed: bool,
    /// Whether nothing waits any more for what the GPU does for it.
    given_up: bool,
    abandoned: Option<Counted>,
    /// While the GPU may be at what was given up.
    at_work: Option<GivenUp>,
}

/// A submission's turn, which ends with it. The device's seat is there until then, though the device may not be, so that a
/// deadline is watched of everything that the GPU is at.
struct Flying {
    number: u64,
    turn: Turn,
    _seat: Arc<Seat>,
}

impl Progress {
    pub(super) fn steps(&self) -> MutexGuard<'_, Steps> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The GPU is done with all submissions up to `number`.
    pub(in crate::gpu) fn completed(&self, number: u64) {
        let mut steps = self.steps();
        steps.completed = steps.completed.max(number);
        let flying = take_until(&mut steps.flying, number, |flying| flying.number);
        let retired = take_until(&mut steps.retired, number, |(until, _)| *until);
        take_until(&mut steps.written, number, |(of, _)| *of);
        let waiting = std::mem::take(&mut steps.waiting);
        let (done, waiting): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(until, _)| *until <= number);
        steps.waiting = waiting;
        let meter = steps.meter.clone();
        // Before anybody can see that the submission is done, and count on what it held.
        drop(retired);
        drop(steps);
        flying.into_iter().for_each(|flying| flying.end(meter.as_ref()));
        for (_, waiting) in done {
            // Whoever waited may have gone.
            let _ = waiting.send(Ok(()));
        }
    }

    /// The device is gone; the first reason counts. Returns whether this is the first.
    pub(in crate::gpu) fn lost(&self, why: Failure) -> bool {
        let is_first = self.lost.set(Failure::lost(&why.message)).is_ok();
        let waiting = std::mem::take(&mut self.steps().waiting);
        for (_, waiting) in waiting {
            // The receiver may have been dropped.
            let _ = waiting.send(Err(why.clone()));
        }
        is_first
    }

    /// Counts the device in `count` until it is gone, if the GPU is at work for it.
    pub(in crate::gpu) fn count_if_busy(&self, count: &Arc<Abandoned>) {
        let mut steps = self.steps();
        if !steps.closed && (steps.submitting > 0 || !steps.flying.is_empty()) {
            steps.abandoned.get_or_insert_with(|| count.count());
        }
    }

    /// Nothing waits any more for what the GPU does for the device, which is counted in `count` until it is gone. Until then
    /// the GPU may be at its submissions, if it has any, and no deadline runs in `turns`.
    pub(in crate::gpu) fn give_up(&self, count: &Arc<Abandoned>, turns: &Arc<Turns>) {
        let mut steps = self.steps();
        if !steps.closed {
            steps.abandoned.get_or_insert_with(|| count.count());
            if steps.submitting > 0 || !steps.flying.is_empty() {
                steps.at_work.get_or_insert_with(|| turns.give_up());
            }
        }
        steps.given_up = true;
        let flying = std::mem::take(&mut steps.flying);
        drop(steps);
        drop(flying);
    }

    /// The device is gone for good, and its memory free.
    pub(in crate::gpu) fn closed(&self) {
        let mut steps = self.steps();
        steps.closed = true;
        let abandoned = (steps.abandoned.take(), steps.at_work.take());
        let freed = (std::mem::take(&mut steps.held), std::mem::take(&mut steps.retired));
        let flying = std::mem::take(&mut steps.flying);
        drop(steps);
        drop((abandoned, freed, flying));
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

    /// A submission is about to be handed over, with all that was written before. Returns how many bytes that is.
    pub(super) fn submitting(&self) -> u64 {
        let mut steps = self.steps();
        steps.submitting += 1;
        std::mem::take(&mut steps.unsubmitted)
    }

    /// It was not handed over, and left `bytes` to the next one.
    pub(super) fn not_submitted(&self, bytes: u64) {
        let mut steps = self.steps();
        steps.submitting = steps.submitting.saturating_sub(1);
        steps.unsubmitted += bytes;
        let (last, completed) = (steps.last(), steps.completed);
        for (until, _) in &mut steps.retired {
            *until = last.min(*until);
        }
        let retired = take_until(&mut steps.retired, completed, |(until, _)| *until);
        drop(steps);
        drop(retired);
    }

    /// It was handed over as `number` and with `bytes`. Its turn ends with it; it may have ended already.
    pub(super) fn submitted(&self, number: u64, bytes: u64, turn: Turn, seat: &Arc<Seat>) {
        let mut steps = self.steps();
        steps.submitting = steps.submitting.saturating_sub(1);
        steps.submitted = steps.submitted.max(number);
        let flying = Flying { number, turn, _seat: seat.clone() };
        let is_done = number <= steps.completed;
        if bytes > 0 && !is_done {
            steps.written.push_back((number, bytes));
        }
        if !is_done && !steps.given_up && !steps.closed {
            let place = steps.flying.partition_point(|other| other.number < number);
            return steps.flying.insert(place, flying);
        }
        let meter = steps.meter.clone();
        drop(steps);
        if is_done {
            flying.end(meter.as_ref());
        }
    }

    /// Frees what a buffer holds when the GPU is done with all that may use it. Writes that no submission has taken along
    /// need one more.
    pub(super) fn retire(&self, buffer: ObjectId) {
        let mut steps = self.steps();
        let until = steps.last();
        let Some(charge) = steps.held.remove(&buffer) else { return };
        if until > steps.completed {
            steps.retired.push_back((until, charge));
        }
    }
}

impl Steps {
    /// The number of the last submission that may have to do with anything so far.
    fn last(&self) -> u64 {
        self.submitted + self.submitting + u64::from(self.unsubmitted > 0)
    }

    /// The first submission that carries writes, where those and the ones after them are more than `most` bytes.
    pub(super) fn written_beyond(&self, most: u64) -> Option<u64> {
        let sum = self.unsubmitted + self.written.iter().map(|(_, bytes)| bytes).sum::<u64>();
        self.written.front().filter(|_| sum > most).map(|(number, _)| *number)
    }
}

impl Flying {
    /// The GPU is done with it.
    fn end(self, meter: Option<&Meter>) {
        if let (Some(time), Some(meter)) = (self.turn.end(), meter) {
            meter.submission(time);
        }
    }
}

/// Takes what belongs to submissions up to `number` off a queue in their order.
fn take_until<T>(queue: &mut VecDeque<T>, number: u64, of: impl Fn(&T) -> u64) -> Vec<T> {
    let mut taken = Vec::new();
    while queue.front().is_some_and(|first| of(first) <= number) {
        taken.extend(queue.pop_front());
    }
    taken
}
