//! The state of the turns on one adapter: decides which device is next, and when a submission is too late.
//!
//! It has no lock, no clock and no thread: each function gets the time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Turn;

/// The most submissions under way while devices share the GPU and all submissions are short: one at work, and one that
/// follows without a pause.
const SHARED: usize = 2;
/// The longest time of a short submission. Longer ones of several devices are not under way together: drivers may do
/// both at once, which would blur whose time it was, and a pause between them costs little.
pub(super) const SHORT: Duration = Duration::from_millis(2);
/// The most work that a device hands over while it is alone, so that another device that comes need not wait long.
const AHEAD: Duration = Duration::from_millis(20);
/// The assumed time of a submission before any was measured.
pub(super) const GUESS: Duration = Duration::from_millis(5);
/// A device that had no work comes back as if it had used the GPU at most this much less than the others.
pub(super) const CREDIT: Duration = Duration::from_millis(250);
/// If submissions of a device usually take longer than this, they wait for [`RETURN_WAIT`], for a device that is about to come
/// back.
const LONG: Duration = Duration::from_millis(20);
/// The time for which the GPU is kept free for a device that is about to come back.
pub(super) const RETURN_WAIT: Duration = Duration::from_millis(2);

/// A submission waits for work that was given up for at most this many times its timeout. After that, the GPU counts as
/// hung and the submission's device is lost, so that its chainlet and the operator learn of it.
pub(super) const WAIT: u32 = 10;

/// The state of all turns on one adapter.
pub(super) struct State {
    pub seats: HashMap<u64, Client>,
    pub flying: Vec<Flight>,
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
pub(super) type Late = Arc<dyn Fn() + Send + Sync>;

/// A device that takes turns.
pub(super) struct Client {
    depth: usize,
    timeout: Duration,
    /// Its time on the GPU, and the time to which it had no claim when it came or came back.
    pub used: Duration,
    /// The average time of its submissions.
    pub usual: Duration,
    /// Since when it has had nothing to do; `None` if it has work or never had any.
    pub idle_since: Option<Instant>,
    /// The average time for which it has nothing to do. A pause counts as at most four times [`RETURN_WAIT`].
    pub usual_pause: Duration,
    pub flying: usize,
    waiting: VecDeque<oneshot::Sender<Turn>>,
    late: Late,
}

/// A submission under way.
pub(super) struct Flight {
    /// Numbers are in the order of the turns.
    number: u64,
    seat: u64,
    /// The first moment at which the GPU could have been at it.
    begun: Instant,
    /// Its part of the time that was shared out before its end.
    had: Duration,
    timeout: Duration,
}

impl State {
    pub(super) fn new(now: Instant) -> Self {
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

    pub(super) fn join(&mut self, depth: usize, timeout: Duration, late: Late) -> u64 {
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

    pub(super) fn leave(&mut self, seat: u64, now: Instant) -> Option<Client> {
        self.bill_keeping(now);
        self.seats.remove(&seat)
    }

    /// Notes that a device asks for a turn.
    pub(super) fn ask(&mut self, seat: u64, waiting: oneshot::Sender<Turn>, now: Instant) {
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
    pub(super) fn next_turn(&mut self, now: Instant) -> Option<(u64, oneshot::Sender<Turn>)> {
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

    pub(super) fn kept_until(&self) -> Option<Instant> {
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
    pub(super) fn take(&mut self, number: u64, now: Instant) -> Option<Flight> {
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
    pub(super) fn give_back(&mut self, number: u64, now: Instant) {
        let Some(flight) = self.take(number, now) else { return };
        if self.flying.iter().any(|other| other.number < number) {
            return;
        }
        if let Some(client) = self.seats.get_mut(&flight.seat) {
            client.used += now.saturating_duration_since(flight.begun.max(self.shared_until));
        }
    }

    /// Notes that one device's work is given up while the GPU is still at it.
    pub(super) fn give_up(&mut self, now: Instant) {
        if self.given_up == 0 {
            self.busy_since = now;
        }
        self.given_up += 1;
    }

    /// Notes that the GPU is done with one device's work that was given up. After the last such work, the deadlines of
    /// all other work run from now.
    pub(super) fn end_given_up(&mut self, now: Instant) {
        self.given_up = self.given_up.saturating_sub(1);
        if self.given_up == 0 {
            self.shared_until = self.shared_until.max(now);
            for flight in &mut self.flying {
                flight.begun = flight.begun.max(now);
            }
        }
    }

    /// Notes that the GPU is done with a submission. Returns how long it was at it, if that is known.
    pub(super) fn end(&mut self, number: u64, now: Instant) -> Option<Duration> {
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
    pub(super) fn deadline(&self) -> Option<(Instant, u64, Option<Late>)> {
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

#[cfg(test)]
mod tests;
