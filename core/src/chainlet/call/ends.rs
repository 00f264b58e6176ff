//! The ends of a call: guards that tell the other end something when they are dropped. The parent's documentation has
//! the table.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::{Call, CallContext, CallSite, OverReason, Patience, Phase, Reply, Returned};
use crate::chainlet::params::Values;
use crate::chainlet::pool::Lease;
use crate::chainlet::replica::Replica;
use crate::config::ChainletName;
use crate::error::CallError;

/// A call on its way to a replica, and in its inbox until the guest begins.
pub(in crate::chainlet) struct PendingCall {
    params: Values,
    serving: Serving,
}

impl PendingCall {
    /// Makes a call with a place in `lease`'s replica, and its caller's end.
    pub(in crate::chainlet) fn new(
        params: Values,
        context: CallContext,
        lease: Lease,
        patience: &Arc<Patience>,
    ) -> (Self, Caller) {
        let site = CallSite { replica: lease.replica().clone(), patience: patience.clone() };
        let (call, reply) = Call::new(context, Some(lease), Some(site));
        let serving = Serving { call: call.clone(), begun: false, done: false };
        (PendingCall { params, serving }, Caller { call: Some(call), reply })
    }

    /// Returns the parameters and the replica's end of the call; `None` if nobody wants the call any more.
    pub(in crate::chainlet) fn begin(mut self) -> Option<(Values, Serving)> {
        {
            let mut state = self.serving.call.lock();
            if state.phase != Phase::Waiting {
                return None;
            }
            state.phase = Phase::Running;
        }
        self.serving.begun = true;
        Some((self.params, self.serving))
    }

    /// Gives the call back to its caller, for another replica.
    pub(in crate::chainlet) fn give_back(self) {
        let (reply, lease) = {
            let mut state = self.serving.call.lock();
            (state.reply.take(), state.lease.take())
        };
        if let Some(reply) = reply {
            // Sending fails only after the caller has left.
            let _ = reply.send(Reply::NotBegun(self.params, lease));
        }
    }

    /// Returns true if this is `call` on its way.
    pub(in crate::chainlet) fn is_of(&self, call: &Call) -> bool {
        std::ptr::eq(&*self.serving.call, call)
    }
}

/// The replica's end of a call; see the module's documentation.
pub(in crate::chainlet) struct Serving {
    call: Arc<Call>,
    /// True if the guest has seen the call and has not returned from it.
    begun: bool,
    /// True if the call is done and nobody has to be told so.
    done: bool,
}

impl Serving {
    pub(in crate::chainlet) fn call(&self) -> &Arc<Call> {
        &self.call
    }

    /// Sends the `answer` that the guest has returned. Nothing of the call goes on.
    pub(in crate::chainlet) fn finish(mut self, answer: Result<Returned, CallError>) {
        self.begun = false;
        // If the answer was wanted, the call was not over, so no task waits for its end.
        self.done = self.send(answer, Phase::Done);
    }

    /// Sends the `answer` that the guest has returned, while the guest goes on with the streams in it. Returns when
    /// they have ended.
    pub(in crate::chainlet) async fn stream(mut self, answer: Returned, streams: impl Send) {
        self.send(Ok(answer), Phase::Streaming);
        drop(streams);
        self.call.until(|state| state.streams_ended).await;
        self.begun = false;
    }

    /// Sends the answer. Returns true if anybody wanted it.
    fn send(&self, answer: Result<Returned, CallError>, phase: Phase) -> bool {
        let (reply, lease) = {
            let mut state = self.call.lock();
            if state.phase != Phase::Running {
                // The call is over, so the returned value is ignored. The streams that the guest reads may now end.
                state.returned = true;
                drop(state);
                self.call.changed.notify_waiters();
                return false;
            }
            state.phase = phase;
            state.returned = phase == Phase::Streaming;
            let origin = state.received.origin_of(answer.as_ref().ok().and_then(|returned| returned.value.as_ref()));
            let lease = if phase == Phase::Done { state.free() } else { None };
            (state.reply.take().map(|reply| (reply, answer.map(|value| (value, origin)))), lease)
        };
        // Freed before the caller goes on, so that its next call finds the place free.
        drop(lease);
        if let Some((reply, answer)) = reply {
            // Sending fails only after the caller has left.
            let _ = reply.send(Reply::Answer(answer));
        }
        true
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let (reply, lease) = {
            let mut state = self.call.lock();
            state.phase = Phase::Done;
            // A guest that has not returned is gone with its store. Then the place must not go to the next call in
            // line: it stays with the call, which the store keeps until the pool has taken the replica out.
            let lease = if self.begun { None } else { state.free() };
            (state.reply.take(), lease)
        };
        self.call.changed.notify_waiters();
        drop((reply, lease));
    }
}

/// The caller's end of a call; see the module's documentation.
pub(in crate::chainlet) struct Caller {
    /// The call, until the caller has its answer.
    call: Option<Arc<Call>>,
    reply: oneshot::Receiver<Reply>,
}

impl Caller {
    /// Waits for the reply, which is `None` if the replica has died. Dropping the future gives up the call.
    pub(in crate::chainlet) async fn reply(mut self) -> (Option<Reply>, Option<Arc<Call>>) {
        let reply = (&mut self.reply).await.ok();
        (reply, self.call.take())
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            call.end(OverReason::Left, |state| state.reply = None);
        }
    }
}

/// The readers' end of a call whose answer holds streams; see the module's documentation.
pub struct Tail {
    call: Arc<Call>,
    replica: Arc<Replica>,
    /// True if a stream was left before its end, or was never read.
    unread: AtomicBool,
}

impl Tail {
    pub(in crate::chainlet) fn new(call: Arc<Call>, replica: Arc<Replica>) -> Self {
        Tail { call, replica, unread: AtomicBool::new(true) }
    }

    /// Returns the runtime for the call's timers.
    pub(in crate::chainlet) fn runtime(&self) -> Option<&Handle> {
        self.call.site.as_ref().map(|site| &site.patience.runtime)
    }

    /// Waits for the death of the replica, which has ended the streams, and returns it as the failure of a call of
    /// `chainlet`.
    pub(in crate::chainlet) async fn death(&self, chainlet: &ChainletName) -> CallError {
        self.replica.death().await.error(chainlet)
    }

    /// Ends the call with `error`, which its readers get.
    pub(crate) fn fail(&self, error: CallError) {
        self.call.fail(error);
    }

    /// Returns a handle with which code that does not read can fail the call.
    pub(crate) fn handle(&self) -> TailHandle {
        TailHandle(Arc::downgrade(&self.call))
    }

    /// Returns the failure of the call after its answer, if there is one.
    pub(crate) fn failure(&self) -> Option<CallError> {
        self.call.lock().failure.clone()
    }

    /// Returns when the call has failed.
    pub(crate) async fn failed(&self) {
        self.call.until(|state| state.failure.is_some()).await;
    }

    /// Notes that the streams are read from now on, unless [`Tail::mark_left`] says otherwise.
    pub(in crate::chainlet) fn mark_read(&self) {
        self.unread.store(false, Ordering::Relaxed);
    }

    /// Notes that a stream was left before its end.
    pub(in crate::chainlet) fn mark_left(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("unread", &self.unread).finish_non_exhaustive()
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        if *self.unread.get_mut() {
            self.call.end(OverReason::Unread, |_| ());
        }
    }
}

/// See [`Tail::handle`].
pub(crate) struct TailHandle(Weak<Call>);

impl TailHandle {
    pub(crate) fn fail(&self, error: CallError) {
        if let Some(call) = self.0.upgrade() {
            call.fail(error);
        }
    }
}

/// See [`Call::wait`].
pub(crate) struct Waits(pub(super) Arc<Call>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.waits.fetch_sub(1, Ordering::Relaxed);
    }
}

/// See [`Call::keep_place`].
pub(crate) struct KeptPlace(pub(super) Arc<Call>);

impl Drop for KeptPlace {
    fn drop(&mut self) {
        let lease = {
            let mut state = self.0.lock();
            state.kept -= 1;
            if state.phase == Phase::Done { state.free() } else { None }
        };
        drop(lease);
    }
}

/// See [`Call::listen`].
pub(crate) struct CancellationListener(pub(super) Arc<Call>);

impl Drop for CancellationListener {
    fn drop(&mut self) {
        {
            let mut state = self.0.lock();
            state.listening -= 1;
            // After the end of the call, `listeners` stays as it is: a guest that was told is at work on letting go.
            if state.phase < Phase::Over {
                state.listeners -= 1;
                return;
            }
        }
        self.0.changed.notify_waiters();
    }
}

/// See [`Call::open_streams`]. The streams share one guard, so its drop means that all of them have ended.
pub(in crate::chainlet) struct OpenStreams(pub(super) Arc<Call>);

impl Drop for OpenStreams {
    fn drop(&mut self) {
        self.0.lock().streams_ended = true;
        self.0.changed.notify_waiters();
    }
}
