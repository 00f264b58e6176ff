//! One chainlet at run time: its replicas, and how a call finds one.
//!
//! A replica is a live instance in a store of its own ([`replica`]), driven by a task of its own or by whoever calls it
//! ([`driver`]). The [`pool`] decides which replica a call goes to and which calls wait; it is a plain state machine
//! behind a lock. A supervisor for each replica ([`supervisor`]) starts it, replaces it when it traps or is worn out, and
//! stops it. [`call`] is what the two ends of one call share, and the [`inbox`] is where one hands it to the other.
//!
//! # What ends what
//! - A call ends with its answer, with a failure of a dependency, or with the death of its replica. The caller gets
//!   exactly one of these, or stops waiting at its deadline.
//! - A replica ends by a trap, which ends all its calls; or it is retired, takes no new calls, and ends with its last one.
//! - A chainlet ends with [`Chainlet::stop`]: calls in flight and waiting are served, up to a limit.

pub(crate) mod call;
mod driver;
mod health;
mod inbox;
mod limits;
mod pool;
pub(crate) mod replica;
mod share;
pub(crate) mod state;
mod supervisor;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::call::{CallContext, Job, Reply, Waiting};
pub use self::pool::Status;
use self::pool::{Pool, Refusal};
use self::replica::Blueprint;
use crate::config::ChainletName;
use crate::error::{CallError, ErrorKind};
use crate::threads::GuestThreads;
use crate::value::{Signature, Value};

/// How many replicas a call may be given to that end before they begin it.
const ENDED_REPLICAS: u32 = 3;

/// A running chainlet.
pub struct Chainlet {
    name: ChainletName,
    signature: Arc<Signature>,
    pool: Arc<Pool>,
    stop: CancellationToken,
    supervisors: TaskTracker,
    threads: Arc<GuestThreads>,
}

impl Chainlet {
    /// Starts `replicas` replicas of what `blueprint` describes, and returns when each has run its `init`.
    ///
    /// # Errors
    ///
    /// The first failure of any replica's start; the others are stopped.
    pub(crate) async fn start(blueprint: Blueprint, replicas: u32) -> Result<Arc<Self>, CallError> {
        let blueprint = Arc::new(blueprint);
        let chainlet = Arc::new(Chainlet {
            name: blueprint.name.clone(),
            signature: blueprint.signature.clone(),
            pool: Pool::new(blueprint.concurrency, blueprint.queue),
            stop: CancellationToken::new(),
            supervisors: TaskTracker::new(),
            threads: blueprint.threads.clone(),
        });
        let starts = (0..replicas).map(|number| {
            let (started, start) = tokio::sync::oneshot::channel();
            let supervisor =
                supervisor::supervise(blueprint.clone(), number, chainlet.pool.clone(), chainlet.stop.clone(), started);
            chainlet.supervisors.spawn_on(supervisor, chainlet.threads.handle());
            start
        });
        let starts: Vec<_> = starts.collect();
        chainlet.supervisors.close();
        let mut outcome = Ok(());
        for start in starts {
            let started =
                start.await.unwrap_or_else(|_| Err(chainlet.error(ErrorKind::Internal, "a supervisor is gone")));
            outcome = outcome.and(started);
        }
        match outcome {
            Ok(()) => Ok(chainlet),
            Err(error) => {
                chainlet.stop(Duration::ZERO).await;
                Err(error)
            }
        }
    }

    /// The chainlet's name in its chain.
    pub fn name(&self) -> &ChainletName {
        &self.name
    }

    /// The type of its `run-remote`.
    pub fn signature(&self) -> &Arc<Signature> {
        &self.signature
    }

    /// How many replicas are ready, and how many calls are in flight and waiting.
    pub fn status(&self) -> Status {
        self.pool.status()
    }

    /// Calls `run-remote` in the least loaded replica, waiting in the queue for one where all are busy.
    ///
    /// The answer is what the function returned, its typed error included. Dropping the future gives up the answer; the
    /// guest is not interrupted, but a replica whose call does not end soon after that is replaced. The deadline in
    /// `context` is for the guest's own calls: keeping to it here is the caller's part, with [`Chainlet::within`].
    pub(crate) async fn call(&self, mut params: Vec<Value>, context: CallContext) -> Result<Option<Value>, CallError> {
        for _ in 0..ENDED_REPLICAS {
            let lease = self.pool.acquire().await.map_err(|refusal| self.refusal(refusal))?;
            let replica = lease.replica().clone();
            let (job, reply) = Job::new(params, context.clone(), lease);
            let waiting = Waiting::new(&job, self.threads.handle());
            replica.submit(job);
            let reply = reply.await;
            waiting.answered();
            match reply {
                Ok(Reply::Answer(answer)) => return answer,
                Ok(Reply::NotBegun(given_back)) => params = given_back,
                Err(_) => {
                    let death = replica.death().await;
                    return Err(self.error(death.kind, &death.message).with_backtrace(death.backtrace.clone()));
                }
            }
        }
        Err(self.error(ErrorKind::NotReady, "its replicas end before they begin a call"))
    }

    fn refusal(&self, refusal: Refusal) -> CallError {
        match refusal {
            Refusal::Overloaded { queue } => {
                self.error(ErrorKind::Overloaded, format_args!("all replicas are busy and {queue} calls wait already"))
            }
            Refusal::NotReady(why) => self.error(ErrorKind::NotReady, why),
            Refusal::Stopping => self.error(ErrorKind::Stopping, "the chain is stopping"),
        }
    }

    /// The outcome of `call` on this chainlet, or a failure where it does not come before `deadline`.
    pub(crate) async fn within<T>(
        &self,
        deadline: Option<Instant>,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        match deadline {
            None => call.await,
            Some(deadline) => tokio::time::timeout_at(deadline, call)
                .await
                .unwrap_or_else(|_| Err(self.error(ErrorKind::Deadline, "no answer before the deadline"))),
        }
    }

    /// Takes no new calls, serves the ones that it has for at most `limit`, and stops every replica.
    pub(crate) async fn stop(&self, limit: Duration) {
        self.pool.close();
        if tokio::time::timeout(limit, self.pool.idle()).await.is_err() {
            let status = self.pool.status();
            if status.active + status.waiting > 0 {
                tracing::warn!(chainlet = %self.name, active = status.active, waiting = status.waiting,
                    "stopping with calls unfinished");
            }
        }
        self.stop.cancel();
        self.supervisors.wait().await;
    }

    fn error(&self, kind: ErrorKind, message: impl std::fmt::Display) -> CallError {
        CallError::new(kind, &self.name, message)
    }
}

/// A chainlet that nobody can call any more ends, whether or not it was stopped.
impl Drop for Chainlet {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The earlier of two deadlines, where none is never.
pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
