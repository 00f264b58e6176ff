//! Two types of one shape. People and generated clients see two types, and a call sees one.

use serde_json::json;

use crate::harness::Chain;

/// A component that exports `func(p: point, s: size) -> size` in an interface, in the form that wit-component writes.
/// The function adds its arguments.
const AREA: &str = r#"
(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "run") (param i32 i32 i32 i32) (result i32)
      (i32.store (i32.const 16) (i32.add (local.get 0) (local.get 2)))
      (i32.store (i32.const 20) (i32.add (local.get 1) (local.get 3)))
      (i32.const 16)))
  (core instance $i (instantiate $m))
  (type $size (record (field "x" u32) (field "y" u32)))
  (type $point (record (field "x" u32) (field "y" u32)))
  (func $run (param "p" $point) (param "s" $size) (result $size)
    (canon lift (core func $i "run") (memory $i "memory")))
  (component $shim
    (type $a (record (field "x" u32) (field "y" u32))) (import "import-type-point" (type $p (eq $a)))
    (type $b (record (field "x" u32) (field "y" u32))) (import "import-type-size" (type $s (eq $b)))
    (import "import-func-run-remote" (func $f (param "p" $p) (param "s" $s) (result $s)))
    (type $c (record (field "x" u32) (field "y" u32))) (export $size "size" (type $c))
    (type $d (record (field "x" u32) (field "y" u32))) (export $point "point" (type $d))
    (export "run-remote" (func $f) (func (param "p" $point) (param "s" $size) (result $size))))
  (instance $area (instantiate $shim
    (with "import-func-run-remote" (func $run))
    (with "import-type-point" (type $point)) (with "import-type-size" (type $size))))
  (export "tests:shapes/area" (instance $area)))
"#;

/// A component that imports that interface. Instead of both types it has one, with the name `pair` and the fields `x`
/// and FIELD.
const SUM: &str = r#"
(component
  (import "tests:shapes/area" (instance $area
    (type $r (record (field "x" u32) (field "FIELD" u32))) (export "pair" (type $pair (eq $r)))
    (export "run-remote" (func (param "p" $pair) (param "s" $pair) (result $pair)))))
  (core module $memory (memory (export "memory") 1))
  (core instance $memory (instantiate $memory))
  (core func $ask (canon lower (func $area "run-remote") (memory $memory "memory")))
  (core module $m
    (import "area" "ask" (func $ask (param i32 i32 i32 i32 i32)))
    (import "area" "memory" (memory 1))
    (func (export "run") (result i32)
      (call $ask (i32.const 1) (i32.const 2) (i32.const 30) (i32.const 40) (i32.const 16))
      (i32.add (i32.load (i32.const 16)) (i32.load (i32.const 20)))))
  (core instance $i (instantiate $m (with "area" (instance
    (export "ask" (func $ask)) (export "memory" (memory $memory "memory"))))))
  (func (export "run-remote") (result u32) (canon lift (core func $i "run"))))
"#;

fn chain(text: &str) -> Chain {
    let chain = Chain::new(&format!("[chain]\nname = \"shapes\"\n{text}"));
    chain.write_component("area.wasm", AREA);
    chain.write_component("sum.wasm", &SUM.replace("FIELD", "y"));
    chain.write_component("other.wasm", &SUM.replace("FIELD", "z"));
    chain
}

const AREA_ALONE: &str = "[chainlets.area]\ncomponent = \"area.wasm\"\n";

#[tokio::test]
async fn types_of_one_shape_are_two_schemas_with_two_names() {
    let served = chain(AREA_ALONE).serve();
    let body = json!({ "p": { "x": 1, "y": 2 }, "s": { "x": 30, "y": 40 } });
    assert_eq!(served.public.call(&body).await.json(), json!({ "x": 31, "y": 42 }));
    let document = served.public.get("/openapi.json").await.json();
    let post = &document["paths"]["/run_remote"]["post"];
    let body = &post["requestBody"]["content"]["application/json"]["schema"]["properties"];
    assert_eq!(body["p"]["$ref"], "#/components/schemas/Point");
    assert_eq!(body["s"]["$ref"], "#/components/schemas/Size");
    let answer = &post["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(answer["$ref"], "#/components/schemas/Size");
    for name in ["Point", "Size"] {
        assert_eq!(document["components"]["schemas"][name]["required"], json!(["x", "y"]), "{name}");
    }
}

#[test]
fn check_writes_types_of_one_shape_with_their_names() {
    let signature =
        "func(p: record point { x: u32, y: u32 }, s: record size { x: u32, y: u32 }) -> record size { x: u32, y: u32 }";
    let chain = chain(AREA_ALONE);
    let text = chain.run(&["check", "chain.toml"]);
    assert!(text.answer().contains(signature), "{}", text.answer());
    let json = chain.run(&["check", "chain.toml", "--json"]);
    let json: serde_json::Value = serde_json::from_str(json.answer()).unwrap();
    assert_eq!(json["chainlets"][0]["signature"], signature);
}

#[tokio::test]
async fn an_edge_fits_even_if_its_ends_give_the_types_other_names() {
    let served = chain(&format!("{AREA_ALONE}[chainlets.sum]\ncomponent = \"sum.wasm\"\n")).serve();
    assert_eq!(served.public.call(&json!({})).await.json(), 73);
}

#[test]
fn an_edge_that_does_not_fit_is_refused_with_the_names_of_both_ends() {
    let chain = chain(&format!("{AREA_ALONE}[chainlets.sum]\ncomponent = \"other.wasm\"\n"));
    chain.run(&["check", "chain.toml"]).refused(
        3,
        &[
            "the types of the edge sum → area do not match",
            "func(p: record pair { x: u32, z: u32 }, s: record pair { x: u32, z: u32 })",
            "func(p: record point { x: u32, y: u32 }, s: record size { x: u32, y: u32 })",
        ],
    );
}
