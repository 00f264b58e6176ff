//! The memory budget of a host: the bytes that it holds for guests, clients and peers.
//!
//! Code that is about to hold bytes whose number somebody else decides takes a [`Reservation`] first, grows it as more
//! bytes come, and drops it with the bytes. If there is no room, the host rejects the request or the call, which frees
//! what it held. A guest's own memory is not counted here, because chain.toml limits it for each replica.
//!
//! A [part](MemoryBudget::part) of a budget has a smaller limit. A reservation of a part is reserved of
//! the whole budget, too.

mod available;
mod current;
mod reserving;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;

pub use self::available::default_limit;
pub use self::reserving::Reserving;
use crate::config::ByteSize;

/// The option that sets the limit of a host's budget.
pub const MEMORY_LIMIT: &str = "--memory-limit";

/// A number of bytes that may be held at once. Clones are the same budget.
#[derive(Clone)]
pub struct MemoryBudget(Arc<Inner>);

struct Inner {
    limit: usize,
    /// The name of the limit in rejections.
    kind: &'static str,
    /// The option or the key of chain.toml that sets the limit.
    option: &'static str,
    reserved: AtomicUsize,
    /// The number of rejections.
    refusals: AtomicU64,
    /// The budget of which this is a part.
    whole: Option<MemoryBudget>,
    /// The tasks that wait until there is room.
    waiting: Mutex<Vec<Waker>>,
    has_waiting: AtomicBool,
}

/// The error that a budget has no room for some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no room for {} now: {kind} ({option}) is {}", size(*.wanted), size(*.limit))]
pub struct NoRoom {
    /// The number of bytes that would be held for the purpose.
    pub wanted: usize,
    /// The limit of the budget or the part that has no room.
    pub limit: usize,
    /// The name of that limit.
    pub kind: &'static str,
    /// The option or the key of chain.toml that sets it.
    pub option: &'static str,
}

impl NoRoom {
    /// Returns true if there would be no room even if nothing else were held.
    pub fn is_for_good(&self) -> bool {
        self.wanted > self.limit
    }
}

fn size(bytes: usize) -> ByteSize {
    ByteSize::bytes(u64::try_from(bytes).unwrap_or(u64::MAX))
}

impl MemoryBudget {
    /// Makes a budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self::with(limit, "the host's limit of memory", MEMORY_LIMIT, None)
    }

    /// Makes a budget that rejects nothing, for tests.
    pub fn unlimited() -> Self {
        Self::new(usize::MAX)
    }

    /// Makes a part of this budget that has at most `limit` bytes. Rejections call that limit `kind`.
    pub fn part(&self, limit: usize, kind: &'static str, option: &'static str) -> Self {
        Self::with(limit.min(self.limit()), kind, option, Some(self.clone()))
    }

    fn with(limit: usize, kind: &'static str, option: &'static str, whole: Option<MemoryBudget>) -> Self {
        MemoryBudget(Arc::new(Inner {
            limit,
            kind,
            option,
            reserved: AtomicUsize::new(0),
            refusals: AtomicU64::new(0),
            whole,
            waiting: Mutex::default(),
            has_waiting: AtomicBool::new(false),
        }))
    }

    /// Returns how many bytes may be held.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// Returns how many bytes are held.
    pub fn reserved(&self) -> usize {
        self.0.reserved.load(Ordering::Relaxed)
    }

    /// Returns the number of rejections since the start, including those of its parts.
    pub fn refusals(&self) -> u64 {
        self.0.refusals.load(Ordering::Relaxed)
    }

    /// Reserves `bytes`.
    ///
    /// # Errors
    /// Fails if there is no room for them.
    pub fn reserve(&self, bytes: usize) -> Result<Reservation, NoRoom> {
        let mut reservation = self.nothing();
        reservation.grow(bytes)?;
        Ok(reservation)
    }

    /// Makes an empty reservation.
    pub fn nothing(&self) -> Reservation {
        self.beside(0)
    }

    /// Makes an empty reservation for the same purpose as `other` bytes that somebody else holds. [`NoRoom`] counts
    /// both: if they exceed the limit together, the rejection is for good.
    pub fn beside(&self, other: usize) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0, other }
    }

    /// Is ready if there is room for anything. If not, wakes the task when that may have changed.
    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        if let Some(whole) = &self.0.whole {
            ready!(whole.poll_room(cx));
        }
        if self.reserved() < self.limit() {
            return Poll::Ready(());
        }
        {
            let mut waiting = self.waiting();
            if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                waiting.push(cx.waker().clone());
            }
            self.0.has_waiting.store(true, Ordering::SeqCst);
        }
        // Looks again, because bytes may have been given back before `has_waiting` was set, which woke nobody. These
        // accesses are `SeqCst`, so either this sees the free bytes, or `give_back_here` sees `has_waiting`.
        if self.0.reserved.load(Ordering::SeqCst) < self.limit() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn take(&self, bytes: usize) -> Result<(), NoRoom> {
        let Inner { limit, kind, option, reserved, refusals, whole, .. } = &*self.0;
        let taken = reserved.fetch_update(Ordering::SeqCst, Ordering::Relaxed, |reserved| {
            reserved.checked_add(bytes).filter(|reserved| reserved <= limit)
        });
        if taken.is_err() {
            self.count_refusal();
            return Err(NoRoom { wanted: bytes, limit: *limit, kind, option });
        }
        if let Some(whole) = whole
            && let Err(no_room) = whole.take(bytes)
        {
            refusals.fetch_add(1, Ordering::Relaxed);
            self.give_back_here(bytes);
            return Err(no_room);
        }
        Ok(())
    }

    fn count_refusal(&self) {
        self.0.refusals.fetch_add(1, Ordering::Relaxed);
        if let Some(whole) = &self.0.whole {
            whole.count_refusal();
        }
    }

    fn take_anyway(&self, bytes: usize) {
        self.0.reserved.fetch_add(bytes, Ordering::SeqCst);
        if let Some(whole) = &self.0.whole {
            whole.take_anyway(bytes);
        }
    }

    fn give_back(&self, bytes: usize) {
        self.give_back_here(bytes);
        if let Some(whole) = &self.0.whole {
            whole.give_back(bytes);
        }
    }

    fn give_back_here(&self, bytes: usize) {
        self.0.reserved.fetch_sub(bytes, Ordering::SeqCst);
        if self.0.has_waiting.load(Ordering::SeqCst) {
            let waiting = {
                let mut waiting = self.waiting();
                self.0.has_waiting.store(false, Ordering::SeqCst);
                std::mem::take(&mut *waiting)
            };
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes reserved", self.reserved(), self.limit())
    }
}

/// Bytes of a [`MemoryBudget`] that are held until this is dropped.
#[derive(Debug)]
#[must_use = "the bytes are free again when it is dropped"]
pub struct Reservation {
    budget: MemoryBudget,
    bytes: usize,
    /// The bytes that somebody else holds for the same purpose.
    other: usize,
}

impl Reservation {
    /// Returns how many bytes it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the budget to which it belongs.
    pub fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    /// Reserves `more` bytes.
    ///
    /// # Errors
    /// Fails if there is no room for them. The reservation is then unchanged.
    pub fn grow(&mut self, more: usize) -> Result<(), NoRoom> {
        if more > 0 {
            let wanted = self.bytes.saturating_add(self.other).saturating_add(more);
            self.budget.take(more).map_err(|no_room| NoRoom { wanted, ..no_room })?;
            self.bytes += more;
        }
        Ok(())
    }

    /// Holds `more` bytes whether there is room for them or not. Use it only for few bytes that must not be rejected.
    /// While more is held than the limit, everything else is rejected.
    pub fn grow_anyway(&mut self, more: usize) {
        self.budget.take_anyway(more);
        self.bytes += more;
    }

    /// Makes it hold `bytes`, by growing or shrinking.
    ///
    /// # Errors
    /// There is no room for more bytes. The reservation is then unchanged.
    pub fn resize(&mut self, bytes: usize) -> Result<(), NoRoom> {
        self.grow(bytes.saturating_sub(self.bytes))?;
        self.shrink_to(bytes);
        Ok(())
    }

    /// Gives back all but `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        let free = self.bytes.saturating_sub(bytes);
        if free > 0 {
            self.bytes -= free;
            self.budget.give_back(free);
        }
    }

    /// Returns `bytes`, and keeps the reservation until the last part of them is dropped, wherever that is.
    pub fn own(self, bytes: Bytes) -> Bytes {
        if self.bytes == 0 { bytes } else { Bytes::from_owner(Owned { bytes, _reservation: self }) }
    }

    /// Gives back `bytes`.
    pub fn shrink_by(&mut self, bytes: usize) {
        self.shrink_to(self.bytes.saturating_sub(bytes));
    }
}

/// The owner of bytes and their reservation, for [`Reservation::own`].
struct Owned {
    bytes: Bytes,
    _reservation: Reservation,
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use futures::task::noop_waker_ref;

    use super::*;

    #[test]
    fn a_budget_gives_no_more_than_it_has_and_dropped_bytes_are_free_again() {
        let budget = MemoryBudget::new(100);
        let mut one = budget.reserve(60).unwrap();
        assert_eq!(budget.reserve(41).unwrap_err().wanted, 41);
        one.grow(40).unwrap();
        let no_room = one.grow(1).unwrap_err();
        assert_eq!((no_room.wanted, no_room.limit, no_room.is_for_good()), (101, 100, true));
        one.shrink_to(10);
        let two = budget.reserve(90).unwrap();
        assert_eq!((one.bytes(), two.bytes(), budget.reserved()), (10, 90, 100));
        drop((one, two));
        assert_eq!((budget.reserved(), budget.refusals()), (0, 2));
    }

    #[test]
    fn a_part_has_its_own_limit_and_counts_in_the_whole() {
        let budget = MemoryBudget::new(100);
        let part = budget.part(40, "a part", "--part");
        let held = part.reserve(30).unwrap();
        assert_eq!(part.reserve(11).unwrap_err().limit, 40);
        let rest = budget.reserve(65).unwrap();
        assert_eq!(part.reserve(6).unwrap_err().limit, 100);
        assert_eq!((part.reserved(), budget.reserved(), budget.refusals()), (30, 95, 2));
        drop((held, rest));
        assert_eq!((part.reserved(), budget.reserved()), (0, 0));
        assert_eq!(budget.part(1000, "a part", "--part").limit(), 100);
    }

    #[test]
    fn bytes_that_must_not_be_rejected_leave_no_room_for_others() {
        let budget = MemoryBudget::new(10);
        let mut held = budget.nothing();
        held.grow_anyway(50);
        assert!(budget.reserve(1).is_err());
        held.shrink_by(45);
        assert!(budget.reserve(5).is_ok());
    }

    #[test]
    fn a_number_of_bytes_that_no_machine_has_is_refused() {
        let budget = MemoryBudget::unlimited();
        let _held = budget.reserve(1).unwrap();
        assert!(budget.reserve(usize::MAX).is_err());
    }

    #[tokio::test]
    async fn a_task_that_waits_for_room_is_woken_when_there_is_some() {
        let budget = MemoryBudget::new(1);
        let held = budget.reserve(1).unwrap();
        assert!(budget.poll_room(&Context::from_waker(noop_waker_ref())).is_pending());
        let waiting = tokio::spawn({
            let budget = budget.clone();
            std::future::poll_fn(move |cx| budget.poll_room(cx))
        });
        tokio::task::yield_now().await;
        drop(held);
        waiting.await.unwrap();
    }

    #[test]
    fn a_part_has_no_room_if_the_whole_has_none() {
        let budget = MemoryBudget::new(10);
        let (one, other) = (budget.part(8, "a part", "--part"), budget.part(8, "a part", "--part"));
        let cx = Context::from_waker(noop_waker_ref());
        let mut held = one.nothing();
        held.grow_anyway(9);
        assert!(one.poll_room(&cx).is_pending() && other.poll_room(&cx).is_ready());
        held.grow_anyway(1);
        assert!(other.poll_room(&cx).is_pending());
        drop(held);
        assert!(one.poll_room(&cx).is_ready() && other.poll_room(&cx).is_ready());
    }

    #[test]
    fn a_refusal_says_how_much_there_may_be() {
        let no_room = MemoryBudget::new(1 << 20).reserve(2 << 20).unwrap_err();
        let text = "there is no room for 2MiB now: the host's limit of memory (--memory-limit) is 1MiB";
        assert_eq!(no_room.to_string(), text);
    }

    #[test]
    fn bytes_that_are_owned_are_reserved_until_their_last_part_is_gone() {
        let budget = MemoryBudget::new(1000);
        let mut bytes = budget.reserve(600).unwrap().own(Bytes::from(vec![7; 600]));
        let part = bytes.split_to(10);
        drop(bytes);
        assert_eq!((part.len(), budget.reserved()), (10, 600));
        drop(part);
        assert_eq!(budget.reserved(), 0);
    }
}
