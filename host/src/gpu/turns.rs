//! Whose turn it is on a GPU, and who has had it for too long.
//!
//! A GPU does what it was handed, in its driver's order, and cannot be told to stop. So fairness and deadlines are made
//! before it: while one device alone has work it may hand over much at once; while several have, two submissions are under
//! way in all, and the next place goes to the device that has used the GPU least. Time is measured from one end to the
//! next, as the GPU does one thing at a time, and a submission's deadline runs from when it could have begun.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// How many submissions are under way where devices share: one at work, and one that follows without a pause.
const SHARED: usize = 2;
/// How much work a device hands over at most while it is alone, so that another one that comes need not wait long.
const AHEAD: Duration = Duration::from_millis(20);
/// What a submission is taken to need before any was measured.
const GUESS: Duration = Duration::from_millis(5);

/// The turns on one adapter.
pub(crate) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    seats: HashMap<u64, Client>,
    flying: Vec<Flight>,
    /// When a submission last ended, of whichever device.
    last_end: Instant,
    next: u64,
}

/// What is done about a submission that takes too long.
type Late = Arc<dyn Fn() + Send + Sync>;

struct Client {
    depth: usize,
    timeout: Duration,
    /// Time on the GPU, counted from that of the others when it came.
    used: Duration,
    /// What one submission needs, averaged.
    usual: Duration,
    flying: usize,
    waiting: VecDeque<oneshot::Sender<Turn>>,
    late: Late,
}

struct Flight {
    number: u64,
    seat: u64,
    since: Instant,
}

/// A device's place among those that take turns.
pub(crate) struct Seat {
    turns: Arc<Turns>,
    number: u64,
}

/// The right to have one submission under way, until it is dropped.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    number: Option<u64>,
}

impl Turns {
    pub(super) fn new() -> Arc<Self> {
        let state = State { seats: HashMap::new(), flying: Vec::new(), last_end: Instant::now(), next: 0 };
        let turns = Arc::new(Turns { state: Mutex::new(state), changed: Condvar::new() });
        let watched = Arc::downgrade(&turns);
        let thread = std::thread::Builder::new().name("gpu-deadlines".into());
        if let Err(error) = thread.spawn(move || watch(&watched)) {
            tracing::error!(%error, "no thread watches the deadlines of GPU work");
        }
        turns
    }

    /// A place for a device that may have `depth` submissions under way, each for `timeout`. `late` is called when one
    /// takes longer.
    pub(super) fn join(
        self: &Arc<Self>,
        depth: usize,
        timeout: Duration,
        late: impl Fn() + Send + Sync + 'static,
    ) -> Seat {
        let mut state = self.state();
        let number = state.number();
        // Who comes late has no claim to what the others had before.
        let used = state.seats.values().filter(|client| client.is_active()).map(|client| client.used).min();
        let client = Client {
            depth: depth.max(1),
            timeout,
            used: used.unwrap_or_default(),
            usual: GUESS,
            flying: 0,
            waiting: VecDeque::new(),
            late: Arc::new(late),
        };
        state.seats.insert(number, client);
        drop(state);
        self.changed.notify_one();
        Seat { turns: self.clone(), number }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives turns to those who wait, as many as may be.
    fn give(self: &Arc<Self>, state: &mut State) {
        while let Some(seat) = state.next_seat() {
            let number = state.number();
            let Some(client) = state.seats.get_mut(&seat) else { return };
            let Some(waiting) = client.waiting.pop_front() else { return };
            client.flying += 1;
            state.flying.push(Flight { number, seat, since: Instant::now() });
            if let Err(mut turn) = waiting.send(Turn { turns: self.clone(), number: Some(number) }) {
                // Whoever waited has gone. The lock is held, which dropping the turn would take.
                turn.number = None;
                state.end(number);
            }
        }
    }

    /// Ends a turn, and says how long the GPU was at it.
    fn end(self: &Arc<Self>, number: u64) -> Option<Duration> {
        let mut state = self.state();
        let time = state.end(number);
        self.give(&mut state);
        drop(state);
        time
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Whose turn is next, if there is one now: of those who wait and may, who has used the least.
    fn next_seat(&self) -> Option<u64> {
        let active = self.seats.values().filter(|client| client.is_active()).count();
        let may = |client: &Client| {
            !client.waiting.is_empty()
                && client.flying < client.depth
                && match active > 1 {
                    true => self.flying.len() < SHARED,
                    false => {
                        client.flying < SHARED
                            || client.usual.saturating_mul(u32::try_from(client.flying).unwrap_or(u32::MAX)) < AHEAD
                    }
                }
        };
        let ready = self.seats.iter().filter(|(_, client)| may(client));
        ready.min_by_key(|(_, client)| client.used).map(|(number, _)| *number)
    }

    fn end(&mut self, number: u64) -> Option<Duration> {
        let place = self.flying.iter().position(|flight| flight.number == number)?;
        let flight = self.flying.swap_remove(place);
        let now = Instant::now();
        let time = now.saturating_duration_since(flight.since.max(self.last_end));
        self.last_end = now;
        if let Some(client) = self.seats.get_mut(&flight.seat) {
            client.flying = client.flying.saturating_sub(1);
            client.used += time;
            client.usual = (client.usual * 7 + time) / 8;
        }
        Some(time)
    }

    /// The submission whose deadline is first.
    fn first_deadline(&self) -> Option<(Instant, u64, Late)> {
        let deadlines = self.flying.iter().filter_map(|flight| {
            let client = self.seats.get(&flight.seat)?;
            let deadline = flight.since.max(self.last_end).checked_add(client.timeout)?;
            Some((deadline, flight.number, client.late.clone()))
        });
        deadlines.min_by_key(|(deadline, ..)| *deadline)
    }
}

impl Client {
    fn is_active(&self) -> bool {
        self.flying > 0 || !self.waiting.is_empty()
    }
}

impl Seat {
    /// Waits for this device's turn.
    pub(super) async fn turn(&self) -> Option<Turn> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.turns.state();
            if let Some(client) = state.seats.get_mut(&self.number) {
                client.waiting.push_back(sender);
            }
            self.turns.give(&mut state);
        }
        receiver.await.ok()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        let client = state.seats.remove(&self.number);
        self.turns.give(&mut state);
        drop(state);
        drop(client);
    }
}

impl Turn {
    /// Ends it, and says how long the GPU was at it.
    pub(super) fn end(mut self) -> Option<Duration> {
        self.number.take().and_then(|number| self.turns.end(number))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(number) = self.number.take() {
            self.turns.end(number);
        }
    }
}

/// Ends what takes too long, for as long as there are turns.
fn watch(turns: &Weak<Turns>) {
    /// How late a deadline may be noticed. Being woken for each submission would cost more than many of them.
    const LOOK: Duration = Duration::from_millis(50);
    /// How often a thread looks whether it is still needed.
    const IDLE: Duration = Duration::from_secs(1);
    while let Some(turns) = turns.upgrade() {
        let state = turns.state();
        match state.first_deadline() {
            Some((deadline, number, late)) if deadline <= Instant::now() => {
                drop(state);
                // The others' clocks go on from here.
                turns.end(number);
                late();
            }
            _ => {
                let wait = if state.seats.is_empty() { IDLE } else { LOOK };
                drop(turns.changed.wait_timeout(state, wait));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    fn seat(turns: &Arc<Turns>, depth: usize) -> Seat {
        turns.join(depth, LONG, || {})
    }

    fn now(seat: &Seat) -> Option<Turn> {
        seat.turn().now_or_never().flatten()
    }

    #[test]
    fn a_device_alone_has_as_many_turns_as_its_depth() {
        let turns = Turns::new();
        let seat = seat(&turns, 3);
        let held: Vec<_> = (0..3).map(|_| now(&seat).unwrap()).collect();
        assert!(now(&seat).is_none());
        drop(held);
        assert!(now(&seat).is_some());
    }

    #[test]
    fn a_device_alone_hands_over_no_more_than_a_moments_work() {
        let turns = Turns::new();
        let seat = seat(&turns, 1_000);
        let held: Vec<_> = std::iter::from_fn(|| now(&seat)).collect();
        assert_eq!(held.len(), 4, "as many as the guess of 5 ms lets into 20 ms");
    }

    #[test]
    fn a_turn_goes_to_whoever_has_used_the_gpu_least() {
        let turns = Turns::new();
        let (heavy, light) = (seat(&turns, 8), seat(&turns, 8));
        turns.state().seats.get_mut(&heavy.number).unwrap().used = Duration::from_secs(1);
        let held = [now(&heavy).unwrap(), now(&heavy).unwrap()];
        let (mut of_light, mut of_heavy) = (Box::pin(light.turn()), Box::pin(heavy.turn()));
        assert!(of_light.as_mut().now_or_never().is_none() && of_heavy.as_mut().now_or_never().is_none());
        drop(held);
        let first = of_light.as_mut().now_or_never();
        assert!(first.is_some(), "the light one is served");
    }

    #[test]
    fn who_gives_up_waiting_holds_no_turn() {
        let turns = Turns::new();
        let seat = seat(&turns, 1);
        let held = now(&seat).unwrap();
        assert!(now(&seat).is_none(), "this one has given up");
        drop(held);
        assert!(now(&seat).is_some());
        assert!(turns.state().flying.is_empty());
    }

    #[test]
    fn what_takes_too_long_is_told_once_and_ends_its_turn() {
        let turns = Turns::new();
        let (told, telling) = std::sync::mpsc::channel();
        let seat = turns.join(1, Duration::from_millis(1), move || told.send(()).unwrap());
        let turn = now(&seat).unwrap();
        telling.recv().unwrap();
        assert!(turn.end().is_none(), "it has ended already");
        assert!(now(&seat).is_some());
    }
}
