//! One chainlet at run time: its replicas, and the way of a call to one of them.
//!
//! A replica is a live instance in a store of its own ([`replica`]). A task of its own or one of its callers drives it
//! ([`driver`]). The [`pool`] decides to which replica a call goes and which calls wait; it is a plain state machine
//! behind a lock. Each replica has a supervisor ([`supervisor`]), which starts it, replaces it if it traps or is worn
//! out, and stops it. The [`fleet`] has as many supervisors as the load needs ([`scale`]). The two ends of a call share
//! its [`call`], and the [`inbox`] is where one end hands it to the other.
//!
//! # Lifetimes
//! - A call ends with its answer, with a failure of a dependency, or with the death of its replica. The caller gets
//!   exactly one of these, or stops waiting at its deadline.
//! - A call whose answer holds streams goes on until they end ([`streams`]).
//! - A replica ends by a trap, which ends all its calls. Or it is retired: it takes no new calls, and ends with the
//!   last call that anybody waits for. Calls that it has not begun by then go to another replica.
//! - A chainlet ends with [`Chainlet::stop`]. Calls in flight and waiting are served for a limited time.

pub(crate) mod call;
#[doc(hidden)]
pub mod callee;
mod driver;
pub(crate) mod errors;
mod fleet;
mod health;
mod inbox;
pub(crate) mod limits;
#[doc(hidden)]
pub mod params;
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

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::call::{CallAnswer, CallContext, Outcome, Patience, PendingCall, Reply, Returned, Tail};
use self::callee::Callee;
use self::errors::Errors;
use self::fleet::Fleet;
use self::params::Params;
pub use self::pool::Status;
use self::pool::{Pool, PoolRefusal};
use self::replica::ReplicaTemplate;
use crate::capability::{Grants, Measure};
use crate::config::{ChainletName, Replicas};
use crate::error::{CallError, ErrorKind};
use crate::memory::MemoryBudget;
use crate::offload::Offload;
use crate::threads::GuestThreads;
use crate::value::{Signature, Type, Value};

/// The number of replicas that may end before they begin a given call. After that, the call fails.
const ENDED_REPLICAS: u32 = 10;

/// A running chainlet.
pub struct Chainlet {
    name: ChainletName,
    signature: Arc<Signature>,
    /// True if the chainlet takes or returns streams.
    streams: bool,
    pool: Arc<Pool>,
    stop: CancellationToken,
    /// The tasks of its supervisors and of its fleet.
    tasks: TaskTracker,
    patience: Arc<Patience>,
    errors: Arc<Errors>,
    threads: Arc<GuestThreads>,
    /// The threads that read parameters and write answers that take long.
    offload: Offload,
    memory: MemoryBudget,
    /// The most bytes that the values of one call may take.
    value_limit: usize,
    grants: Arc<Grants>,
}

impl Chainlet {
    /// Starts the least number of replicas of `template`, and returns after each has run its `init`. From then on, the
    /// number of replicas follows `replicas`.
    ///
    /// # Errors
    ///
    /// Fails with the first failure of any replica's start. The other replicas are stopped.
    pub(crate) async fn start(template: ReplicaTemplate, replicas: Replicas) -> Result<Arc<Self>, CallError> {
        let template = Arc::new(template);
        let chainlet = Arc::new(Chainlet {
            name: template.name.clone(),
            streams: template.signature.has_streams(),
            signature: template.signature.clone(),
            pool: Pool::new(template.concurrency, template.queue),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            patience: template.patience.clone(),
            errors: template.errors.clone(),
            threads: template.threads.clone(),
            offload: template.offload.clone(),
            memory: template.host_memory.clone(),
            value_limit: template.values.one,
            grants: template.grants.clone(),
        });
        let (stop, tasks) = (chainlet.stop.clone(), chainlet.tasks.clone());
        let mut fleet = Fleet::new(template, chainlet.pool.clone(), stop, tasks);
        if let Err(error) = fleet.start(replicas.min).await {
            chainlet.stop(Duration::ZERO).await;
            return Err(error);
        }
        if replicas.min < replicas.max {
            chainlet.tasks.spawn_on(fleet.follow_the_load(replicas), chainlet.threads.handle());
        }
        Ok(chainlet)
    }

    /// Returns the number of calls that ended with a declared error that began in this chainlet, by the kind of error.
    pub(crate) fn errors(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.errors.counts()
    }

    /// Returns true if the chainlet takes or returns streams.
    pub(crate) fn has_streams(&self) -> bool {
        self.streams
    }

    /// Returns the counts of the errors with which the chainlet answers.
    pub(crate) fn error_counts(&self) -> &Arc<Errors> {
        &self.errors
    }

    /// Returns the memory budget of the host.
    #[doc(hidden)]
    pub fn memory(&self) -> &MemoryBudget {
        &self.memory
    }

    /// Returns the threads that write answers that take long.
    #[doc(hidden)]
    pub fn offload(&self) -> &Offload {
        &self.offload
    }

    /// Returns the current values of the metrics of its capabilities, by the name of the capability.
    pub(crate) fn measures(&self) -> impl Iterator<Item = (&'static str, Measure)> {
        self.grants.measures()
    }

    /// Calls `run-remote` in the least loaded replica. If all are busy, the call waits in the queue.
    ///
    /// Dropping the future gives up the call. The host tells the guest so, and replaces a replica whose guest does not
    /// let go of the call soon. The deadline in `context` is for the guest's own calls; the caller enforces it for this
    /// one.
    async fn serve(&self, params: Params, context: &CallContext) -> Outcome {
        let mut lease = self.pool.acquire().await.map_err(|refusal| self.refusal(refusal))?;
        let mut params = params.read(self).await?;
        for _ in 0..ENDED_REPLICAS {
            let replica = lease.replica().clone();
            let (job, caller) = PendingCall::new(params, context.clone(), lease, &self.patience);
            replica.submit(job);
            match caller.reply().await {
                (Some(Reply::Answer(answer)), call) => {
                    let (Returned { value, reservation }, origin) = answer?;
                    let tail = call.filter(|_| self.streams).map(|call| Tail::new(call, replica));
                    return Ok(CallAnswer { value, origin, tail, permit: None, reservation });
                }
                (Some(Reply::NotBegun(given_back, place)), _) => {
                    params = given_back;
                    lease = self.pool.acquire_another(place).await.map_err(|refusal| self.refusal(refusal))?;
                }
                (None, _) => return Err(replica.death().await.error(&self.name)),
            }
        }
        Err(self.error(ErrorKind::NotReady, "its replicas end before they begin a call"))
    }

    fn refusal(&self, refusal: PoolRefusal) -> CallError {
        match refusal {
            PoolRefusal::Overloaded { queue } => {
                let message = format_args!(
                    "every replica is busy and the queue is full: chainlets.{}.queue in chain.toml is {queue}",
                    self.name
                );
                self.error(ErrorKind::Overloaded, message).limited_by_key("queue")
            }
            PoolRefusal::NotReady(why) => self.error(ErrorKind::NotReady, why),
            PoolRefusal::Stopping => self.error(ErrorKind::Stopping, "the chain is stopping"),
        }
    }

    /// Rejects new calls, serves the accepted calls for at most `limit`, and stops every replica.
    pub(crate) async fn stop(&self, limit: Duration) {
        self.pool.close();
        if tokio::time::timeout(limit, self.pool.until_idle()).await.is_err() {
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

impl Callee for Chainlet {
    fn name(&self) -> &ChainletName {
        &self.name
    }

    fn signature(&self) -> &Arc<Signature> {
        &self.signature
    }

    fn value_limit(&self) -> usize {
        self.value_limit
    }

    fn status(&self) -> Status {
        self.pool.status()
    }

    fn call(self: Arc<Self>, params: Params, mut context: CallContext) -> BoxFuture<'static, Outcome> {
        // The span lasts as long as the context, which the call keeps until its streams have ended. Nobody enters it
        // while a guest runs: any caller may drive the replica, whose lines would then carry a span of another call.
        let request = context.request.as_deref();
        context.span = tracing::debug_span!(parent: &context.span, "call", chainlet = %self.name, request);
        Box::pin(async move {
            let answered = self.serve(params, &context).await?;
            if let CallAnswer { value: Some(Value::Result(Err(error))), origin: None, .. } = &answered {
                let ty = match &self.signature.result {
                    Some(Type::Result { err, .. }) => err.as_deref(),
                    _ => None,
                };
                self.errors.note(&self.name, ty, error.as_deref(), &context);
            }
            Ok(answered)
        })
    }
}

/// Ends a chainlet that nobody can call any more, whether or not it was stopped.
impl Drop for Chainlet {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
