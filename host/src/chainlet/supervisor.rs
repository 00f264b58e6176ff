//! Keeps one replica running: starts it, replaces it when it traps or is worn out, and stops it.
//!
//! One task a replica. It ends when the chainlet stops, when the replica is to leave and its calls are done, or when a
//! first start fails that somebody waits for. A replacement for a worn-out
//! replica starts before the old one leaves, so that no call finds the chainlet without one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pool::Pool;
use super::replica::{Blueprint, Death, Running};
use crate::error::{CallError, ErrorKind};

/// The pause before a second attempt to start a replica; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A replica that ran for this long has proven itself: its end is not counted as a failed start.
const PROVEN: Duration = Duration::from_secs(10);

/// What a supervisor is told.
pub(super) struct Orders {
    /// To end the replica at once.
    pub stop: CancellationToken,
    /// To end it when its calls are done.
    pub leave: CancellationToken,
}

/// Runs replica `number` until it is told otherwise. `started` learns how the first start went, and then a failed one is
/// the end; without it, starting is tried again as after a trap.
pub(super) async fn supervise(
    blueprint: Arc<Blueprint>,
    number: u32,
    pool: Arc<Pool>,
    orders: Orders,
    started: Option<oneshot::Sender<Result<(), CallError>>>,
) {
    let mut backoff = Backoff::new(Instant::now());
    let Orders { stop, leave } = &orders;
    let first = match started {
        None => restart(&blueprint, number, &pool, &orders, &mut backoff).await,
        Some(started) => {
            let first = tokio::select! {
                biased;
                () = stop.cancelled() =>
                    Err(CallError::new(ErrorKind::Stopping, &blueprint.name, "the chain is stopping")),
                first = blueprint.start(number, &pool) => first,
            };
            let (running, outcome) = match first {
                Ok(running) => {
                    pool.add(running.replica.clone());
                    (Some(running), Ok(()))
                }
                Err(error) => (None, Err(error)),
            };
            // The chainlet that started us may be gone; then `stop` is cancelled, too.
            let _ = started.send(outcome);
            running
        }
    };
    let Some(mut running) = first else { return };
    while let Some(end) = watch(&mut running, stop, leave).await {
        match end {
            End::Leaves => {
                pool.retire(&running.replica);
                return drain(running, pool, stop.clone()).await;
            }
            End::Died(death) => {
                tracing::error!(chainlet = %blueprint.name, replica = number, cause = %death.message,
                    backtrace = death.backtrace, "replica died; starting another");
                pool.remove(&running.replica);
                running.replica.died(death);
                let Some(next) = restart(&blueprint, number, &pool, &orders, &mut backoff).await else { return };
                running = next;
            }
            End::WornOut => {
                tracing::warn!(chainlet = %blueprint.name, replica = number,
                    "replica has calls that do not end; starting another in its place");
                let Some(next) = restart(&blueprint, number, &pool, &orders, &mut backoff).await else {
                    pool.retire(&running.replica);
                    return drain(running, pool, stop.clone()).await;
                };
                let old = std::mem::replace(&mut running, next);
                pool.retire(&old.replica);
                tokio::spawn(drain(old, pool.clone(), stop.clone()));
            }
        }
    }
    end(running, &pool).await;
}

enum End {
    Died(Death),
    WornOut,
    Leaves,
}

/// Waits for something to happen to the replica; `None` when it is to stop.
async fn watch(running: &mut Running, stop: &CancellationToken, leave: &CancellationToken) -> Option<End> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        death = &mut running.task => Some(End::Died(death.unwrap_or_else(|error| Death {
            kind: ErrorKind::Internal,
            message: format!("the replica's task ended: {error}"),
            backtrace: None,
        }))),
        () = leave.cancelled() => Some(End::Leaves),
        () = running.replica.worn_out() => Some(End::WornOut),
    }
}

/// Starts a replica, as often as it takes; `None` when it is not wanted any more.
async fn restart(
    blueprint: &Blueprint,
    number: u32,
    pool: &Arc<Pool>,
    orders: &Orders,
    backoff: &mut Backoff,
) -> Option<Running> {
    loop {
        let attempt = async {
            tokio::time::sleep(backoff.pause(Instant::now())).await;
            blueprint.start(number, pool).await
        };
        let attempt = tokio::select! {
            biased;
            () = orders.stop.cancelled() => return None,
            () = orders.leave.cancelled() => return None,
            attempt = attempt => attempt,
        };
        match attempt {
            Ok(running) => {
                pool.add(running.replica.clone());
                return Some(running);
            }
            Err(error) => {
                tracing::error!(chainlet = %blueprint.name, replica = number, %error, "replica does not start");
                pool.fail(error.message());
            }
        }
    }
}

/// Lets a retired replica finish its calls, then ends it.
async fn drain(old: Running, pool: Arc<Pool>, stop: CancellationToken) {
    tokio::select! {
        () = pool.drained(&old.replica) => {}
        () = stop.cancelled() => {}
    }
    end(old, &pool).await;
}

async fn end(running: Running, pool: &Pool) {
    running.task.abort();
    // Whether it was aborted or ended by itself, the store is gone now.
    let _ = running.task.await;
    pool.remove(&running.replica);
    running.replica.died(Death::stopped());
}

/// How long to wait before each attempt to start a replica: not at all after one that ran well, then ever longer.
struct Backoff {
    failures: u32,
    last: Instant,
}

impl Backoff {
    fn new(now: Instant) -> Self {
        Backoff { failures: 0, last: now }
    }

    fn pause(&mut self, now: Instant) -> Duration {
        if now.duration_since(self.last) >= PROVEN {
            self.failures = 0;
        }
        let pause = match self.failures {
            0 => Duration::ZERO,
            failures => FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(16)).min(LONGEST_PAUSE),
        };
        self.failures = self.failures.saturating_add(1);
        self.last = now + pause;
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_at_once_and_later_ones_wait_ever_longer_up_to_a_limit() {
        let now = Instant::now();
        let mut backoff = Backoff::new(now);
        let pauses: Vec<_> = (0..12).map(|_| backoff.pause(now).as_millis()).collect();
        assert_eq!(pauses[..4], [0, 100, 200, 400]);
        assert_eq!(pauses[11], LONGEST_PAUSE.as_millis());
    }

    #[test]
    fn a_replica_that_ran_well_restarts_at_once_again() {
        let now = Instant::now();
        let mut backoff = Backoff::new(now);
        assert_eq!([backoff.pause(now), backoff.pause(now)], [Duration::ZERO, FIRST_PAUSE]);
        assert_eq!(backoff.pause(now + FIRST_PAUSE + PROVEN), Duration::ZERO);
    }
}
