//! The progress of the GPU with the submissions of one device, and the calls that wait for it.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{SetOnce, oneshot};

use crate::gpu::abandoned::{Abandoned, Counted};
use crate::gpu::metrics::GpuMetrics;
use crate::gpu::protocol::{GpuFailure, ObjectId, Result};
use crate::gpu::quota::Charge;
use crate::gpu::turns::{GivenUp, Seat, Turn, Turns};

/// The progress of the GPU with a device's submissions.
#[derive(Default)]
pub(in crate::gpu) struct Progress {
    steps: Mutex<Steps>,
    /// The reason why the device is lost, once it is.
    lost: SetOnce<GpuFailure>,
}

#[derive(Default)]
pub(super) struct Steps {
    /// The number of the last submission that was handed over.
    pub submitted: u64,
    /// The number of the last submission that the GPU is done with.
    pub completed: u64,
    /// The number of submissions that are being handed over and have no number yet.
    submitting: u64,
    flying: VecDeque<Flying>,
    /// The charges of its buffers.
    held: HashMap<ObjectId, Charge>,
    /// Charges of dropped buffers. Each is freed once the submission of its number is done.
    pub retired: VecDeque<(u64, Charge)>,
    pub waiting: Vec<(u64, oneshot::Sender<Result<()>>)>,
    /// Bytes written since the last submission.
    pub unsubmitted: u64,
    /// The submissions that carry earlier writes, and how many bytes each carries.
    written: VecDeque<(u64, u64)>,
    pub meter: Option<GpuMetrics>,
    /// True once the device is gone for good and its memory is free.
    closed: bool,
    /// True once nothing waits any more for the GPU's work for this device.
    given_up: bool,
    /// Counts the device among the abandoned ones.
    abandoned: Option<Counted>,
    /// Held while the GPU may be at work that was given up.
    at_work: Option<GivenUp>,
}

/// A submission under way, and its turn, which ends with it. The submission also holds the device's seat, even after
/// the device is dropped, so that a deadline is watched for everything that the GPU works on.
struct Flying {
    number: u64,
    turn: Turn,
    _seat: Arc<Seat>,
}

impl Progress {
    pub(super) fn steps(&self) -> MutexGuard<'_, Steps> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the GPU is done with all submissions up to `number`.
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
        // Freed under the lock: a caller who sees that the submission is done may count on this memory.
        drop(retired);
        drop(steps);
        flying.into_iter().for_each(|flying| flying.end(meter.as_ref()));
        for (_, waiting) in done {
            // This fails if the caller no longer waits.
            let _ = waiting.send(Ok(()));
        }
    }

    /// Marks the device as lost. Only the first reason counts. Returns true if this is the first.
    pub(in crate::gpu) fn lost(&self, why: GpuFailure) -> bool {
        let is_first = self.lost.set(GpuFailure::lost(&why.message)).is_ok();
        let waiting = std::mem::take(&mut self.steps().waiting);
        for (_, waiting) in waiting {
            // This fails if the caller no longer waits.
            let _ = waiting.send(Err(why.clone()));
        }
        is_first
    }

    /// If the GPU is at work for the device, counts it in `count` until it is gone.
    pub(in crate::gpu) fn count_if_busy(&self, count: &Arc<Abandoned>) {
        let mut steps = self.steps();
        if !steps.closed && (steps.submitting > 0 || !steps.flying.is_empty()) {
            steps.abandoned.get_or_insert_with(|| count.count());
        }
    }

    /// Gives up the GPU's work for the device, and counts the device in `count` until it is gone. If the device has
    /// submissions, the GPU may be at them until then, and no deadline runs in `turns`.
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

    /// Notes that the device is gone for good and its memory is free.
    pub(in crate::gpu) fn closed(&self) {
        let mut steps = self.steps();
        steps.closed = true;
        let abandoned = (steps.abandoned.take(), steps.at_work.take());
        let freed = (std::mem::take(&mut steps.held), std::mem::take(&mut steps.retired));
        let flying = std::mem::take(&mut steps.flying);
        drop(steps);
        drop((abandoned, freed, flying));
    }

    /// Returns true if the device is lost or its guest has destroyed it.
    pub(in crate::gpu) fn is_lost(&self) -> bool {
        self.lost.initialized()
    }

    pub(super) fn check(&self) -> Result<()> {
        self.lost.get().cloned().map_or(Ok(()), Err)
    }

    /// Returns the result of `work`, or an error if the device is lost before. A driver may hold up the work for as
    /// long as its GPU is busy.
    pub(super) async fn unless_lost<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            done = work => done,
            why = self.lost.wait() => Err(why.clone()),
        }
    }

    /// Keeps `charge` for a buffer until it is retired.
    pub(super) fn hold(&self, buffer: ObjectId, charge: Charge) {
        let mut steps = self.steps();
        if !steps.closed {
            steps.held.insert(buffer, charge);
        }
    }

    /// Begins to hand over a submission, which carries all earlier writes. Returns how many bytes these are.
    pub(super) fn submitting(&self) -> u64 {
        let mut steps = self.steps();
        steps.submitting += 1;
        std::mem::take(&mut steps.unsubmitted)
    }

    /// Notes that a submission was not handed over. Its writes of `bytes` are left to the next one.
    pub(super) fn not_submitted(&self, bytes: u64) {
        let mut steps = self.steps();
        steps.submitting = steps.submitting.saturating_sub(1);
        steps.unsubmitted += bytes;
        let (last, completed) = (steps.last(), steps.completed);
        // A charge may wait for the number that this submission would have had.
        for (until, _) in &mut steps.retired {
            *until = last.min(*until);
        }
        let retired = take_until(&mut steps.retired, completed, |(until, _)| *until);
        drop(steps);
        drop(retired);
    }

    /// Notes that a submission was handed over as `number`, with writes of `bytes`. Its turn ends when the GPU is done
    /// with it, which it may be already.
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

    /// Frees a buffer's charge when the GPU is done with everything that may use the buffer. If there are writes that
    /// no submission has carried yet, that includes the next submission.
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
    /// Returns the number of the last submission that may use anything that exists now. It may be one that is still to
    /// come.
    fn last(&self) -> u64 {
        self.submitted + self.submitting + u64::from(self.unsubmitted > 0)
    }

    /// If the writes that the GPU is not known to have are more than `most` bytes, returns the first submission that
    /// carries some of them.
    pub(super) fn written_beyond(&self, most: u64) -> Option<u64> {
        let sum = self.unsubmitted + self.written.iter().map(|(_, bytes)| bytes).sum::<u64>();
        self.written.front().filter(|_| sum > most).map(|(number, _)| *number)
    }
}

impl Flying {
    /// Ends the turn, because the GPU is done with the submission.
    fn end(self, meter: Option<&GpuMetrics>) {
        if let (Some(time), Some(meter)) = (self.turn.end(), meter) {
            meter.submission(time);
        }
    }
}

/// Takes the entries of submissions up to `number` off a queue, which is in the order of submissions.
fn take_until<T>(queue: &mut VecDeque<T>, number: u64, of: impl Fn(&T) -> u64) -> Vec<T> {
    let mut taken = Vec::new();
    while queue.front().is_some_and(|first| of(first) <= number) {
        taken.extend(queue.pop_front());
    }
    taken
}
