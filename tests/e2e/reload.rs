//! A new version of a chain replaces the running one, and no call is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http_body_util::BodyExt;
use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::harness::{Chain, Endpoint, FAULTY, Served, component, eventually, json_request};

/// Returns a chain whose greetings contain its version.
fn greeting(version: usize, rollout: &str) -> String {
    Chain::filled(&format!(
        r#"
[chain]
name = "hello"
entrypoint = "hello-all"
rollout = {rollout}
[chainlets.say-hello]
component = "<say_hello>"
config = {{ greeting = "v{version}" }}
[chainlets.hello-all]
component = "<hello_all>"
"#
    ))
}

async fn reload(served: &Served) -> Json {
    served.admin.post("/reload", &json!({})).await.json()
}

/// Returns the version of a greeting, after checking that the whole greeting is of one version.
fn version_of(answer: &Json) -> usize {
    let greetings: Vec<_> = answer.as_array().unwrap().iter().map(|greeting| greeting.as_str().unwrap()).collect();
    let versions: Vec<usize> = greetings
        .iter()
        .map(|greeting| greeting.strip_prefix('v').unwrap().split_once(',').unwrap().0.parse().unwrap())
        .collect();
    assert!(versions.len() == 3 && versions.iter().all(|version| *version == versions[0]), "{greetings:?}");
    versions[0]
}

/// Calls over one connection until `done`. Checks that each answer is of one version, and that no version is older than
/// that of the answer before.
async fn load(endpoint: Endpoint, done: Arc<AtomicBool>, answered: Arc<AtomicUsize>) {
    let mut sender = endpoint.http1().await.unwrap();
    let mut newest = 0;
    while !done.load(Ordering::Relaxed) {
        let request = json_request("/run_remote", json!({ "names": ["a", "b", "c"] }).to_string());
        sender.ready().await.unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let version = version_of(&serde_json::from_slice(&body).unwrap());
        assert!(version >= newest, "after version {newest}, version {version} answered");
        newest = version;
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_reloads_under_load_lose_no_call_and_mix_no_versions() {
    let chain = Chain::new(&greeting(1, "\"atomic\""));
    let served = chain.serve();
    let (done, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..8).map(|_| tokio::spawn(load(served.public, done.clone(), answered.clone()))).collect();
    for version in 2..=51 {
        let before = answered.load(Ordering::Relaxed);
        chain.write("chain.toml", greeting(version, "\"atomic\""));
        assert_eq!(reload(&served).await, json!({ "version": version, "on_trial": false }));
        let answer = served.public.call(&json!({ "names": ["a", "b", "c"] })).await.json();
        assert_eq!(version_of(&answer), version, "the new version answers calls that begin after the reload");
        eventually("calls go on", async || (answered.load(Ordering::Relaxed) > before).then_some(())).await;
    }
    done.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    eventually("the old versions have stopped", async || {
        (served.log().matches("an old version of the chain has stopped").count() == 50).then_some(())
    })
    .await;
    assert!(!served.log().contains("ERROR"), "{}", served.log());
}

#[tokio::test]
async fn a_new_version_that_fails_to_load_is_reported_and_the_old_one_serves() {
    let chain = Chain::new(FAULTY);
    let served = chain.serve();
    assert_eq!(served.ask("calls").await, "1");
    chain.write("chain.toml", "[chain]\nnam = \"test\"\n");
    let problem = served.admin.post("/reload", &json!({})).await.problem(422, "reload-failed");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("chain.toml:2:1: chain.nam: unknown key nam"), "{detail}");
    chain.write("chain.toml", Chain::filled(&format!("{FAULTY}config = {{ init = \"err:no model\" }}\n")));
    let problem = served.admin.post("/reload", &json!({})).await.problem(422, "reload-failed");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("faulty") && detail.contains("no model"), "{detail}");
    assert_eq!(served.ask("calls").await, "2", "the instance is the same as before");
    assert_eq!(served.admin.get("/chain").await.json()["version"], 1);
}

#[tokio::test]
async fn calls_in_flight_stay_with_the_version_that_they_began_in() {
    let chain = Chain::new(FAULTY);
    let served = chain.serve();
    let begun = served.begin("sleep:1000");
    served.until_state("faulty", "active", json!(1)).await;
    assert_eq!(reload(&served).await["version"], 2);
    assert_eq!(served.state("faulty").await["active"], 0, "the new version has no call");
    assert_eq!(begun.await.unwrap().said(), "did sleep:1000");
    served.until_log("an old version of the chain has stopped").await;
}

#[tokio::test]
async fn a_watched_file_that_becomes_a_fifo_is_refused_and_blocks_nothing() {
    let chain = Chain::new(FAULTY);
    let served = chain.serve_with(&["--watch"]);
    let path = chain.folder().join("chain.toml");
    std::fs::remove_file(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    served.until_log("the new version does not load").await;
    served.until_log("it is a FIFO, a socket or a device, and no regular file").await;
    assert_eq!(served.public.get("/healthz").await.status, 200);
    assert_eq!(served.ask("echo:x").await, "x");
    served.signal(Signal::TERM);
    assert_eq!(served.finish().await.code, Some(0));
}

#[tokio::test]
async fn a_hangup_signal_loads_a_new_version() {
    let chain = Chain::new(&greeting(1, "\"atomic\""));
    let served = chain.serve();
    chain.write("chain.toml", greeting(2, "\"atomic\""));
    served.signal(Signal::HUP);
    served.until_log("reloaded version=2").await;
    let answer = served.public.call(&json!({ "names": ["a", "b", "c"] })).await.json();
    assert_eq!(version_of(&answer), 2);
}

#[tokio::test]
async fn a_change_of_a_watched_file_loads_a_new_version() {
    let chain = Chain::new(&greeting(1, "\"atomic\""));
    let served = chain.serve_with(&["--watch"]);
    chain.write("chain.toml", greeting(2000, "\"atomic\""));
    served.until_log("reloaded version=2").await;
    let answer = served.public.call(&json!({ "names": ["a", "b", "c"] })).await.json();
    assert_eq!(version_of(&answer), 2000);
}

#[tokio::test]
async fn a_canary_gets_its_share_of_the_calls_and_then_all() {
    let chain = Chain::new(&greeting(1, "\"atomic\""));
    let served = chain.serve();
    chain.write("chain.toml", greeting(2, r#"{ canary = { share = 0.5, trial = "2s" } }"#));
    assert_eq!(reload(&served).await, json!({ "version": 2, "on_trial": true }));
    assert_eq!(served.admin.get("/chain").await.json()["trial"], json!({ "version": 2, "share": 0.5 }));
    let mut seen = [0, 0];
    while seen.contains(&0) {
        let answer = served.public.call(&json!({ "names": ["a", "b", "c"] })).await.json();
        seen[version_of(&answer) - 1] += 1;
    }
    served.until_log("it gets all calls").await;
    assert_eq!(served.admin.get("/chain").await.json()["version"], 2);
    for _ in 0..20 {
        let answer = served.public.call(&json!({ "names": ["a", "b", "c"] })).await.json();
        assert_eq!(version_of(&answer), 2);
    }
}

#[tokio::test]
async fn a_canary_whose_calls_fail_more_often_gives_way_to_the_old_version() {
    let chain = Chain::new(&greeting(1, "\"atomic\""));
    let served = chain.serve();
    // The entrypoint of the new version traps on every call.
    chain.write_component(
        "traps.wasm",
        r#"(component
            (core module $m
                (memory (export "memory") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
                (func (export "run") (param i32 i32) (result i32) unreachable))
            (core instance $i (instantiate $m))
            (func (export "run-remote") (param "names" (list string)) (result (result (list string) (error string)))
                (canon lift (core func $i "run") (memory $i "memory") (realloc (func $i "realloc")))))"#,
    );
    let trial = r#"{ canary = { share = 0.5, trial = "2s" } }"#;
    chain.write(
        "chain.toml",
        format!("[chain]\nname = \"hello\"\nrollout = {trial}\n[chainlets.traps]\ncomponent = \"traps.wasm\"\n"),
    );
    assert_eq!(reload(&served).await["on_trial"], true);
    let mut seen = [false, false];
    while seen != [true, true] {
        let reply = served.public.call(&json!({ "names": ["a", "b", "c"] })).await;
        match reply.status.as_u16() {
            200 => seen[0] = true,
            _ => {
                reply.problem(500, "trap");
                seen[1] = true;
            }
        }
    }
    served.until_log("the old one stays").await;
    let state = served.admin.get("/chain").await.json();
    assert_eq!((&state["version"], &state["trial"]), (&json!(1), &Json::Null));
    for _ in 0..20 {
        let answer = served.public.call(&json!({ "names": ["a", "b", "c"] })).await.json();
        assert_eq!(version_of(&answer), 1);
    }
}

#[tokio::test]
async fn a_new_version_uses_the_changed_component_and_the_changed_secret() {
    let chain = Chain::new(
        "[chain]\nname = \"test\"\n[chainlets.faulty]\ncomponent = \"f.wasm\"\nassets.secrets = [\"word\"]\n",
    );
    let copy = |guest: &str| chain.write("f.wasm", std::fs::read(component(guest)).unwrap());
    copy("guest_faulty");
    chain.write("secrets.toml", "word = \"first\"\n");
    let served = chain.serve_with(&["--watch", "--secrets", "secrets.toml"]);
    assert_eq!((served.ask("held").await, served.ask("secret:word").await), ("0".into(), "first".into()));
    chain.write("secrets.toml", "word = \"second one\"\n");
    served.until_log("reloaded version=2").await;
    assert_eq!(served.ask("secret:word").await, "second one");
    copy("guest_faulty_sync");
    served.until_log("reloaded version=3").await;
    let problem = served.public.tell("held").await.problem(422, "chainlet-error");
    assert_eq!(problem["error"], "faulty-sync cannot `held`");
}

#[tokio::test]
async fn a_signal_during_a_trial_stops_both_versions_and_loses_no_call() {
    let chain = Chain::new(FAULTY);
    let served = chain.serve();
    let mut calls = vec![served.begin("sleep:700")];
    served.until_state("faulty", "active", json!(1)).await;
    chain.write(
        "chain.toml",
        Chain::filled(
            &FAULTY
                .replace("name = \"test\"", "name = \"test\"\nrollout = { canary = { share = 0.5, trial = \"1h\" } }"),
        ),
    );
    assert_eq!(reload(&served).await["on_trial"], true);
    calls.extend((0..20).map(|_| served.begin("sleep:700")));
    eventually("all calls are accepted", async || {
        let metrics = served.admin.get("/metrics").await.text();
        metrics.contains("chainhost_http_requests_in_flight 22\n").then_some(())
    })
    .await;
    served.signal(Signal::TERM);
    for call in calls {
        assert_eq!(call.await.unwrap().said(), "did sleep:700");
    }
    assert_eq!(served.finish().await.code, Some(0));
}
