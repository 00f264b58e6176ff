//! Checks documents against the official schema of OpenAPI, and their schemas against the JSON mapping.

mod problems;

use std::sync::Arc;

use chainhost_core::value::Value;
use chainhost_core::value::json;
use chainhost_core::value::ty::{DeclaredType, Docs, Member};
use jsonschema::Validator;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::arbitrary::breaks::{Break, find_breaks};
use crate::arbitrary::{any_params, any_type, member, value_of};

const INFO: Info<'_> =
    Info { title: "search", version: "1", description: Some("Finds passages."), api_keys: false, prefix: "" };

fn official() -> Validator {
    let schema = include_str!("../../../../tests/openapi/schema-3.1.json");
    jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap()
}

#[track_caller]
fn assert_valid(validator: &Validator, instance: &Json) {
    let errors: Vec<String> =
        validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?} in {instance:#}");
}

fn signature(params: Vec<Member>, result: Option<Type>) -> Signature {
    Signature { is_async: true, params, result, docs: Docs(None) }
}

fn run_remote(signature: &Signature) -> Json {
    document(&INFO, &[Operation { path: "/run_remote", id: "run_remote", summary: "Calls the chain", signature }])
}

/// Returns a validator for the schema at `pointer` of `document`, which may refer to the document's components.
fn validator_at(document: &Json, pointer: &str) -> Validator {
    let schema = document.pointer(pointer).unwrap();
    jsonschema::draft202012::new(&json!({ "allOf": [schema], "components": document["components"] })).unwrap()
}

const BODY: &str = "/paths/~1run_remote/post/requestBody/content/application~1json/schema";
const ANSWER: &str = "/paths/~1run_remote/post/responses/200/content/application~1json/schema";
const TYPED_ERROR: &str = "/paths/~1run_remote/post/responses/422/content/application~1problem+json/schema";

fn declared(name: &str, docs: Option<&str>, members: Vec<Member>) -> Arc<DeclaredType> {
    Arc::new(DeclaredType { name: Some(name.into()), docs: docs.map(Arc::from), members })
}

fn hit() -> Type {
    let id = Member { docs: Some("Which passage.".into()), ..member("doc-id", Some(Type::U64)) };
    let note = member("note", Some(Type::Option(Arc::new(Type::String))));
    Type::Record(declared("search-hit", Some("A passage that was found."), vec![id, note]))
}

#[test]
fn a_document_has_the_types_and_docs_of_the_wit() {
    let ok = Type::List(Arc::new(hit()));
    let mut signature = signature(
        vec![Member { docs: Some("What to look for.".into()), ..member("query", Some(Type::String)) }],
        Some(Type::Result { ok: Some(Arc::new(ok)), err: Some(Arc::new(Type::String)) }),
    );
    signature.docs = Docs(Some("Finds the best passages.".into()));
    let document = run_remote(&signature);

    assert_valid(&official(), &document);
    let post = &document["paths"]["/run_remote"]["post"];
    assert_eq!(post["operationId"], "run_remote");
    assert_eq!(post["description"], "Finds the best passages.");
    let body = json!({
        "type": "object",
        "properties": { "query": { "type": "string", "description": "What to look for." } },
        "required": ["query"],
        "additionalProperties": false,
    });
    assert_eq!(document.pointer(BODY).unwrap(), &body);
    let answer = json!({ "type": "array", "items": { "$ref": "#/components/schemas/SearchHit" } });
    assert_eq!(document.pointer(ANSWER).unwrap(), &answer);
    let hit = json!({
        "type": "object",
        "description": "A passage that was found.",
        "properties": {
            "doc_id": {
                "type": "integer",
                "format": "uint64",
                "minimum": 0,
                "maximum": u64::MAX,
                "description": "Which passage.",
            },
            "note": { "type": ["string", "null"] },
        },
        "required": ["doc_id"],
        "additionalProperties": false,
    });
    assert_eq!(document["components"]["schemas"]["SearchHit"], hit);
    let error = document.pointer(TYPED_ERROR).unwrap();
    assert_eq!(error.pointer("/allOf/1/properties/error/type").unwrap(), "string");
    let retry_after = document.pointer("/components/responses/Overloaded/headers/Retry-After/schema/type");
    assert_eq!(retry_after.unwrap(), "integer");
}

#[test]
fn without_parameters_and_result_a_call_needs_no_body_and_gets_null() {
    let document = run_remote(&signature(vec![], None));
    assert_valid(&official(), &document);
    assert_eq!(document.pointer(ANSWER).unwrap(), &json!({ "type": "null" }));
    let post = &document["paths"]["/run_remote"]["post"];
    assert_eq!(post["requestBody"]["required"], false);
    assert_eq!(post["responses"]["422"], Json::Null);
    for status in ["400", "406", "408", "413", "415", "429", "500", "503", "504"] {
        assert!(post["responses"][status]["$ref"].is_string(), "{status}");
    }
}

#[test]
fn each_content_has_the_formats_that_fit_it() {
    let bytes = || Type::List(Arc::new(Type::U8));
    let types = |document: &Json, pointer: &str| -> Vec<String> {
        document.pointer(pointer).unwrap().as_object().unwrap().keys().cloned().collect()
    };
    let body = "/paths/~1run_remote/post/requestBody/content";
    let answer = "/paths/~1run_remote/post/responses/200/content";
    let all = ["application/cbor", "application/json", "application/octet-stream"];
    let result = Type::Result { ok: Some(bytes().into()), err: Some(Type::String.into()) };
    let document = run_remote(&signature(vec![member("data", Some(bytes()))], Some(result)));
    assert_valid(&official(), &document);
    for pointer in [body, answer] {
        let mut types = types(&document, pointer);
        types.sort();
        assert_eq!(types, all);
    }
    let document = run_remote(&signature(vec![member("data", Some(bytes())), member("n", Some(Type::U8))], None));
    for pointer in [body, answer] {
        let mut types = types(&document, pointer);
        types.sort();
        assert_eq!(types, all[..2]);
    }
}

#[test]
fn a_type_with_more_spellings_as_input_has_two_schemas() {
    let document = run_remote(&signature(vec![member("hit", Some(hit()))], Some(hit())));
    assert_valid(&official(), &document);
    let schemas = &document["components"]["schemas"];
    assert!(schemas["SearchHit"]["properties"]["doc_id"]["type"].is_string());
    assert!(schemas["SearchHitInput"]["properties"]["doc_id"]["anyOf"].is_array());
    let body = validator_at(&document, BODY);
    assert!(body.is_valid(&json!({ "hit": { "doc_id": "18446744073709551615" } })));
    assert!(!body.is_valid(&json!({ "hit": { "doc_id": "+1" } })));
    assert!(!validator_at(&document, ANSWER).is_valid(&json!({ "doc_id": "1" })));
}

#[test]
fn types_of_one_name_with_two_structures_are_two_schemas() {
    let named = |name, ty| Type::Record(declared(name, None, vec![member("x", Some(ty))]));
    let params = vec![
        member("a", Some(named("point", Type::U8))),
        member("b", Some(named("point", Type::Bool))),
        member("c", Some(named("point", Type::U8))),
        member("d", Some(named("problem", Type::U8))),
    ];
    let document = run_remote(&signature(params, None));
    let reference = |param: &str| document.pointer(BODY).unwrap()["properties"][param]["$ref"].clone();
    assert_eq!(reference("a"), "#/components/schemas/Point");
    assert_eq!(reference("b"), "#/components/schemas/Point2");
    assert_eq!(reference("c"), "#/components/schemas/Point");
    assert_eq!(reference("d"), "#/components/schemas/Problem2", "the problem responses keep their schema");
}

#[test]
fn types_of_one_structure_with_two_names_are_two_schemas() {
    let named = |name, docs| Type::Record(declared(name, Some(docs), vec![member("x", Some(Type::U32))]));
    let params = vec![
        member("p", Some(named("point", "A point in space."))),
        member("s", Some(named("size", "A size on the screen."))),
        member("sizes", Some(Type::List(named("size", "A size on the screen.").into()))),
        member("other", Some(named("SIZE", "A size on the screen."))),
    ];
    let document = run_remote(&signature(params, None));
    let properties = &document.pointer(BODY).unwrap()["properties"];
    assert_eq!(properties["p"]["$ref"], "#/components/schemas/Point");
    assert_eq!(properties["s"]["$ref"], "#/components/schemas/Size");
    assert_eq!(properties["sizes"]["items"]["$ref"], "#/components/schemas/Size");
    assert_eq!(properties["other"]["$ref"], "#/components/schemas/SIZE");
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["Point"]["description"], "A point in space.");
    assert_eq!(schemas["Size"]["description"], "A size on the screen.");
    // These two names of WIT are the same in Pascal case.
    let names = ["x-y", "XY"].map(|name| member(&name.to_lowercase(), Some(named(name, "It."))));
    let document = run_remote(&signature(names.into(), None));
    let properties = &document.pointer(BODY).unwrap()["properties"];
    assert_eq!(properties["x_y"]["$ref"], "#/components/schemas/XY");
    assert_eq!(properties["xy"]["$ref"], "#/components/schemas/XY2");
}

#[test]
fn a_map_is_an_object_with_any_members_of_its_values_type() {
    let map = |key: Type, value: Type| Type::Map { key: key.into(), value: value.into() };
    let document = run_remote(&signature(
        vec![member("hits", Some(map(Type::String, hit()))), member("by-size", Some(map(Type::U8, Type::Bool)))],
        Some(Type::Option(map(Type::String, Type::String).into())),
    ));
    let hits = json!({ "type": "object", "additionalProperties": { "$ref": "#/components/schemas/SearchHitInput" } });
    let properties = &document.pointer(BODY).unwrap()["properties"];
    assert_eq!(properties["hits"], hits);
    assert_eq!(properties["by_size"]["propertyNames"], json!({ "pattern": pattern::integers(0, 255) }));
    let answer = json!({ "type": ["object", "null"], "additionalProperties": { "type": "string" } });
    assert_eq!(document.pointer(ANSWER).unwrap(), &answer);
}

#[test]
fn several_operations_stand_beside_each_other() {
    let signature = signature(vec![member("hit", Some(hit()))], None);
    let operation = |path, id| Operation { path, id, summary: "Calls a chainlet", signature: &signature };
    let operations =
        [operation("/chainlets/a/run_remote", "run_remote_a"), operation("/chainlets/b/run_remote", "run_remote_b")];
    let document = document(&INFO, &operations);
    assert_valid(&official(), &document);
    assert!(document["paths"]["/chainlets/b/run_remote"]["post"].is_object());
    for path in ["/healthz", "/readyz", "/openapi.json"] {
        assert!(document["paths"][path]["get"].is_object(), "{path}");
    }
}

fn call() -> impl Strategy<Value = (Vec<Member>, Vec<Value>, Type, Value)> {
    (any_params(), any_type()).prop_flat_map(|(params, ty)| {
        let args: Vec<_> = params.iter().filter_map(|param| param.ty.as_ref()).map(value_of).collect();
        let answer = value_of(&ty);
        (Just(params), args, Just(ty), answer)
    })
}

proptest! {
    // Fewer cases than usual: each compiles a validator, and the official one is large.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn schemas_accept_what_the_mapping_reads_and_writes((params, args, ty, answer) in call()) {
        // Inside a tuple, a `result` stays whole. As the answer itself, only its `ok` would be described.
        let document = run_remote(&signature(params.clone(), Some(Type::Tuple([ty.clone()].into()))));
        let body: Json = params
            .iter()
            .zip(&args)
            .map(|(param, value)| (param.name.snake().to_owned(), to_json(param.ty.as_ref().unwrap(), value)))
            .collect();
        assert_valid(&validator_at(&document, BODY), &body);
        let answer = to_json(&ty, &answer);
        assert_valid(&validator_at(&document, ANSWER), &json!([answer]));
    }

    #[test]
    fn schemas_reject_what_the_mapping_rejects((_, _, ty, value) in call(), place in any::<Index>()) {
        let mut json = to_json(&ty, &value);
        let mut breaks = Vec::new();
        find_breaks(&ty, &json, String::new(), &mut breaks);
        if breaks.is_empty() {
            return Ok(());
        }
        let Break { at, with, .. } = place.get(&breaks);
        *json.pointer_mut(at).unwrap() = with.clone();
        let document = run_remote(&signature(vec![member("value", Some(ty))], None));
        prop_assert!(!validator_at(&document, BODY).is_valid(&json!({ "value": json })), "{json}");
    }

    #[test]
    fn every_document_is_valid(params in any_params(), ty in any_type()) {
        let document = run_remote(&signature(params, Some(ty)));
        assert_valid(&official(), &document);
        for (pointer, schema) in [(BODY, "requestBody"), (ANSWER, "responses/200")] {
            let example = format!("/paths/~1run_remote/post/{schema}/content/application~1json/example");
            if let Some(example) = document.pointer(&example) {
                assert_valid(&validator_at(&document, pointer), example);
            }
        }
    }
}

/// Returns every content in `document` with its media type.
fn contents(document: &Json) -> Vec<(String, Json)> {
    match document {
        Json::Object(members) => {
            let own = members.get("content").and_then(Json::as_object).cloned().unwrap_or_default();
            own.into_iter().chain(members.values().flat_map(contents)).collect()
        }
        Json::Array(items) => items.iter().flat_map(contents).collect(),
        _ => Vec::new(),
    }
}

/// Asserts that the components of `document` have exactly the responses to which its paths refer.
fn assert_responses_are_used(document: &Json) {
    let text = document["paths"].to_string();
    let responses = document["components"]["responses"].as_object().unwrap();
    for name in responses.keys() {
        assert!(text.contains(&format!("#/components/responses/{name}\"")), "{name} is not used");
    }
    for part in text.split("#/components/responses/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(responses.contains_key(name), "{name} is missing");
    }
}

#[test]
fn each_media_type_has_a_schema_and_each_response_is_used() {
    let stream = |item: Type| Type::Stream(item.into());
    let rest = Type::Future(Type::Result { ok: Some(Type::U64.into()), err: Some(Type::String.into()) }.into());
    for (params, result) in [
        (vec![], None),
        (vec![member("data", Some(stream(Type::U8)))], Some(stream(Type::U8))),
        (
            vec![member("k", Some(Type::U8)), member("items", Some(stream(hit())))],
            Some(Type::Tuple([stream(Type::String), rest].into())),
        ),
    ] {
        let signature = signature(params, result);
        let operation =
            Operation { path: "/run_remote", id: "run_remote", summary: "Calls the chain", signature: &signature };
        let operations = [operation];
        let keys = document(&Info { api_keys: true, ..INFO }, &operations);
        for document in [document(&INFO, &operations), keys, admin_document(&INFO, &operations)] {
            assert_valid(&official(), &document);
            assert_responses_are_used(&document);
            for (media_type, content) in contents(&document) {
                assert!(content["schema"].is_object(), "{media_type} has {content}");
            }
        }
    }
}

#[test]
fn examples_of_streams_look_as_on_the_wire() {
    let rest = Type::Future(Type::Result { ok: Some(Type::U64.into()), err: Some(Type::String.into()) }.into());
    let map = Type::Map { key: Type::String.into(), value: Type::Bool.into() };
    let result = Type::Tuple([Type::Stream(map.into()), rest].into());
    let params = vec![member("k", Some(Type::U8)), member("items", Some(Type::Stream(Type::String.into())))];
    let document = run_remote(&signature(params, Some(result)));
    let post = &document["paths"]["/run_remote"]["post"];
    let taken = &post["requestBody"]["content"]["application/x-ndjson"];
    assert_eq!(taken["example"], "{\"k\":1}\n\"text\"\n");
    let given = &post["responses"]["200"]["content"];
    assert_eq!(given["application/x-ndjson"]["example"], "{\"$item\":{\"key\":true}}\n{\"$end\":1}\n");
    assert_eq!(given["text/event-stream"]["example"], "data: {\"key\":true}\n\nevent: end\ndata: 1\n\n");
}

#[test]
fn an_admin_has_a_document_with_an_operation_for_each_chainlet() {
    let signature = signature(vec![member("hit", Some(hit()))], None);
    let operation = |path, id| Operation { path, id, summary: "Calls a chainlet", signature: &signature };
    let operations = [
        operation("/chainlets/a/run_remote", "run_remote_of_a"),
        operation("/chainlets/b/run_remote", "run_remote_of_b"),
    ];
    let document = admin_document(&Info { prefix: "/admin", ..INFO }, &operations);
    assert_valid(&official(), &document);
    assert_eq!(document["servers"][0]["url"], "/admin");
    for (path, method) in [
        ("/chainlets/a/run_remote", "post"),
        ("/chainlets/b/run_remote", "post"),
        ("/metrics", "get"),
        ("/chain", "get"),
        ("/reload", "post"),
        ("/healthz", "get"),
        ("/readyz", "get"),
        ("/openapi.json", "get"),
    ] {
        assert!(document["paths"][path][method].is_object(), "{path}");
    }
    let state = &document["components"]["schemas"]["ChainState"];
    assert_eq!(state["properties"]["version"]["description"], "The number of versions that the chain has had.");
    assert!(state["required"].as_array().unwrap().contains(&json!("trial")), "{state}");
}

fn to_json(ty: &Type, value: &Value) -> Json {
    let mut text = Vec::new();
    json::write(ty, value, &mut text).unwrap();
    serde_json::from_slice(&text).unwrap()
}
