//! Asks a guest for its health from time to time (`chainlet:host/health`).

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use tokio::time::MissedTickBehavior;
use wasmtime::component::Accessor;

use super::pool::{Pool, UNANSWERED_LIMIT};
use super::question::{Question, Unwell};
use super::replica::{Replica, Wear};
use super::state::ReplicaState;
use crate::config::{ChainletName, Health};
use crate::guest_words::{SENTENCE, clip};

/// The replica whose health is watched, and the pool that is told of it.
pub(super) struct Monitor {
    pub replica: Arc<Replica>,
    pub pool: Arc<Pool>,
    pub policy: Health,
    pub name: ChainletName,
    pub number: u32,
}

/// Asks the guest. An `Err` says what is wrong with it.
async fn ask(question: Question, accessor: &Accessor<ReplicaState>) -> Result<(), Unwell> {
    question
        .ask(accessor)
        .await
        .unwrap_or_else(|error| Err(Unwell::Guest(format!("its `is-healthy` breaks the canonical ABI: {error:#}"))))
}

/// Asks at each interval, and tells the pool the guest's answer. One question is in flight at a time. Never returns.
///
/// A guest that does not answer within an interval counts as unhealthy, unless it has calls: it may be computing, and
/// calls have deadlines of their own.
pub(super) async fn watch(
    accessor: &Accessor<ReplicaState>,
    question: Option<Question>,
    monitor: Monitor,
) -> Infallible {
    let Some(question) = question else { return pending().await };
    let mut ticks = tokio::time::interval(monitor.policy.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut bad, mut unanswered) = (0, 0);
    loop {
        ticks.tick().await;
        let mut answer = std::pin::pin!(ask(question, accessor));
        let health = loop {
            tokio::select! {
                biased;
                health = &mut answer => break health,
                _ = ticks.tick() => {
                    if !monitor.pool.is_busy(&monitor.replica) {
                        monitor.tell(&mut bad, Err("it does not answer when asked for its health".into()));
                    }
                }
            }
        };
        let health = health.map_err(|unwell| match unwell {
            Unwell::Guest(words) => words,
            Unwell::Dependency(error) => {
                // The guest keeps what it holds for its question, as for any call whose dependency failed. So such
                // questions are limited.
                unanswered += 1;
                if unanswered == UNANSWERED_LIMIT {
                    monitor.replica.wear_out(Wear::Unanswered);
                }
                error.to_string()
            }
        });
        monitor.tell(&mut bad, health);
    }
}

impl Monitor {
    /// Tells the pool of an answer. `bad` is the number of bad answers in a row so far.
    fn tell(&self, bad: &mut u32, health: Result<(), String>) {
        match health {
            Ok(()) => {
                if *bad > 0 {
                    tracing::info!(chainlet = %self.name, replica = self.number, "the replica is well again");
                }
                *bad = 0;
                self.pool.set_health(&self.replica, Ok(()));
            }
            Err(why) => {
                let why = clip(why, SENTENCE);
                if *bad == 0 {
                    tracing::warn!(chainlet = %self.name, replica = self.number, error = why, "a replica is not well");
                }
                let why = format!("a replica says that it is not well: {why}");
                *bad = bad.saturating_add(1);
                self.pool.set_health(&self.replica, Err(&why));
                if *bad >= self.policy.failures {
                    self.replica.wear_out(Wear::Unwell);
                }
            }
        }
    }
}
