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
mod traps;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::SetOnce;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use wasmtime::component::{Accessor, GuestTaskId, InstancePre};
use wasmtime::{AsContextMut, Store};
use wasmtime_wasi::WasiCtx;

pub(super) use self::death::Death;
use super::call::{Call, Patience, PendingCall, Returned};
use super::driver::{Driver, Panicked};
use super::errors::Errors;
use super::health::{self, Monitor};
use super::inbox::Inbox;
use super::limits::{self, MemoryLimit, ValueLimits};
use super::pool::Pool;
use super::question::{Question, Unwell};
use super::state::ReplicaState;
use super::streams::{Feed, ReadingGuest};
use crate::capability::{Grants, Loss};
use crate::component::Component;
use crate::config::{ChainletName, Health};
use crate::error::{CallError, ErrorKind};
use crate::guest_words::{SENTENCE, clip};
use crate::log_rate::LogRate;
use crate::memory::{MemoryBudget, NoRoom};
use crate::offload::Offload;
use crate::threads::GuestThreads;
use crate::value::Signature;
use crate::value::abi::call::{Export, Lifted};
use crate::value::abi::stream::{EndOfStreams, HasStreams, KeepAlive};

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

/// The most calls that a replica takes out of its inbox in one poll of its driver. Without this limit, a caller that
/// drives it would be kept for as long as others bring more calls.
const CALLS_A_POLL: usize = 32;

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

/// The end of a replica's `run_concurrent`. It carries the store, so that the replica's task drops it: the thread that
/// drove the replica to its end may belong to a guest's caller, in the middle of another store.
struct Ended {
    death: Death,
    store: Store<ReplicaState>,
}

/// An instance that has run its `init`, and has no task yet.
struct Initialised {
    /// Declared before the store, so that it is dropped first.
    streams: EndOfStreams,
    store: Store<ReplicaState>,
    export: Export,
    health: Option<Question>,
}

/// A replica that has started, and its task.
pub(super) struct Running {
    pub replica: Arc<Replica>,
    pub task: JoinHandle<Death>,
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

impl ReplicaTemplate {
    /// Instantiates the component and runs its `init`, exactly once. Then the replica takes calls.
    ///
    /// The start is driven in the same way as the replica later: within its share of a processor. A panic of the host's
    /// own code ends only this start.
    pub(super) async fn start(self: &Arc<Self>, number: u32, pool: &Arc<Pool>) -> Result<Running, CallError> {
        let _span = tracing::debug_span!(parent: None, "start", chainlet = %self.name, replica = number);
        let start = Driver::new(self.cpu).run(self.host_memory.clone().around({
            let template = self.clone();
            async move { template.initialise(number).await }
        }));
        let Initialised { streams, mut store, export, health } = match timeout(self.start_timeout, start).await {
            Ok(Ok(initialised)) => initialised?,
            Ok(Err(Panicked(message))) => {
                let message = format_args!("starting a replica panicked, which is a bug of chainhost: {message}");
                return Err(CallError::new(ErrorKind::Internal, &self.name, message));
            }
            Err(_) => {
                let limit = humantime::format_duration(self.start_timeout);
                let message = format_args!("its start took longer than its start_timeout of {limit}, `init` included");
                return Err(self.error(message).limited_by_key("start_timeout"));
            }
        };
        let replica = Replica::new(number, self.cpu);
        let monitor = Monitor {
            replica: replica.clone(),
            pool: pool.clone(),
            policy: self.health,
            name: self.name.clone(),
            number,
        };
        let lost = store.data_mut().lost();
        let serving = serve_all(streams, store, export, replica.clone(), health, monitor, self.name.clone());
        let driven = replica.driver.run(self.host_memory.clone().around(serving));
        let task = tokio::spawn({
            let (closed_at_the_end, pool) = (CloseInbox(replica.clone()), pool.clone());
            async move {
                let (mut driven, mut lost) = (pin!(driven), lost);
                let ended = tokio::select! {
                    biased;
                    ended = &mut driven => ended,
                    loss = &mut lost => {
                        closed_at_the_end.0.wear_out(Wear::Lost(loss));
                        driven.await
                    }
                };
                let death = match ended {
                    Ok(Ended { death, store }) => {
                        // Retires the replica first: dropping the store frees the places of its calls, and they must
                        // not go to calls in line.
                        pool.retire(&closed_at_the_end.0);
                        drop(store);
                        death
                    }
                    Err(Panicked(message)) => {
                        pool.retire(&closed_at_the_end.0);
                        let what = "driving the replica panicked, which is a bug of chainhost";
                        Death::new(ErrorKind::Internal, format!("{what}: {message}"))
                    }
                };
                drop(closed_at_the_end);
                death
            }
        });
        Ok(Running { replica, task })
    }

    async fn initialise(&self, number: u32) -> Result<Initialised, CallError> {
        let failed = |what: &str, error: &wasmtime::Error, state: &ReplicaState| {
            let death = Death::of(error, state, &self.name);
            let failed = death.as_failure(self.error(format_args!("{what}: {}", death.message)));
            if death::lack(error).is_some() { failed.of_the_machine() } else { failed }
        };
        // The guest sees nothing of the machine but what the capabilities add.
        let mut wasi = WasiCtx::builder();
        let states = self.grants.states(number, &mut wasi).map_err(|error| match error.is_of_the_machine {
            true => self.error(error).of_the_machine(),
            false => self.error(error),
        })?;
        let memory = MemoryLimit::new(self.memory);
        let state = ReplicaState::new(&self.name, states, wasi.build(), memory, self.values, &self.host_memory);
        let mut store = Store::new(self.instance.engine(), state);
        // Declared after the store, so that it is dropped before it.
        let streams = store.data().streams().end_with();
        limits::impose(&mut store);
        // A guest that computes yields at every tick of the engine's epoch.
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);

        let instance = match self.instance.instantiate_async(&mut store).await {
            Ok(instance) => instance,
            Err(error) => {
                return Err(failed("the component does not start", &error, store.data()));
            }
        };
        let export = {
            let interface = &self.component.run_remote.interface;
            let parent = match interface {
                Some(interface) => instance.get_export_index(&mut store, None, interface),
                None => None,
            };
            let func = match interface.is_some() == parent.is_some() {
                true => instance
                    .get_export_index(&mut store, parent.as_ref(), "run-remote")
                    .and_then(|index| instance.get_func(&mut store, index)),
                false => None,
            };
            func.map(|func| Export::new(func, &self.signature)).ok_or_else(|| {
                CallError::new(ErrorKind::Internal, &self.name, "the instance lacks the `run-remote` of its component")
            })?
        };
        let question = |store: &mut Store<ReplicaState>, interface: &Option<String>, name| match interface {
            Some(interface) => {
                Question::new(store, &instance, interface, name).map(Some).map_err(|what| self.error(what))
            }
            None => Ok(None),
        };
        if let Some(init) = question(&mut store, &self.component.init, "init")? {
            let outcome = store.run_concurrent(async |accessor| init.ask(accessor).await).await;
            match outcome.and_then(|outcome| outcome) {
                Ok(Ok(())) => {}
                Ok(Err(Unwell::Guest(words))) => {
                    return Err(self.error(format_args!("`init` failed: {}", clip(words, SENTENCE))));
                }
                Ok(Err(Unwell::Dependency(error))) => return Err(error),
                Err(error) => return Err(failed("`init` trapped", &error, store.data())),
            }
        }
        let health = question(&mut store, &self.component.health, "is-healthy")?;
        Ok(Initialised { streams, store, export, health })
    }

    fn error(&self, message: impl std::fmt::Display) -> CallError {
        CallError::new(ErrorKind::NotReady, &self.name, message)
    }
}

/// Closes the inbox on drop, so that no call stays in the inbox of a replica whose task has ended.
struct CloseInbox(Arc<Replica>);

impl Drop for CloseInbox {
    fn drop(&mut self) {
        self.0.inbox.close();
    }
}

/// Serves calls, and asks the guest for its health, until the replica dies.
async fn serve_all(
    streams: EndOfStreams,
    mut store: Store<ReplicaState>,
    export: Export,
    replica: Arc<Replica>,
    question: Option<Question>,
    monitor: Monitor,
    name: ChainletName,
) -> Ended {
    // Declared after the store, so that it is dropped before it.
    let streams = streams;
    let ended = store
        .run_concurrent(async |accessor| {
            let mut calls = FuturesUnordered::new();
            let mut health = pin!(health::watch(accessor, question, monitor));
            let (mut polls, mut taken) = (0, 0);
            let parameters = accessor.with(|mut access| access.as_context_mut().data().parameters.clone());
            poll_fn(|cx| {
                replica.rounds.fetch_add(1, Ordering::Relaxed);
                // Calls that have ended since leave more bytes to the next call of the guest.
                if parameters.has_fallen() {
                    accessor.with(|mut access| parameters.set_limit(&mut access.as_context_mut()));
                }
                if polls != replica.driver.polls() {
                    (polls, taken) = (replica.driver.polls(), 0);
                }
                while taken < CALLS_A_POLL
                    && let Some(pending) = replica.inbox.pop()
                {
                    taken += 1;
                    replica.used.store(true, Ordering::Relaxed);
                    calls.push(serve(accessor, export, pending, &name));
                }
                if taken == CALLS_A_POLL {
                    cx.waker().wake_by_ref();
                }
                while let Poll::Ready(Some(())) = calls.poll_next_unpin(cx) {}
                health.as_mut().poll(cx)
            })
            .await
        })
        .await;
    let death = match ended {
        Ok(never) => match never {},
        Err(error) => Death::of(&error, store.data(), &name),
    };
    drop(streams);
    Ended { death, store }
}

async fn serve(accessor: &Accessor<ReplicaState>, export: Export, pending: PendingCall, name: &ChainletName) {
    let Some((mut params, serving)) = pending.begin() else { return };
    let call = serving.call().clone();
    let streams: Option<KeepAlive> = export.has_streams().then(|| Arc::new(call.open_streams()) as KeepAlive);
    if let Some(streams) = &streams {
        let reader = ReadingGuest { chainlet: name.clone(), call: Some(call.clone()) };
        let wrap = Arc::new(Feed { reader, _held: streams.clone() }).wrap();
        params.list.iter_mut().for_each(|param| param.wrap_streams(&wrap));
    }
    let mut task: Option<GuestTaskId> = None;
    let answer = export
        .call(accessor, params.list, params.reservation, streams.as_ref(), |mut store, started| {
            store.data_mut().begin(started, call.clone());
            task = Some(started);
        })
        .await;
    let no_room = |no_room: &NoRoom| {
        let message = format_args!("its answer cannot be taken: {no_room}");
        CallError::new(ErrorKind::Overloaded, name, message).limited_by(no_room.option).after_the_call_began()
    };
    let answer = answer.map_err(|error| {
        if let Some(refused) = error.downcast_ref::<NoRoom>() {
            return no_room(refused);
        }
        let why = accessor.with(|mut access| access.as_context_mut().data().parameters.explain(&error, name));
        let (why, limit) = why.unzip();
        let why = why.unwrap_or_else(|| format!("{error:#}"));
        let error = CallError::new(ErrorKind::Trap, name, format_args!("the guest's answer cannot be taken: {why}"));
        limit.into_iter().fold(error, |error, limit| limit.name_in(error))
    });
    let answer = answer.and_then(|Lifted { value, reservation }| {
        let reserve =
            |bytes| accessor.with(|mut access| access.as_context_mut().data().parameters.reserve(bytes, reservation));
        let reservation =
            limits::counted(value.as_slice()).map(reserve).transpose().map_err(|refused| no_room(&refused))?;
        Ok(Returned { value, reservation })
    });
    let end_task = || {
        if let Some(task) = task {
            accessor.with(|mut access| access.as_context_mut().data_mut().end(task, &call));
        }
    };
    match (streams, answer) {
        (Some(streams), Ok(answer)) => {
            serving.stream(answer, streams).await;
            end_task();
        }
        (_, answer) => {
            end_task();
            serving.finish(answer);
        }
    }
}
