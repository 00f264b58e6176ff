//! Drives a replica: in the replica's own task, or on the thread of a caller that has just handed it a call.
//!
//! Waking another task first costs more than many guests need for a call, and on several cores it costs the caches,
//! too. So a caller polls the replica that it calls, if nobody else drives it. The guest then runs on the caller's
//! thread, and its answer is often there before the caller has to wait at all. Work that does not end in that poll goes
//! on in the replica's task.
//!
//! - The task polls first, because wasmtime does not let a store begin its event loop inside that of another.
//! - One thread drives at a time. If another thread drives, a caller sets `AGAIN`, and that thread then polls once
//!   more.
//! - Callers leave a replica with long polls to its task, so that calls that compute run beside each other.
//! - A replica that has used up its [`CpuShare`] of a processor rests: its task waits, and callers leave it to its task.
//! - A poll is bounded. A guest yields at each tick of the engine's epoch, and a caller that has driven for others for
//!   [`CALLER_LIMIT`] hands over to the task.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::task::{ArcWake, AtomicWaker, waker_ref};
use tokio::runtime::Handle;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use super::share::{CpuMeter, CpuShare};

/// The longest time that a caller drives for others, beyond its own call; and the longest usual poll of a replica for
/// which callers drive. Waking a task costs some microseconds, which is little beside this.
const CALLER_LIMIT: Duration = Duration::from_micros(100);

/// No thread drives, and there is nothing to do.
const IDLE: u8 = 0;
/// No thread drives, and the task has been woken to drive.
const SCHEDULED: u8 = 1;
/// A thread drives.
const DRIVING: u8 = 2;
/// A thread drives, and there is more to do since it began.
const AGAIN: u8 = 3;
/// The work has ended.
const ENDED: u8 = 4;

/// A driver of a future that never ends by itself while all is well. Any task at hand may drive it.
pub(super) struct Driver<T> {
    state: AtomicU8,
    work: Mutex<Work<T>>,
    /// The task that drives if nobody else does.
    task: AtomicWaker,
    polls: AtomicU64,
    /// The usual length of a poll: a moving average in nanoseconds.
    usual: AtomicU64,
    /// The work's share of a processor; `None` if it may use a whole one.
    share: Option<Mutex<CpuShare>>,
}

enum Work<T> {
    Running {
        future: BoxFuture<'static, T>,
        /// The runtime of the task. The work's timers belong to it, whichever thread drives.
        runtime: Handle,
    },
    /// The outcome, and the rest of the future. The task drops the rest, because the thread that drove the future to
    /// its end may be in the middle of other work.
    Ended(Result<T, Panicked>, BoxFuture<'static, T>),
    None,
}

/// The error that the work panicked, with the message of the panic.
#[derive(Debug)]
pub(super) struct Panicked(pub String);

/// The future that a driver's own task runs. It is ready after the work has ended. Dropping it drops the work.
pub(super) struct Driven<T> {
    driver: Arc<Driver<T>>,
    /// The timer of a rest, while the work has used up its share.
    rest: Option<Pin<Box<Sleep>>>,
}

impl<T: Send + 'static> Driver<T> {
    /// Makes a driver without work. Its work may use `share` of one processor.
    pub(super) fn new(share: f64) -> Arc<Self> {
        Arc::new(Driver {
            state: AtomicU8::new(SCHEDULED),
            work: Mutex::new(Work::None),
            task: AtomicWaker::new(),
            polls: AtomicU64::new(0),
            usual: AtomicU64::new(0),
            share: CpuShare::new(share, Instant::now()).map(Mutex::new),
        })
    }

    /// Sets the work, and returns the future for the driver's own task. Callers that [nudge](Driver::nudge) drive the
    /// work, too. Call this in the runtime to which the work belongs.
    pub(super) fn run(self: &Arc<Self>, work: impl Future<Output = T> + Send + 'static) -> Driven<T> {
        *lock(&self.work) = Work::Running { future: Box::pin(work), runtime: Handle::current() };
        Driven { driver: self.clone(), rest: None }
    }

    /// Makes sure that the work is polled, because there is a new reason to: on this thread now, or soon on another.
    pub(super) fn nudge(self: &Arc<Self>) {
        let usual = Duration::from_nanos(self.usual.load(Ordering::Relaxed));
        if self.polls() == 0 || usual > CALLER_LIMIT || self.rests_until().is_some() {
            return ArcWake::wake_by_ref(self);
        }
        if !self.begin(true) {
            return;
        }
        let start = Instant::now();
        while self.poll_work() && self.end() == AGAIN {
            if start.elapsed() < CALLER_LIMIT {
                self.state.store(DRIVING, Ordering::SeqCst);
            } else {
                self.state.store(SCHEDULED, Ordering::SeqCst);
                self.task.wake();
                return;
            }
        }
    }

    /// Returns the number of polls so far.
    pub(super) fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Takes the right to poll the work, and returns true if nobody else has it. If another thread has it, a caller sets
    /// [`AGAIN`]. The task takes it only if it was woken; a caller always has something to do.
    fn begin(&self, caller: bool) -> bool {
        let mut state = self.state.load(Ordering::SeqCst);
        loop {
            let next = match state {
                IDLE if caller => DRIVING,
                SCHEDULED => DRIVING,
                DRIVING if caller => AGAIN,
                _ => return false,
            };
            match self.state.compare_exchange_weak(state, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return next == DRIVING,
                Err(now) => state = now,
            }
        }
    }

    /// Polls the work. Returns false if it has ended.
    fn poll_work(self: &Arc<Self>) -> bool {
        let start = Instant::now();
        self.polls.fetch_add(1, Ordering::Relaxed);
        let mut work = lock(&self.work);
        let Work::Running { future, runtime } = &mut *work else { return false };
        let meter = CpuMeter::start(self.share.is_some());
        let waker = waker_ref(self);
        let mut context = Context::from_waker(&waker);
        let polled = {
            let _runtime = runtime.enter();
            // Unconstrained, because the work is not part of the task that happens to drive it, and must not use up
            // that task's budget.
            catch_unwind(AssertUnwindSafe(|| pin!(unconstrained(future.as_mut())).as_mut().poll(&mut context)))
        };
        if let Some(used) = meter.map(CpuMeter::stop)
            && let Some(share) = &self.share
        {
            lock(share).pay(used, Instant::now());
        }
        let outcome = match polled {
            Ok(Poll::Pending) => {
                drop(work);
                self.account(start.elapsed());
                return true;
            }
            Ok(Poll::Ready(outcome)) => Ok(outcome),
            Err(panic) => Err(Panicked::of(&*panic)),
        };
        if let Work::Running { future, .. } = std::mem::replace(&mut *work, Work::None) {
            *work = Work::Ended(outcome, future);
        }
        self.state.store(ENDED, Ordering::SeqCst);
        drop(work);
        self.task.wake();
        false
    }

    /// Gives the right to poll back and returns [`IDLE`]. If there is more to do, keeps it and returns [`AGAIN`].
    fn end(&self) -> u8 {
        match self.state.compare_exchange(DRIVING, IDLE, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => IDLE,
            Err(state) => state,
        }
    }

    fn account(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let usual = self.usual.load(Ordering::Relaxed);
        // A lost update drops one sample, which is harmless.
        self.usual.store(usual - usual / 8 + took / 8, Ordering::Relaxed);
    }

    /// Returns the time at which the work may go on, if it has used up its share.
    fn rests_until(&self) -> Option<Instant> {
        self.share.as_ref().and_then(|share| lock(share).rests_until(Instant::now()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Send + 'static> ArcWake for Driver<T> {
    fn wake_by_ref(driver: &Arc<Self>) {
        let mut state = driver.state.load(Ordering::SeqCst);
        loop {
            let next = match state {
                IDLE => SCHEDULED,
                DRIVING => AGAIN,
                _ => return,
            };
            match driver.state.compare_exchange_weak(state, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) if next == SCHEDULED => return driver.task.wake(),
                Ok(_) => return,
                Err(now) => state = now,
            }
        }
    }
}

impl<T: Send + 'static> Future for Driven<T> {
    type Output = Result<T, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Driven { driver, rest } = &mut *self;
        // Registers the waker before it reads the state, so that no wake in between is lost.
        driver.task.register(cx.waker());
        while driver.state.load(Ordering::SeqCst) == SCHEDULED
            && let Some(until) = driver.rests_until()
        {
            let rest = rest.insert(Box::pin(sleep_until(until)));
            if rest.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        *rest = None;
        if driver.begin(false) && driver.poll_work() && driver.end() == AGAIN {
            driver.state.store(SCHEDULED, Ordering::SeqCst);
            cx.waker().wake_by_ref();
        }
        if driver.state.load(Ordering::SeqCst) != ENDED {
            return Poll::Pending;
        }
        let work = std::mem::replace(&mut *lock(&driver.work), Work::None);
        match work {
            Work::Ended(outcome, rest) => {
                drop(rest);
                Poll::Ready(outcome)
            }
            Work::Running { .. } | Work::None => Poll::Pending,
        }
    }
}

impl<T> Drop for Driven<T> {
    fn drop(&mut self) {
        // Taking the lock waits for a poll under way, which is short.
        let work = std::mem::replace(&mut *lock(&self.driver.work), Work::None);
        self.driver.state.store(ENDED, Ordering::SeqCst);
        drop(work);
    }
}

impl Panicked {
    fn of(panic: &(dyn std::any::Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        Panicked(text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into()))
    }
}

#[cfg(test)]
mod tests;
