//! Whose turn it is on a GPU, and who has had it for too long.
//!
//! A GPU does what it was handed, in its driver's order, and cannot be told to stop. So fairness and deadlines are made
//! before it: while one device alone has work it may hand over much at once; while several have, one submission is under
//! way in all, or two short ones, and the next place goes to the device that has used the GPU least. Time is measured from
//! one end to the next, as the GPU does one thing at a time, and a submission's deadline runs from when it could have begun.
//!
//! Who has little work at a time and asks for the next when it has seen the result would never get its share beside one
//! whose long work always waits. So long work waits for a moment where such a device is about to come back (as anticipatory
//! disk schedulers do: Iyer and Druschel, SOSP 2001), and who was away keeps a part of its claim.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// How many submissions are under way where devices share and all are short: one at work, and one that follows without a
/// pause.
const SHARED: usize = 2;
/// What is short. Longer ones of several devices would blur whose time it was, as drivers may do both at once, and need none
/// that follows without a pause.
const SHORT: Duration = Duration::from_millis(2);
/// How much work a device hands over at most while it is alone, so that another one that comes need not wait long.
const AHEAD: Duration = Duration::from_millis(20);
/// What a submission is taken to need before any was measured.
const GUESS: Duration = Duration::from_millis(5);
/// How much less than others a device may have used the GPU while it had no work, and claim later.
const CREDIT: Duration = Duration::from_millis(250);
/// What is so long that it waits for a [`MOMENT`].
const LONG: Duration = Duration::from_millis(20);
/// For how long the GPU is kept for a device that is about to come back.
const MOMENT: Duration = Duration::from_millis(2);

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
    /// The most that a device had used when it got its turn: what all have used who always had work.
    clock: Duration,
    /// Until when the GPU is kept for one that may come back.
    kept_until: Option<Instant>,
    next: u64,
}

/// What is done about a submission that takes too long.
type Late = Arc<dyn Fn() + Send + Sync>;

struct Client {
    depth: usize,
    timeout: Duration,
    /// Time on the GPU, with what it had no claim to when it came, or came back.
    used: Duration,
    /// What one submission needs, averaged.
    usual: Duration,
    /// Since when it has had nothing to do, if it ever had.
    idle_since: Option<Instant>,
    /// For how long it has nothing to do, averaged; what is much more than a [`MOMENT`] counts as no more.
    usual_pause: Duration,
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
        let state = State {
            seats: HashMap::new(),
            flying: Vec::new(),
            last_end: Instant::now(),
            clock: Duration::ZERO,
            kept_until: None,
            next: 0,
        };
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
        let client = Client {
            depth: depth.max(1),
            timeout,
            // Who comes late has no claim to what the others had before.
            used: state.clock,
            usual: GUESS,
            idle_since: None,
            usual_pause: Duration::ZERO,
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
        let kept_until = state.kept_until.take();
        while let Some(seat) = state.next_seat() {
            let number = state.number();
            let Some(client) = state.seats.get_mut(&seat) else { return };
            let Some(waiting) = client.waiting.pop_front() else { return };
            client.flying += 1;
            state.clock = state.clock.max(client.used);
            state.flying.push(Flight { number, seat, since: Instant::now() });
            if let Err(mut turn) = waiting.send(Turn { turns: self.clone(), number: Some(number) }) {
                // Whoever waited has gone. The lock is held, which dropping the turn would take.
                turn.number = None;
                state.end(number);
            }
        }
        if state.kept_until != kept_until {
            self.changed.notify_one();
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

    /// A device asks for a turn.
    fn ask(&mut self, seat: u64, waiting: oneshot::Sender<Turn>) {
        let Some(client) = self.seats.get_mut(&seat) else { return };
        if !client.is_active() {
            client.used = client.used.max(self.clock.saturating_sub(CREDIT));
        }
        if let Some(since) = client.idle_since.take() {
            client.usual_pause = (client.usual_pause * 3 + since.elapsed().min(MOMENT * 4)) / 4;
        }
        client.waiting.push_back(waiting);
    }

    /// Whose turn is next, if there is one now: of those who wait and may, who has used the least. Where it is to wait for
    /// another one, it is said until when.
    fn next_seat(&mut self) -> Option<u64> {
        let now = Instant::now();
        let comes_back = |client: &Client| client.comes_back_until().filter(|until| *until > now);
        let ready = |client: &Client| !client.waiting.is_empty() && client.flying < client.depth;
        let (number, next) =
            self.seats.iter().filter(|(_, client)| ready(client)).min_by_key(|(_, client)| client.used)?;
        let has_others = self
            .seats
            .iter()
            .any(|(other, client)| other != number && (client.is_active() || comes_back(client).is_some()));
        let may = match has_others {
            true => {
                self.flying.is_empty() || (self.flying.len() < SHARED && self.is_short(*number) && self.all_short())
            }
            false => next.flying < SHARED || next.all_under_way() < AHEAD,
        };
        if !may {
            return None;
        }
        if next.usual > LONG && self.flying.is_empty() {
            let before = self.seats.values().filter(|client| client.used < next.used);
            self.kept_until = before.filter_map(comes_back).max();
            if self.kept_until.is_some() {
                return None;
            }
        }
        Some(*number)
    }

    fn is_short(&self, seat: u64) -> bool {
        self.seats.get(&seat).is_none_or(|client| client.usual <= SHORT)
    }

    fn all_short(&self) -> bool {
        self.flying.iter().all(|flight| self.is_short(flight.seat))
    }

    fn end(&mut self, number: u64) -> Option<Duration> {
        let place = self.flying.iter().position(|flight| flight.number == number)?;
        let flight = self.flying.swap_remove(place);
        let now = Instant::now();
        let time = now.saturating_duration_since(flight.since.max(self.last_end));
        self.last_end = now;
        if let Some(client) = self.seats.get_mut(&flight.seat) {
            client.flying = client.flying.saturating_sub(1);
            if !client.is_active() {
                client.idle_since = Some(now);
            }
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

    /// Until when it can be expected back, if it has no work just now and usually comes back at once.
    fn comes_back_until(&self) -> Option<Instant> {
        let since = self.idle_since.filter(|_| self.usual_pause < MOMENT)?;
        since.checked_add(MOMENT)
    }

    /// What it has handed over, as long as that usually takes.
    fn all_under_way(&self) -> Duration {
        self.usual.saturating_mul(u32::try_from(self.flying).unwrap_or(u32::MAX))
    }
}

impl Seat {
    /// Waits for this device's turn.
    pub(super) async fn turn(&self) -> Option<Turn> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.turns.state();
            state.ask(self.number, sender);
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
        let mut state = turns.state();
        let now = Instant::now();
        match (state.first_deadline(), state.kept_until) {
            (Some((deadline, number, late)), _) if deadline <= now => {
                drop(state);
                // The others' clocks go on from here.
                turns.end(number);
                late();
            }
            (_, Some(until)) if until <= now => turns.give(&mut state),
            (_, kept_until) => {
                let look = if state.seats.is_empty() { IDLE } else { LOOK };
                let wait = kept_until.map_or(look, |until| look.min(until.saturating_duration_since(now)));
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

    /// Changes what is known of a device.
    fn has<T>(turns: &Turns, seat: &Seat, change: impl FnOnce(&mut Client) -> T) -> T {
        change(turns.state().seats.get_mut(&seat.number).unwrap())
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
        has(&turns, &heavy, |client| client.used = Duration::from_secs(1));
        let held = [now(&heavy).unwrap(), now(&heavy).unwrap()];
        let (mut of_light, mut of_heavy) = (Box::pin(light.turn()), Box::pin(heavy.turn()));
        assert!(of_light.as_mut().now_or_never().is_none() && of_heavy.as_mut().now_or_never().is_none());
        drop(held);
        let first = of_light.as_mut().now_or_never();
        assert!(first.is_some(), "the light one is served");
    }

    #[test]
    fn long_work_of_two_devices_is_not_under_way_at_once_and_short_work_is() {
        for (usual, at_once) in [(SHORT * 2, false), (SHORT, true)] {
            let turns = Turns::new();
            let seats = [seat(&turns, 8), seat(&turns, 8)];
            for seat in &seats {
                has(&turns, seat, |client| client.usual = usual);
            }
            let held = now(&seats[0]).unwrap();
            let mut second = Box::pin(seats[1].turn());
            assert_eq!(second.as_mut().now_or_never().is_some(), at_once, "{usual:?}");
            drop(held);
        }
    }

    #[test]
    fn who_was_away_has_a_claim_to_a_part_of_what_the_others_had() {
        let turns = Turns::new();
        let (away, busy) = (seat(&turns, 1), seat(&turns, 1));
        has(&turns, &busy, |client| client.used = LONG * 1_000);
        drop(now(&busy));
        drop(now(&away));
        let used = has(&turns, &away, |client| client.used);
        assert!(used >= LONG * 1_000 - CREDIT, "{used:?}");
        let late = seat(&turns, 1);
        assert!(has(&turns, &late, |client| client.used) >= LONG * 1_000);
    }

    #[tokio::test]
    async fn long_work_waits_for_a_device_that_comes_back_at_once_and_for_no_other() {
        let turns = Turns::new();
        let (heavy, light) = (seat(&turns, 1), seat(&turns, 1));
        has(&turns, &heavy, |client| {
            client.used = LONG;
            client.usual = LONG * 2;
        });
        let has_ended = |usual_pause| {
            has(&turns, &light, |client| {
                // So that no test has to be quick: it ends in an hour.
                client.idle_since = Instant::now().checked_add(LONG * 200_000);
                client.usual_pause = usual_pause;
            });
        };
        has_ended(MOMENT);
        drop(now(&heavy).expect("nobody comes back at once"));
        has(&turns, &heavy, |client| client.usual = LONG * 2);
        has_ended(Duration::ZERO);
        let mut waits = Box::pin(heavy.turn());
        assert!(waits.as_mut().now_or_never().is_none(), "the light one is about to come back");
        drop(now(&light).expect("its turn was kept"));
        // It may come back again, and does not: the thread that watches sees that the moment has passed.
        assert!(waits.await.is_some());
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
