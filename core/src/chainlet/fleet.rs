//! The replicas of one chainlet: as many as the load needs, each with its supervisor.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::pool::Pool;
use super::replica::ReplicaTemplate;
use super::scale::Scale;
use super::supervisor::{self, Orders};
use crate::config::Replicas;
use crate::error::{CallError, ErrorKind};

/// The least time from one look at the load to the next, however many calls wait.
const LEAST_INTERVAL: Duration = Duration::from_millis(1);

/// The replicas of one chainlet.
pub(super) struct Fleet {
    template: Arc<ReplicaTemplate>,
    pool: Arc<Pool>,
    /// Ends all replicas at once.
    stop: CancellationToken,
    supervisors: TaskTracker,
    /// The token that ends each replica after its last call, by the replica's number.
    replicas: BTreeMap<u32, CancellationToken>,
}

impl Fleet {
    pub(super) fn new(
        template: Arc<ReplicaTemplate>,
        pool: Arc<Pool>,
        stop: CancellationToken,
        supervisors: TaskTracker,
    ) -> Self {
        Fleet { template, pool, stop, supervisors, replicas: BTreeMap::new() }
    }

    /// Starts the first `count` replicas, and returns after each has run its `init`.
    ///
    /// # Errors
    ///
    /// Fails with the first failure of any replica's start.
    pub(super) async fn start(&mut self, count: u32) -> Result<(), CallError> {
        self.pool.want(count);
        let starts: Vec<_> = (0..count)
            .map(|number| {
                let (started, start) = oneshot::channel();
                self.add(number, Some(started));
                start
            })
            .collect();
        let mut outcome = Ok(());
        for start in starts {
            let started = start.await.unwrap_or_else(|_| {
                Err(CallError::new(ErrorKind::Internal, &self.template.name, "a supervisor is gone"))
            });
            outcome = outcome.and(started);
        }
        outcome
    }

    /// Keeps as many replicas as the load needs, until the chainlet stops.
    pub(super) async fn follow_the_load(mut self, bounds: Replicas) {
        let mut scale = Scale::new(bounds, self.template.concurrency);
        let mut wanted = bounds.min;
        let mut looked = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = sleep(scale.interval()) => {}
                // Looks at once when a call has to wait. The least interval keeps many waiting calls from causing many
                // looks.
                () = self.pool.until_pressed() => {
                    if looked.elapsed() < LEAST_INTERVAL {
                        sleep_until(looked + LEAST_INTERVAL).await;
                    }
                }
            }
            looked = Instant::now();
            let load = self.pool.load();
            let needed = scale.look(load, wanted, looked);
            // Removes no replica while some are missing, because the one that leaves may be the only healthy one.
            let may_lower = needed == 0 || load.ready >= usize::try_from(wanted).unwrap_or(usize::MAX);
            if needed > wanted || needed < wanted && may_lower {
                tracing::info!(chainlet = %self.template.name, replicas = needed, replicas_before = wanted,
                    active = load.active, waiting = load.waiting, "scaling");
                wanted = needed;
                self.scale_to(wanted);
            }
        }
    }

    fn scale_to(&mut self, wanted: u32) {
        self.pool.want(wanted);
        let mut number = 0;
        while self.replicas.len() < usize::try_from(wanted).unwrap_or(usize::MAX) {
            if !self.replicas.contains_key(&number) {
                self.add(number, None);
            }
            number += 1;
        }
        while self.replicas.len() > usize::try_from(wanted).unwrap_or(usize::MAX) {
            let least = self.pool.least_loaded().and_then(|number| self.replicas.remove(&number));
            let Some(leave) = least.or_else(|| self.replicas.pop_last().map(|(_, leave)| leave)) else { break };
            leave.cancel();
        }
    }

    fn add(&mut self, number: u32, started: Option<oneshot::Sender<Result<(), CallError>>>) {
        let leave = CancellationToken::new();
        self.replicas.insert(number, leave.clone());
        let orders = Orders { stop: self.stop.clone(), leave, tasks: self.supervisors.clone() };
        let supervisor = supervisor::supervise(self.template.clone(), number, self.pool.clone(), orders, started);
        self.supervisors.spawn_on(supervisor, self.template.threads.handle());
    }
}
