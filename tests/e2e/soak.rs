//! Ten thousand faults leave nothing behind.

use crate::harness::{Chain, Served, eventually, json_request};
use http_body_util::BodyExt;
use serde_json::json;

/// Words that end a replica. They go to a chainlet behind a relay, so that an edge and its caller see the faults, too.
const FAULTS: [&str; 6] = ["trap", "panic:again", "exit:1", "overflow", "hoard", "leak"];
const CLIENTS: usize = 4;
const WARM_UP: usize = 2_000;
const FAULTS_IN_ALL: usize = 10_000;

async fn faults(served: &Served, count: usize) {
    let clients = (0..CLIENTS).map(|client| async move {
        let mut sender = served.public.http1().await.unwrap();
        for number in (client..count).step_by(CLIENTS) {
            let what = FAULTS[number % FAULTS.len()];
            let request = json_request("/run_remote", json!({ "what": what }).to_string());
            sender.ready().await.unwrap();
            let response = sender.send_request(request).await.unwrap();
            let (head, body) = response.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            assert_eq!(head.status, 500, "{}", String::from_utf8_lossy(&body));
        }
    });
    futures::future::join_all(clients).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_faults_leave_no_memory_no_file_and_no_thread_behind() {
    let chain = Chain::new(
        r#"
[chain]
name = "test"
entrypoint = "relay"
[chainlets.relay]
component = "<guest_relay>"
depends.next = { chainlet = "faulty", breaker = false }
depends.other = { chainlet = "calm" }
[chainlets.faulty]
component = "<guest_faulty>"
concurrency = 1
replicas = 2
resources = { memory = "8MiB" }
[chainlets.calm]
component = "<guest_faulty>"
"#,
    );
    let mut command = chain.serve_command(&[]);
    // Other tests check the log of faults. Here it would only fill the memory of the test.
    command.env("CHAINHOST_LOG", "off");
    let served = Served::start(command);
    faults(&served, WARM_UP).await;
    served.until_state("faulty", "ready", json!(2)).await;
    let before = served.held();
    faults(&served, FAULTS_IN_ALL - WARM_UP).await;
    served.until_state("faulty", "ready", json!(2)).await;
    eventually("the connections are gone", async || (served.held().files <= before.files).then_some(())).await;
    let after = served.held();
    assert!(after.threads <= before.threads, "{before:?}, then {after:?}");
    // There were four times as many faults as before. So anything that a fault leaves behind would now be there four
    // times again.
    assert!(after.resident < before.resident + (32 << 20), "{before:?}, then {after:?}");
    assert_eq!(served.ask("other:calls").await, "1");
    assert_eq!(served.ask("calls").await, "1", "the relay that saw the faults still works");
}
