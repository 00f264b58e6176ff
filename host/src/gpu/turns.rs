//! Whose turn it is on a GPU, and who has had it for too long.
//!
//! A GPU does what it was handed, in its driver's order, and cannot be told to stop. So fairness and deadlines are made
//! before it: while one device alone has work it may hand over much at once; while several have, one submission is under
//! way in all, or two short ones, and the next place goes to the device that has used the GPU least.
//!
//! A GPU is taken to do one thing at a time, in the order of the turns. So a submission's time and its deadline run from
//! when it could have begun: from its turn, or from the end of what came before it. Nothing that comes after it moves
//! them, nor does a turn that was given back unused.
//!
//! Who has little work at a time and asks for the next when it has seen the result would never get its share beside one
//! whose long work always waits. So long work waits for a moment where such a device is about to come back (as anticipatory
//! disk schedulers do: Iyer and Druschel, SOSP 2001), and who was away keeps a part of its claim. The time for
//! which the GPU waits for a device counts as used by it.

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

/// How many times its timeout a submission waits for work that was given up. After that the GPU is taken to hang, and the
/// submission's device is lost, so that its chainlet and the operator learn of it.
const WAIT: u32 = 10;

/// The turns on one adapter.
pub(crate) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    seats: HashMap<u64, Client>,
    flying: Vec<Flight>,
    /// Until when the GPU's time has been shared out: when a submission last ended, of whichever device.
    shared_until: Instant,
    /// The most that a device had used when it got its turn, or when it was waited for: what all have used who always had
    /// work.
    clock: Duration,
    kept: Option<Kept>,
    /// How many devices have work that was given up and that the GPU has not ended, and since when there is such a device.
    given_up: usize,
    busy_since: Instant,
    next: u64,
}

/// The GPU, while it is kept free for a device that may come back.
struct Kept {
    seat: u64,
    /// From when on the device has not been billed for it.
    since: Instant,
    until: Instant,
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
    /// In the order of the turns.
    number: u64,
    seat: u64,
    /// From when on the GPU could have been at it.
    begun: Instant,
    /// What it has had of the time that was shared out before its end.
    had: Duration,
    timeout: Duration,
}

/// A device's place among those that take turns.
pub(crate) struct Seat {
    turns: Arc<Turns>,
    number: u64,
}

/// Work that was given up while the GPU was at it. Until this is dropped, other work may wait behind it, and no deadline
/// runs; but see [`WAIT`].
pub(super) struct GivenUp(Arc<Turns>);

/// The right to have one submission under way, until that has ended. To drop it gives it back: nothing was handed over.
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

    /// A place for a device that may have `depth` submissions under way, each for `timeout`. `late` is called when one
    /// takes longer. It may leave when all of them have ended or been given back.
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

    /// The GPU is at work that was given up, until what is returned is dropped.
    pub(super) fn give_up(self: &Arc<Self>) -> GivenUp {
        self.state().give_up(Instant::now());
        GivenUp(self.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives turns to those who wait, as many as may be.
    fn give(self: &Arc<Self>, state: &mut State, now: Instant) {
        let kept_until = state.kept_until();
        while let Some((number, waiting)) = state.next_turn(now) {
            if let Err(mut turn) = waiting.send(Turn { turns: self.clone(), number: Some(number) }) {
                // Whoever waited has gone. The lock is held, which dropping the turn would take.
                turn.number = None;
                state.take(number, now);
            }
        }
        if state.kept_until() != kept_until {
            self.changed.notify_one();
        }
    }

    /// Ends a turn, and says how long the GPU was at it.
    fn end(self: &Arc<Self>, number: u64) -> Option<Duration> {
        let mut state = self.state();
        let now = Instant::now();
        let time = state.end(number, now);
        self.give(&mut state, now);
        time
    }

    /// Takes a turn back that nothing was handed over with.
    fn give_back(self: &Arc<Self>, number: u64) {
        let mut state = self.state();
        let now = Instant::now();
        state.give_back(number, now);
        self.give(&mut state, now);
    }
}

impl State {
    fn new(now: Instant) -> Self {
        State {
            seats: HashMap::new(),
            flying: Vec::new(),
            shared_until: now,
            clock: Duration::ZERO,
            kept: None,
            given_up: 0,
            busy_since: now,
            next: 0,
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn join(&mut self, depth: usize, timeout: Duration, late: Late) -> u64 {
        let client = Client {
            depth: depth.max(1),
            timeout,
            // Who comes late has no claim to what the others had before.
            used: self.clock,
            usual: GUESS,
            idle_since: None,
            usual_pause: Duration::ZERO,
            flying: 0,
            waiting: VecDeque::new(),
            late,
        };
        let number = self.number();
        self.seats.insert(number, client);
        number
    }

    fn leave(&mut self, seat: u64, now: Instant) -> Option<Client> {
        self.bill_keeping(now);
        self.seats.remove(&seat)
    }

    /// A device asks for a turn.
    fn ask(&mut self, seat: u64, waiting: oneshot::Sender<Turn>, now: Instant) {
        let Some(client) = self.seats.get_mut(&seat) else { return };
        if !client.is_active() {
            client.used = client.used.max(self.clock.saturating_sub(CREDIT));
        }
        if let Some(since) = client.idle_since.take() {
            let pause = now.saturating_duration_since(since);
            client.usual_pause = (client.usual_pause * 3 + pause.min(MOMENT * 4)) / 4;
        }
        client.waiting.push_back(waiting);
    }

    /// Begins a turn, if one may begin now, of whoever waits for it there.
    fn next_turn(&mut self, now: Instant) -> Option<(u64, oneshot::Sender<Turn>)> {
        self.bill_keeping(now);
        let seat = self.next_seat(now)?;
        let number = self.number();
        let client = self.seats.get_mut(&seat)?;
        let waiting = client.waiting.pop_front()?;
        client.flying += 1;
        self.clock = self.clock.max(client.used);
        self.flying.push(Flight { number, seat, begun: now, had: Duration::ZERO, timeout: client.timeout });
        Some((number, waiting))
    }

    fn kept_until(&self) -> Option<Instant> {
        self.kept.as_ref().map(|kept| kept.until)
    }

    /// Ends the keeping of the GPU, and bills it to the device for which it was.
    fn bill_keeping(&mut self, now: Instant) {
        let Some(Kept { seat, since, until }) = self.kept.take() else { return };
        let Some(client) = self.seats.get_mut(&seat) else { return };
        client.used += now.min(until).saturating_duration_since(since);
        // Or one that leaves and comes as another would have the same claim again.
        self.clock = self.clock.max(client.used);
    }

    /// Whose turn is next, if there is one now: of those who wait and may, who has used the least, or came first. Where it
    /// is to wait for another one, the GPU is kept from now on.
    fn next_seat(&mut self, now: Instant) -> Option<u64> {
        let comes_back = |client: &Client| client.comes_back_until().filter(|until| *until > now);
        let ready = |client: &Client| !client.waiting.is_empty() && client.flying < client.depth;
        let all_ready = self.seats.iter().filter(|(_, client)| ready(client));
        let (number, next) = all_ready.min_by_key(|(number, client)| (client.used, **number))?;
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
            let before = self.seats.iter().filter(|(_, client)| client.used < next.used);
            let claims = before.filter_map(|(seat, client)| Some((client.used, *seat, comes_back(client)?)));
            if let Some((_, seat, until)) = claims.min() {
                self.kept = Some(Kept { seat, since: now, until });
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

    /// Takes out what is under way no more. That alone bills nothing, and moves nothing of others.
    fn take(&mut self, number: u64, now: Instant) -> Option<Flight> {
        let place = self.flying.iter().position(|flight| flight.number == number)?;
        let flight = self.flying.swap_remove(place);
        if let Some(client) = self.seats.get_mut(&flight.seat) {
            client.flying = client.flying.saturating_sub(1);
            if !client.is_active() {
                client.idle_since = Some(now);
            }
        }
        Some(flight)
    }

    /// Nothing was handed over in a turn. Where it kept the GPU from others, its device has used that time; else one that
    /// asks for nothing but what fails would always be next.
    fn give_back(&mut self, number: u64, now: Instant) {
        let Some(flight) = self.take(number, now) else { return };
        if self.flying.iter().any(|other| other.number < number) {
            return;
        }
        if let Some(client) = self.seats.get_mut(&flight.seat) {
            client.used += now.saturating_duration_since(flight.begun.max(self.shared_until));
        }
    }

    /// One device's work is given up, and the GPU is still at it.
    fn give_up(&mut self, now: Instant) {
        if self.given_up == 0 {
            self.busy_since = now;
        }
        self.given_up += 1;
    }

    /// The GPU is done with one device's work that was given up. The deadlines of all other work run from now.
    fn end_given_up(&mut self, now: Instant) {
        self.given_up = self.given_up.saturating_sub(1);
        if self.given_up == 0 {
            self.shared_until = self.shared_until.max(now);
            for flight in &mut self.flying {
                flight.begun = flight.begun.max(now);
            }
        }
    }

    /// The GPU is done with a submission. Returns how long it was at it, if that is known.
    fn end(&mut self, number: u64, now: Instant) -> Option<Duration> {
        let flight = self.take(number, now)?;
        let mut time = now.saturating_duration_since(flight.begun.max(self.shared_until));
        let first = self.flying.iter_mut().min_by_key(|other| other.number);
        if let Some(first) = first.filter(|first| first.number < number) {
            // The GPU did both at once, or the end of the first is not known yet. They share what is billed once.
            time /= 2;
            let shared = now.saturating_duration_since(first.begun.max(self.shared_until));
            first.had += shared.saturating_sub(time);
        }
        time += flight.had;
        self.shared_until = now;
        for later in self.flying.iter_mut().filter(|other| other.number > number) {
            later.begun = later.begun.max(now);
        }
        let client = self.seats.get_mut(&flight.seat);
        if self.given_up > 0 {
            // Much of the time may be that of the work that was given up.
            if let Some(client) = client {
                client.used += time.min(client.usual);
            }
            return None;
        }
        if let Some(client) = client {
            client.used += time;
            client.usual = (client.usual * 7 + time) / 8;
        }
        Some(time)
    }

    /// The deadline of what the GPU is at; what comes after that has not begun. While the GPU is at work that was given up,
    /// it is later by [`WAIT`] times the timeout. If the device has left, there is nobody to tell.
    fn deadline(&self) -> Option<(Instant, u64, Option<Late>)> {
        let first = self.flying.iter().min_by_key(|flight| flight.number)?;
        let late = self.seats.get(&first.seat).map(|client| client.late.clone());
        let begun = match self.given_up {
            0 => first.begun,
            _ => first.begun.max(self.busy_since.checked_add(first.timeout.checked_mul(WAIT)?)?),
        };
        Some((begun.checked_add(first.timeout)?, first.number, late))
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
    /// The GPU is done with what was handed over. Returns how long it was at it, if that is known.
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

/// Ends what takes too long, for as long as there are turns.
fn watch(turns: &Weak<Turns>) {
    /// How late a deadline may be noticed. Being woken for each submission would cost more than many of them.
    const LOOK: Duration = Duration::from_millis(50);
    /// How often a thread looks whether it is still needed.
    const IDLE: Duration = Duration::from_secs(1);
    while let Some(turns) = turns.upgrade() {
        let mut state = turns.state();
        let now = Instant::now();
        match (state.deadline(), state.kept_until()) {
            (Some((deadline, number, late)), _) if deadline <= now => {
                // The others' time runs from here.
                state.end(number, now);
                turns.give(&mut state, now);
                drop(state);
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
