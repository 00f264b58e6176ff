//! The conversion of JSON to WIT values and back, through a component that echoes a value of every type.

use serde_json::{Value as Json, json};

use crate::harness::{Chain, Served, json_request, repository};

fn served() -> Served {
    Chain::new("[chain]\nname = \"values\"\n[chainlets.echo]\ncomponent = \"<guest_values>\"\n").serve()
}

fn example() -> Json {
    let text = std::fs::read_to_string(repository().join("tests/guests/values/example.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Returns the example with `value` at `pointer`. It replaces the value there, or becomes a new member of its object.
fn with(pointer: &str, value: Json) -> Json {
    let mut input = example();
    match input.pointer_mut(pointer) {
        Some(place) => *place = value,
        None => {
            let (object, member) = pointer.rsplit_once('/').unwrap();
            input.pointer_mut(object).unwrap()[member] = value;
        }
    }
    input
}

/// Returns the example without the member at `pointer`.
fn without(pointer: &str) -> Json {
    let mut input = example();
    let (object, member) = pointer.rsplit_once('/').unwrap();
    input.pointer_mut(object).unwrap().as_object_mut().unwrap().remove(member).unwrap();
    input
}

/// Returns `json` with every name in kebab-case.
fn kebab(json: Json) -> Json {
    match json {
        Json::Object(members) => {
            members.into_iter().map(|(name, value)| (name.replace('_', "-"), kebab(value))).collect()
        }
        Json::Array(items) => items.into_iter().map(kebab).collect(),
        Json::String(text) => text.replace('_', "-").into(),
        other => other,
    }
}

#[tokio::test]
async fn a_value_of_every_type_comes_back_unchanged() {
    let served = served();
    let input = example();
    assert_eq!(served.public.call(&input).await.json(), input["value"]);
}

#[tokio::test]
async fn names_may_be_in_kebab_case_and_are_answered_in_snake_case() {
    let served = served();
    let input = kebab(example());
    assert!(input["value"]["u8-value"].is_number() && input["value"]["colour"] == "dark-green");
    assert_eq!(served.public.call(&input).await.json(), example()["value"]);
}

#[tokio::test]
async fn every_spelling_that_the_reference_allows_is_understood() {
    let served = served();
    for (input, pointer, expected) in [
        (with("/value/u64_value", json!("18446744073709551615")), "/u64_value", json!(u64::MAX)),
        (with("/value/s64_value", json!("-9223372036854775808")), "/s64_value", json!(i64::MIN)),
        (with("/value/f64_value", json!(3)), "/f64_value", json!(3.0)),
        (with("/value/f32_value", json!("-Infinity")), "/f32_value", json!("-Infinity")),
        (without("/value/options/number"), "/options/number", json!(null)),
        (with("/value/options/nested", json!(null)), "/options/nested", json!(null)),
        (with("/value/shape", json!("empty")), "/shape", json!("empty")),
        (with("/value/bytes", json!("")), "/bytes", json!("")),
        (with("/value/access", json!([])), "/access", json!([])),
    ] {
        let answer = served.public.call(&input).await.json();
        let answer = answer.pointer(pointer).unwrap();
        match (answer.as_f64(), expected.as_f64()) {
            (Some(answer), Some(expected)) if !expected.fract().is_normal() => {
                assert_eq!(answer, expected, "{pointer}")
            }
            _ => assert_eq!(*answer, expected, "{pointer}"),
        }
    }
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_refused_with_a_pointer_to_it() {
    let served = served();
    for (pointer, value, refused_at) in [
        ("/value/boolean", json!(1), "/value/boolean"),
        ("/value/u8_value", json!(300), "/value/u8_value"),
        ("/value/u8_value", json!(-1), "/value/u8_value"),
        ("/value/u16_value", json!("7"), "/value/u16_value"),
        ("/value/u32_value", json!(1.5), "/value/u32_value"),
        ("/value/u64_value", json!("18446744073709551616"), "/value/u64_value"),
        ("/value/s8_value", json!(128), "/value/s8_value"),
        ("/value/f32_value", json!(1e39), "/value/f32_value"),
        ("/value/f64_value", json!("nan"), "/value/f64_value"),
        ("/value/letter", json!("ab"), "/value/letter"),
        ("/value/text", json!(null), "/value/text"),
        ("/value/bytes", json!("AP8"), "/value/bytes"),
        ("/value/bytes", json!([1, 2]), "/value/bytes"),
        ("/value/lists/booleans/1", json!("true"), "/value/lists/booleans/1"),
        ("/value/lists/u16s/2", json!(65536), "/value/lists/u16s/2"),
        ("/value/lists/matrix/0/1", json!(-1), "/value/lists/matrix/0/1"),
        ("/value/lists/pairs/1", json!(["two"]), "/value/lists/pairs/1"),
        ("/value/options/unheard_of", json!(1), "/value/options/unheard_of"),
        ("/value/results/both", json!({ "ok": 1, "err": "x" }), "/value/results/both"),
        ("/value/results/neither", json!({ "ok": 1 }), "/value/results/neither/ok"),
        ("/value/maps/counts", json!([]), "/value/maps/counts"),
        ("/value/maps/counts/tea", json!(-1), "/value/maps/counts/tea"),
        ("/value/maps/points/home/x", json!("y"), "/value/maps/points/home/x"),
        ("/value/maps/nested/full/more", json!(1), "/value/maps/nested/full/more"),
        ("/value/maps/by_number/07", json!([]), "/value/maps/by_number/07"),
        ("/value/maps/by_size/-1", json!(true), "/value/maps/by_size/-1"),
        ("/value/maps/by_answer/maybe", json!(1), "/value/maps/by_answer/maybe"),
        ("/value/maps/by_letter/ab", json!("red"), "/value/maps/by_letter/ab"),
        ("/value/nested_tuple/1/1/0", json!(5), "/value/nested_tuple/1/1/0"),
        ("/value/shape", json!({ "square": 2 }), "/value/shape/square"),
        ("/value/shape", json!("circle"), "/value/shape"),
        ("/value/colour", json!("green"), "/value/colour"),
        ("/value/access/1", json!("fly"), "/value/access/1"),
        ("/value/bits/0", json!("b32"), "/value/bits/0"),
    ] {
        let problem = served.public.call(&with(pointer, value.clone())).await.problem(400, "invalid-input");
        assert_eq!(problem["pointer"], refused_at, "{value} at {pointer}: {problem}");
    }
    for (missing, refused_at) in
        [("/value/text", "/value"), ("/value/lists/points/0/label", "/value/lists/points/0"), ("/value", "")]
    {
        let problem = served.public.call(&without(missing)).await.problem(400, "invalid-input");
        assert_eq!(problem["pointer"], refused_at, "without {missing}: {problem}");
    }
    assert_eq!(served.public.call(&example()).await.json(), example()["value"], "the server still answers");
}

#[tokio::test]
async fn a_member_that_is_given_twice_in_two_spellings_is_refused() {
    let text = example().to_string().replacen("\"u8_value\"", "\"u8-value\":1,\"u8_value\"", 1);
    let problem = served().public.send(json_request("/run_remote", text)).await.problem(400, "invalid-input");
    assert!(problem["detail"].as_str().unwrap().contains("given twice"), "{problem}");
}

#[tokio::test]
async fn the_keys_of_a_map_are_kept_unchanged_and_may_not_repeat() {
    let served = served();
    let send = |counts: &str| {
        let text = example().to_string().replacen("\"Any key/at all~\":4294967295", counts, 1);
        served.public.send(json_request("/run_remote", text))
    };
    let answer = send(r#""top_k":7,"Top-K":8"#).await;
    // The guest returns a map in the order of its keys.
    let counts = r#""counts":{"":0,"Top-K":8,"top-k":1,"top_k":7,"世界":3}"#;
    assert!(str::from_utf8(&answer.body).unwrap().contains(counts), "{}", answer.json());
    let problem = send(r#""top_k":7,"\u0074op_k":8"#).await.problem(400, "invalid-input");
    assert_eq!(problem["pointer"], "/value/maps/counts/top_k", "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("the key `top_k` is given twice"), "{problem}");
}

#[tokio::test]
async fn megabytes_go_through_a_chain_unchanged() {
    let served = Chain::new(crate::harness::RELAY).serve();
    let text = "Grüße 🦀 ".repeat(200_000);
    assert_eq!(served.ask(&format!("echo:{text}")).await, text);
    let mut input = example();
    let bytes = "AAEC".repeat(1_000_000);
    input["value"]["bytes"] = bytes.clone().into();
    assert_eq!(self::served().public.call(&input).await.json()["bytes"], bytes);
}
