//! The failure of a dependency is a value in its caller.

use serde_json::{Value as Json, json};

use super::{assert_no_replacement, chain, running, tell_within, until_idle};
use crate::harness::{Chain, eventually, json_request};

#[tokio::test]
async fn a_lock_held_during_a_call_is_free_when_the_edge_gives_up_the_call() {
    let served = chain("", "timeout = \"100ms\"", "").serve();
    for _ in 0..3 {
        served.public.tell("lock:forever").await.problem(504, "deadline");
        assert_eq!(served.ask("lock:echo:x").await, "x");
    }
    until_idle(&served, "first").await;
    assert_no_replacement(&served);
}

#[tokio::test]
async fn refused_calls_leave_no_memory_behind() {
    let served = chain("", "", "concurrency = 1\nqueue = 0").serve();
    let held = served.begin("hold");
    served.until_state("first", "active", json!(1)).await;
    for _ in 0..200 {
        let reply = served.public.tell("memory:8:echo:x").await;
        assert_eq!(reply.headers["retry-after"], "1");
        let problem = reply.problem(429, "overloaded");
        assert_eq!((&problem["chainlet"], &problem["path"][0]["dependency"]), (&json!("first"), &json!("next")));
    }
    let pages: u64 = served.ask("pages").await.parse().unwrap();
    assert!(pages * 65_536 < 32 << 20, "the guest holds {pages} pages");
    held.abort();
    until_idle(&served, "first").await;
    assert_no_replacement(&served);
}

#[tokio::test]
async fn a_caller_falls_back_on_another_dependency_after_each_failure() {
    for sync in ["", "_sync"] {
        let overloaded = chain(sync, "", "concurrency = 1\nqueue = 0").serve();
        let held = tokio::spawn({
            let admin = overloaded.admin;
            async move { admin.post("/chainlets/first/run_remote", &json!({ "what": "hold" })).await }
        });
        overloaded.until_state("first", "active", json!(1)).await;
        assert_eq!(overloaded.ask("fallback:echo:x").await, "overloaded instead: x");
        held.abort();

        let slow = chain(sync, "timeout = \"100ms\"", "").serve();
        assert_eq!(slow.ask("fallback:sleep:400").await, "deadline instead: did sleep:400");

        let unwell = chain(sync, "", "health = { interval = \"20ms\", failures = 1000 }").serve();
        unwell.tell("first", "sicken:tired").await.said();
        unwell.until_state("first", "ready", json!(0)).await;
        assert_eq!(unwell.ask("fallback:echo:x").await, "not-ready instead: x");

        let trapped = chain(sync, "", "").serve();
        assert_eq!(trapped.ask("kind:trap").await, "trap first false");
        assert_eq!(trapped.ask("kind:echo:x").await, "x");
        for served in [overloaded, slow, unwell] {
            assert_no_replacement(&served);
        }
    }
}

#[tokio::test]
async fn good_answers_are_kept_when_other_concurrent_calls_fail() {
    let served = chain("", "", "concurrency = 4\nqueue = 2").serve();
    assert_eq!(served.ask("gather:10:sleep:20").await, format!("6 {}", ["overloaded"; 4].join(" ")));
    assert_eq!(served.ask("gather:1:echo:x").await, "1 ");
}

#[tokio::test]
async fn a_failure_that_is_passed_on_reaches_the_client_unchanged() {
    for sync in ["", "_sync"] {
        let served = chain(sync, "", "").serve();
        let problem = served.public.tell("trap").await.problem(500, "trap");
        assert_eq!(problem["chainlet"], "first");
        assert_eq!(problem["path"], json!([{ "from": "caller", "dependency": "next", "to": "first" }]));
        let problem = served.tell("caller", "panic:swordfish").await.problem(500, "trap");
        assert!(problem["detail"].as_str().unwrap().contains("swordfish"), "admins read the cause: {problem}");
    }
}

#[tokio::test]
async fn a_failure_that_a_guest_forges_is_its_own() {
    let served = chain("", "", "").serve();
    let problem = served.public.tell("forge:first").await.problem(500, "trap");
    assert_eq!((&problem["chainlet"], &problem["path"]), (&json!("caller"), &json!([])));
    assert_no_replacement(&served);
}

#[tokio::test]
async fn a_slow_dependency_of_a_plain_function_harms_no_call_beside_it() {
    for sync in ["", "_sync"] {
        let served = chain(sync, "timeout = \"100ms\"", "").serve();
        let slow = served.begin("sleep:500");
        let beside = (0..8).map(|number| {
            let what = format!("echo:{number}");
            let public = served.public;
            async move { public.tell(&what).await.said() }
        });
        let answers = futures::future::join_all(beside).await;
        assert_eq!(answers, (0..8).map(|number| number.to_string()).collect::<Vec<_>>());
        slow.await.unwrap().problem(504, "deadline");
        assert_no_replacement(&served);
    }
}

#[tokio::test]
async fn a_failure_of_a_plain_import_fails_only_its_own_call() {
    let served = Chain::new(
        r#"
[chain]
name = "test"
[chainlets.relay]
component = "<guest_relay_plain>"
depends.next = { chainlet = "first", timeout = "100ms" }
depends.other = { chainlet = "second" }
[chainlets.first]
component = "<guest_faulty>"
[chainlets.second]
component = "<guest_faulty>"
"#,
    )
    .serve();
    let beside = served.begin("other:sleep:300");
    served.public.tell("sleep:1000").await.problem(504, "deadline");
    served.public.tell("trap").await.problem(500, "trap");
    assert_eq!(beside.await.unwrap().said(), "did sleep:300");
    assert_eq!(served.ask("echo:x").await, "x");
    eventually("the callee has let go", async || (running(&served, "first").await == 0).then_some(())).await;
}

#[tokio::test]
async fn check_says_for_each_edge_whether_failures_are_values() {
    let chain = chain("", "", "");
    let checked = chain.run(&["check", "chain.toml", "--json"]);
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    let checked: Json = serde_json::from_str(&checked.stdout).unwrap();
    let caller = checked["chainlets"].as_array().unwrap().iter().find(|chainlet| chainlet["name"] == "caller").unwrap();
    for edge in caller["calls"].as_array().unwrap() {
        assert_eq!(edge["failures_as_values"], true, "{edge}");
    }
}

#[tokio::test]
async fn a_guest_reads_the_id_the_trace_and_the_deadline_of_its_call() {
    let served = chain("", "", "").serve();
    let say = async |what: &str| {
        let mut request = json_request("/run_remote", json!({ "what": what }).to_string());
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        request.headers_mut().insert("traceparent", trace.parse().unwrap());
        served.public.send(request).await
    };
    let reply = say("id").await;
    assert_eq!(reply.said(), reply.headers["x-request-id"].to_str().unwrap());
    assert!(say("trace").await.said().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    assert_eq!(tell_within(&served, "left", "5s").await.said(), "true");
}

#[tokio::test]
async fn an_edge_repeats_the_kinds_of_failure_that_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let files =
        format!("assets.files = [{{ source = '{}', path = \"/data\", writable = true }}]", folder.path().display());
    let plain = chain("", "attempts = 3", &files).serve();
    plain.public.tell("trap-once:/data/plain").await.problem(500, "trap");
    let named = chain("", "attempts = 3, retry_on = [\"trap\"]", &files).serve();
    assert_eq!(named.ask("trap-once:/data/named").await, "did trap-once:/data/named");
}
