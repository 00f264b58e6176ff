//! What the two ends of one call share.
//!
//! The caller holds the receiving end and a [`Waiting`]; the replica holds a [`Job`], then a [`Call`]. The call's slot in
//! the replica (its lease) goes back when the guest is done with it, not when the caller is: a caller that stops waiting
//! frees no guest. A guest that does not come back for its chainlet's grace after its caller left has overrun, and its
//! replica is replaced.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{SetOnce, oneshot};
use tokio::time::Instant;

use super::pool::{Lease, Loss};
use crate::error::CallError;
use crate::value::Value;

/// What comes out of a call.
pub(crate) type Answer = Result<Option<Value>, CallError>;

/// What a replica sends back.
pub(super) enum Reply {
    /// The guest, or a dependency of it, has come to an end.
    Answer(Answer),
    /// The replica ended, or is to, before the guest saw the call: its parameters, and its place, which is to be kept until
    /// the call has another, so that it is in flight all the while.
    NotBegun(Vec<Value>, Option<Lease>),
}

/// What a call brings along from whoever made it, and hands on to the calls that it makes.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallContext {
    /// Names the request that the call belongs to, in logs.
    pub request: Option<Arc<str>>,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
}

/// A call on its way to a replica.
pub(crate) struct Job {
    pub params: Vec<Value>,
    pub call: Arc<Call>,
}

/// A call in a replica.
pub(crate) struct Call {
    pub context: CallContext,
    open: Mutex<Open>,
    /// The guest has seen it.
    begun: AtomicBool,
    /// The caller has left without an answer.
    abandoned: SetOnce<()>,
    /// What ended the call after its answer, while streams of it were open.
    failure: Arc<SetOnce<CallError>>,
    /// For how many streams and dependencies the guest waits.
    waits: AtomicUsize,
    /// No stream of the call is open any more.
    streams_ended: SetOnce<()>,
    /// Nobody wants anything of the guest's work on the call any more.
    given_up: SetOnce<()>,
}

/// What is left to be done for a call: each part is taken by whoever does it first.
struct Open {
    reply: Option<oneshot::Sender<Reply>>,
    lease: Option<Lease>,
}

impl Job {
    pub(super) fn new(params: Vec<Value>, context: CallContext, lease: Lease) -> (Self, oneshot::Receiver<Reply>) {
        let (call, answer) = Call::new(context, Some(lease));
        (Job { params, call }, answer)
    }

    /// Gives the call back to its caller, for another replica.
    pub(super) fn give_back(self) {
        let Open { reply, lease } = self.call.take();
        if let Some(reply) = reply {
            // An error means that the caller has left, which is its right.
            let _ = reply.send(Reply::NotBegun(self.params, lease));
        }
    }
}

impl Call {
    /// A call of its own kind, such as `init`, that takes no slot.
    pub(super) fn without_slot(context: CallContext) -> (Arc<Self>, oneshot::Receiver<Reply>) {
        Call::new(context, None)
    }

    fn new(context: CallContext, lease: Option<Lease>) -> (Arc<Self>, oneshot::Receiver<Reply>) {
        let (reply, answer) = oneshot::channel();
        let call = Call {
            context,
            open: Mutex::new(Open { reply: Some(reply), lease }),
            begun: AtomicBool::new(false),
            abandoned: SetOnce::new(),
            failure: Arc::default(),
            waits: AtomicUsize::new(0),
            streams_ended: SetOnce::new(),
            given_up: SetOnce::new(),
        };
        (Arc::new(call), answer)
    }

    /// Whether the guest is to see the call; not where its caller has left. Then its slot is free.
    pub(super) fn begin(&self) -> bool {
        if self.abandoned.initialized() {
            drop(self.take());
            return false;
        }
        self.begun.store(true, Ordering::Relaxed);
        true
    }

    /// The guest is done: its slot is free, and the caller, if it still waits, has its answer.
    pub(super) fn finish(&self, answer: Answer) {
        let Open { reply, lease } = self.take();
        drop(lease);
        if let Some(reply) = reply {
            // An error means that the caller has left, which is its right.
            let _ = reply.send(Reply::Answer(answer));
        }
    }

    /// The guest has answered, and goes on with streams of the call: the caller has its answer, and the slot is kept.
    pub(super) fn answer(&self, answer: Answer) {
        if let Some(reply) = self.lock().reply.take() {
            // An error means that the caller has left, and the streams with it.
            let _ = reply.send(Reply::Answer(answer));
        }
    }

    /// What every stream of the call keeps for as long as it is open.
    pub(super) fn open_streams(self: &Arc<Self>) -> OpenStreams {
        OpenStreams(self.clone())
    }

    /// Returns when all that [`Call::open_streams`] gave out is dropped.
    pub(super) async fn streams_ended(&self) {
        self.streams_ended.wait().await;
    }

    /// The guest waits for somebody else, a stream or a dependency, until what comes back is dropped.
    pub(crate) fn wait(&self) -> Waits<'_> {
        self.waits.fetch_add(1, Ordering::Relaxed);
        Waits(&self.waits)
    }

    /// The caller leaves without an answer: the guest's own calls end, and it has its `grace`.
    fn abandon(self: &Arc<Self>, grace: Duration, runtime: &Handle) {
        // Only the one who waits can leave, so it was not set before.
        let _ = self.abandoned.set(());
        self.leave(grace, runtime);
    }

    /// The reader of one of the call's streams leaves before its end: the guest has its `grace` to see that, and to end. Its
    /// own calls go on meanwhile, since it can end well with them, and never without.
    pub(super) fn leave(self: &Arc<Self>, grace: Duration, runtime: &Handle) {
        let call = Arc::downgrade(self);
        runtime.spawn(async move {
            tokio::time::sleep(grace).await;
            if let Some(call) = call.upgrade() {
                call.overrun();
            }
        });
    }

    /// Nothing more comes of a call that was answered: its slot is free.
    pub(super) fn close(&self) {
        drop(self.take());
    }

    /// A dependency failed, so the guest will never be done: the caller has its answer, and the slot is lost.
    pub(crate) fn fail(&self, error: CallError) {
        self.end_work();
        let Open { reply, lease } = self.take();
        if let Some(lease) = lease {
            lease.lose(Loss::Unanswered);
        }
        // Whoever has no answer yet gets the error as one, whoever reads its streams as their end.
        match reply {
            Some(reply) => drop(reply.send(Reply::Answer(Err(error)))),
            // Only the first failure of several is told.
            None => drop(self.failure.set(error)),
        }
    }

    /// Nobody waits for the guest any more, and it will never be done: the slot is lost.
    pub(crate) fn give_up(&self) {
        self.end_work();
        if let Some(lease) = self.take().lease {
            lease.lose(Loss::Unanswered);
        }
    }

    /// Returns when the caller has left without an answer.
    pub(crate) async fn abandoned(&self) {
        self.abandoned.wait().await;
    }

    /// Returns when nobody wants anything of the guest's work on the call any more: it failed, or its grace is over.
    pub(crate) async fn given_up(&self) {
        self.given_up.wait().await;
    }

    fn end_work(&self) {
        // Once is enough.
        let _ = self.given_up.set(());
    }

    /// The grace is over.
    fn overrun(&self) {
        // Before those who wait are told, for then they do not wait any more.
        let waits = self.waits.load(Ordering::Relaxed) > 0;
        self.end_work();
        let Some(lease) = self.take().lease else { return };
        // What the guest has not seen yet is left out when it is its turn, and has no place until then.
        if self.begun.load(Ordering::Relaxed) {
            // A guest that waits for others holds nobody up but itself.
            lease.lose(if waits { Loss::Unanswered } else { Loss::Overran });
        }
    }

    fn take(&self) -> Open {
        let mut open = self.lock();
        Open { reply: open.reply.take(), lease: open.lease.take() }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Call::wait`].
pub(crate) struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// See [`Call::open_streams`]; the last of those that share one ends the call's streams.
pub(super) struct OpenStreams(Arc<Call>);

impl Drop for OpenStreams {
    fn drop(&mut self) {
        // It is shared behind one Arc, so that this happens once.
        let _ = self.0.streams_ended.set(());
    }
}

/// The caller's wait for an answer; dropped before there is one, it tells the guest's own calls and starts the call's
/// grace.
pub(super) struct Waiting<'a> {
    call: Weak<Call>,
    failure: Arc<SetOnce<CallError>>,
    grace: Duration,
    runtime: &'a Handle,
}

/// What is left of a call that was answered.
pub(super) struct Answered {
    pub call: Weak<Call>,
    /// What it failed by after its answer, once it has.
    pub failure: Arc<SetOnce<CallError>>,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(job: &Job, grace: Duration, runtime: &'a Handle) -> Self {
        Waiting { call: Arc::downgrade(&job.call), failure: job.call.failure.clone(), grace, runtime }
    }

    /// There is an answer. What is left of the call goes on while its streams are open.
    pub(super) fn answered(mut self) -> Answered {
        Answered { call: std::mem::take(&mut self.call), failure: self.failure.clone() }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call.upgrade() {
            call.abandon(self.grace, self.runtime);
        }
    }
}
