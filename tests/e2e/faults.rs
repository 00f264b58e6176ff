//! Guests that fail. Their callers learn of the failure, and nobody else does.

use std::path::Path;

use serde_json::{Value as Json, json};

use crate::harness::{Chain, FAULTY, RELAY, json_request};

/// Returns the path of edges in a problem, each as `from → to (as dependency)`.
fn path(problem: &Json) -> Vec<String> {
    let edges = problem["path"].as_array().unwrap();
    let text = |edge: &Json, member: &str| edge[member].as_str().unwrap().to_owned();
    edges
        .iter()
        .map(|edge| format!("{} → {} (as {})", text(edge, "from"), text(edge, "to"), text(edge, "dependency")))
        .collect()
}

#[tokio::test]
async fn a_trap_fails_calls_in_flight_and_the_next_call_finds_a_new_replica() {
    let served = Chain::new(FAULTY).serve();
    let held = served.hold("hold", 5, "faulty").await;
    served.public.tell("trap").await.problem(500, "trap");
    for call in held {
        call.await.unwrap().problem(500, "trap");
    }
    assert_eq!(served.ask("calls").await, "1");
    assert_eq!(served.ask("inits").await, "1", "the new replica ran its init");
}

#[tokio::test]
async fn a_trap_in_one_chainlet_does_not_affect_calls_of_the_others() {
    let served = Chain::new(RELAY).serve();
    let held = served.hold("hold", 3, "first").await;
    let problem = served.public.tell("other:trap").await.problem(500, "trap");
    assert_eq!(problem["chainlet"], "second");
    assert_eq!(path(&problem), ["relay → second (as other)"]);
    assert_eq!(served.ask("release").await, "3");
    for call in held {
        assert_eq!(call.await.unwrap().said(), "did hold", "neither the caller nor its other callee is affected");
    }
    assert_eq!(served.ask("other:calls").await, "1");
}

#[tokio::test]
async fn a_chainlet_may_trap_again_and_again_and_comes_back_each_time() {
    let served = Chain::new(RELAY).serve();
    for _ in 0..4 {
        served.public.tell("trap").await.problem(500, "trap");
        assert_eq!(served.ask("calls").await, "1");
    }
}

#[tokio::test]
async fn if_one_of_two_concurrent_calls_fails_the_other_is_cancelled() {
    let served = Chain::new(RELAY).serve();
    let both = served.begin("both:hold");
    for chainlet in ["first", "second"] {
        served.until_state(chainlet, "active", json!(1)).await;
    }
    served.tell("second", "trap").await.problem(500, "trap");
    let problem = both.await.unwrap().problem(500, "trap");
    assert_eq!(path(&problem), ["relay → second (as other)"]);
    served.until_state("first", "active", json!(0)).await;
    assert_eq!(served.ask("release").await, "0", "`first` has dropped the call");
}

#[tokio::test]
async fn a_failure_two_hops_away_names_every_edge_root_cause_last() {
    let chain = Chain::new(
        r#"
[chain]
name = "c"
[chainlets.outer]
component = "<guest_relay>"
depends = { next = "inner", other = "leaf" }
[chainlets.inner]
component = "<guest_relay>"
depends = { next = "leaf", other = "leaf" }
[chainlets.leaf]
component = "<guest_faulty>"
"#,
    );
    let served = chain.serve();
    let problem = served.public.tell("trap").await.problem(500, "trap");
    assert_eq!(path(&problem), ["outer → inner (as next)", "inner → leaf (as next)"]);
    assert_eq!(problem["chainlet"], "leaf");
    let problem = served.public.tell("err:no such thing").await.problem(422, "chainlet-error");
    assert_eq!(problem["error"], "no such thing");
    assert_eq!(path(&problem), ["outer → inner (as next)", "inner → leaf (as next)"]);
    assert_eq!(problem["chainlet"], "leaf", "the problem names the chainlet where the failure began");
}

#[tokio::test]
async fn the_message_of_a_panic_is_only_for_the_log_and_for_admins() {
    let served = Chain::new(FAULTY).serve();
    let problem = served.public.tell("panic:the password is swordfish").await.problem(500, "trap");
    assert!(!problem.to_string().contains("swordfish"), "{problem}");
    assert!(problem.get("backtrace").is_none(), "{problem}");
    served.until_log("the password is swordfish").await;
    let id = problem["request_id"].as_str().unwrap();
    served.until_log(id).await;
    let problem = served.tell("faulty", "panic:swordfish").await.problem(500, "trap");
    assert!(problem["detail"].as_str().unwrap().contains("swordfish"), "{problem}");
}

#[tokio::test]
async fn a_guest_that_exits_ends_its_call_and_not_the_host() {
    let served = Chain::new(FAULTY).serve();
    for (code, status) in [("0", "0"), ("3", "1")] {
        let problem = served.tell("faulty", &format!("exit:{code}")).await.problem(500, "trap");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("exited with status {status}")), "{detail}");
        assert_eq!(served.ask("calls").await, "1");
    }
}

#[tokio::test]
async fn a_guest_gets_no_more_memory_than_its_limit_and_others_keep_theirs() {
    let served = Chain::new(&format!("{RELAY}resources = {{ memory = \"48MiB\" }}\n")).serve();
    let got: usize = served.ask("other:allocate").await.parse().unwrap();
    assert!((32..48).contains(&got), "the guest got {got} of 48 MiB");
    assert_eq!(served.ask("allocate:100").await, "100", "the limit applies to one chainlet");
    let problem = served.tell("second", "hoard").await.problem(500, "trap");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(&format!("limit of {} bytes", 48 << 20)), "{detail}");
    assert_eq!(served.ask("other:calls").await, "1");
    assert_eq!(served.ask("calls").await, "2");
}

#[tokio::test]
async fn guests_that_spin_do_not_starve_other_chainlets() {
    const SPINNING: usize = 8;
    let chain =
        Chain::new(&RELAY.replacen("\n[chainlets.second]", &format!("replicas = {SPINNING}\n\n[chainlets.second]"), 1));
    let served = chain.serve();
    let spinning: Vec<_> = (0..SPINNING).map(|_| served.begin("spin")).collect();
    served.until_state("first", "active", json!(SPINNING)).await;
    for number in 0..20 {
        let text = number.to_string();
        assert_eq!(served.ask(&format!("other:echo:{text}")).await, text);
    }
    assert_eq!(served.public.get("/readyz").await.status, 200);
    for call in spinning {
        assert!(!call.is_finished());
        call.abort();
    }
}

#[tokio::test]
async fn a_guest_that_computes_in_a_call_serves_other_calls_afterwards() {
    let served = Chain::new(FAULTY).serve();
    let calls = (0..3).map(|_| served.public.tell("spin:50"));
    for reply in futures::future::join_all(calls).await {
        assert_eq!(reply.said(), "did spin:50");
    }
    assert_eq!(served.ask("calls").await, "4");
}

/// The words that end a guest, each with a part of the message for whoever runs the chain.
const FATAL: [(&str, &str); 7] = [
    ("trap", "the guest ran an `unreachable` instruction; a panic, an abort"),
    ("panic:it hurts", "it hurts"),
    ("exit:3", "exited with status 1"),
    ("overflow", "the guest's stack overflowed; its recursion is too deep or has no end. The limit is 512 KiB"),
    ("hoard", "refused memory beyond its limit of 33554432 bytes"),
    ("leak", "it holds 4096 open files, sockets, requests and timers"),
    ("open:/data/file", "it holds 4096 open files, sockets, requests and timers"),
];

/// Returns a chain where `relay` calls `faulty` and `calm`. All three are async, or none is.
fn behind_a_relay(sync: &str) -> Chain {
    let chain = Chain::new(&format!(
        r#"
[chain]
name = "test"
entrypoint = "relay"
[chainlets.relay]
component = "<guest_relay{sync}>"
grace = "500ms"
depends = {{ next = "faulty", other = "calm" }}
[chainlets.faulty]
component = "<guest_faulty{sync}>"
grace = "500ms"
resources = {{ memory = "32MiB" }}
assets.files = [{{ source = ".", path = "/data" }}]
[chainlets.calm]
component = "<guest_faulty{sync}>"
"#
    ));
    chain.write("file", "");
    chain
}

#[tokio::test]
async fn the_end_of_a_guest_is_told_to_its_caller_and_a_new_one_follows() {
    for sync in ["", "_sync"] {
        let chain = behind_a_relay(sync);
        let served = chain.serve();
        for (what, cause) in FATAL {
            let problem = served.tell("faulty", what).await.problem(500, "trap");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(cause), "{what}: {detail}");
            let problem = served.public.tell(what).await.problem(500, "trap");
            assert_eq!(problem["chainlet"], "faulty", "{what}");
            assert_eq!(path(&problem), ["relay → faulty (as next)"], "{what}");
            assert_eq!(served.ask("calls").await, "1", "{what}: the instance is new");
            assert_eq!(served.ask("inits").await, "1", "{what}");
        }
        assert_eq!(served.ask("other:calls").await, "1", "the other chainlet is not affected");
    }
}

#[tokio::test]
async fn an_endless_call_ends_at_its_deadline_and_a_new_replica_follows() {
    for (sync, endless) in [("", &["forever", "spin", "flood"][..]), ("_sync", &["block:3600000", "spin", "flood"])] {
        let chain = behind_a_relay(sync);
        let served = chain.serve();
        for what in endless {
            let mut request = json_request("/run_remote", json!({ "what": what }).to_string());
            request.headers_mut().insert("x-request-timeout", "200ms".parse().unwrap());
            served.public.send(request).await.problem(504, "deadline");
            assert_eq!(served.ask("other:echo:x").await, "x", "{what}: the other chainlet still answers");
            // If the only place of the old replica is taken, this call waits for the new replica.
            assert_eq!(served.ask("echo:x").await, "x", "{what}");
        }
        served.until_log("calls that do not end").await;
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_fails_only_its_own_call() {
    for sync in ["", "_sync"] {
        let chain = FAULTY.replace("<guest_faulty>", &format!("<guest_faulty{sync}>"));
        let served = Chain::new(&format!("{chain}resources.value_limit = \"2MiB\"\n")).serve();
        assert_eq!(served.ask("long:1").await.len(), 1 << 20);
        let problem = served.tell("faulty", "long:3").await.problem(500, "trap");
        let key = "raise resources.value_limit of the chainlet faulty";
        assert!(problem["detail"].as_str().unwrap().contains(key), "{problem}");
        assert_eq!(served.ask("echo:x").await, "x");
    }
}

#[tokio::test]
async fn a_deadline_names_the_chainlet_that_was_slow_and_the_edges_to_it() {
    for (sync, slow) in [("", "forever"), ("_sync", "block:60000")] {
        let served = behind_a_relay(sync).serve();
        let mut request = json_request("/run_remote", json!({ "what": slow }).to_string());
        request.headers_mut().insert("x-request-timeout", "3s".parse().unwrap());
        let problem = served.public.send(request).await.problem(504, "deadline");
        assert_eq!(problem["chainlet"], "faulty");
        assert_eq!(path(&problem), ["relay → faulty (as next)"]);
    }
}

#[tokio::test]
async fn an_init_that_fails_traps_or_never_ends_ends_the_start_with_its_reason() {
    for sync in ["", "_sync"] {
        for (init, reason) in [
            ("err:no model", "`init` failed: no model"),
            ("trap", "`init` trapped: the guest ran an `unreachable` instruction"),
            ("exit:1", "exited with status 1"),
            ("overflow", "the guest's stack overflowed"),
            ("spin", "its start took longer than its start_timeout of 300ms"),
            ("block:3600000", "its start took longer than its start_timeout of 300ms"),
        ] {
            let text = FAULTY.replace("<guest_faulty>", &format!("<guest_faulty{sync}>"));
            let chain = Chain::new(&format!("{text}start_timeout = \"300ms\"\nconfig = {{ init = \"{init}\" }}\n"));
            chain.run(&["serve", "chain.toml", "--listen", "0"]).refused(6, &["chainlet faulty", reason]);
        }
    }
    let chain = Chain::new(&format!("{FAULTY}start_timeout = \"300ms\"\nconfig = {{ init = \"forever\" }}\n"));
    chain.run(&["serve", "chain.toml", "--listen", "0"]).refused(6, &["start_timeout of 300ms"]);
}

#[tokio::test]
async fn a_trap_has_the_frames_of_the_guest_with_names_files_and_lines() {
    const FILE: &str = "tests/guests/faults/src/lib.rs";
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(FILE)).unwrap();
    let line = 1 + source.lines().position(|line| line.contains("overflow(depth + 1)")).unwrap();
    let served = Chain::new(FAULTY).serve_with(&["--source-lines"]);
    let problem = served.tell("faulty", "overflow").await.problem(500, "trap");
    let backtrace = problem["backtrace"].as_str().unwrap();
    let frame = backtrace.lines().find(|frame| frame.contains("guest_faults::overflow, ")).unwrap();
    assert!(frame.ends_with(&format!("{FILE}:{line}")), "{backtrace}");
    served.until_log(&format!("\n    {frame}\n")).await;
}

#[tokio::test]
async fn a_component_without_line_tables_has_frames_with_names_only() {
    let chain = Chain::new("[chain]\nname = \"c\"\n[chainlets.faulty]\ncomponent = \"faulty.wasm\"\n");
    let component = r#"
(component
  (core module $m
    (func $crash unreachable)
    (func (export "run") (call $crash)))
  (core instance $i (instantiate $m))
  (func (export "run-remote") (canon lift (core func $i "run"))))
"#;
    chain.write_component("faulty.wasm", component);
    let served = chain.serve();
    let problem = served.admin.post("/chainlets/faulty/run_remote", &json!({})).await.problem(500, "trap");
    assert_eq!(problem["backtrace"], " 0: crash\n 1: function 1");
}
