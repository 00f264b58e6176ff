//! One replica: a live instance, its store, and the task that owns both.
//!
//! # The contract of a warm instance
//! - The instance is made once and serves calls until it dies. Everything that `init` built is kept between calls.
//! - One `run_concurrent` owns the store for good. Either the replica's task drives it, or a caller that has just left
//!   a call in its inbox; [`driver`](super::driver) has the rules.
//! - A guest that computes yields to other tasks at each tick of the engine's epoch. It cannot be interrupted in the
//!   middle of one call and kept for another: a call ends by itself, or with the store.
//! - A trap ends the store and with it every call in flight. Each caller learns of it through [`Replica::death`].

mod death;
mod frames;
mod serve;
mod start;
mod traps;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::SetOnce;
use tokio::time::{sleep, timeout};
use wasmtime::component::InstancePre;

pub(super) use self::death::Death;
use self::serve::Ended;
pub(super) use self::start::Running;
use super::call::{Call, Patience, PendingCall};
use super::driver::Driver;
use super::errors::Errors;
use super::inbox::Inbox;
use super::limits::ValueLimits;
use super::state::ReplicaState;
use crate::capability::{Grants, Loss};
use crate::component::Component;
use crate::config::{ChainletName, Health};
use crate::log_rate::LogRate;
use crate::memory::MemoryBudget;
use crate::offload::Offload;
use crate::threads::GuestThreads;
use crate::value::Signature;

/// Everything that the replicas of one chainlet have in common.
pub(crate) struct ReplicaTemplate {
    pub name: ChainletName,
    pub signature: Arc<Signature>,
    pub component: Component,
    /// The component with all its imports resolved.
    pub instance: InstancePre<ReplicaState>,
    /// The parts of the host that the guest may use.
    pub grants: Arc<Grants>,
    /// The most calls at once in one replica.
    pub concurrency: usize,
    /// The most calls that may wait.
    pub queue: usize,
    /// The most bytes that all memories and tables of one replica may hold.
    pub memory: u64,
    /// The most bytes of values that the host takes from one replica.
    pub values: ValueLimits,
    /// The share of one processor that one replica may use. More than 1 means 1.
    pub cpu: f64,
    /// The times for which a guest may hold a call that is over.
    pub patience: Arc<Patience>,
    /// The limit of log events about the ends of replicas.
    pub log_rate: LogRate,
    /// The longest time that a start may take, including `init`.
    pub start_timeout: Duration,
    /// The policy of the health checks.
    pub health: Health,
    /// The counts of the errors with which the chainlet answers.
    pub errors: Arc<Errors>,
    /// The budget of the bytes that the host may hold for guests, clients and peers.
    pub host_memory: MemoryBudget,
    /// The threads for work that takes long.
    pub offload: Offload,
    /// The threads on which replicas run.
    pub threads: Arc<GuestThreads>,
}

/// The handle of a running replica.
pub(super) struct Replica {
    inbox: Inbox,
    driver: Arc<Driver<Ended>>,
    number: u32,
    /// The number of times that the host's loop in the store has run. It stands still while the guest computes.
    rounds: AtomicU64,
    /// True if the replica has begun any call.
    used: AtomicBool,
    /// True while a task watches whether the replica is stuck.
    watched: AtomicBool,
    worn_out: SetOnce<Wear>,
    /// The request of the first call that has overrun.
    overran: OnceLock<Arc<str>>,
    death: SetOnce<Death>,
}

/// The reason why a replica is to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wear {
    /// Its guest has held a call that is over for longer than its grace.
    Overran,
    /// Its guest does not return to its event loop, though a call of it is over.
    Stalled,
    /// Its guest holds the remains of many calls whose dependencies failed.
    Unanswered,
    /// Its guest says that it is not well.
    Unwell,
    /// A capability has lost something that the replica cannot do without, such as a GPU device.
    Lost(Loss),
}

impl Replica {
    /// Makes the handle of replica `number` of its chainlet, which may use `cpu` of a processor.
    pub(super) fn new(number: u32, cpu: f64) -> Arc<Self> {
        Arc::new(Replica {
            inbox: Inbox::new(),
            driver: Driver::new(cpu),
            number,
            rounds: AtomicU64::new(0),
            used: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            worn_out: SetOnce::new(),
            overran: OnceLock::new(),
            death: SetOnce::new(),
        })
    }

    /// Hands the replica a call, and may drive it for a moment. A replica that has died gives the call back.
    pub(super) fn submit(&self, pending: PendingCall) {
        self.inbox.push(pending);
        self.driver.nudge();
    }

    /// Waits until the replica has ended, and returns how.
    pub(super) async fn death(&self) -> &Death {
        self.death.wait().await
    }

    /// Returns its number among the replicas of its chainlet.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Makes [`Replica::death`] known.
    pub(super) fn died(&self, death: Death) {
        // Only the replica's supervisor calls this, once.
        let _ = self.death.set(death);
    }

    /// Asks for the replica to be replaced.
    pub(super) fn wear_out(&self, why: Wear) {
        // The first reason is as good as any later one.
        let _ = self.worn_out.set(why);
    }

    /// Notes that a call has overrun, for the log.
    pub(super) fn note_overrun(&self, request: Option<&Arc<str>>) {
        if let Some(request) = request {
            // The first call says as much as any later one.
            let _ = self.overran.set(request.clone());
        }
    }

    /// Returns the request of the first call that has overrun.
    pub(super) fn overran(&self) -> Option<&str> {
        self.overran.get().map(|request| &**request)
    }

    /// Waits until the replica is to be replaced, and returns the reason.
    pub(super) async fn worn_out(&self) -> Wear {
        *self.worn_out.wait().await
    }

    /// Takes `call`, which nobody wants any more, out of the inbox, if the guest has not seen it.
    pub(super) fn forget(&self, call: &Call) {
        self.inbox.forget(call);
    }

    /// Takes no more calls. The calls that are not begun go back to their callers, for another replica.
    pub(super) fn close(&self) {
        self.inbox.close();
    }

    /// Waits until the guest has computed for all of `time` without returning to the host's loop. None of its calls
    /// goes on meanwhile, because an instance does one thing at a time.
    pub(super) async fn stuck(&self, time: Duration) {
        let progress = || (self.driver.polls(), self.rounds.load(Ordering::Relaxed));
        let mut before = progress();
        loop {
            sleep(time).await;
            let now = progress();
            if now.0 > before.0 && now.1 == before.1 {
                return;
            }
            before = now;
        }
    }

    /// Has the replica replaced if its guest computes for `stall` without returning to the host's loop.
    pub(super) fn watch(self: &Arc<Self>, patience: Arc<Patience>) {
        if self.watched.swap(true, Ordering::Relaxed) {
            return;
        }
        let (replica, runtime) = (self.clone(), patience.runtime.clone());
        runtime.spawn(async move {
            // `stuck` may need two periods to notice. If it is silent for so long, the replica was not stuck at the
            // time of this call.
            if timeout(2 * patience.stall, replica.stuck(patience.stall)).await.is_ok() {
                replica.wear_out(Wear::Stalled);
            }
            replica.watched.store(false, Ordering::Relaxed);
        });
    }

    /// Returns true if the replica has begun any call.
    pub(super) fn was_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }
}
