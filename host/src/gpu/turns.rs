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

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// The most submissions under way while devices share the GPU and all submissions are short: one at work, and one that
/// follows without a pause.
const SHARED: usize = 2;
/// The longest time of a short submission. Longer ones of several devices are not under way together: drivers may do
/// both at once, which would blur whose time it was, and a pause between them costs little.
const SHORT: Duration = Duration::from_millis(2);
/// The most work that a device hands over while it is alone, so that another device that comes need not wait long.
const AHEAD: Duration = Duration::from_millis(20);
/// The assumed time of a submission before any was measured.
const GUESS: Duration = Duration::from_millis(5);
/// A device that had no work comes back as if it had used the GPU at most this much less than the others.
const CREDIT: Duration = Duration::from_millis(250);
/// If submissions of a device usually take longer than this, they wait for [`RETURN_WAIT`], for a device that is about to come
/// back.
const LONG: Duration = Duration::from_millis(20);
/// The time for which the GPU is kept free for a device that is about to come back.
const RETURN_WAIT: Duration = Duration::from_millis(2);

/// A submission waits for work that was given up for at most this many times its timeout. After that, the GPU counts as
/// hung and the submission's device is lost, so that its chainlet and the operator learn of it.
const WAIT: u32 = 10;

/// The turns on one adapter.
pub(crate) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

/// The state of all turns on one adapter.
struct State {
    seats: HashMap<u64, Client>,
    flying: Vec<Flight>,
    /// The GPU's time is shared out until this moment: the last end of a submission, of whichever device.
    shared_until: Instant,
    /// The most that a device had used when it got its turn, or when the GPU waited for it. Devices that always had
    /// work have used this much.
    clock: Duration,
    kept: Option<Kept>,
    /// The number of devices whose work was given up while the GPU is still at it.
    given_up: usize,
    /// Since when there is such a device.
    busy_since: Instant,
    next: u64,
}

/// The GPU, while it is kept free for a device that may come back.
struct Kept {
    seat: u64,
    /// The device is not billed yet for the time from here.
    since: Instant,
    until: Instant,
}

/// Called when a submission takes too long.
type Late = Arc<dyn Fn() + Send + Sync>;

/// A device that takes turns.
struct Client {
    depth: usize,
    timeout: Duration,
    /// Its time on the GPU, and the time to which it had no claim when it came or came back.
    used: Duration,
    /// The average time of its submissions.
    usual: Duration,
    /// Since when it has had nothing to do; `None` if it has work or never had any.
    idle_since: Option<Instant>,
    /// The average time for which it has nothing to do. A pause counts as at most four times [`RETURN_WAIT`].
    usual_pause: Duration,
    flying: usize,
    waiting: VecDeque<oneshot::Sender<Turn>>,
    late: Late,
}

/// A submission under way.
struct Flight {
    /// Numbers are in the order of the turns.
    number: u64,
    seat: u64,
    /// The first moment at which the GPU could have been at it.
    begun: Instant,
    /// Its part of the time that was shared out before its end.
    had: Duration,
    timeout: Duration,
}

/// A device's place among those that take turns.
pub(crate) struct Seat {
    turns: Arc<Turns>,
    number: u64,
}

/// Work that was given up while the GPU was at it. Until this is dropped, other work may wait behind it, and no
/// deadline runs, with the exception at [`WAIT`].
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
            // A device that comes late has no claim to time that the others had before.
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

    /// Notes that a device asks for a turn.
    fn ask(&mut self, seat: u64, waiting: oneshot::Sender<Turn>, now: Instant) {
        let Some(client) = self.seats.get_mut(&seat) else { return };
        if !client.is_active() {
            client.used = client.used.max(self.clock.saturating_sub(CREDIT));
        }
        if let Some(since) = client.idle_since.take() {
            let pause = now.saturating_duration_since(since);
            client.usual_pause = (client.usual_pause * 3 + pause.min(RETURN_WAIT * 4)) / 4;
        }
        client.waiting.push_back(waiting);
    }

    /// Begins the next turn, if one may begin now. Returns its number, and the sender to the caller that waits for it.
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

    /// Ends the keeping of the GPU, and bills it to the device for which the GPU was kept.
    fn bill_keeping(&mut self, now: Instant) {
        let Some(Kept { seat, since, until }) = self.kept.take() else { return };
        let Some(client) = self.seats.get_mut(&seat) else { return };
        client.used += now.min(until).saturating_duration_since(since);
        // Otherwise a device that leaves and joins again would have the same claim again.
        self.clock = self.clock.max(client.used);
    }

    /// Returns the device whose turn is next, if there is one now: of the devices that wait and may submit, the one
    /// that has used the GPU least, or that came first. If it must wait for another device, the GPU is kept from now
    /// on.
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

    /// Removes a submission that is no longer under way. This alone bills nothing and moves no other submission's time.
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

    /// Notes that nothing was handed over in a turn. If the turn kept the GPU from other devices, its device is billed
    /// for that time. Otherwise a device whose every submission fails would always be next.
    fn give_back(&mut self, number: u64, now: Instant) {
        let Some(flight) = self.take(number, now) else { return };
        if self.flying.iter().any(|other| other.number < number) {
            return;
        }
        if let Some(client) = self.seats.get_mut(&flight.seat) {
            client.used += now.saturating_duration_since(flight.begun.max(self.shared_until));
        }
    }

    /// Notes that one device's work is given up while the GPU is still at it.
    fn give_up(&mut self, now: Instant) {
        if self.given_up == 0 {
            self.busy_since = now;
        }
        self.given_up += 1;
    }

    /// Notes that the GPU is done with one device's work that was given up. After the last such work, the deadlines of
    /// all other work run from now.
    fn end_given_up(&mut self, now: Instant) {
        self.given_up = self.given_up.saturating_sub(1);
        if self.given_up == 0 {
            self.shared_until = self.shared_until.max(now);
            for flight in &mut self.flying {
                flight.begun = flight.begun.max(now);
            }
        }
    }

    /// Notes that the GPU is done with a submission. Returns how long it was at it, if that is known.
    fn end(&mut self, number: u64, now: Instant) -> Option<Duration> {
        let flight = self.take(number, now)?;
        let mut time = now.saturating_duration_since(flight.begun.max(self.shared_until));
        let first = self.flying.iter_mut().min_by_key(|other| other.number);
        if let Some(first) = first.filter(|first| first.number < number) {
            // The GPU did both at once, or the end of the first is not known yet. They share the time, which is billed
            // once.
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
            // Much of the time may belong to the work that was given up.
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

    /// Returns the deadline of the submission that the GPU is at, its number, and the function to call then, which is
    /// `None` if the device has left. Later submissions have not begun. While the GPU is at work that was given up, the
    /// deadline is later, by up to [`WAIT`] times the timeout.
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

    /// Returns until when it can be expected back, if it has no work now and usually comes back at once.
    fn comes_back_until(&self) -> Option<Instant> {
        let since = self.idle_since.filter(|_| self.usual_pause < RETURN_WAIT)?;
        since.checked_add(RETURN_WAIT)
    }

    /// Returns about how long all that it has handed over takes.
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
