//! One call of `run-remote`, which its two ends share.
//!
//! Everything that changes about a call is in one [`State`] behind one lock, except for the number of things that its
//! guest waits for. Its phase only moves forward:
//!
//! | phase | the caller | the guest | what ends the phase |
//! |---|---|---|---|
//! | `Waiting` | waits | has not seen the call | the replica begins it, or the caller leaves |
//! | `Running` | waits | works | an answer, a failure, or the caller leaves |
//! | `Streaming` | reads the answer's streams | writes them | all streams end, a failure, or the readers leave |
//! | `Over` | has its failure, or has left | is told, and lets go | the guest returns, or its store ends |
//! | `Done` | has its answer or failure, or has left | is done with the call | |
//!
//! Each end holds a guard, and dropping the guard says something:
//!
//! | held by | guard | what its drop says |
//! |---|---|---|
//! | the caller | [`Caller`] | before the answer: nobody wants it, so the call is over |
//! | the readers of the answer's streams | [`Tail`] | before their end: nobody reads them, so the call is over |
//! | the replica | [`PendingCall`], then [`Serving`] | the guest has let go, or its store is gone: the call is done |
//! | the answer's streams, in the store | [`OpenStreams`] | the guest writes none of them any more |
//! | a guest that works on after its answer | [`KeptPlace`] | the call's place may come free |
//! | a guest that waits for the end of the call | [`CancellationListener`] | before that end: it waits no longer |
//! | a stream or a plain import that the guest waits for | [`Waits`] | the guest waits for it no longer |
//!
//! The call's place in its replica (its [`Lease`]) comes free when the guest has let go, not when the caller has left.
//! If a guest holds a call that is over for longer than its chainlet's `grace`, it has overrun, and its replica is
//! replaced, unless the guest only waits for others. If a guest does not even return to its event loop for `stall`, its
//! replica is replaced then.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, sleep_until};
use tracing::Span;

use super::params::Values;
use super::pool::{Lease, LeaseLoss};
use super::replica::{Replica, Wear};
use crate::config::DependencyName;
use crate::deadline::{Deadline, moment_after};
use crate::error::{CallError, ErrorOrigin};
use crate::memory::Reservation;
use crate::trace::TraceContext;
use crate::value::Value;

mod ends;
mod received;

pub(crate) use ends::{CancellationListener, KeptPlace, Tail, TailHandle, Waits};
pub(super) use ends::{OpenStreams, PendingCall};
use received::{Received, ReceivedErrors};

/// The result of a call, as its callee gives it.
pub type Outcome = Result<CallAnswer, CallError>;

/// The answer of a function, and everything that goes on after it.
#[derive(Debug)]
pub struct CallAnswer {
    /// The function's result, which may be its typed error.
    pub value: Option<Value>,
    /// The origin of the typed error, if a dependency made the error and the guest passed it on.
    pub origin: Option<ErrorOrigin>,
    /// The readers' end of the call, which goes on while the streams in the value are read.
    pub tail: Option<Tail>,
    /// The call's place among those of its edge, held until its streams have ended.
    pub permit: Option<OwnedSemaphorePermit>,
    /// The part of the host's budget that the value holds; `None` if it is small.
    pub reservation: Option<Reservation>,
}

/// The value that a guest returned.
#[derive(Debug, Default)]
pub(super) struct Returned {
    pub value: Option<Value>,
    /// The part of the host's budget that the value holds; `None` if it is small.
    pub reservation: Option<Reservation>,
}

/// The reply of a replica to a call.
pub(super) enum Reply {
    /// The guest has returned, or the call has failed.
    Answer(Result<(Returned, Option<ErrorOrigin>), CallError>),
    /// The replica ended before the guest saw the call. This gives back its parameters and its place. The place is kept
    /// until the call has another one, so that the call is in flight all the while.
    NotBegun(Values, Option<Lease>),
}

/// The facts that a call gets from its caller and hands on to the calls that it makes.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// The id of the request to which the call belongs, for logs.
    pub request: Option<Arc<str>>,
    /// The time at which the caller stops waiting.
    pub deadline: Option<Deadline>,
    /// The trace to which the request belongs.
    pub trace: Option<Arc<TraceContext>>,
    /// The caller's span, for events about the call. The current span would be wrong there, because any caller of a
    /// replica may be the one that drives it.
    pub span: Span,
}

impl Default for CallContext {
    fn default() -> Self {
        CallContext { request: None, deadline: None, trace: None, span: Span::none() }
    }
}

/// The times for which the host lets a guest hold a call that is over.
#[derive(Debug)]
pub(crate) struct Patience {
    /// The longest time for which a guest may hold it.
    pub grace: Duration,
    /// The longest time for which a guest may hold it without returning to its event loop.
    pub stall: Duration,
    /// The runtime of the tasks that wait for these times.
    pub runtime: Handle,
}

/// A call, shared by its two ends.
pub(crate) struct Call {
    pub context: CallContext,
    state: Mutex<State>,
    /// Notified whenever the state changes in a way that somebody may wait for.
    changed: Notify,
    /// The place where the call is served; `None` for the host's own questions, which nobody gives up.
    site: Option<CallSite>,
    /// The number of streams and plain imports that the guest waits for.
    waits: AtomicUsize,
}

struct CallSite {
    replica: Arc<Replica>,
    patience: Arc<Patience>,
}

#[derive(Default)]
struct State {
    phase: Phase,
    /// The channel to the caller, until the caller has its reply.
    reply: Option<oneshot::Sender<Reply>>,
    /// The call's place, until the guest has let go.
    lease: Option<Lease>,
    /// The reason why the call is over, if it is.
    over: Option<OverReason>,
    /// True if the guest has used up its grace.
    expired: bool,
    /// The failure of the call after its answer.
    failure: Option<CallError>,
    /// True if no stream of the answer is open any more.
    streams_ended: bool,
    /// The number of [`KeptPlace`]s.
    kept: usize,
    /// True if the guest has returned, although it may still write the streams of its answer.
    returned: bool,
    /// The number of [`CancellationListener`]s.
    listening: usize,
    /// The number of [`CancellationListener`]s until the call is over; after that, their number at that moment. Their guest is told
    /// of the end, and acts on it by itself.
    listeners: usize,
    /// The errors of dependencies that the guest has got.
    received: ReceivedErrors,
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

/// The reason why a call is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OverReason {
    /// The caller left without an answer.
    Left,
    /// Nobody reads the answer's streams any more.
    Unread,
    /// The call failed.
    Failed,
}

impl Call {
    fn new(
        context: CallContext,
        lease: Option<Lease>,
        site: Option<CallSite>,
    ) -> (Arc<Self>, oneshot::Receiver<Reply>) {
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

    /// Makes a question of the host's own, such as `init`, which takes no place. It fails if a dependency fails that
    /// the guest imports by its plain type.
    pub(super) fn question() -> (Arc<Self>, oneshot::Receiver<Reply>) {
        let (call, answer) = Call::new(CallContext::default(), None, None);
        call.lock().phase = Phase::Running;
        (call, answer)
    }

    /// Returns true if nobody wants the call's answer any more and the guest has not returned.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().phase == Phase::Over
    }

    /// Returns true if the guest has returned. Its work after that belongs to no call.
    pub(crate) fn is_done(&self) -> bool {
        self.lock().phase == Phase::Done
    }

    /// Returns when nobody wants the call's answer any more.
    pub(crate) async fn over(&self) {
        self.until(|state| state.phase == Phase::Over).await;
    }

    /// Returns when the work for the call is pointless: its caller left or it failed, so that there can be no answer,
    /// or the guest has used up its grace. A guest whose readers have left may end well until then.
    pub(crate) async fn pointless(&self) {
        self.until(|state| state.expired || matches!(state.over, Some(OverReason::Left | OverReason::Failed))).await;
    }

    /// Notes that the guest waits to be told that the call is over, until the returned guard is dropped.
    pub(crate) fn listen(self: &Arc<Self>) -> CancellationListener {
        let mut state = self.lock();
        state.listening += 1;
        state.listeners += 1;
        drop(state);
        CancellationListener(self.clone())
    }

    /// Returns when the guest is to be resumed from its work for a call that is over. A guest that is told of the end
    /// drops this work by itself. So it is resumed only after it has returned or has used up its grace.
    pub(crate) async fn resumes(&self) {
        self.until(|state| match state.phase {
            Phase::Over => state.listeners == 0 || state.expired,
            phase => phase == Phase::Done,
        })
        .await;
    }

    /// Returns when the guest no longer reads streams for the call. If the guest has returned, tasks that it left
    /// behind go on reading until they are told that the call is over. If it has not returned, it reads until it
    /// returns or has used up its grace.
    pub(crate) async fn ends_streams(&self) {
        self.until(|state| match state.phase {
            Phase::Over => state.expired || state.returned && state.listening == 0,
            phase => phase == Phase::Done,
        })
        .await;
    }

    /// Fails the call: its caller gets `error` instead of an answer, or at the end of the answer's streams. Only the
    /// first failure counts, and none after the end of the call.
    pub(crate) fn fail(self: &Arc<Self>, error: CallError) {
        self.end(OverReason::Failed, |state| match state.reply.take() {
            // Sending fails only after the caller has left.
            Some(reply) => drop(reply.send(Reply::Answer(Err(error)))),
            None => state.failure = Some(error),
        });
    }

    /// Takes the call's place from a guest task that is never resumed, because it waits for a dependency that failed or
    /// whose answer nobody wants.
    pub(crate) fn strand(&self) {
        let lease = self.lock().lease.take();
        if let Some(lease) = lease {
            lease.lose(LeaseLoss::Unanswered);
        }
    }

    /// Remembers a failure that is given to the guest, so that the guest can pass it on as it was.
    pub(crate) fn remember(&self, error: CallError) {
        self.lock().received.failure(error);
    }

    /// Returns the last remembered failure for which `is_it` returns true.
    pub(crate) fn recall(&self, is_it: impl FnMut(&&CallError) -> bool) -> Option<CallError> {
        self.lock().received.find_failure(is_it)
    }

    /// Remembers the declared `error` that `dependency` has returned, and its `origin`, unless the error is large.
    pub(crate) fn note_declared(&self, dependency: &DependencyName, error: Option<&Value>, origin: ErrorOrigin) {
        if let Some(received) = Received::new(dependency, error, origin) {
            self.lock().received.declared(received);
        }
    }

    /// Notes that the guest is about to return an error of `dependency`, as the guest says.
    pub(crate) fn pass_on(&self, dependency: String) {
        self.lock().received.pass_on(dependency);
    }

    /// Notes that the guest waits for somebody else, a stream or a plain import, until the returned guard is dropped.
    pub(crate) fn wait(self: &Arc<Self>) -> Waits {
        self.waits.fetch_add(1, Ordering::Relaxed);
        Waits(self.clone())
    }

    /// Keeps the call's place after its answer, until the returned guard is dropped.
    pub(crate) fn keep_place(self: &Arc<Self>) -> KeptPlace {
        self.lock().kept += 1;
        KeptPlace(self.clone())
    }

    /// Returns true if the guest works on after its answer, or will.
    pub(super) fn keeps_place(&self) -> bool {
        self.lock().kept > 0
    }

    /// Returns the guard that all open streams of the call's answer share.
    pub(super) fn open_streams(self: &Arc<Self>) -> OpenStreams {
        OpenStreams(self.clone())
    }

    /// Makes the call over for the reason `why`. `tell` tells its caller.
    fn end(self: &Arc<Self>, why: OverReason, tell: impl FnOnce(&mut State)) {
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
            // The guest has not seen the call, and will not see it. If it sees no call at all, it computes outside of
            // all calls, so the replica is watched.
            site.replica.forget(self);
            site.replica.watch(site.patience.clone());
        }
    }

    /// Takes the call's place from the guest, which has used up its grace.
    fn expire(&self) {
        // Read before the notification, which ends the waits that are counted here.
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
            // A guest that waits for others keeps no other call from running, so it does not count as overrun.
            lease.lose(if waits { LeaseLoss::Unanswered } else { LeaseLoss::Overran });
        }
    }

    async fn until(&self, reached: impl Fn(&State) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Listens before it looks, so that a change in between is not missed.
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

impl State {
    /// Takes the call's place, to free it. Returns `None` if the guest keeps it for work after the answer.
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

/// Waits until the guest has let go of a call that is over. If it does not let go in time, has its replica replaced.
async fn until_let_go(call: Arc<Call>) {
    let Some(CallSite { replica, patience }) = &call.site else { return };
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
