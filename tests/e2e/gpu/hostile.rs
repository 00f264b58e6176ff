//! Malicious guests and shaders. They may harm themselves, and do nothing to others.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use rustix::process::{Signal, kill_process};
use serde_json::{Value as Json, json};

use super::{ISOLATIONS, PATIENT, played, until_memory, workers};
use crate::harness::{Chain, Held, Reply, Served, eventually, json_request};

const GUEST: &str = "guest_gpu_rules";
/// The number of bytes by which the memory of a warm host may grow while it is attacked. The allocators of a driver and
/// its compiler keep some 200 MiB of their earlier memory. This amount levels off after two rounds of texts or 100
/// traps, and then goes up and down by some 40 MiB.
const MARGIN: u64 = 96 << 20;

/// Returns a chain of `count` chainlets with a GPU, `gpu`, `gpu1` and so on, and of `calm`, which has none.
fn chain(isolation: &str, timeout: &str, count: usize) -> Chain {
    let of_number = |number: usize| {
        let number = if number == 0 { String::new() } else { number.to_string() };
        format!(
            r#"
[chainlets.gpu{number}]
component = "<{GUEST}>"
grace = "200ms"
[chainlets.gpu{number}.resources]
gpu = {{ adapter = "cpu", memory = "64MiB", timeout = "{timeout}" }}
"#
        )
    };
    let gpus: String = (0..count).map(of_number).collect();
    Chain::new(&format!(
        r#"
[chain]
name = "test"
entrypoint = "gpu"

[gpu]
isolation = "{isolation}"

[chainlets.calm]
component = "<guest_faulty>"
{gpus}"#
    ))
}

async fn ask(served: &Served, chainlet: &str, scenario: &str) -> Reply {
    served.admin.post(&format!("/chainlets/{chainlet}/run_remote"), &json!({ "scenario": scenario })).await
}

/// Returns the resources that the process of the host holds, and the number of its workers.
fn held(served: &Served) -> BTreeMap<&'static str, u64> {
    let Held { resident, files, threads, .. } = served.held();
    BTreeMap::from([
        ("resident", resident),
        ("threads", threads),
        ("files", files as u64),
        ("workers", workers(served).len() as u64),
    ])
}

/// Returns the bytes of resident memory of the host.
fn resident(served: &Served) -> u64 {
    served.held().resident
}

/// Waits until the host has at most one worker.
async fn until_one_worker(served: &Served) {
    eventually("the workers that were given up are gone", async || (workers(served).len() <= 1).then_some(())).await;
}

#[tokio::test]
async fn endless_work_fails_at_its_deadline_and_a_new_device_works() {
    let served = chain("process", "1s", 1).serve();
    for scenario in ["hang", "hang-blocking", "hang-often", "hang-destroyed"] {
        // The scenario opens a new device in the same call, and `well` opens one in the next.
        played(&served, &[scenario, "well"]).await;
    }
    until_one_worker(&served).await;
}

#[tokio::test]
async fn a_worker_that_is_killed_loses_only_its_devices() {
    let served = chain("process", "60s", 1).serve();
    played(&served, &["keep"]).await;
    let workers = workers(&served);
    assert_eq!(workers.len(), 1, "{workers:?}");
    kill_process(workers[0], Signal::KILL).unwrap();
    served.until_log("a GPU device is lost").await;
    played(&served, &["well"]).await;
}

#[tokio::test]
async fn gpu_memory_of_an_instance_is_counted_and_freed_with_it() {
    for isolation in ISOLATIONS {
        let served = chain(isolation, "60s", 1).serve();
        played(&served, &["keep"]).await;
        until_memory(&served, 24 << 20).await;
        ask(&served, "gpu", "trap").await.problem(500, "trap");
        until_memory(&served, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_gpu_work_blocks_neither_other_chainlets_nor_a_stop() {
    const GUESTS: usize = 4;
    for isolation in ISOLATIONS {
        println!("GPU work runs {isolation}");
        // There are more of these guests than threads for guests.
        let served = chain(isolation, "1s", GUESTS).serve_with(&["--guest-threads", "2"]);
        let names = ["gpu", "gpu1", "gpu2", "gpu3"];
        let hangs = async {
            let hangs = names.map(|name| ask(&served, name, "hang-often"));
            join_all(hangs).await.iter().map(Reply::said).collect::<Vec<_>>()
        };
        let calm = async {
            for number in 0..200 {
                assert_eq!(served.tell("calm", &format!("echo:{number}")).await.said(), number.to_string());
                assert_eq!(served.public.get("/healthz").await.status, 200);
            }
        };
        let (hung, ()) = futures::join!(hangs, calm);
        assert_eq!(hung, vec!["ok"; GUESTS]);
        assert!(served.log().contains("a GPU device is lost"), "{}", served.log());
        assert_eq!(served.tell("calm", "echo:still").await.said(), "still");
        served.signal(Signal::TERM);
        assert_eq!(served.finish().await.code, Some(0));
    }
}

#[tokio::test]
async fn shaders_reach_nothing_beyond_their_bounds() {
    for isolation in ISOLATIONS {
        let served = chain(isolation, "60s", 2).serve();
        // Another chainlet has objects on the GPU all the while.
        assert_eq!(ask(&served, "gpu1", "keep").await.said(), "ok");
        played(&served, &["out-of-bounds"; 5]).await;
        assert_eq!(ask(&served, "gpu1", "well").await.said(), "ok");
    }
}

/// Texts that are rejected or compiled in a moment.
const SHORT: [&str; 27] = [
    "parentheses",
    "negations",
    "complements",
    "references",
    "swizzles",
    "calls",
    "indices",
    "blocks",
    "cases",
    "types",
    "structs",
    "aliases",
    "constants",
    "overrides",
    "constant-array",
    "indexed-constant-array",
    "doubling-constants",
    "private-array",
    "local-array",
    "array-of-arrays",
    "copied-array",
    "comments",
    "garbage",
    "open",
    "megabytes",
    "megabytes-of-signs",
    "megabytes-of-space",
];
/// Texts on which a compiler may work for hours, or which take all memory.
const LONG: [&str; 14] = [
    "sum",
    "sum-of-constants",
    "conjunction",
    "else-ifs",
    "loops",
    "members",
    "doubling-calls",
    "chain-of-calls",
    "shared-array",
    "overridden-array",
    "returned-array",
    "selections",
    "statements",
    "compiled-late",
];

async fn explode(served: &Served, bombs: &[&str]) {
    let bombs: Vec<_> = bombs.iter().map(|name| format!("bomb:{name}")).collect();
    played(served, &bombs.iter().map(String::as_str).collect::<Vec<_>>()).await;
    until_memory(served, 0).await;
    assert_eq!(served.tell("calm", "echo:all is well").await.said(), "all is well");
}

#[tokio::test]
async fn texts_that_would_break_a_compiler_are_refused_before_it_sees_them() {
    for isolation in ISOLATIONS {
        println!("GPU work runs {isolation}");
        let served = chain(isolation, "60s", 1).serve();
        for _ in 0..2 {
            explode(&served, &SHORT).await;
        }
        let before = resident(&served);
        explode(&served, &SHORT).await;
        let after = resident(&served);
        assert!(after < before + MARGIN, "{before} bytes, then {after}");
    }
}

#[tokio::test]
async fn an_endless_or_memory_hungry_compiler_costs_only_a_worker() {
    let served = chain("process", "2s", 1).serve();
    played(&served, &["well"]).await;
    let before = held(&served);
    explode(&served, &LONG).await;
    until_one_worker(&served).await;
    let after = held(&served);
    assert!(after["resident"] < before["resident"] + MARGIN, "{before:?}, then {after:?}");
}

#[tokio::test]
async fn a_guest_that_traps_during_its_work_leaves_nothing_behind() {
    const WARM_UP: usize = 100;
    const TRAPS: usize = 100;
    for isolation in ISOLATIONS {
        println!("GPU work runs {isolation}");
        let served = chain(isolation, "60s", 1).serve();
        let traps = async |count: usize| {
            for _ in 0..count {
                // The next replica is ready a moment after the trap. No breaker is involved.
                eventually("it traps", async || (ask(&served, "gpu", "trap").await.status == 500).then_some(())).await;
            }
            until_memory(&served, 0).await;
            played(&served, &["well"]).await;
        };
        traps(WARM_UP).await;
        let before = held(&served);
        traps(TRAPS).await;
        for what in ["threads", "files", "workers"] {
            eventually(&format!("no more {what} than before"), async || {
                (held(&served)[what] <= before[what]).then_some(())
            })
            .await;
        }
        let after = held(&served);
        assert!(after["resident"] < before["resident"] + MARGIN, "{before:?}, then {after:?}");
    }
}

#[tokio::test]
async fn gigabytes_that_are_written_but_never_submitted_do_not_pile_up() {
    for (isolation, scenario) in ISOLATIONS.into_iter().flat_map(|one| [(one, "flood"), (one, "refused-flood")]) {
        println!("GPU work runs {isolation}: {scenario}");
        let served = chain(isolation, "60s", 1).serve_with(&PATIENT);
        played(&served, &["well"]).await;
        let before = resident(&served);
        let most = Cell::new(before);
        let watch = async {
            loop {
                most.set(most.get().max(resident(&served)));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let flood = tokio::select! {
            flood = ask(&served, "gpu", scenario) => flood,
            () = watch => unreachable!("the watch never ends"),
        };
        let most = most.get();
        assert_eq!(flood.said(), "ok");
        assert!(most < before + (256 << 20), "{before} bytes at first, and {most} while 2 GiB were written");
    }
}

#[tokio::test]
async fn reads_count_as_memory_until_they_are_taken() {
    for isolation in ISOLATIONS {
        let served = chain(isolation, "60s", 1).serve();
        played(&served, &["reads-not-taken"]).await;
        until_memory(&served, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_beside_endless_work_does_not_block_other_calls() {
    for isolation in ISOLATIONS {
        println!("GPU work runs {isolation}");
        let served = chain(isolation, "1s", 1).serve_with(&["--guest-threads", "1"]);
        let calm = async {
            for number in 0..100 {
                assert_eq!(served.tell("calm", &format!("echo:{number}")).await.said(), number.to_string());
            }
        };
        let (read, ()) = futures::join!(ask(&served, "gpu", "read-beside-endless"), calm);
        assert_eq!(read.said(), "ok");
        served.signal(Signal::TERM);
        assert_eq!(served.finish().await.code, Some(0));
    }
}

#[tokio::test]
async fn endless_work_outlives_few_guests_in_process_and_none_in_a_worker() {
    let served = chain("in-process", "1s", 1).serve();
    let refused = eventually("a device is refused", async || {
        let reply = ask(&served, "gpu", "trap-endless").await;
        (reply.status == 422).then(|| reply.text().to_owned())
    })
    .await;
    assert!(
        refused.contains("the GPU is still at work for 4 devices of this chainlet that were given up"),
        "{refused}"
    );
    assert_eq!(served.tell("calm", "echo:still").await.said(), "still");

    let served = chain("process", "60s", 1).serve();
    for _ in 0..6 {
        eventually("it traps", async || (ask(&served, "gpu", "trap-endless").await.status == 500).then_some(())).await;
    }
    played(&served, &["well"]).await;
    until_one_worker(&served).await;
}

#[tokio::test]
async fn the_work_of_callers_that_leave_is_given_up() {
    for isolation in ISOLATIONS {
        let served = chain(isolation, "60s", 1).serve();
        played(&served, &["well"]).await;
        for round in 0..20_u64 {
            let leave = ["large", "queue", "cancelled-reads", "memory"].map(|scenario| {
                let mut request = json_request("/run_remote", json!({ "scenario": scenario }).to_string());
                let patience = format!("{}ms", 5 + 20 * round);
                request.headers_mut().insert("x-request-timeout", patience.parse().unwrap());
                served.public.send(request)
            });
            for reply in join_all(leave).await {
                // The call was done in time, was given up, or was rejected because of what the others have. Nothing
                // else may happen.
                assert!([200, 422, 503, 504].contains(&reply.status.as_u16()), "{}", reply.text());
            }
        }
        until_memory(&served, 0).await;
        played(&served, &["well", "memory"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_with_much_work_does_not_block_one_with_little() {
    for isolation in ISOLATIONS {
        let served = chain(isolation, "60s", 2).serve();
        let much = join_all((0..4).map(|_| ask(&served, "gpu1", "never-wait")));
        let little = async {
            for _ in 0..10 {
                played(&served, &["well"]).await;
            }
        };
        let (much, ()) = futures::join!(much, little);
        assert_eq!(much.iter().map(Reply::json).collect::<Vec<_>>(), vec![json!("ok"); 4]);
        until_memory(&served, 0).await;
    }
}

/// Returns a value of the chainlet `gpu` in the metrics.
async fn figure(served: &Served, name: &str) -> f64 {
    let metrics = served.admin.get("/metrics").await.text();
    let name = format!("chainhost_chainlet_gpu_{name}{{chainlet=\"gpu\"}} ");
    let figure = metrics.lines().find_map(|line| line.strip_prefix(name.as_str()));
    figure.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).parse().unwrap()
}

#[tokio::test]
async fn the_metrics_measure_the_work_that_was_done() {
    for isolation in ISOLATIONS {
        let served = chain(isolation, "60s", 1).serve();
        assert_eq!(figure(&served, "execution_seconds_count").await, 0.0);
        played(&served, &["queue"]).await;
        let submissions = figure(&served, "submission_seconds_count").await;
        assert!(submissions >= 230.0, "{submissions} of at least 230 submissions were counted");
        let executions = eventually("the GPU's own clock has measured a time", async || {
            Some(figure(&served, "execution_seconds_count").await).filter(|count| *count > 0.0)
        })
        .await;
        assert!(executions < submissions, "{executions} of {submissions} were timed");
        let seconds = figure(&served, "execution_seconds_sum").await;
        assert!(seconds > 0.0 && seconds < figure(&served, "submission_seconds_sum").await, "{seconds}");
        let state: Json = served.state("gpu").await;
        assert_eq!(state["active"], 0, "{state}");
    }
}
