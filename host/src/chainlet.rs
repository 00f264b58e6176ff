//! One chainlet at run time: its replicas, and how a call finds one.
//!
//! A replica is a live instance in a store of its own ([`replica`]), driven by a task of its own or by whoever calls it
//! ([`driver`]). The [`pool`] decides which replica a call goes to and which calls wait; it is a plain state machine
//! behind a lock. A supervisor for each replica ([`supervisor`]) starts it, replaces it when it traps or is worn out, and
//! stops it; the [`fleet`] has as many of them as the load takes ([`scale`]). [`call`] is what the two ends of one call
//! share, and the [`inbox`] is where one hands it to the other.
//!
//! # What ends what
//! - A call ends with its answer, with a failure of a dependency, or with the death of its replica. The caller gets
//!   exactly one of these, or stops waiting at its deadline.
//! - A call whose answer holds streams goes on until they end ([`streams`]).
//! - A replica ends by a trap, which ends all its calls; or it is retired, takes no new calls, and ends with the last one
//!   that anybody waits for. What it has not begun by then goes to another.
//! - A chainlet ends with [`Chainlet::stop`]: calls in flight and waiting are served, up to a limit.

pub(crate) mod call;
mod driver;
mod fleet;
mod health;
mod inbox;
pub(crate) mod limits;
mod pool;
mod question;
pub(crate) mod replica;
mod scale;
mod share;
pub(crate) mod state;
pub(crate) mod streams;
mod supervisor;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::call::{Answer, Answered, CallContext, Job, Reply, Waiting};
use self::fleet::Fleet;
pub use self::pool::Status;
use self::pool::{Pool, Refusal};
use self::replica::{Blueprint, Replica};
use self::streams::{Leaving, Reading, until_deadline};
use crate::config::{ChainletName, Replicas};
use crate::error::{CallError, ErrorKind};
use crate::gpu::Meter;
use crate::threads::GuestThreads;
use crate::value::stream::Wrap;
use crate::value::{Signature, Value};

/// How many replicas a call may be given to that end before they begin it.
const ENDED_REPLICAS: u32 = 10;

/// A running chainlet.
pub struct Chainlet {
    name: ChainletName,
    signature: Arc<Signature>,
    /// Whether it takes or returns streams.
    streams: bool,
    pool: Arc<Pool>,
    stop: CancellationToken,
    /// Those of its supervisors, and of what decides how many there are.
    tasks: TaskTracker,
    /// How long a guest may go on with a call whose caller has left.
    grace: Duration,
    threads: Arc<GuestThreads>,
    /// How many bytes the values of one call may take.
    value_limit: usize,
    /// What is measured of its GPU, if it has one.
    gpu: Option<Meter>,
}

impl Chainlet {
    /// Starts the least number of replicas of what `blueprint` describes, and returns when each has run its `init`. From
    /// then on there are as many as `replicas` says.
    ///
    /// # Errors
    ///
    /// The first failure of any replica's start; the others are stopped.
    pub(crate) async fn start(blueprint: Blueprint, replicas: Replicas) -> Result<Arc<Self>, CallError> {
        let blueprint = Arc::new(blueprint);
        let chainlet = Arc::new(Chainlet {
            name: blueprint.name.clone(),
            streams: blueprint.signature.has_streams(),
            signature: blueprint.signature.clone(),
            pool: Pool::new(blueprint.concurrency, blueprint.queue),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            grace: blueprint.grace,
            threads: blueprint.threads.clone(),
            value_limit: blueprint.values.one,
            gpu: blueprint.grants.gpu().cloned(),
        });
        let (stop, tasks) = (chainlet.stop.clone(), chainlet.tasks.clone());
        let mut fleet = Fleet::new(blueprint, chainlet.pool.clone(), stop, tasks);
        if let Err(error) = fleet.start(replicas.min).await {
            chainlet.stop(Duration::ZERO).await;
            return Err(error);
        }
        if replicas.min < replicas.max {
            chainlet.tasks.spawn_on(fleet.follow_the_load(replicas), chainlet.threads.handle());
        }
        Ok(chainlet)
    }

    /// The chainlet's name in its chain.
    pub fn name(&self) -> &ChainletName {
        &self.name
    }

    /// The type of its `run-remote`.
    pub fn signature(&self) -> &Arc<Signature> {
        &self.signature
    }

    /// How many bytes the values of one call may take.
    pub(crate) fn value_limit(&self) -> usize {
        self.value_limit
    }

    /// How many replicas are ready, and how many calls are in flight and waiting.
    pub fn status(&self) -> Status {
        self.pool.status()
    }

    /// What is measured of its GPU; `None` where chain.toml gives it none.
    pub(crate) fn gpu(&self) -> Option<&Meter> {
        self.gpu.as_ref()
    }

    /// Calls `run-remote` in the least loaded replica, waiting in the queue for one where all are busy.
    ///
    /// The answer is what the function returned, its typed error included. Dropping the future gives up the answer; the
    /// guest is not interrupted, but a replica whose call does not end soon after that is replaced. The deadline in
    /// `context` is for the guest's own calls: keeping to it here is the caller's part, with [`Chainlet::within`].
    pub(crate) async fn call(&self, mut params: Vec<Value>, context: CallContext) -> Answer {
        let mut lease = self.pool.acquire().await.map_err(|refusal| self.refusal(refusal))?;
        for _ in 0..ENDED_REPLICAS {
            let replica = lease.replica().clone();
            let (job, reply) = Job::new(params, context.clone(), lease);
            let waiting = Waiting::new(&job, self.grace, self.threads.handle());
            replica.submit(job);
            let reply = reply.await;
            let call = waiting.answered();
            match reply {
                Ok(Reply::Answer(mut answer)) => {
                    if self.streams {
                        // Whoever gets no stream has nothing to read: what is left of the call has its grace from now on.
                        let reading = self.reading(call, replica);
                        if let Ok(Some(value)) = &mut answer {
                            value.wrap_streams(&reading);
                        }
                    }
                    return answer;
                }
                Ok(Reply::NotBegun(given_back, place)) => {
                    params = given_back;
                    lease = self.pool.acquire_another(place).await.map_err(|refusal| self.refusal(refusal))?;
                }
                Err(_) => {
                    let death = replica.death().await;
                    return Err(self.error(death.kind, &death.message).with_backtrace(death.backtrace.clone()));
                }
            }
        }
        Err(self.error(ErrorKind::NotReady, "its replicas end before they begin a call"))
    }

    /// What is done to the streams of an answer for their reader.
    fn reading(&self, call: Answered, replica: Arc<Replica>) -> Wrap {
        let leaving = Leaving::new(call, self.grace, self.threads.handle().clone());
        let reading = Reading { leaving: Arc::new(leaving), replica, chainlet: self.name.clone() };
        Arc::new(move |items| reading.of(items))
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
    ///
    /// The deadline is that of the answer's streams, too.
    pub(crate) async fn within(&self, deadline: Option<Instant>, call: impl Future<Output = Answer>) -> Answer {
        let Some(deadline) = deadline else { return call.await };
        let mut answer = tokio::time::timeout_at(deadline, call)
            .await
            .unwrap_or_else(|_| Err(self.error(ErrorKind::Deadline, "no answer before the deadline")))?;
        if let Some(value) = answer.as_mut().filter(|_| self.streams) {
            let (name, runtime) = (self.name.clone(), self.threads.handle().clone());
            let wrap: Wrap = Arc::new(move |items| until_deadline(items, deadline, name.clone(), &runtime));
            value.wrap_streams(&wrap);
        }
        Ok(answer)
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
        self.tasks.close();
        self.tasks.wait().await;
        self.pool.dismiss();
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
