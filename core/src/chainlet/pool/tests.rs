use std::task::Poll;

use futures::FutureExt;
use futures::future::BoxFuture;
use proptest::prelude::*;

use super::*;

fn pool(concurrency: usize, queue: usize, replicas: usize) -> (Arc<Pool>, Vec<Arc<Replica>>) {
    let pool = Pool::new(concurrency, queue);
    let replicas: Vec<_> = (0..).take(replicas).map(|number| Replica::new(number, 1.0)).collect();
    for replica in &replicas {
        pool.add(replica.clone());
    }
    pool.want(1);
    (pool, replicas)
}

type Turn = BoxFuture<'static, Result<Lease, PoolRefusal>>;

/// A call that has asked for a place and waits for it.
fn ask(pool: &Arc<Pool>) -> Turn {
    let pool = pool.clone();
    async move { pool.acquire().await }.boxed()
}

fn poll(turn: &mut Turn) -> Option<Result<Lease, PoolRefusal>> {
    match std::pin::pin!(async { futures::poll!(turn) }).now() {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

trait Now {
    type Output;
    fn now(self) -> Self::Output;
}

impl<F: Future> Now for F {
    type Output = F::Output;
    fn now(self) -> F::Output {
        self.now_or_never().expect("polling once never waits")
    }
}

#[test]
fn calls_go_to_the_least_loaded_replica() {
    let (pool, replicas) = pool(2, 0, 2);
    let leases: Vec<_> = (0..4).map(|_| poll(&mut ask(&pool)).unwrap().unwrap()).collect();
    for replica in &replicas {
        assert_eq!(leases.iter().filter(|lease| Arc::ptr_eq(lease.replica(), replica)).count(), 2);
    }
}

#[test]
fn a_full_queue_rejects_calls_until_a_waiting_call_leaves() {
    let (pool, _replicas) = pool(1, 1, 1);
    let _held = poll(&mut ask(&pool)).unwrap().unwrap();
    let mut waiting = ask(&pool);
    assert!(poll(&mut waiting).is_none());
    assert!(matches!(poll(&mut ask(&pool)), Some(Err(PoolRefusal::Overloaded { queue: 1 }))));
    drop(waiting);
    assert!(poll(&mut ask(&pool)).is_none());
}

#[test]
fn a_free_place_goes_to_the_first_in_line_that_still_waits() {
    let (pool, _replicas) = pool(1, 10, 1);
    let held = poll(&mut ask(&pool)).unwrap().unwrap();
    let mut turns: Vec<_> = (0..3).map(|_| ask(&pool)).collect();
    for turn in &mut turns {
        assert!(poll(turn).is_none());
    }
    drop(turns.remove(0));
    drop(held);
    assert!(poll(&mut ask(&pool)).is_none(), "a newcomer does not overtake");
    assert!(poll(&mut turns[1]).is_none());
    assert!(matches!(poll(&mut turns[0]), Some(Ok(_))));
}

#[test]
fn a_lease_handed_to_a_call_that_leaves_goes_to_the_next() {
    let (pool, _replicas) = pool(1, 10, 1);
    let held = poll(&mut ask(&pool)).unwrap().unwrap();
    let (mut first, mut second) = (ask(&pool), ask(&pool));
    assert!(poll(&mut first).is_none() && poll(&mut second).is_none());
    drop(held);
    drop(first);
    assert!(matches!(poll(&mut second), Some(Ok(_))));
}

#[test]
fn without_a_replica_calls_wait_until_a_start_has_failed() {
    let (pool, replicas) = pool(1, 10, 1);
    pool.remove(&replicas[0]);
    let mut waiting = ask(&pool);
    assert!(poll(&mut waiting).is_none());
    pool.fail("`init` failed");
    assert!(matches!(poll(&mut waiting), Some(Err(PoolRefusal::NotReady(why))) if &*why == "`init` failed"));
    assert!(matches!(poll(&mut ask(&pool)), Some(Err(PoolRefusal::NotReady(_)))));
    pool.add(Replica::new(9, 1.0));
    assert!(matches!(poll(&mut ask(&pool)), Some(Ok(_))));
}

#[test]
fn a_retired_replica_takes_no_more_calls_and_is_drained_with_its_last() {
    let (pool, replicas) = pool(2, 10, 1);
    let held = poll(&mut ask(&pool)).unwrap().unwrap();
    pool.retire(&replicas[0]);
    let mut waiting = ask(&pool);
    assert!(poll(&mut waiting).is_none());
    assert!(pool.until_drained(&replicas[0]).now_or_never().is_none());
    drop(held);
    pool.until_drained(&replicas[0]).now();
    assert!(poll(&mut waiting).is_none());
    pool.add(Replica::new(9, 1.0));
    assert!(matches!(poll(&mut waiting), Some(Ok(_))));
}

#[test]
fn a_closed_pool_rejects_new_calls_and_serves_those_that_wait() {
    let (pool, _replicas) = pool(1, 10, 1);
    let held = poll(&mut ask(&pool)).unwrap().unwrap();
    let mut waiting = ask(&pool);
    assert!(poll(&mut waiting).is_none());
    pool.close();
    assert!(matches!(poll(&mut ask(&pool)), Some(Err(PoolRefusal::Stopping))));
    assert!(pool.until_idle().now_or_never().is_none());
    drop(held);
    let last = poll(&mut waiting).unwrap().unwrap();
    assert!(pool.until_idle().now_or_never().is_none());
    drop(last);
    pool.until_idle().now();
}

#[test]
fn one_overrun_call_or_many_unanswered_ones_wear_out_a_replica() {
    let (pool, replicas) = pool(UNANSWERED_LIMIT + 1, 0, 1);
    for count in 1..=UNANSWERED_LIMIT {
        assert!(replicas[0].worn_out().now_or_never().is_none(), "after {count}");
        poll(&mut ask(&pool)).unwrap().unwrap().lose(LeaseLoss::Unanswered);
    }
    assert_eq!(replicas[0].worn_out().now(), Wear::Unanswered);
    assert_eq!(pool.status().active, 0);
    let (pool, replicas) = self::pool(1, 0, 1);
    poll(&mut ask(&pool)).unwrap().unwrap().lose(LeaseLoss::Overran);
    assert_eq!(replicas[0].worn_out().now(), Wear::Overran);
    assert_eq!(pool.status().active, 0, "nobody waits for it");
    pool.until_drained(&replicas[0]).now();
}

#[test]
fn the_place_of_an_overrun_call_goes_to_no_call_in_line() {
    let (pool, replicas) = pool(1, 10, 1);
    let held = poll(&mut ask(&pool)).unwrap().unwrap();
    let mut waiting = ask(&pool);
    assert!(poll(&mut waiting).is_none());
    held.lose(LeaseLoss::Overran);
    assert!(poll(&mut waiting).is_none());
    let next = Replica::new(9, 1.0);
    pool.add(next.clone());
    let lease = poll(&mut waiting).unwrap().unwrap();
    assert!(Arc::ptr_eq(lease.replica(), &next) && !Arc::ptr_eq(lease.replica(), &replicas[0]));
}

#[test]
fn a_worn_replica_takes_calls_only_if_no_other_does() {
    let (pool, replicas) = pool(2, 10, 1);
    poll(&mut ask(&pool)).unwrap().unwrap().lose(LeaseLoss::Overran);
    let lease = poll(&mut ask(&pool)).unwrap().unwrap();
    assert!(Arc::ptr_eq(lease.replica(), &replicas[0]));
    drop(lease);
    let next = Replica::new(9, 1.0);
    pool.add(next.clone());
    let leases: Vec<_> = (0..2).map(|_| poll(&mut ask(&pool)).unwrap().unwrap()).collect();
    assert!(leases.iter().all(|lease| Arc::ptr_eq(lease.replica(), &next)));
    assert!(poll(&mut ask(&pool)).is_none(), "it waits for the one that is well");
}

#[test]
fn a_call_that_was_not_begun_goes_first_even_if_the_pool_is_closed() {
    let (pool, replicas) = pool(1, 1, 1);
    let place = poll(&mut ask(&pool)).unwrap().unwrap();
    let mut waiting = ask(&pool);
    assert!(poll(&mut waiting).is_none());
    pool.retire(&replicas[0]);
    pool.close();
    let mut again: Turn = {
        let pool = pool.clone();
        async move { pool.acquire_another(Some(place)).await }.boxed()
    };
    assert!(poll(&mut again).is_none());
    assert!(pool.until_idle().now_or_never().is_none(), "it is in flight all the while");
    pool.add(Replica::new(9, 1.0));
    assert!(poll(&mut waiting).is_none());
    assert!(matches!(poll(&mut again), Some(Ok(_))));
}

#[test]
fn calls_that_wait_when_the_pool_is_dismissed_are_rejected() {
    let (pool, replicas) = pool(1, 10, 1);
    let held = poll(&mut ask(&pool)).unwrap().unwrap();
    let (mut first, mut second) = (ask(&pool), ask(&pool));
    assert!(poll(&mut first).is_none() && poll(&mut second).is_none());
    pool.remove(&replicas[0]);
    drop(held);
    pool.dismiss();
    for turn in [&mut first, &mut second] {
        assert!(matches!(poll(turn), Some(Err(PoolRefusal::Stopping))));
    }
    assert!(matches!(pool.acquire_another(None).now(), Err(PoolRefusal::Stopping)));
}

#[test]
fn the_least_loaded_replica_is_not_ready_or_has_the_fewest_calls() {
    let (pool, replicas) = pool(2, 10, 3);
    let _held = [poll(&mut ask(&pool)).unwrap().unwrap(), poll(&mut ask(&pool)).unwrap().unwrap()];
    assert_eq!(pool.least_loaded(), Some(2));
    pool.set_health(&replicas[1], Err("no model"));
    assert_eq!(pool.least_loaded(), Some(1));
    pool.retire(&replicas[1]);
    assert_eq!(pool.least_loaded(), Some(2));
}

#[test]
fn a_failed_start_is_forgotten_when_fewer_replicas_are_wanted() {
    let (pool, replicas) = pool(1, 10, 1);
    pool.want(2);
    pool.fail("no room");
    assert_eq!(pool.status().down.as_deref(), Some("no room"));
    pool.want(1);
    assert_eq!(pool.status().down, None);
    pool.want(0);
    pool.remove(&replicas[0]);
    pool.fail("given up");
    assert_eq!(pool.status().down, None, "the next call has it tried again");
}

#[derive(Debug, Clone)]
enum Step {
    Ask,
    Leave(usize),
    Finish(usize),
    Lose(usize),
    Overrun(usize),
    Add,
    Retire(usize),
    Die(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Ask),
        2 => any::<usize>().prop_map(Step::Leave),
        6 => any::<usize>().prop_map(Step::Finish),
        1 => any::<usize>().prop_map(Step::Lose),
        1 => any::<usize>().prop_map(Step::Overrun),
        1 => Just(Step::Add),
        1 => any::<usize>().prop_map(Step::Retire),
        1 => any::<usize>().prop_map(Step::Die),
    ]
}

fn pick<T>(items: &mut Vec<T>, index: usize) -> Option<T> {
    (!items.is_empty()).then(|| items.swap_remove(index % items.len()))
}

proptest! {
    /// After any events in any order: no replica has more calls than its concurrency, no more calls wait than the queue
    /// takes, no call waits while a place is free, and every place comes back.
    #[test]
    fn limits_hold_and_no_place_is_lost(steps in prop::collection::vec(step(), 1..200)) {
        const CONCURRENCY: usize = 3;
        const QUEUE: usize = 4;
        let (pool, mut live) = pool(CONCURRENCY, QUEUE, 2);
        let (mut turns, mut leases): (Vec<Turn>, Vec<Lease>) = (Vec::new(), Vec::new());
        let mut overran: Vec<Arc<Replica>> = Vec::new();
        for step in steps {
            match step {
                Step::Ask => {
                    let mut turn = ask(&pool);
                    match poll(&mut turn) {
                        None => turns.push(turn),
                        Some(Ok(lease)) => leases.push(lease),
                        Some(Err(PoolRefusal::Overloaded { .. })) => prop_assert_eq!(pool.status().waiting, QUEUE),
                        Some(Err(refusal)) => prop_assert!(false, "{:?}", refusal),
                    }
                }
                Step::Leave(index) => drop(pick(&mut turns, index)),
                Step::Finish(index) => drop(pick(&mut leases, index)),
                Step::Lose(index) => {
                    if let Some(lease) = pick(&mut leases, index) {
                        lease.lose(LeaseLoss::Unanswered);
                    }
                }
                Step::Overrun(index) => {
                    if let Some(lease) = pick(&mut leases, index) {
                        overran.push(lease.replica().clone());
                        lease.lose(LeaseLoss::Overran);
                    }
                }
                Step::Add => {
                    let replica = Replica::new(9, 1.0);
                    live.push(replica.clone());
                    pool.add(replica);
                }
                Step::Retire(index) => {
                    if let Some(replica) = pick(&mut live, index) {
                        pool.retire(&replica);
                    }
                }
                Step::Die(index) => {
                    if let Some(replica) = pick(&mut live, index) {
                        pool.remove(&replica);
                    }
                }
            }
            let mut still = Vec::new();
            for mut turn in turns.drain(..) {
                match poll(&mut turn) {
                    None => still.push(turn),
                    Some(Ok(lease)) => leases.push(lease),
                    Some(Err(refusal)) => prop_assert!(false, "{:?}", refusal),
                }
            }
            turns = still;
            let status = pool.status();
            prop_assert!(status.waiting <= QUEUE);
            prop_assert_eq!(status.waiting, turns.len());
            let is_worn = |replica: &Arc<Replica>| overran.iter().any(|other| Arc::ptr_eq(other, replica));
            let only_worn = live.iter().all(is_worn);
            let mut free = 0;
            for replica in &live {
                let active = leases.iter().filter(|lease| Arc::ptr_eq(lease.replica(), replica)).count();
                let stuck = overran.iter().filter(|other| Arc::ptr_eq(other, replica)).count();
                prop_assert!(active + stuck <= CONCURRENCY);
                if only_worn || !is_worn(replica) {
                    free += CONCURRENCY - active - stuck;
                }
            }
            prop_assert!(turns.is_empty() || free == 0, "a call waits while {} places are free", free);
        }
        turns.clear();
        leases.clear();
        prop_assert_eq!(pool.status().active, 0);
        prop_assert_eq!(pool.status().waiting, 0);
    }
}

#[test]
fn a_sick_replica_gets_no_calls_until_it_is_well() {
    let (pool, replicas) = pool(1, 10, 2);
    pool.set_health(&replicas[0], Err("no model"));
    assert_eq!(pool.status().ready, 1);
    let held = poll(&mut ask(&pool)).unwrap().unwrap();
    assert!(Arc::ptr_eq(held.replica(), &replicas[1]));
    let mut waiting = ask(&pool);
    assert!(poll(&mut waiting).is_none());
    pool.set_health(&replicas[1], Err("no model either"));
    assert!(matches!(poll(&mut waiting), Some(Err(PoolRefusal::NotReady(_)))));
    assert!(matches!(poll(&mut ask(&pool)), Some(Err(PoolRefusal::NotReady(_)))));
    pool.set_health(&replicas[0], Ok(()));
    assert!(matches!(poll(&mut ask(&pool)), Some(Ok(_))));
}
