//! Readiness, and the health that a guest reports of itself.

use serde_json::json;

use crate::harness::{Chain, FAULTY, eventually};

#[tokio::test]
async fn an_unhealthy_chainlet_makes_the_chain_unready_until_it_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::new(&format!(
        "{FAULTY}health = {{ failures = 100000 }}\n[[chainlets.faulty.assets.files]]\nsource = '{}'\npath = \"/ward\"\n",
        folder.path().display()
    ));
    let served = chain.serve();
    assert_eq!(served.ask("ail:/ward/ill").await, "did ail:/ward/ill");
    assert_eq!(served.public.get("/readyz").await.status, 200, "the chainlet ails only once the file exists");

    let ill = folder.path().join("ill");
    std::fs::write(&ill, "").unwrap();
    let problem = eventually("the chain is not ready", async || {
        let reply = served.public.get("/readyz").await;
        (reply.status != 200).then(|| reply.problem(503, "not-ready"))
    })
    .await;
    assert!(problem["detail"].as_str().unwrap().contains("faulty"), "{problem}");
    let refused = served.public.tell("echo:x").await;
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    refused.problem(503, "not-ready");
    assert_eq!(served.public.get("/healthz").await.status, 200, "the process is alive all the same");
    assert!(served.state("faulty").await["down"].as_str().unwrap().contains("it ails from /ward/ill"));

    std::fs::remove_file(&ill).unwrap();
    eventually("the chain is ready again", async || (served.public.get("/readyz").await.status == 200).then_some(()))
        .await;
    assert_eq!(served.ask("inits").await, "1", "the instance is the same as before");
}

#[tokio::test]
async fn calls_avoid_an_unhealthy_replica() {
    let served = Chain::new(&format!("{FAULTY}replicas = 2\nhealth = {{ failures = 100000 }}\n")).serve();
    served.ask("sicken:for a test").await;
    served.until_state("faulty", "ready", json!(1)).await;
    assert_eq!(served.public.get("/readyz").await.status, 200);
    let well = served.ask("who").await;
    let held = served.begin("hold");
    served.until_state("faulty", "active", json!(1)).await;
    assert_eq!(served.ask("who").await, well, "a busy replica comes before an unhealthy one");
    held.abort();
    served.until_log("for a test").await;
}

#[tokio::test]
async fn a_replica_that_stays_unhealthy_is_replaced() {
    for sync in ["", "_sync"] {
        let text = FAULTY.replace("<guest_faulty>", &format!("<guest_faulty{sync}>"));
        let served = Chain::new(&format!("{text}health = {{ interval = \"50ms\", failures = 2 }}\n")).serve();
        assert_eq!(served.ask("calls").await, "1");
        served.ask("sicken:for good").await;
        served.until_log("not well and does not get better").await;
        // The host rejects calls until the new replica is ready.
        let calls = eventually("a new replica answers", async || {
            let reply = served.public.tell("calls").await;
            (reply.status == 200).then(|| reply.said())
        });
        assert_eq!(calls.await, "1", "the instance is new");
        assert_eq!(served.ask("inits").await, "1");
    }
}

#[tokio::test]
async fn a_replica_that_computes_does_not_count_as_unhealthy() {
    for sync in ["", "_sync"] {
        let text = FAULTY.replace("<guest_faulty>", &format!("<guest_faulty{sync}>"));
        let served = Chain::new(&format!("{text}health = {{ interval = \"20ms\", failures = 1 }}\n")).serve();
        assert_eq!(served.ask("spin:1000").await, "did spin:1000");
        assert_eq!(served.ask("calls").await, "2", "the instance is the same as before");
        assert!(!served.log().contains("not well"), "{}", served.log());
    }
}
