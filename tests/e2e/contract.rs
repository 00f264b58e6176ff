//! The component contract: the place of `run-remote`, the imports of a component, and the components that a chain
//! refuses.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use crate::harness::{Chain, FAULTY, RELAY, repository};

/// A component that exports two interfaces with a `run-remote`, which answer 1 and 2.
const TWO: &str = r#"
(component
  (core module $m
    (func (export "one") (result i32) (i32.const 1))
    (func (export "two") (result i32) (i32.const 2)))
  (core instance $i (instantiate $m))
  (func $one (result u32) (canon lift (core func $i "one")))
  (func $two (result u32) (canon lift (core func $i "two")))
  (instance $first (export "run-remote" (func $one)))
  (instance $second (export "run-remote" (func $two)))
  (export "tests:two/one" (instance $first))
  (export "tests:two/two" (instance $second)))
"#;

/// A component that exports one interface, whose `run-remote` answers 7.
const SEVEN: &str = r#"
(component
  (core module $m (func (export "seven") (result i32) (i32.const 7)))
  (core instance $i (instantiate $m))
  (func $seven (result u32) (canon lift (core func $i "seven")))
  (instance $number (export "run-remote" (func $seven)))
  (export "tests:numbers/number" (instance $number)))
"#;

/// A component that imports that interface, and answers 100 more.
const PLUS_100: &str = r#"
(component
  (import "tests:numbers/number" (instance $number (export "run-remote" (func (result u32)))))
  (core func $ask (canon lower (func $number "run-remote")))
  (core module $m
    (import "numbers" "ask" (func $ask (result i32)))
    (func (export "run") (result i32) (i32.add (call $ask) (i32.const 100))))
  (core instance $i (instantiate $m (with "numbers" (instance (export "ask" (func $ask))))))
  (func (export "run-remote") (result u32) (canon lift (core func $i "run"))))
"#;

#[tokio::test]
async fn run_remote_at_the_root_is_served() {
    let served = Chain::new(FAULTY).serve();
    assert_eq!(served.ask("echo:at the root").await, "at the root");
}

#[tokio::test]
async fn run_remote_in_an_interface_is_served_and_may_need_no_body() {
    let chain = Chain::new("[chain]\nname = \"c\"\n[chainlets.a]\ncomponent = \"seven.wasm\"\n");
    chain.write_component("seven.wasm", SEVEN);
    let served = chain.serve();
    assert_eq!(served.public.call(&json!({})).await.json(), 7);
    let request = http::Request::post("/run_remote").body(Default::default()).unwrap();
    assert_eq!(served.public.send(request).await.json(), 7);
}

#[test]
fn export_picks_one_of_several_interfaces() {
    for (export, answer) in [("tests:two/one", "1\n"), ("tests:two/two", "2\n")] {
        let chain = Chain::new(&format!(
            "[chain]\nname = \"c\"\n[chainlets.a]\ncomponent = \"two.wasm\"\nexport = \"{export}\"\n"
        ));
        chain.write_component("two.wasm", TWO);
        assert_eq!(chain.run(&["call", "chain.toml"]).answer(), answer);
    }
}

#[test]
fn several_run_remotes_without_export_are_refused_and_named() {
    let chain = Chain::new("[chain]\nname = \"c\"\n[chainlets.a]\ncomponent = \"two.wasm\"\n");
    chain.write_component("two.wasm", TWO);
    chain.run(&["check", "chain.toml"]).refused(
        3,
        &[
            "chain.toml:4:13: chainlets.a.component: ",
            "several `run-remote`",
            "tests:two/one, tests:two/two",
            "export =",
        ],
    );
}

#[test]
fn an_unknown_export_is_refused_with_those_that_the_component_has() {
    let chain =
        Chain::new("[chain]\nname = \"c\"\n[chainlets.a]\ncomponent = \"two.wasm\"\nexport = \"tests:two/three\"\n");
    chain.write_component("two.wasm", TWO);
    chain.run(&["check", "chain.toml"]).refused(3, &["tests:two/three", "it has one in tests:two/one, tests:two/two"]);
}

#[tokio::test]
async fn one_instance_serves_many_calls_of_an_async_run_remote_at_once() {
    const CALLS: usize = 40;
    let chain = Chain::new(&format!("{FAULTY}concurrency = {}\n", CALLS + 1));
    let served = chain.serve();
    let held = served.hold("hold", CALLS, "faulty").await;
    assert_eq!(served.ask("release").await, CALLS.to_string());
    for call in held {
        assert_eq!(call.await.unwrap().said(), "did hold");
    }
    assert_eq!(served.ask("inits").await, "1");
    assert_eq!(served.ask("peak").await, (CALLS + 1).to_string());
}

#[tokio::test]
async fn a_plain_func_serves_one_call_at_a_time() {
    let chain = Chain::new("[chain]\nname = \"c\"\n[chainlets.sync]\ncomponent = \"<guest_sync>\"\nconcurrency = 16\n");
    let plan: Json = serde_json::from_str(chain.run(&["check", "chain.toml", "--json"]).answer()).unwrap();
    assert_eq!((&plan["chainlets"][0]["async"], &plan["chainlets"][0]["concurrency"]), (&json!(false), &json!(1)));
    let served = chain.serve();
    let input = json!({ "text": "x" });
    let calls = (0..30).map(|_| served.public.call(&input));
    let replies = futures::future::join_all(calls).await;
    let counts: BTreeSet<u64> = replies.iter().map(|reply| reply.json()["calls"].as_u64().unwrap()).collect();
    assert_eq!(counts, (1..=30).collect(), "each call must find the state that the call before left");
}

#[tokio::test]
async fn an_async_run_remote_calls_plain_funcs_with_many_parameters_and_maps() {
    let chain = Chain::new(
        r#"
[chain]
name = "c"
entrypoint = "mixed"
[chainlets.mixed]
component = "<guest_mixed>"
[chainlets.sync]
component = "<guest_sync>"
[chainlets.wide]
component = "<guest_wide>"
"#,
    );
    let served = chain.serve();
    let input = json!({
        "u8_value": 1, "u16_value": 2, "u32_value": 3, "u64_value": 4,
        "s8_value": -1, "s16_value": -2, "s32_value": -3, "s64_value": 40,
        "f32_value": 0.5, "f64_value": 0.25,
        "first": "a", "second": "b", "yes": true, "no": false, "letter": "ß", "maybe": "!",
        "prices": { "tea": 1.5, "bread": 2.0, "salt": 0.5 },
    });
    let expected = json!({
        "total": 48.75, "text": "abß!", "flags": [true, false], "calls": 1,
        "prices": { "bread": 2.0, "salt": 0.5, "tea": 1.5, "total": 48.75 },
        "lengths": { "3": ["tea"], "4": ["salt"], "5": ["bread"] },
    });
    assert_eq!(served.public.call(&input).await.json(), expected);
    assert_eq!(served.public.call(&input).await.json()["calls"], 2);
}

#[tokio::test]
async fn init_runs_once_and_its_state_is_kept_between_calls() {
    let served = Chain::new(FAULTY).serve();
    for call in 1..=5 {
        assert_eq!(served.ask("calls").await, call.to_string());
    }
    assert_eq!(served.ask("inits").await, "1");
}

#[tokio::test]
async fn a_dependency_is_found_by_its_plain_name() {
    let chain = Chain::new(
        r#"
[chain]
name = "c"
entrypoint = "relay"
[chainlets.relay]
component = "<guest_relay>"
[chainlets.next]
component = "<guest_faulty>"
[chainlets.other]
component = "<guest_faulty>"
"#,
    );
    let served = chain.serve();
    assert_eq!(served.ask("who").await, "c/next/0/development");
    assert_eq!(served.ask("other:who").await, "c/other/0/development");
}

#[test]
fn a_dependency_is_found_by_its_interfaces_last_segment_or_exporter() {
    for name in ["number", "some-other-name"] {
        let chain = Chain::new(&format!(
            "[chain]\nname = \"c\"\n[chainlets.plus]\ncomponent = \"plus.wasm\"\n\
             [chainlets.{name}]\ncomponent = \"seven.wasm\"\n"
        ));
        chain.write_component("plus.wasm", PLUS_100);
        chain.write_component("seven.wasm", SEVEN);
        assert_eq!(chain.run(&["call", "chain.toml"]).answer(), "107\n", "with a chainlet called {name}");
    }
}

#[test]
fn an_interface_that_several_chainlets_export_needs_depends() {
    let text = "[chain]\nname = \"c\"\nentrypoint = \"plus\"\n[chainlets.plus]\ncomponent = \"plus.wasm\"\n\
        [chainlets.a]\ncomponent = \"seven.wasm\"\n[chainlets.b]\ncomponent = \"seven.wasm\"\n";
    let chain = Chain::new(text);
    chain.write_component("plus.wasm", PLUS_100);
    chain.write_component("seven.wasm", SEVEN);
    chain.run(&["check", "chain.toml"]).refused(3, &["`tests:numbers/number`, which several chainlets export: a, b"]);
    chain.write("chain.toml", format!("{text}[chainlets.plus.depends]\nnumber = \"b\"\n"));
    assert_eq!(chain.run(&["call", "chain.toml"]).answer(), "107\n");
}

#[tokio::test]
async fn two_dependencies_on_two_chainlets_of_one_component_stay_separate() {
    let chain = Chain::new(
        r#"
[chain]
name = "c"
[chainlets.relay]
component = "<guest_relay>"
depends = { next = "english", other = "german" }
[chainlets.english]
component = "<guest_faulty>"
config = { greeting = "Hello" }
[chainlets.german]
component = "<guest_faulty>"
config = { greeting = "Hallo" }
"#,
    );
    let served = chain.serve();
    assert_eq!(served.ask("setting:greeting").await, r#""Hello""#);
    assert_eq!(served.ask("other:setting:greeting").await, r#""Hallo""#);
    assert_eq!(served.ask("both:setting:greeting").await, r#""Hello"+"Hallo""#);
    assert_eq!(served.ask("calls").await, "3", "each chainlet has its own instance");
}

#[test]
fn an_edge_whose_types_do_not_match_is_refused_with_both_signatures() {
    let chain = Chain::new(&RELAY.replacen("<guest_faulty>", "<guest_sync>", 1));
    chain.run(&["check", "chain.toml"]).refused(
        3,
        &[
            "chain.toml:7:",
            "chainlets.relay.depends.next",
            "the types of the edge relay → first do not match",
            "relay expects `next`: async func(what: string) -> result<string, string>",
            "first exports `run-remote`: func(text: string) -> record",
            "help: ",
        ],
    );
}

#[test]
fn a_cycle_is_refused_and_shown() {
    let chain = Chain::new(
        r#"
[chain]
name = "c"
entrypoint = "one"
[chainlets.one]
component = "<guest_relay>"
depends = { next = "two", other = "end" }
[chainlets.two]
component = "<guest_relay>"
depends = { next = "one", other = "end" }
[chainlets.end]
component = "<guest_faulty>"
"#,
    );
    chain.run(&["serve", "chain.toml"]).refused(3, &["chain.toml:7:", "in a cycle: one → two → one", "help: "]);
}

#[test]
fn an_unclear_entrypoint_is_refused_and_a_clear_one_needs_no_key() {
    let text = "[chain]\nname = \"c\"\n[chainlets.a]\ncomponent = \"<guest_faulty>\"\n\
        [chainlets.b]\ncomponent = \"<guest_faulty>\"\n";
    Chain::new(text).run(&["check", "chain.toml"]).refused(3, &["the entrypoint is not clear: a, b", "entrypoint ="]);
    let finished = Chain::new(RELAY).run(&["call", "chain.toml", r#"{"what": "other:who"}"#]);
    assert_eq!(finished.answer(), "\"test/second/0/development\"\n");
}

#[test]
fn the_seed_components_of_fuzzing_are_what_their_names_say() {
    let seed = |name: &str| {
        let chain = Chain::new("[chain]\nname = \"c\"\n[chainlets.a]\ncomponent = \"a.wasm\"\n");
        let path = repository().join("fuzz/seeds/component").join(name).with_extension("wat");
        chain.write_component("a.wasm", &std::fs::read_to_string(path).unwrap());
        chain.run(&["check", "chain.toml"])
    };
    let types = seed("types");
    assert!(types.answer().contains("func(hits: list<"), "{types:?}");
    assert!(seed("life").answer().contains("health"));
    seed("dependency").refused(3, &["imports `tests:numbers/number@1.0.0`, and no chainlet", "imports `other`"]);
    seed("refused").refused(3, &["resource"]);
}
