//! Decides to which replica a call goes, and which calls wait.
//!
//! One short lock guards the whole state. A call takes the least loaded replica that is below its concurrency, or waits
//! in line for the next free place. If the line is full, the call is rejected. A place that comes free goes straight to
//! the first call in line, so no call overtakes another. Calls whose replica ended before it began them are the
//! exception: they go first. A replica that is to be replaced takes calls only if no other does.

mod lease;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

pub(crate) use self::lease::Lease;
pub(super) use self::lease::LeaseLoss;
use super::replica::{Replica, Wear};
use super::scale::Load;

/// The number of a replica's calls that may hang on failed dependencies before the replica is replaced. Each keeps a
/// little guest memory that only the replica's end frees.
pub(super) const UNANSWERED_LIMIT: usize = 64;

/// The replicas of one chainlet, and the calls that wait for them.
pub(super) struct Pool {
    state: Mutex<State>,
    concurrency: usize,
    queue: usize,
    /// Notified whenever a call ends, for tasks that wait for the last one.
    ended: Notify,
    /// Notified whenever a call has to wait.
    pressed: Notify,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    waiting: VecDeque<oneshot::Sender<Lease>>,
    closed: bool,
    /// True if there is no replica any more and there will be none.
    over: bool,
    /// The reason why the last start of a replica failed. The next start that succeeds clears it.
    down: Option<Arc<str>>,
    /// The number of replicas that there should be.
    wanted: u32,
    /// True if any call has asked for a place since the last look at the load.
    used: bool,
}

struct Entry {
    replica: Arc<Replica>,
    active: usize,
    /// The calls among `active` that nobody waits for any more, and whose guest has not let go.
    unawaited: usize,
    /// The calls among `unawaited` that have overrun. They keep their places until the replica's end.
    overran: usize,
    unanswered: usize,
    /// True if the replica is to be replaced. It then takes calls only if no other replica does.
    worn: bool,
    retired: bool,
    /// The guest's own words about what is wrong with it. While this is set, no calls go to the replica.
    sick: Option<Arc<str>>,
}

/// The reason why a call was rejected.
#[derive(Debug, PartialEq)]
pub(super) enum PoolRefusal {
    /// `queue` calls wait already.
    Overloaded { queue: usize },
    /// No replica runs, and the last start failed for this reason.
    NotReady(Arc<str>),
    /// The chainlet takes no more calls.
    Stopping,
}

/// A chainlet's state at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The number of replicas that take calls.
    pub ready: usize,
    /// The number of replicas that there should be for the present load.
    pub wanted: u32,
    /// The number of calls in flight in all replicas.
    pub active: usize,
    /// The number of calls that wait for a replica.
    pub waiting: usize,
    /// The reason why fewer replicas are ready than there should be, if a start failed or a replica says that it is
    /// unhealthy.
    pub down: Option<String>,
}

impl Status {
    /// Returns true if a call finds a replica. Without calls there may be no replica; then the next call starts one.
    pub fn is_ready(&self) -> bool {
        self.ready > 0 || self.wanted == 0
    }
}

impl Pool {
    pub(super) fn new(concurrency: usize, queue: usize) -> Arc<Self> {
        Arc::new(Pool { state: Mutex::default(), concurrency, queue, ended: Notify::new(), pressed: Notify::new() })
    }

    /// Returns a place in the least loaded replica, now or when it is this call's turn.
    pub(super) async fn acquire(self: &Arc<Self>) -> Result<Lease, PoolRefusal> {
        let turn = {
            let mut state = self.lock();
            state.used = true;
            if state.closed {
                return Err(PoolRefusal::Stopping);
            }
            if let Some(lease) = self.take_slot(&mut state) {
                return Ok(lease);
            }
            if let Some(why) = state.not_ready() {
                return Err(PoolRefusal::NotReady(why));
            }
            if state.waiting.len() >= self.queue {
                state.waiting.retain(|waiter| !waiter.is_closed());
            }
            if state.waiting.len() >= self.queue {
                return Err(PoolRefusal::Overloaded { queue: self.queue });
            }
            let (waiter, turn) = oneshot::channel();
            state.waiting.push_back(waiter);
            turn
        };
        self.wait(turn).await
    }

    /// Returns a place in another replica for a call that was accepted, but not begun. The call keeps its old `place`
    /// until it is in line again, and goes before the calls that wait. Ignores the queue limit and a closed pool.
    pub(super) async fn acquire_another(self: &Arc<Self>, place: Option<Lease>) -> Result<Lease, PoolRefusal> {
        let turn = {
            let mut state = self.lock();
            if state.over {
                return Err(PoolRefusal::Stopping);
            }
            let (waiter, turn) = oneshot::channel();
            state.waiting.push_front(waiter);
            self.serve_waiting(state);
            turn
        };
        drop(place);
        self.wait(turn).await
    }

    async fn wait(&self, turn: oneshot::Receiver<Lease>) -> Result<Lease, PoolRefusal> {
        self.pressed.notify_one();
        match turn.await {
            Ok(lease) => Ok(lease),
            Err(_) => {
                let state = self.lock();
                let why = if state.closed { None } else { state.not_ready() };
                Err(why.map_or(PoolRefusal::Stopping, PoolRefusal::NotReady))
            }
        }
    }

    /// Lets calls into `replica`.
    pub(super) fn add(self: &Arc<Self>, replica: Arc<Replica>) {
        let mut state = self.lock();
        state.down = None;
        state.entries.push(Entry {
            replica,
            active: 0,
            unawaited: 0,
            overran: 0,
            unanswered: 0,
            worn: false,
            retired: false,
            sick: None,
        });
        self.serve_waiting(state);
    }

    /// Lets no more calls into `replica`.
    pub(super) fn retire(self: &Arc<Self>, replica: &Replica) {
        let mut state = self.lock();
        if let Some(entry) = state.entry(replica) {
            entry.retired = true;
        }
        // If only worn replicas are left, they now take calls.
        self.serve_waiting(state);
    }

    /// Forgets `replica`, which has ended.
    pub(super) fn remove(self: &Arc<Self>, replica: &Replica) {
        let mut state = self.lock();
        state.entries.retain(|entry| !std::ptr::eq(&*entry.replica, replica));
        self.serve_waiting(state);
        self.ended.notify_waiters();
    }

    /// Notes that no replica could be started, for the reason `why`. If no replica takes calls, rejects the calls that
    /// wait.
    pub(super) fn fail(&self, why: &str) {
        let mut state = self.lock();
        if state.wanted == 0 {
            // The fleet gave the replica up in the moment of its failure. The next call starts one again.
            return;
        }
        state.down = Some(why.into());
        if state.not_ready().is_some() {
            state.waiting.clear();
        }
        drop(state);
        self.ended.notify_waiters();
    }

    /// Sets the health of `replica` as its guest reports it. No calls go to an unhealthy replica.
    pub(super) fn set_health(self: &Arc<Self>, replica: &Replica, health: Result<(), &str>) {
        let mut state = self.lock();
        if let Some(entry) = state.entry(replica) {
            entry.sick = health.err().map(Arc::from);
        }
        if state.not_ready().is_some() {
            state.waiting.clear();
        }
        self.serve_waiting(state);
        self.ended.notify_waiters();
    }

    /// Marks `replica` to be replaced. It takes calls only if no other replica does.
    pub(super) fn wear(&self, replica: &Replica) {
        if let Some(entry) = self.lock().entry(replica) {
            entry.worn = true;
        }
    }

    /// Returns true if `replica` has calls that nobody waits for any more.
    pub(super) fn has_unawaited(&self, replica: &Replica) -> bool {
        self.lock().entry(replica).is_some_and(|entry| entry.unawaited > 0)
    }

    /// Returns when no guest holds a call in `replica`, except those that have overrun.
    pub(super) async fn until_let_go(&self, replica: &Replica) {
        self.until(|state| state.entry(replica).is_none_or(|entry| entry.held() == 0)).await;
    }

    /// Returns true if `replica` has calls.
    pub(super) fn is_busy(&self, replica: &Replica) -> bool {
        self.lock().entry(replica).is_some_and(|entry| entry.active > 0)
    }

    /// Sets how many replicas there should be. If fewer than before, forgets why the last start failed, so that the
    /// next call tries again.
    pub(super) fn want(&self, count: u32) {
        let mut state = self.lock();
        if count < state.wanted {
            // The replica that failed to start may be the one that is no longer wanted.
            state.down = None;
        }
        state.wanted = count;
    }

    /// Returns the number of the replica that is missed least if it leaves: first one that takes no calls or is worn,
    /// then the one with the fewest calls that anybody waits for.
    pub(super) fn least_loaded(&self) -> Option<u32> {
        let state = self.lock();
        let staying = state.entries.iter().filter(|entry| !entry.retired);
        staying
            .min_by_key(|entry| (entry.is_ready() && !entry.worn, entry.awaited()))
            .map(|entry| entry.replica.number())
    }

    /// Returns the present load, and whether any call came since the last time.
    pub(super) fn load(&self) -> Load {
        let mut state = self.lock();
        let used = std::mem::take(&mut state.used);
        let Status { active, waiting, .. } = state.status();
        let ready = state.entries.iter().filter(|entry| entry.is_ready() && !entry.worn).count();
        Load { active, waiting, ready, used }
    }

    /// Returns when a call has to wait, or had to since the last time.
    pub(super) async fn until_pressed(&self) {
        self.pressed.notified().await;
    }

    /// Rejects new calls. Calls that wait are still served.
    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    /// Rejects the calls that wait, because there is no replica any more and there will be none.
    pub(super) fn dismiss(&self) {
        let mut state = self.lock();
        (state.closed, state.over) = (true, true);
        state.waiting.clear();
    }

    /// Returns when `replica` has no call in flight that anybody waits for.
    pub(super) async fn until_drained(&self, replica: &Replica) {
        self.until(|state| state.entry(replica).is_none_or(|entry| entry.awaited() == 0)).await;
    }

    /// Returns when no call waits and no guest holds one, except those that have overrun.
    pub(super) async fn until_idle(&self) {
        self.until(|state| {
            state.waiting.retain(|waiter| !waiter.is_closed());
            state.waiting.is_empty() && state.entries.iter().all(|entry| entry.held() == 0)
        })
        .await;
    }

    pub(super) fn status(&self) -> Status {
        self.lock().status()
    }

    async fn until(&self, mut reached: impl FnMut(&mut State) -> bool) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Listens before it looks, so that an end in between is not missed.
            ended.as_mut().enable();
            if reached(&mut self.lock()) {
                return;
            }
            ended.await;
        }
    }

    fn take_slot(self: &Arc<Self>, state: &mut State) -> Option<Lease> {
        let only_worn = state.entries.iter().all(|entry| entry.worn || !entry.is_ready());
        let free = state
            .entries
            .iter_mut()
            .filter(|entry| entry.is_ready() && entry.active < self.concurrency && (only_worn || !entry.worn));
        let entry = free.min_by_key(|entry| entry.active)?;
        entry.active += 1;
        Some(Lease::new(self.clone(), entry.replica.clone()))
    }

    /// Hands free places to the calls in line. Releases the lock before it drops a lease that nobody waited for any
    /// more, because dropping a lease takes the lock.
    fn serve_waiting(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let mut spare = None;
        while let Some(waiter) = state.waiting.pop_front() {
            let Some(lease) = spare.take().or_else(|| self.take_slot(&mut state)) else {
                state.waiting.push_front(waiter);
                break;
            };
            spare = waiter.send(lease).err();
        }
        drop(state);
        drop(spare);
    }

    fn release(self: &Arc<Self>, replica: &Arc<Replica>, loss: Option<LeaseLoss>, unawaited: bool) {
        let mut state = self.lock();
        let mut wear = None;
        if let Some(entry) = state.entry(replica) {
            match loss {
                None => entry.free(unawaited),
                Some(LeaseLoss::Overran) => {
                    // The place stays taken: otherwise the next call in line would get a guest that may never come
                    // back.
                    entry.overran += 1;
                    entry.unawaited += usize::from(!unawaited);
                    wear = Some(Wear::Overran);
                }
                Some(LeaseLoss::Unanswered) => {
                    entry.free(unawaited);
                    entry.unanswered += 1;
                    wear = (entry.unanswered >= UNANSWERED_LIMIT).then_some(Wear::Unanswered);
                }
            }
            entry.worn |= wear.is_some();
        }
        self.serve_waiting(state);
        if let Some(wear) = wear {
            replica.wear_out(wear);
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

    /// Returns the number of calls in flight that anybody waits for.
    fn awaited(&self) -> usize {
        self.active - self.unawaited
    }

    /// Returns the number of calls in flight that the guest will end: with their callers, or soon after the callers
    /// have left.
    fn held(&self) -> usize {
        self.active - self.overran
    }

    fn free(&mut self, unawaited: bool) {
        self.active -= 1;
        self.unawaited -= usize::from(unawaited);
    }
}

impl State {
    fn status(&self) -> Status {
        Status {
            ready: self.entries.iter().filter(|entry| entry.is_ready()).count(),
            wanted: self.wanted,
            active: self.entries.iter().map(Entry::held).sum(),
            waiting: self.waiting.iter().filter(|waiter| !waiter.is_closed()).count(),
            down: self.what_is_missing().as_deref().map(String::from),
        }
    }

    /// Returns why no replica takes calls. Returns `None` if one does, or if that will change by itself in a moment: a
    /// replica that is being replaced after a trap is worth waiting for.
    fn not_ready(&self) -> Option<Arc<str>> {
        // A worn replica that is stuck with a call does not help if its replacement could not start.
        let helps = |entry: &Entry| entry.is_ready() && (!(entry.worn && entry.unawaited > 0) || self.down.is_none());
        if self.entries.iter().any(helps) {
            return None;
        }
        self.what_is_missing()
    }

    /// Returns what is wrong with a replica that should be ready and is not.
    fn what_is_missing(&self) -> Option<Arc<str>> {
        let staying = self.entries.iter().filter(|entry| !entry.retired);
        staying.into_iter().find_map(|entry| entry.sick.clone()).or_else(|| self.down.clone())
    }

    fn entry(&mut self, replica: &Replica) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| std::ptr::eq(&*entry.replica, replica))
    }
}

#[cfg(test)]
mod tests;
