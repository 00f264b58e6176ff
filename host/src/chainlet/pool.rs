//! Which replica a call goes to, and which calls wait.
//!
//! One short lock guards the whole state. A call takes the least loaded replica that is below its concurrency, or waits
//! in line for the next free slot, or is refused where the line is full. A slot that comes free goes straight to the
//! first in line, so nobody overtakes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::replica::{Replica, Wear};

/// How many calls of one replica may hang on dependencies that failed before the replica is replaced. Each keeps a
/// little guest memory that only the replica's end frees.
const UNANSWERED_LIMIT: usize = 64;

/// The replicas of one chainlet, and the calls that wait for them.
pub(super) struct Pool {
    state: Mutex<State>,
    concurrency: usize,
    queue: usize,
    /// Told whenever a call ends, for whoever waits for the last one.
    ended: Notify,
    /// Told whenever a call has to wait.
    pressed: Notify,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    waiting: VecDeque<oneshot::Sender<Lease>>,
    closed: bool,
    /// Why the last start of a replica failed; cleared by the next that succeeds.
    down: Option<Arc<str>>,
    /// How many replicas there should be.
    wanted: u32,
}

struct Entry {
    replica: Arc<Replica>,
    active: usize,
    unanswered: usize,
    retired: bool,
    /// What the guest says is wrong with it; no calls go to it meanwhile.
    sick: Option<Arc<str>>,
}

/// The right to one call in one replica; dropping it frees the slot.
pub(crate) struct Lease {
    pool: Arc<Pool>,
    replica: Arc<Replica>,
    loss: Option<Loss>,
}

/// Why a call was not let in.
#[derive(Debug, PartialEq)]
pub(super) enum Refusal {
    /// `queue` calls wait already.
    Overloaded { queue: usize },
    /// No replica runs, and the last start failed for this reason.
    NotReady(Arc<str>),
    /// The chainlet takes no more calls.
    Stopping,
}

/// How a slot came to be lost while the guest still holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Loss {
    /// A dependency failed, so the guest waits for an answer that never comes.
    Unanswered,
    /// The guest did not end its call in time.
    Overran,
}

/// A chainlet's state at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Replicas that take calls.
    pub ready: usize,
    /// How many replicas there should be for the present load.
    pub wanted: u32,
    /// Calls in flight in all replicas.
    pub active: usize,
    /// Calls that wait for a replica.
    pub waiting: usize,
    /// Why fewer replicas are ready than there should be, where a start has failed or one says that it is not well.
    pub down: Option<String>,
}

impl Status {
    /// Whether a call finds a replica, or brings one where there is none because there was no call.
    pub fn is_ready(&self) -> bool {
        self.ready > 0 || self.wanted == 0
    }
}

impl Pool {
    pub(super) fn new(concurrency: usize, queue: usize) -> Arc<Self> {
        Arc::new(Pool { state: Mutex::default(), concurrency, queue, ended: Notify::new(), pressed: Notify::new() })
    }

    /// A slot in the least loaded replica, now or when it is this call's turn.
    pub(super) async fn acquire(self: &Arc<Self>) -> Result<Lease, Refusal> {
        let turn = {
            let mut state = self.lock();
            if state.closed {
                return Err(Refusal::Stopping);
            }
            if let Some(lease) = self.take_slot(&mut state) {
                return Ok(lease);
            }
            if let Some(why) = state.not_ready() {
                return Err(Refusal::NotReady(why));
            }
            if state.waiting.len() >= self.queue {
                state.waiting.retain(|waiter| !waiter.is_closed());
            }
            if state.waiting.len() >= self.queue {
                return Err(Refusal::Overloaded { queue: self.queue });
            }
            let (waiter, turn) = oneshot::channel();
            state.waiting.push_back(waiter);
            turn
        };
        self.pressed.notify_one();
        match turn.await {
            Ok(lease) => Ok(lease),
            Err(_) => Err(self.lock().not_ready().map_or(Refusal::Stopping, Refusal::NotReady)),
        }
    }

    /// Lets calls into `replica`.
    pub(super) fn add(self: &Arc<Self>, replica: Arc<Replica>) {
        let mut state = self.lock();
        state.down = None;
        state.entries.push(Entry { replica, active: 0, unanswered: 0, retired: false, sick: None });
        let spare = self.serve_waiting(&mut state);
        drop(state);
        drop(spare);
    }

    /// Lets no more calls into `replica`.
    pub(super) fn retire(&self, replica: &Replica) {
        let mut state = self.lock();
        if let Some(entry) = state.entry(replica) {
            entry.retired = true;
        }
    }

    /// Forgets `replica`, which has ended.
    pub(super) fn remove(&self, replica: &Replica) {
        self.lock().entries.retain(|entry| !std::ptr::eq(&*entry.replica, replica));
        self.ended.notify_waiters();
    }

    /// No replica could be started, for the reason `why`; calls that wait for one are refused where none is left.
    pub(super) fn fail(&self, why: &str) {
        let mut state = self.lock();
        state.down = Some(why.into());
        if state.not_ready().is_some() {
            state.waiting.clear();
        }
    }

    /// What `replica` says of its own condition: while it is not well, no calls go to it.
    pub(super) fn set_health(self: &Arc<Self>, replica: &Replica, health: Result<(), &str>) {
        let mut state = self.lock();
        if let Some(entry) = state.entry(replica) {
            entry.sick = health.err().map(Arc::from);
        }
        if state.not_ready().is_some() {
            state.waiting.clear();
        }
        let spare = self.serve_waiting(&mut state);
        drop(state);
        drop(spare);
    }

    /// Whether `replica` has calls.
    pub(super) fn is_busy(&self, replica: &Replica) -> bool {
        self.lock().entry(replica).is_some_and(|entry| entry.active > 0)
    }

    /// Says how many replicas there should be. Where that is none, whatever kept the last one from starting is tried
    /// again for the next call.
    pub(super) fn want(&self, count: u32) {
        let mut state = self.lock();
        state.wanted = count;
        if count == 0 {
            state.down = None;
        }
    }

    /// Returns when a call has to wait, or had to since the last time.
    pub(super) async fn pressed(&self) {
        self.pressed.notified().await;
    }

    /// Takes no new calls; those that wait are still served.
    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    /// Returns when no call is in flight in `replica`.
    pub(super) async fn drained(&self, replica: &Replica) {
        self.until(|state| state.entry(replica).is_none_or(|entry| entry.active == 0)).await;
    }

    /// Returns when no call is in flight or waiting.
    pub(super) async fn idle(&self) {
        self.until(|state| {
            state.waiting.retain(|waiter| !waiter.is_closed());
            state.waiting.is_empty() && state.entries.iter().all(|entry| entry.active == 0)
        })
        .await;
    }

    pub(super) fn status(&self) -> Status {
        let state = self.lock();
        Status {
            ready: state.entries.iter().filter(|entry| entry.is_ready()).count(),
            wanted: state.wanted,
            active: state.entries.iter().map(|entry| entry.active).sum(),
            waiting: state.waiting.iter().filter(|waiter| !waiter.is_closed()).count(),
            down: state.what_is_missing().as_deref().map(String::from),
        }
    }

    async fn until(&self, mut reached: impl FnMut(&mut State) -> bool) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Listening before looking, so that an end in between is not missed.
            ended.as_mut().enable();
            if reached(&mut self.lock()) {
                return;
            }
            ended.await;
        }
    }

    fn take_slot(self: &Arc<Self>, state: &mut State) -> Option<Lease> {
        let free = state.entries.iter_mut().filter(|entry| entry.is_ready() && entry.active < self.concurrency);
        let entry = free.min_by_key(|entry| entry.active)?;
        entry.active += 1;
        Some(Lease { pool: self.clone(), replica: entry.replica.clone(), loss: None })
    }

    /// Hands free slots to those in line. A lease that nobody waited for any more comes back, to be dropped without the
    /// lock.
    fn serve_waiting(self: &Arc<Self>, state: &mut State) -> Option<Lease> {
        let mut spare = None;
        while let Some(waiter) = state.waiting.pop_front() {
            let Some(lease) = spare.take().or_else(|| self.take_slot(state)) else {
                state.waiting.push_front(waiter);
                break;
            };
            spare = waiter.send(lease).err();
        }
        spare
    }

    fn release(self: &Arc<Self>, replica: &Arc<Replica>, loss: Option<Loss>) {
        let mut state = self.lock();
        let mut retire = false;
        if let Some(entry) = state.entry(replica) {
            entry.active -= 1;
            match loss {
                None => {}
                Some(Loss::Overran) => {
                    // At once, or the slot would go to the next in line, in a guest that may never come back.
                    entry.retired = true;
                    retire = true;
                }
                Some(Loss::Unanswered) => {
                    entry.unanswered += 1;
                    retire = entry.unanswered >= UNANSWERED_LIMIT;
                }
            }
        }
        let spare = self.serve_waiting(&mut state);
        drop(state);
        drop(spare);
        if loss == Some(Loss::Overran) {
            // What it has not begun may have to wait for long there.
            replica.close();
        }
        if retire {
            replica.wear_out(Wear::Calls);
        }
        self.ended.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn is_ready(&self) -> bool {
        !self.retired && self.sick.is_none()
    }
}

impl State {
    /// Why no replica takes calls, where that is not to change by itself in a moment: a replica that is being replaced
    /// after a trap is worth waiting for.
    fn not_ready(&self) -> Option<Arc<str>> {
        if self.entries.iter().any(Entry::is_ready) {
            return None;
        }
        self.what_is_missing()
    }

    /// What is wrong with a replica that should be ready and is not.
    fn what_is_missing(&self) -> Option<Arc<str>> {
        self.entries.iter().find_map(|entry| entry.sick.clone()).or_else(|| self.down.clone())
    }

    fn entry(&mut self, replica: &Replica) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| std::ptr::eq(&*entry.replica, replica))
    }
}

impl Lease {
    pub(super) fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }

    /// Gives up the slot although the guest still holds it.
    pub(super) fn lose(mut self, loss: Loss) {
        self.loss = Some(loss);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.release(&self.replica, self.loss);
    }
}

#[cfg(test)]
mod tests;
