//! Decides whose turn it is on a GPU, and ends submissions that take too long.
//!
//! A GPU does its work in its driver's order, and cannot be told to stop. So fairness and deadlines are made before the
//! work reaches it. While one device alone has work, it may hand over much at once. While several devices have work,
//! only one submission is under way, or two short ones, and the next turn goes to the device that has used the GPU
//! least.
//!
//! A GPU is assumed to do one thing at a time, in the order of the turns. So a submission's time and its deadline run
//! from the moment at which it could have begun: from its turn, or from the end of the submission before it. Later
//! submissions do not move them, and neither does a turn that was given back unused.
//!
//! A device may have little work at a time, and ask for more only when it has seen the result. It would never get its
//! share beside a device whose long work always waits. So long work waits for a moment if such a device is about to
//! come back (as anticipatory disk schedulers do: Iyer and Druschel, SOSP 2001), and a device that was away keeps a
//! part of its claim. The time for which the GPU waits for a device counts as used by it.

mod state;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use self::state::State;

/// The turns on one adapter.
pub(crate) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

/// A device's place among those that take turns.
pub(crate) struct Seat {
    turns: Arc<Turns>,
    number: u64,
}

/// Work that was given up while the GPU was at it. Until this is dropped, other work may wait behind it, and no
/// deadline runs, with the exception at [`state::WAIT`].
pub(super) struct GivenUp(Arc<Turns>);

/// The right to have one submission under way until the submission ends. Dropping it gives the turn back: nothing was
/// handed over.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    number: Option<u64>,
}

impl Turns {
    pub(super) fn new() -> Arc<Self> {
        let turns = Arc::new(Turns { state: Mutex::new(State::new(Instant::now())), changed: Condvar::new() });
        let watched = Arc::downgrade(&turns);
        let thread = std::thread::Builder::new().name("gpu-deadlines".into());
        if let Err(error) = thread.spawn(move || watch(&watched)) {
            tracing::error!(%error, "no thread watches the deadlines of GPU work");
        }
        turns
    }

    /// Adds a device that may have `depth` submissions under way, each for `timeout`. `late` is called when one takes
    /// longer. The seat may be dropped when all of them have ended or been given back.
    pub(super) fn join(
        self: &Arc<Self>,
        depth: usize,
        timeout: Duration,
        late: impl Fn() + Send + Sync + 'static,
    ) -> Seat {
        let number = self.state().join(depth, timeout, Arc::new(late));
        self.changed.notify_one();
        Seat { turns: self.clone(), number }
    }

    /// Notes that the GPU is at work that was given up, until the returned value is dropped.
    pub(super) fn give_up(self: &Arc<Self>) -> GivenUp {
        self.state().give_up(Instant::now());
        GivenUp(self.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives turns to the callers that wait, as many as are possible now.
    fn give(self: &Arc<Self>, state: &mut State, now: Instant) {
        let kept_until = state.kept_until();
        while let Some((number, waiting)) = state.next_turn(now) {
            if let Err(mut turn) = waiting.send(Turn { turns: self.clone(), number: Some(number) }) {
                // The caller no longer waits. Dropping the turn would take the lock, which is held, so the turn loses
                // its number.
                turn.number = None;
                state.take(number, now);
            }
        }
        if state.kept_until() != kept_until {
            self.changed.notify_one();
        }
    }

    /// Ends a turn. Returns how long the GPU was at it, if that is known.
    fn end(self: &Arc<Self>, number: u64) -> Option<Duration> {
        let mut state = self.state();
        let now = Instant::now();
        let time = state.end(number, now);
        self.give(&mut state, now);
        time
    }

    /// Takes back a turn with which nothing was handed over.
    fn give_back(self: &Arc<Self>, number: u64) {
        let mut state = self.state();
        let now = Instant::now();
        state.give_back(number, now);
        self.give(&mut state, now);
    }
}

impl Seat {
    /// Waits for this device's turn.
    pub(super) async fn turn(&self) -> Option<Turn> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.turns.state();
            let now = Instant::now();
            state.ask(self.number, sender, now);
            self.turns.give(&mut state, now);
        }
        receiver.await.ok()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        let now = Instant::now();
        let client = state.leave(self.number, now);
        self.turns.give(&mut state, now);
        drop(state);
        drop(client);
    }
}

impl Drop for GivenUp {
    fn drop(&mut self) {
        let GivenUp(turns) = self;
        let mut state = turns.state();
        let now = Instant::now();
        state.end_given_up(now);
        turns.give(&mut state, now);
    }
}

impl Turn {
    /// Ends the turn, because the GPU is done with the submission. Returns how long it was at it, if that is known.
    pub(super) fn end(mut self) -> Option<Duration> {
        self.number.take().and_then(|number| self.turns.end(number))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(number) = self.number.take() {
            self.turns.give_back(number);
        }
    }
}

/// Ends submissions that take too long, for as long as the turns exist.
fn watch(turns: &Weak<Turns>) {
    /// The longest delay until a deadline is noticed. Waking the thread for each submission would cost more than many
    /// of them.
    const LOOK: Duration = Duration::from_millis(50);
    /// The time after which the thread checks whether it is still needed, while there are no seats.
    const IDLE: Duration = Duration::from_secs(1);
    while let Some(turns) = turns.upgrade() {
        let mut state = turns.state();
        let now = Instant::now();
        match (state.deadline(), state.kept_until()) {
            (Some((deadline, number, late)), _) if deadline <= now => {
                // The time of the other submissions runs from here.
                state.end(number, now);
                turns.give(&mut state, now);
                drop(state);
                // Called without the lock, because it gives up the device's work, which takes the lock.
                if let Some(late) = late {
                    late();
                }
            }
            (_, Some(until)) if until <= now => turns.give(&mut state, now),
            (_, kept_until) => {
                let look = if state.seats.is_empty() { IDLE } else { LOOK };
                let wait = kept_until.map_or(look, |until| look.min(until.saturating_duration_since(now)));
                drop(turns.changed.wait_timeout(state, wait));
            }
        }
    }
}

#[cfg(test)]
mod tests;
