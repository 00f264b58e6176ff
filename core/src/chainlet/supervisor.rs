//! Keeps one replica running: starts it, replaces it if it traps or is worn out, and stops it.
//!
//! Each replica has one task for this. The task ends when the chainlet stops, when the replica has to leave and its
//! calls are done, or when a first start fails for which somebody waits. The replacement of a worn-out replica starts
//! before the old one leaves, so that no call finds the chainlet without a replica.
//!
//! A start that fails is tried again after ever longer pauses. So is the start after a replica that dies before it has
//! begun a call. A replica that dies of a call is replaced at once, because the sender of such calls must not keep the
//! chainlet from all other callers.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::call::Patience;
use super::pool::Pool;
use super::replica::{Death, Replica, ReplicaTemplate, Running, Wear};
use crate::backoff::Backoff;
use crate::capability::Loss;
use crate::error::{CallError, ErrorKind};
use crate::log_fields::log_call_error;

/// The longest pause between two attempts to start a replica.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The pauses before attempts to start a replica: none after a replica that ran well, then ever longer ones.
const PAUSES: Backoff = Backoff::at_once(Duration::from_millis(100), LONGEST_PAUSE);
/// The time after which a replica has proven that replicas can run. The next start then counts as a first attempt.
const PROVEN: Duration = LONGEST_PAUSE;

/// The orders to a supervisor.
pub(super) struct Orders {
    /// Ends the replica at once.
    pub stop: CancellationToken,
    /// Ends the replica when its calls are done.
    pub leave: CancellationToken,
    /// The tasks for which the chainlet waits when it stops. The supervisor adds the task that drains an old replica.
    pub tasks: TaskTracker,
}

/// Runs replica `number` until `orders` end it. `started` gets the outcome of the first start; if that start fails, the
/// supervisor ends. Without `started`, a failed first start is tried again, as after a trap.
pub(super) async fn supervise(
    template: Arc<ReplicaTemplate>,
    number: u32,
    pool: Arc<Pool>,
    orders: Orders,
    started: Option<oneshot::Sender<Result<(), CallError>>>,
) {
    let mut backoff = PAUSES;
    let Orders { stop, leave, tasks } = &orders;
    let first = match started {
        None => restart(&template, number, &pool, &orders, &mut backoff).await,
        Some(started) => {
            let first = tokio::select! {
                biased;
                () = stop.cancelled() =>
                    Err(CallError::new(ErrorKind::Stopping, &template.name, "the chain is stopping")),
                first = template.start(number, &pool) => first,
            };
            let (running, outcome) = match first {
                Ok(running) => {
                    pool.add(running.replica.clone());
                    (Some(running), Ok(()))
                }
                Err(error) => (None, Err(error)),
            };
            // Sending fails only if the chainlet that started this task is gone. Then `stop` is cancelled, too.
            let _ = started.send(outcome);
            running
        }
    };
    let Some(mut running) = first else { return };
    let mut since = Instant::now();
    while let Some(end) = watch(&mut running, stop, leave).await {
        // A replica that ran for a while has proven that replicas can run. So has one that a call kills or wears out.
        let has_served = since.elapsed() >= PROVEN;
        match end {
            ReplicaEnd::Leaves => {
                pool.retire(&running.replica);
                return drain(running, pool, stop.clone(), template.patience.clone()).await;
            }
            ReplicaEnd::Died(death) => {
                if has_served || running.replica.was_used() {
                    backoff = PAUSES;
                }
                bury(&running, death, &template, number, &pool);
                let Some(next) = restart(&template, number, &pool, &orders, &mut backoff).await else { return };
                running = next;
            }
            ReplicaEnd::WornOut(why) => {
                tell_of_wear(why, &template, number, &running.replica);
                if let Wear::Lost(_) = why {
                    // It can only fail its calls. The calls that it has not begun wait for the next replica.
                    pool.retire(&running.replica);
                    running.replica.close();
                } else {
                    pool.wear(&running.replica);
                }
                if has_served || is_of_calls(why, &running) {
                    backoff = PAUSES;
                }
                let (next, old_is_dead) = {
                    let mut next = pin!(restart(&template, number, &pool, &orders, &mut backoff));
                    tokio::select! {
                        next = &mut next => (next, false),
                        death = &mut running.task => {
                            bury(&running, death.unwrap_or_else(|error| Death::of_task(&error)), &template, number, &pool);
                            (next.await, true)
                        }
                    }
                };
                match (next, old_is_dead) {
                    (Some(next), true) => running = next,
                    (Some(next), false) => {
                        let old = std::mem::replace(&mut running, next);
                        pool.retire(&old.replica);
                        tasks.spawn(drain(old, pool.clone(), stop.clone(), template.patience.clone()));
                    }
                    (None, true) => return,
                    (None, false) => {
                        pool.retire(&running.replica);
                        return drain(running, pool, stop.clone(), template.patience.clone()).await;
                    }
                }
            }
        }
        since = Instant::now();
    }
    end(running, Death::stopped(), &pool).await;
}

/// Returns true if a replica wore out by its calls, and not by its start alone.
fn is_of_calls(why: Wear, running: &Running) -> bool {
    match why {
        Wear::Overran | Wear::Stalled => true,
        Wear::Lost(_) => running.replica.was_used(),
        Wear::Unanswered | Wear::Unwell => false,
    }
}

/// Logs why a replica is to be replaced, and which limit it has reached.
fn tell_of_wear(why: Wear, template: &ReplicaTemplate, number: u32, replica: &Replica) {
    let request = replica.overran().filter(|_| why == Wear::Overran);
    let request = request.map(tracing::field::display);
    let (reason, key, what) = match why {
        Wear::Overran => ("overran", Some("grace"), "replica has calls that do not end"),
        Wear::Stalled => {
            ("stalled", Some("stall"), "replica does not return to its event loop while a call of it is over")
        }
        Wear::Unanswered => ("unanswered", None, "replica holds what is left of many calls"),
        Wear::Lost(Loss { reason, message }) => (reason, None, message),
        Wear::Unwell => ("unwell", Some("health.failures"), "replica is not well and does not get better"),
    };
    let limit = key.map(|key| format!("chainlets.{}.{key}", template.name));
    let limit = limit.as_deref().map(tracing::field::display);
    tracing::warn!(chainlet = %template.name, replica = number, request, reason = %reason, limit,
        "{what}; starting another in its place");
}

/// The event that ends the service of a replica.
enum ReplicaEnd {
    Died(Death),
    WornOut(Wear),
    Leaves,
}

/// Waits until something happens to the replica. Returns `None` if it has to stop.
async fn watch(running: &mut Running, stop: &CancellationToken, leave: &CancellationToken) -> Option<ReplicaEnd> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        death = &mut running.task => Some(ReplicaEnd::Died(death.unwrap_or_else(|error| Death::of_task(&error)))),
        () = leave.cancelled() => Some(ReplicaEnd::Leaves),
        why = running.replica.worn_out() => Some(ReplicaEnd::WornOut(why)),
    }
}

/// Logs how a replica died, and tells its callers.
fn bury(dead: &Running, death: Death, template: &ReplicaTemplate, number: u32, pool: &Arc<Pool>) {
    if let Some(left_out) = template.log_rate.admit() {
        let suppressed = (left_out > 0).then_some(left_out);
        let error = death.error(&template.name);
        let backtrace = error.backtrace();
        let requests = death.requests.as_deref().map(tracing::field::display);
        log_call_error!(
            error,
            &error,
            "replica died; starting another",
            replica = number,
            requests = requests,
            suppressed = suppressed,
            backtrace = backtrace
        );
    }
    pool.remove(&dead.replica);
    dead.replica.died(death);
}

/// Starts a replica, and repeats starts that fail. Returns `None` if the replica is not wanted any more.
async fn restart(
    template: &Arc<ReplicaTemplate>,
    number: u32,
    pool: &Arc<Pool>,
    orders: &Orders,
    backoff: &mut Backoff,
) -> Option<Running> {
    loop {
        let attempt = async {
            let pause = backoff.pause();
            // Even a sleep of zero length lasts until the next tick of the clock.
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            template.start(number, pool).await
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
                let backtrace = error.backtrace();
                log_call_error!(error, &error, "replica does not start", replica = number, backtrace = backtrace);
                pool.fail(error.message());
            }
        }
    }
}

/// Lets a retired replica finish its calls, then ends it. The calls that it has not begun go to other replicas.
async fn drain(mut old: Running, pool: Arc<Pool>, stop: CancellationToken, patience: Arc<Patience>) {
    old.replica.close();
    let drained = async {
        pool.until_drained(&old.replica).await;
        // Nobody waits for its calls any more. Its guest still gets time to let go of them, unless it only computes.
        tokio::select! {
            biased;
            () = pool.until_let_go(&old.replica) => {}
            () = old.replica.stuck(patience.stall) => {}
            () = tokio::time::sleep(patience.grace) => {}
        }
    };
    let death = tokio::select! {
        () = drained => Death::stopped(),
        () = stop.cancelled() => Death::stopped(),
        // Without this, calls without a deadline would wait for ever behind a call that never ends.
        () = old.replica.stuck(patience.grace), if pool.has_unawaited(&old.replica) => Death::stuck(),
        death = &mut old.task => {
            let death = death.unwrap_or_else(|error| Death::of_task(&error));
            pool.remove(&old.replica);
            return old.replica.died(death);
        }
    };
    end(old, death, &pool).await;
}

async fn end(running: Running, death: Death, pool: &Arc<Pool>) {
    // Retires it first, because the places that come free at its end must not go to calls in line.
    pool.retire(&running.replica);
    running.task.abort();
    // The store is gone now, whether the task was aborted or ended by itself.
    let _ = running.task.await;
    pool.remove(&running.replica);
    running.replica.died(death);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_has_no_pause_and_later_pauses_grow_to_a_limit() {
        let mut backoff = PAUSES;
        let pauses: Vec<_> = (0..12).map(|_| backoff.pause().as_millis()).collect();
        assert_eq!(pauses[..4], [0, 100, 200, 400]);
        assert_eq!(pauses[11], LONGEST_PAUSE.as_millis());
    }
}
