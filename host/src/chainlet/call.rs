//! One call of `run-remote`, as its two ends share it.
//!
//! Everything that changes about a call is in one [`State`] behind one lock, except for a count of what its guest waits for.
//! Its phase only moves forward:
//!
//! | phase | the caller | the guest | what ends the phase |
//! |---|---|---|---|
//! | `Waiting` | waits | has not seen the call | the replica begins it, or the caller leaves |
//! | `Running` | waits | works | an answer, a failure, or the caller leaves |
//! | `Streaming` | reads the answer's streams | writes them | all streams end, a failure, or the readers leave |
//! | `Over` | has its failure, or has left | is told, and lets go | the guest returns, or its store ends |
//! | `Done` | has what it gets | is done with the call | |
//!
//! Each end holds a guard, and dropping it says something:
//!
//! | held by | guard | what its drop says |
//! |---|---|---|
//! | whoever made the call | [`Caller`] | before the answer: nobody wants it, so the call is over |
//! | whoever reads the answer's streams | [`Tail`] | before their end: nobody reads them, so the call is over |
//! | the replica | [`Job`], then [`Serving`] | the guest has let go, or its store is gone: the call is done |
//! | the answer's streams, in the store | [`OpenStreams`] | the guest writes none of them any more |
//! | a guest that works on after its answer | [`KeptPlace`] | the call's place may come free |
//! | a guest that waits for the end of the call | [`Listener`] | before that end: it waits no longer |
//! | a stream or a plain import that the guest waits for | [`Waits`] | the guest waits for it no longer |
//!
//! The call's place in its replica (its [`Lease`]) comes free when the guest has let go, not when the caller has. A guest
//! that holds a call which is over for longer than its chainlet's `grace` has overrun, and its replica is replaced; one that
//! does not even return to its event loop for `stall` is replaced then.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, sleep_until};
use tracing::Span;

use super::params::Values;
use super::pool::{Lease, Loss};
use super::replica::{Replica, Wear};
use crate::config::DependencyName;
use crate::deadline::{Deadline, moment_after};
use crate::error::{CallError, Origin};
use crate::memory::Reservation;
use crate::trace::TraceContext;
use crate::value::Value;

mod ends;

pub(super) use ends::{Job, OpenStreams};
pub(crate) use ends::{KeptPlace, Listener, Tail, TailHandle, Waits};

/// How many failures of dependencies a call remembers, and how many of their declared errors, so that the guest can pass one
/// on as it was.
const REMEMBERED: usize = 32;
/// How many bytes an error may have that is remembered: with the failures, whose sentences are as long, a call remembers some
/// 128 KiB at most.
const REMEMBERED_ERROR: usize = 2 * 1024;

/// What a callee gives for a call.
pub(crate) type Outcome = Result<Answered, CallError>;

/// What a function returned, and what goes on after that.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The function's result, its typed error included.
    pub value: Option<Value>,
    /// Where its typed error began, if that is a dependency's which the guest passed on.
    pub origin: Option<Origin>,
    /// What goes on while the streams in the value are read.
    pub tail: Option<Tail>,
    /// The call's place among those of its edge, until its streams have ended.
    pub permit: Option<OwnedSemaphorePermit>,
    /// What the value holds of the host's budget; none where it is small.
    pub reservation: Option<Reservation>,
}

/// What a guest returned.
#[derive(Debug, Default)]
pub(super) struct Returned {
    pub value: Option<Value>,
    /// What the value holds of the host's budget; none where it is small.
    pub reservation: Option<Reservation>,
}

/// What a replica sends back.
pub(super) enum Reply {
    /// The guest has returned, or the call has failed.
    Answer(Result<(Returned, Option<Origin>), CallError>),
    /// The replica ended before the guest saw the call. Its parameters come back, and its place, which is kept until the call
    /// has another, so that it is in flight all the while.
    NotBegun(Values, Option<Lease>),
}

/// What a call brings along from its caller, and hands on to the calls that it makes.
#[derive(Debug, Clone)]
pub(crate) struct CallContext {
    /// Names the request that the call belongs to, in logs.
    pub request: Option<Arc<str>>,
    /// When the caller stops waiting.
    pub deadline: Option<Deadline>,
    /// The trace that the request belongs to.
    pub trace: Option<Arc<TraceContext>>,
    /// The caller's span, for events about the call. It cannot be taken from where they happen, since any caller of a replica
    /// may be the one who drives it.
    pub span: Span,
}

impl Default for CallContext {
    fn default() -> Self {
        CallContext { request: None, deadline: None, trace: None, span: Span::none() }
    }
}

/// How a guest is made to let go of a call that is over.
#[derive(Debug)]
pub(crate) struct Patience {
    /// How long a guest may hold it.
    pub grace: Duration,
    /// How long a guest may hold it without returning to its event loop.
    pub stall: Duration,
    /// Where that is waited for.
    pub runtime: Handle,
}

/// A call, shared by its two ends.
pub(crate) struct Call {
    pub context: CallContext,
    state: Mutex<State>,
    /// Told whenever the state changes in a way that somebody may wait for.
    changed: Notify,
    /// Where the call is served; none for the host's own questions, which nobody gives up.
    site: Option<Site>,
    /// How many streams and plain imports the guest waits for.
    waits: AtomicUsize,
}

struct Site {
    replica: Arc<Replica>,
    patience: Arc<Patience>,
}

#[derive(Default)]
struct State {
    phase: Phase,
    /// Until the caller has its reply.
    reply: Option<oneshot::Sender<Reply>>,
    /// Until the guest has let go.
    lease: Option<Lease>,
    /// Why the call is over, once it is.
    over: Option<Over>,
    /// The guest has had its grace.
    expired: bool,
    /// What the call failed with after its answer.
    failure: Option<CallError>,
    /// No stream of the answer is open.
    streams_ended: bool,
    /// How many [`KeptPlace`]s there are.
    kept: usize,
    /// The guest has returned, though it may still write the streams of its answer.
    returned: bool,
    /// How many [`Listener`]s there are.
    listening: usize,
    /// How many there were when the call came to be over, or are until then: what they are told, they act upon.
    listeners: usize,
    /// The last failures of dependencies that the guest was given.
    failures: Vec<CallError>,
    /// The last declared errors of dependencies that the guest was given.
    declared: Vec<Noted>,
    /// The dependency whose error the guest is about to return.
    passes_on: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Phase {
    #[default]
    Waiting,
    Running,
    Streaming,
    Over,
    Done,
}

/// Why a call is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// The caller left without an answer.
    Left,
    /// Nobody reads the answer's streams any more.
    Unread,
    /// It failed.
    Failed,
}

impl Call {
    fn new(context: CallContext, lease: Option<Lease>, site: Option<Site>) -> (Arc<Self>, oneshot::Receiver<Reply>) {
        let (reply, answer) = oneshot::channel();
        let state = State { reply: Some(reply), lease, ..State::default() };
        (
            Arc::new(Call {
                context,
                state: Mutex::new(state),
                changed: Notify::new(),
                site,
                waits: AtomicUsize::new(0),
            }),
            answer,
        )
    }

    /// A question of the host's own, such as `init`, which takes no place. It is failed where a dependency fails that the guest
    /// imports by its plain type.
    pub(super) fn question() -> (Arc<Self>, oneshot::Receiver<Reply>) {
        let (call, answer) = Call::new(CallContext::default(), None, None);
        call.lock().phase = Phase::Running;
        (call, answer)
    }

    /// Whether nobody wants the call's answer any more, and the guest has not returned.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().phase == Phase::Over
    }

    /// Whether the guest has returned. What it does after that belongs to no call.
    pub(crate) fn is_done(&self) -> bool {
        self.lock().phase == Phase::Done
    }

    /// Returns when nobody wants the call's answer any more.
    pub(crate) async fn over(&self) {
        self.until(|state| state.phase == Phase::Over).await;
    }

    /// Returns when the work for the call is pointless: its caller left or it failed, so that no answer can come of it, or the
    /// guest has had its grace. Until then, a guest whose readers have left may end well.
    pub(crate) async fn pointless(&self) {
        self.until(|state| state.expired || matches!(state.over, Some(Over::Left | Over::Failed))).await;
    }

    /// Notes that the guest waits to be told that the call is over, until what comes back is dropped.
    pub(crate) fn listen(self: &Arc<Self>) -> Listener {
        let mut state = self.lock();
        state.listening += 1;
        state.listeners += 1;
        drop(state);
        Listener(self.clone())
    }

    /// Returns when the guest is to be resumed from what it does for a call that is over. A guest that is told drops what it
    /// does, so it is resumed only after it has returned, or has had its grace.
    pub(crate) async fn resumes(&self) {
        self.until(|state| match state.phase {
            Phase::Over => state.listeners == 0 || state.expired,
            phase => phase == Phase::Done,
        })
        .await;
    }

    /// Returns when the guest no longer reads streams for the call. If it has returned, what it left behind goes on reading
    /// until it is told that the call is over; if it has not, it reads until it returns, or has had its grace.
    pub(crate) async fn ends_streams(&self) {
        self.until(|state| match state.phase {
            Phase::Over => state.expired || state.returned && state.listening == 0,
            phase => phase == Phase::Done,
        })
        .await;
    }

    /// Fails the call: its caller gets `error` in place of an answer, or at the end of the answer's streams. Only the first
    /// failure counts, and none after the end.
    pub(crate) fn fail(self: &Arc<Self>, error: CallError) {
        self.end(Over::Failed, |state| match state.reply.take() {
            // The caller may have left; then nobody is told.
            Some(reply) => drop(reply.send(Reply::Answer(Err(error)))),
            None => state.failure = Some(error),
        });
    }

    /// Takes the call's place from a guest that is never resumed: it waits for a dependency that failed, or whose answer
    /// nobody wants.
    pub(crate) fn strand(&self) {
        let lease = self.lock().lease.take();
        if let Some(lease) = lease {
            lease.lose(Loss::Unanswered);
        }
    }

    /// Remembers a failure that the guest is given, so that it can be passed on as it was.
    pub(crate) fn remember(&self, error: CallError) {
        let mut state = self.lock();
        if state.failures.len() == REMEMBERED {
            state.failures.remove(0);
        }
        state.failures.push(error);
    }

    /// The remembered failure that `is_it` knows.
    pub(crate) fn recall(&self, is_it: impl FnMut(&&CallError) -> bool) -> Option<CallError> {
        self.lock().failures.iter().rev().find(is_it).cloned()
    }

    /// Notes where the declared `error` began that `dependency` has returned.
    pub(crate) fn note_declared(&self, dependency: &DependencyName, error: Option<&Value>, origin: Origin) {
        if error.is_some_and(|error| error.weight() > REMEMBERED_ERROR) {
            return;
        }
        let noted = Noted { dependency: dependency.clone(), error: error.cloned(), origin };
        let mut state = self.lock();
        if state.declared.len() == REMEMBERED {
            state.declared.remove(0);
        }
        state.declared.push(noted);
    }

    /// The guest says that the error with which it is about to return is one of `dependency`.
    pub(crate) fn pass_on(&self, dependency: String) {
        self.lock().passes_on = Some(dependency);
    }

    /// The guest waits for somebody else, a stream or a plain import, until what comes back is dropped.
    pub(crate) fn wait(self: &Arc<Self>) -> Waits {
        self.waits.fetch_add(1, Ordering::Relaxed);
        Waits(self.clone())
    }

    /// Keeps the call's place after its answer, until what comes back is dropped.
    pub(crate) fn keep_place(self: &Arc<Self>) -> KeptPlace {
        self.lock().kept += 1;
        KeptPlace(self.clone())
    }

    /// Whether the guest works on after its answer.
    pub(super) fn keeps_place(&self) -> bool {
        self.lock().kept > 0
    }

    /// Guards what every stream of the call's answer keeps for as long as it is open.
    pub(super) fn open_streams(self: &Arc<Self>) -> OpenStreams {
        OpenStreams(self.clone())
    }

    /// The call is over for the reason `why`; `tell` says so to its caller.
    fn end(self: &Arc<Self>, why: Over, tell: impl FnOnce(&mut State)) {
        let begun = {
            let mut state = self.lock();
            if state.phase >= Phase::Over {
                return;
            }
            let begun = state.phase != Phase::Waiting;
            (state.phase, state.over) = (Phase::Over, Some(why));
            tell(&mut state);
            if let Some(lease) = &mut state.lease {
                lease.unawaited();
            }
            begun
        };
        self.changed.notify_waiters();
        let Some(site) = &self.site else { return };
        if begun {
            site.patience.runtime.spawn(until_let_go(self.clone()));
        } else {
            // The guest has not seen it, and will not. It may not see any call: then it spins outside of all calls.
            site.replica.forget(self);
            site.replica.watch(site.patience.clone());
        }
    }

    /// The guest has had its grace, and loses the call's place.
    fn expire(&self) {
        // Read before the notification, which ends the waiting that is counted.
        let waits = self.waits.load(Ordering::Relaxed) > 0;
        let lease = {
            let mut state = self.lock();
            state.expired = true;
            state.lease.take()
        };
        self.changed.notify_waiters();
        if let Some(lease) = lease {
            if !waits && let Some(site) = &self.site {
                site.replica.note_overrun(self.context.request.as_ref());
            }
            // A guest that waits for others holds nobody up but itself.
            lease.lose(if waits { Loss::Unanswered } else { Loss::Overran });
        }
    }

    async fn until(&self, reached: impl Fn(&State) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Listening before looking, so that a change in between is not missed.
            changed.as_mut().enable();
            if reached(&self.lock()) {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A declared error that a dependency returned.
struct Noted {
    dependency: DependencyName,
    error: Option<Value>,
    origin: Origin,
}

impl Noted {
    /// Whether `error` is this one, as it was or as its sentence alone.
    fn is(&self, error: Option<&Value>) -> bool {
        match (&self.error, error) {
            (Some(Value::Record(fields)), Some(Value::String(text))) => {
                fields.iter().any(|field| matches!(field, Value::String(sentence) if sentence == text))
            }
            (noted, error) => noted.as_ref() == error,
        }
    }
}

impl State {
    /// Where the error in `answer` began, if the guest has said that it passes on a dependency's and the answer is such an
    /// error.
    fn origin_of(&mut self, answer: Option<&Value>) -> Option<Origin> {
        let dependency = self.passes_on.take()?;
        let Some(Value::Result(Err(error))) = answer else { return None };
        let mut noted = self.declared.iter().rev().filter(|noted| noted.dependency.as_str() == dependency);
        noted.find(|noted| noted.is(error.as_deref())).map(|noted| noted.origin.clone())
    }

    /// The call's place, unless the guest keeps it for work that goes on after the answer.
    fn free(&mut self) -> Option<Lease> {
        if self.kept == 0 {
            return self.lease.take();
        }
        if let Some(lease) = &mut self.lease {
            lease.unawaited();
        }
        None
    }
}

/// Waits until the guest has let go of a call that is over, and has its replica replaced where it does not.
async fn until_let_go(call: Arc<Call>) {
    let Some(Site { replica, patience }) = &call.site else { return };
    let deadline = moment_after(Instant::now(), patience.grace);
    let stalls = async {
        replica.stuck(patience.stall).await;
        replica.wear_out(Wear::Stalled);
        std::future::pending().await
    };
    tokio::select! {
        biased;
        () = call.until(|state| state.phase == Phase::Done) => {}
        () = sleep_until(deadline) => call.expire(),
        () = stalls => {}
    }
}
