//! Several instances of one chainlet.

use std::collections::BTreeSet;

use serde_json::json;

use crate::harness::{Chain, FAULTY};

#[tokio::test]
async fn each_replica_runs_init_once_and_calls_go_to_the_least_loaded() {
    let served = Chain::new(&format!("{FAULTY}replicas = 2\n")).serve();
    served.until_state("faulty", "ready", json!(2)).await;
    let idle = served.ask("who").await;
    let held = served.begin("hold");
    served.until_state("faulty", "active", json!(1)).await;
    let beside = served.ask("who").await;
    let both: BTreeSet<_> = [idle.as_str(), beside.as_str()].into();
    assert_eq!(both, ["test/faulty/0/development", "test/faulty/1/development"].into());
    assert_eq!(served.ask("held").await, "0", "the call beside a held one goes to the other replica");
    assert_eq!(served.ask("inits").await, "1");
    held.abort();
}

#[tokio::test]
async fn one_replica_that_traps_leaves_the_calls_of_the_other_alone() {
    let served = Chain::new(&format!("{FAULTY}replicas = 2\n")).serve();
    let held = served.begin("hold");
    served.until_state("faulty", "active", json!(1)).await;
    let other = served.ask("who").await;
    served.public.tell("trap").await.problem(500, "trap");
    served.until_state("faulty", "ready", json!(2)).await;
    assert!(!held.is_finished());
    // The new replica has the number of the one that it replaces, and is idle.
    assert_eq!(served.ask("who").await, other);
    assert_eq!(served.ask("calls").await, "2");
    held.abort();
}
