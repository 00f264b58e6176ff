//! What the two ends of one call share.
//!
//! The caller holds the receiving end and a [`Waiting`]; the replica holds a [`Job`], then a [`Call`]. The call's slot in
//! the replica (its lease) goes back when the guest is done with it, not when the caller is: a caller that stops waiting
//! frees no guest. A guest that does not come back for its chainlet's grace after its caller left has overrun, and its
//! replica is replaced.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
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
    /// Taken by whoever answers first; the lease goes back with it.
    open: Mutex<Option<Open>>,
    /// The guest has seen it.
    begun: AtomicBool,
    /// The caller has left without an answer.
    abandoned: SetOnce<()>,
}

struct Open {
    reply: oneshot::Sender<Reply>,
    lease: Option<Lease>,
}

impl Job {
    pub(super) fn new(params: Vec<Value>, context: CallContext, lease: Lease) -> (Self, oneshot::Receiver<Reply>) {
        let (call, answer) = Call::new(context, Some(lease));
        (Job { params, call }, answer)
    }

    /// Gives the call back to its caller, for another replica.
    pub(super) fn give_back(self) {
        if let Some(open) = self.call.take() {
            // An error means that the caller has left, which is its right.
            let _ = open.reply.send(Reply::NotBegun(self.params, open.lease));
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
        let open = Mutex::new(Some(Open { reply, lease }));
        (Arc::new(Call { context, open, begun: AtomicBool::new(false), abandoned: SetOnce::new() }), answer)
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
        if let Some(open) = self.take() {
            drop(open.lease);
            // An error means that the caller has left, which is its right.
            let _ = open.reply.send(Reply::Answer(answer));
        }
    }

    /// A dependency failed, so the guest will never be done: the caller has its answer, and the slot is lost.
    pub(crate) fn fail(&self, error: CallError) {
        if let Some(open) = self.take() {
            if let Some(lease) = open.lease {
                lease.lose(Loss::Unanswered);
            }
            let _ = open.reply.send(Reply::Answer(Err(error)));
        }
    }

    /// Nobody waits for the guest any more, and it will never be done: the slot is lost.
    pub(crate) fn give_up(&self) {
        if let Some(lease) = self.take().and_then(|open| open.lease) {
            lease.lose(Loss::Unanswered);
        }
    }

    /// Returns when the caller has left without an answer.
    pub(crate) async fn abandoned(&self) {
        self.abandoned.wait().await;
    }

    /// The grace is over.
    fn overrun(&self) {
        let Some(lease) = self.take().and_then(|open| open.lease) else { return };
        // What the guest has not seen yet is left out when it is its turn, and has no place until then.
        if self.begun.load(Ordering::Relaxed) {
            lease.lose(Loss::Overran);
        }
    }

    fn take(&self) -> Option<Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The caller's wait for an answer; dropped before there is one, it tells the guest's own calls and starts the call's
/// grace.
pub(super) struct Waiting<'a> {
    call: Weak<Call>,
    grace: Duration,
    runtime: &'a Handle,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(job: &Job, grace: Duration, runtime: &'a Handle) -> Self {
        Waiting { call: Arc::downgrade(&job.call), grace, runtime }
    }

    pub(super) fn answered(mut self) {
        self.call = Weak::new();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let call = std::mem::take(&mut self.call);
        match call.upgrade() {
            // Only the one who waits can leave, so it was not set before.
            Some(call) => drop(call.abandoned.set(())),
            None => return,
        }
        let grace = self.grace;
        self.runtime.spawn(async move {
            tokio::time::sleep(grace).await;
            if let Some(call) = call.upgrade() {
                call.overrun();
            }
        });
    }
}
