//! Several replicas of one chainlet.

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
async fn a_trap_in_one_replica_does_not_affect_calls_in_the_other() {
    let served = Chain::new(&format!("{FAULTY}replicas = 2\n")).serve();
    let held = served.begin("hold");
    served.until_state("faulty", "active", json!(1)).await;
    let other = served.ask("who").await;
    served.public.tell("trap").await.problem(500, "trap");
    served.until_state("faulty", "ready", json!(2)).await;
    assert!(!held.is_finished());
    // The new replica has the number of the replaced one, and is idle.
    assert_eq!(served.ask("who").await, other);
    assert_eq!(served.ask("calls").await, "2");
    held.abort();
}

#[tokio::test]
async fn replicas_follow_the_load_up_and_down_within_their_bounds() {
    let replicas = r#"{ min = 1, max = 3, target = 0.5, window = "100ms", idle = "300ms" }"#;
    let served = Chain::new(&format!("{FAULTY}replicas = {replicas}\nconcurrency = 2\ngrace = \"300ms\"\n")).serve();
    assert_eq!(served.state("faulty").await["ready"], 1);
    let held: Vec<_> = (0..4).map(|_| served.begin("hold")).collect();
    // With a target of half of 2 concurrent calls for each replica, four calls would need four replicas. At most three
    // are allowed.
    served.until_state("faulty", "ready", json!(3)).await;
    assert_eq!(served.ask("inits").await, "1");
    for call in held {
        call.abort();
    }
    // Nobody waits for the calls any more. So the host gives up the replicas that still hold them, and then there is no
    // load.
    served.until_state("faulty", "ready", json!(1)).await;
    assert_eq!(served.ask("echo:x").await, "x");
}

#[tokio::test]
async fn a_chainlet_may_scale_to_zero_and_the_next_call_waits_for_a_start() {
    let replicas = r#"{ min = 0, max = 1, window = "100ms", idle = "300ms" }"#;
    let served = Chain::new(&format!("{FAULTY}replicas = {replicas}\n")).serve();
    for _ in 0..2 {
        served.until_state("faulty", "ready", json!(0)).await;
        assert_eq!(served.public.get("/readyz").await.status, 200, "a chain without replicas is ready");
        assert_eq!(served.ask("calls").await, "1", "each time, the replica is new");
        assert_eq!(served.state("faulty").await["wanted"], 1);
    }
}

#[tokio::test]
async fn a_replica_that_fails_to_start_is_shown_and_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let served = Chain::new(&format!(
        "{FAULTY}replicas = {{ min = 0, max = 1 }}\nconfig = {{ init = \"read:/data/model\" }}\n\
         assets.files = [{{ source = '{}', path = \"/data\" }}]\n",
        folder.path().display()
    ))
    .serve();
    served.public.tell("echo:x").await.problem(503, "not-ready");
    let problem = served.public.get("/readyz").await.problem(503, "not-ready");
    assert_eq!(problem["detail"], "no replica is ready of: faulty", "the public sees no words of guests");
    let problem = served.admin.get("/readyz").await.problem(503, "not-ready");
    assert!(problem["detail"].as_str().unwrap().contains("`init` failed: /data/model"), "{problem}");
    let down = served.state("faulty").await["down"].as_str().unwrap().to_owned();
    assert!(down.contains("`init` failed: /data/model"), "{down}");
    std::fs::write(folder.path().join("model"), "weights").unwrap();
    served.until_state("faulty", "ready", json!(1)).await;
    assert_eq!(served.ask("echo:x").await, "x");
}

#[tokio::test]
async fn a_replica_that_is_not_needed_any_more_finishes_its_calls_first() {
    let replicas = r#"{ min = 0, max = 2, window = "50ms", idle = "100ms" }"#;
    let served = Chain::new(&format!("{FAULTY}replicas = {replicas}\nconcurrency = 1\n")).serve();
    let (long, short) = (served.begin("spin:3000"), served.begin("spin:200"));
    served.until_state("faulty", "ready", json!(2)).await;
    assert_eq!(short.await.unwrap().said(), "did spin:200");
    served.until_state("faulty", "ready", json!(1)).await;
    assert_eq!(long.await.unwrap().said(), "did spin:3000");
    served.until_state("faulty", "ready", json!(0)).await;
}
