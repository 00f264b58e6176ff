//! Tests of the names of types, with components in the text format.

use wasmparser::component_types::ComponentEntityType;

use super::docs::ComponentDocs;
use super::introspect::run_remote_of;
use super::signature::TypeReader;
use super::types::ComponentTypes;
use crate::value::Signature;
use crate::value::ty::Type;

/// Returns the signature of the only `run-remote` in `component`, which is imported or exported, with the docs `docs`.
fn run_remote(component: &str, docs: &str) -> Signature {
    let types = ComponentTypes::read(&wat::parse_str(component).unwrap()).unwrap();
    let docs: ComponentDocs = serde_json::from_str(docs).unwrap();
    let reader = TypeReader::new(&types, &docs);
    let found = types.exports().chain(types.imports()).find_map(|(name, ty)| match ty {
        ComponentEntityType::Instance(instance) => run_remote_of(&reader, instance),
        ComponentEntityType::Func(function) if name == "run-remote" => reader.signature(function),
        _ => None,
    });
    found.unwrap()
}

/// Returns the signature of a `run-remote` of the type `function`, in an imported interface with `items`.
fn interface(items: &str, function: &str) -> Signature {
    let text = format!(r#"(component (import "a:b/i" (instance {items} (export "run-remote" (func {function})))))"#);
    run_remote(&text, "{}")
}

/// Returns two types of the shape `shape`, named `one` and `other`.
fn two(shape: &str) -> String {
    format!(
        r#"(type $a {shape}) (export "one" (type $one (eq $a))) (type $b {shape}) (export "other" (type $other (eq $b)))"#
    )
}

#[test]
fn types_of_one_shape_keep_their_names() {
    for (shape, text) in [
        (r#"(record (field "x" u32) (field "y" u32))"#, "record NAME { x: u32, y: u32 }"),
        (r#"(variant (case "a" u32) (case "b"))"#, "variant NAME { a(u32), b }"),
        (r#"(enum "a" "b")"#, "enum NAME { a, b }"),
        (r#"(flags "a" "b")"#, "flags NAME { a, b }"),
    ] {
        let signature = interface(&two(shape), r#"(param "p" $other) (param "q" $one) (result $other)"#);
        let [one, other] = ["one", "other"].map(|name| text.replace("NAME", name));
        assert_eq!(signature.to_string(), format!("func(p: {other}, q: {one}) -> {other}"));
        assert_eq!(signature.params[0].ty, signature.params[1].ty, "an edge compares shapes");
    }
}

#[test]
fn types_inside_of_others_keep_their_names() {
    let types = two(r#"(record (field "x" u8))"#)
        + r#"(type $h (record (field "first" $other) (field "rest" (list $one)))) (export "holder" (type $holder (eq $h)))"#;
    let function = r#"(param "p" (list (option $other))) (param "q" (tuple $one $other)) (param "r" (map string $other))
                      (result (result $holder (error $one)))"#;
    let signature = interface(&types, function);
    let (one, other) = ("record one { x: u8 }", "record other { x: u8 }");
    assert_eq!(
        signature.to_string(),
        format!(
            "func(p: list<option<{other}>>, q: tuple<{one}, {other}>, r: map<string, {other}>) \
             -> result<record holder {{ first: {other}, rest: list<{one}> }}, {one}>"
        )
    );
}

#[test]
fn a_type_alias_has_a_name_of_its_own() {
    let types = r#"(type $a (record (field "x" u8))) (export "point" (type $point (eq $a)))
                   (export "place" (type $place (eq $point)))"#;
    let signature = interface(types, r#"(param "p" $place) (param "q" $point)"#);
    assert_eq!(signature.to_string(), "func(p: record place { x: u8 }, q: record point { x: u8 })");
}

#[test]
fn an_alias_of_a_type_without_a_name_lends_its_docs_to_members() {
    let text = r#"(component (import "a:b/i" (instance
        (type $f f32) (export "celsius" (type $celsius (eq $f)))
        (type $g f32) (export "kelvin" (type $kelvin (eq $g)))
        (type $r (record (field "low" $celsius) (field "high" $celsius))) (export "span" (type $span (eq $r)))
        (export "run-remote" (func (param "c" $celsius) (param "k" $kelvin) (param "s" $span))))))"#;
    let docs = r#"{ "types": {
        "celsius": { "docs": "Degrees from freezing." }, "kelvin": { "docs": "Degrees from nothing." },
        "span": { "docs": "A span.", "members": { "high": "The warmest." } } } }"#;
    let signature = run_remote(text, docs);
    assert_eq!(signature.to_string(), "func(c: f32, k: f32, s: record span { low: f32, high: f32 })");
    let docs: Vec<_> = signature.params.iter().map(|param| param.docs.as_deref()).collect();
    assert_eq!(docs, [Some("Degrees from freezing."), Some("Degrees from nothing."), None]);
    let Some(Type::Record(span)) = &signature.params[2].ty else { panic!("{signature}") };
    assert_eq!(span.docs.as_deref(), Some("A span."));
    let docs: Vec<_> = span.members.iter().map(|field| field.docs.as_deref()).collect();
    assert_eq!(docs, [Some("Degrees from freezing."), Some("The warmest.")]);
}

#[test]
fn each_of_two_types_of_one_shape_has_its_docs() {
    let text = format!(
        r#"(component (import "a:b/i" (instance {} (export "run-remote" (func (param "p" $other) (result $one))))))"#,
        two(r#"(record (field "x" u8))"#)
    );
    let docs = r#"{ "types": { "one": { "docs": "The one.", "members": { "x": "In the one." } },
                               "other": { "docs": "The other.", "members": { "x": "In the other." } } } }"#;
    let signature = run_remote(&text, docs);
    for (ty, docs, member) in
        [(&signature.params[0].ty, "The other.", "In the other."), (&signature.result, "The one.", "In the one.")]
    {
        let Some(Type::Record(record)) = ty else { panic!("{signature}") };
        assert_eq!((record.docs.as_deref(), record.members[0].docs.as_deref()), (Some(docs), Some(member)));
    }
}

#[test]
fn a_function_at_the_root_has_types_that_an_interface_names() {
    let text = r#"(component
        (import "a:b/types" (instance $types
            (type $a (record (field "x" u8))) (export "inner" (type $inner (eq $a)))
            (type $b (record (field "i" $inner))) (export "outer" (type $outer (eq $b)))))
        (alias export $types "outer" (type $outer))
        (import "hit" (type $hit (eq $outer)))
        (import "run-remote" (func (param "p" $outer) (result $hit))))"#;
    let outer = |name: &str| format!("record {name} {{ i: record inner {{ x: u8 }} }}");
    assert_eq!(run_remote(text, "{}").to_string(), format!("func(p: {}) -> {}", outer("outer"), outer("hit")));
}

#[test]
fn resources_of_one_shape_are_told_apart() {
    let types = r#"(export "file" (type $file (sub resource))) (export "socket" (type $socket (sub resource)))"#;
    let signature = interface(types, r#"(param "f" (own $file)) (param "s" (borrow $socket))"#);
    assert_eq!(signature.to_string(), "func(f: own<file>, s: borrow<socket>)");
    assert_eq!(signature.unsupported(), Some("own<file>"));
}

/// The component has the form in which wit-component writes an exported interface that uses a type of another
/// interface. The other interface has more types, which the exported one does not use.
#[test]
fn types_that_an_exported_interface_only_borrows_keep_their_names() {
    let text = r#"(component
        (import "a:b/types" (instance $types
            (type $a (record (field "x" u8))) (export "point" (type $point (eq $a)))
            (type $b (record (field "x" u8))) (export "size" (type $size (eq $b)))
            (type $c (record (field "p" $point) (field "s" $size))) (export "shape" (type $shape (eq $c)))))
        (alias export $types "point" (type $point))
        (alias export $types "size" (type $size))
        (alias export $types "shape" (type $shape))
        (import "f" (func $f (param "it" $shape)))
        (component $shim
            (type $a (record (field "x" u8))) (import "import-type-point" (type $point (eq $a)))
            (type $b (record (field "x" u8))) (import "import-type-size" (type $size (eq $b)))
            (type $c (record (field "p" $point) (field "s" $size))) (import "import-type-shape" (type $shape (eq $c)))
            (import "import-type-shape0" (type $shape0 (eq $shape)))
            (import "import-func-run-remote" (func $f (param "it" $shape0)))
            (export $out "shape" (type $shape))
            (export "run-remote" (func $f) (func (param "it" $out))))
        (instance $i (instantiate $shim
            (with "import-func-run-remote" (func $f))
            (with "import-type-point" (type $point)) (with "import-type-size" (type $size))
            (with "import-type-shape" (type $shape)) (with "import-type-shape0" (type $shape))))
        (export "a:b/i" (instance $i)))"#;
    assert_eq!(
        run_remote(text, "{}").to_string(),
        "func(it: record shape { p: record point { x: u8 }, s: record size { x: u8 } })"
    );
}

#[test]
fn a_file_that_is_not_a_component_is_rejected_with_a_sentence() {
    let whole = wat::parse_str(r#"(component (import "a:b/i" (instance)))"#).unwrap();
    for wasm in [&whole[..whole.len() - 1], b"\0asm", b"", &wat::parse_str("(component)").unwrap()[..6]] {
        let error = ComponentTypes::read(wasm).err().unwrap().to_string();
        assert!(error.starts_with("the types of the component cannot be read: "), "{error}");
    }
}
