//! Ten thousand faults, and nothing of them is left.

use std::collections::BTreeMap;

use crate::harness::{Chain, Served, eventually, json_request};
use http_body_util::BodyExt;
use serde_json::json;

/// Each ends its replica. They are told to a chainlet behind a relay, so that an edge and its caller see them, too.
const FAULTS: [&str; 6] = ["trap", "panic:again", "exit:1", "overflow", "hoard", "leak"];
const CLIENTS: usize = 4;
const WARM_UP: usize = 2_000;
const FAULTS_IN_ALL: usize = 10_000;

/// What the process holds of the system.
#[derive(Debug)]
struct Held {
    resident: u64,
    files: usize,
    threads: u64,
}

fn held(served: &Served) -> Held {
    let folder = format!("/proc/{}", served.id());
    let status = std::fs::read_to_string(format!("{folder}/status")).unwrap();
    let lines: BTreeMap<_, _> = status.lines().filter_map(|line| line.split_once(":\t")).collect();
    let number = |name: &str| lines[name].split_whitespace().next().unwrap().parse::<u64>().unwrap();
    let files = std::fs::read_dir(format!("{folder}/fd")).unwrap().count();
    Held { resident: number("VmRSS") * 1024, files, threads: number("Threads") }
}

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
    // What is logged of each fault is tested elsewhere, and would only fill this test's memory.
    command.env("CHAINHOST_LOG", "off");
    let served = Served::start(command);
    faults(&served, WARM_UP).await;
    served.until_state("faulty", "ready", json!(2)).await;
    let before = held(&served);
    faults(&served, FAULTS_IN_ALL - WARM_UP).await;
    served.until_state("faulty", "ready", json!(2)).await;
    eventually("the connections are gone", async || (held(&served).files <= before.files).then_some(())).await;
    let after = held(&served);
    assert!(after.threads <= before.threads, "{before:?}, then {after:?}");
    // Four times as many faults as before: what each left behind would be there four times again.
    assert!(after.resident < before.resident + (32 << 20), "{before:?}, then {after:?}");
    assert_eq!(served.ask("other:calls").await, "1");
    assert_eq!(served.ask("calls").await, "1", "relays that saw faults go on");
}
