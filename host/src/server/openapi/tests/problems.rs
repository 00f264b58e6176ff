//! Problems, and the keys whose lack is one, in documents.

use std::collections::BTreeSet;

use super::*;

#[test]
fn a_document_says_that_requests_need_a_key() {
    let signature = signature(Vec::new(), None);
    let operation =
        Operation { path: "/run_remote", id: "run_remote", summary: "Calls the chain", signature: &signature };
    let document = document(&Info { api_keys: true, ..INFO }, &[operation]);
    assert_valid(&official(), &document);
    assert_eq!(document["components"]["securitySchemes"]["apiKey"]["name"], "X-API-Key");
    assert_eq!(document["security"], json!([{ "bearer": [] }, { "apiKey": [] }]));
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    let unauthorized = json!({ "$ref": "#/components/responses/Unauthorized" });
    assert_eq!(document["paths"]["/run_remote"]["post"]["responses"]["401"], unauthorized);
    assert_eq!(document["paths"]["/openapi.json"]["get"]["responses"]["401"], unauthorized);
    let headers = &document["components"]["responses"]["Unauthorized"]["headers"];
    assert!(headers["WWW-Authenticate"].is_object(), "{headers}");
    assert_eq!(document["paths"]["/healthz"]["get"]["security"], json!([]));
    assert_eq!(document["paths"]["/healthz"]["get"]["responses"]["401"], Json::Null);
    assert_eq!(document["paths"]["/run_remote"]["post"]["responses"]["403"], Json::Null);
    let open = run_remote(&self::signature(Vec::new(), None));
    assert_eq!(open["security"], json!([]), "nothing has to be shown");
    assert!(open["paths"]["/run_remote"]["post"]["responses"]["403"].is_object());
    assert_eq!(run_remote(&self::signature(Vec::new(), None))["components"].get("securitySchemes"), None);
}

#[test]
fn a_document_says_how_a_websocket_shows_a_key() {
    let stream = Type::Stream(Arc::new(Type::U8));
    let signature = signature(vec![member("data", Some(stream.clone()))], Some(stream));
    let operation =
        Operation { path: "/run_remote", id: "run_remote", summary: "Calls the chain", signature: &signature };
    let document = document(&Info { api_keys: true, ..INFO }, &[operation]);
    assert_valid(&official(), &document);
    assert_eq!(document["components"]["securitySchemes"]["socketKey"]["name"], "Sec-WebSocket-Protocol");
    let socket = &document["paths"]["/run_remote"]["get"];
    assert_eq!(socket["security"], json!([{ "bearer": [] }, { "apiKey": [] }, { "socketKey": [] }]));
    assert!(socket["responses"]["401"].is_object());
    assert_eq!(run_remote(&signature)["paths"]["/run_remote"]["get"].get("security"), None);
}

#[test]
fn a_document_has_the_statuses_of_the_standard_error() {
    let standard = crate::arbitrary::standard_error();
    let result = Type::Result { ok: None, err: Some(Arc::new(standard)) };
    let document = run_remote(&signature(Vec::new(), Some(result)));
    assert_valid(&official(), &document);
    let responses = document["paths"]["/run_remote"]["post"]["responses"].as_object().unwrap();
    for status in ["401", "403", "404", "409", "422", "501", "502"] {
        assert!(responses.contains_key(status), "{status}");
    }
}

#[test]
fn a_problem_fits_its_schema() {
    let error = Type::Variant(declared("failure", None, vec![member("too-long", Some(Type::U32))]));
    let result = Type::Result { ok: None, err: Some(Arc::new(error)) };
    let document = run_remote(&signature(vec![], Some(result)));
    let problem = json!({
        "type": "urn:chainhost:problem:chainlet-error",
        "title": "The chainlet answered with its error",
        "status": 422,
        "detail": "the chainlet answered with its error",
        "chainlet": "say-hello",
        "path": [{ "from": "hello-all", "dependency": "say-hello", "to": "say-hello" }],
        "error": { "too_long": 9 },
        "request_id": "1",
    });
    assert_valid(&validator_at(&document, TYPED_ERROR), &problem);
    let mut without = problem.clone();
    without.as_object_mut().unwrap().remove("error");
    assert!(!validator_at(&document, TYPED_ERROR).is_valid(&without));
}

/// Returns the documents of the listeners for a chain whose entrypoint takes a stream and returns one: the public one
/// without keys, the public one with keys, and the one for admins.
fn documents() -> [Json; 3] {
    let stream = || Type::Stream(Arc::new(Type::U8));
    let result = Type::Result { ok: Some(stream().into()), err: Some(Arc::new(Type::String)) };
    let signature = signature(vec![member("data", Some(stream()))], Some(result));
    let operations =
        [Operation { path: "/run_remote", id: "run_remote", summary: "Calls the chain", signature: &signature }];
    let keys = document(&Info { api_keys: true, ..INFO }, &operations);
    [document(&INFO, &operations), keys, admin_document(&INFO, &operations)]
}

#[test]
fn every_kind_of_problem_is_in_a_document() {
    let documents = documents();
    for kind in ProblemKind::ALL {
        let declaration = kind.declaration();
        let is_there = |document: &Json| match declaration.documented.component {
            Some(name) => document["components"]["responses"][name].is_object(),
            None => {
                let status = problem::status(*kind);
                document["paths"]["/run_remote"]["post"]["responses"][status]["content"].is_object()
            }
        };
        assert!(documents.iter().any(is_there), "{kind:?}");
    }
}

#[test]
fn kinds_that_share_a_response_have_one_status() {
    let declarations = || ProblemKind::ALL.iter().map(|kind| kind.declaration());
    let names: BTreeSet<_> = declarations().filter_map(|kind| kind.documented.component).collect();
    let responses: BTreeSet<_> = declarations()
        .filter_map(|kind| Some((kind.documented.component?, kind.documented.description, kind.status)))
        .collect();
    assert_eq!(responses.len(), names.len(), "{responses:?}");
}

#[test]
fn the_response_of_several_kinds_is_that_of_the_first() {
    let [open, _, admin] = documents();
    let name = |document: &Json, path: &str, method: &str, status: &str| {
        let reference = document["paths"][path][method]["responses"][status]["$ref"].clone();
        reference.as_str().map(|path| path.trim_start_matches("#/components/responses/").to_owned())
    };
    for (document, path, method, status, expected) in [
        (&open, "/run_remote", "post", "400", "BadInput"),
        (&open, "/run_remote", "get", "400", "BadRequest"),
        (&open, "/run_remote", "get", "405", "MethodNotAllowed"),
        (&open, "/run_remote", "post", "500", "Trap"),
        (&admin, "/reload", "post", "500", "Internal"),
        (&open, "/run_remote", "post", "503", "Unavailable"),
        (&open, "/readyz", "get", "503", "Unavailable"),
    ] {
        assert_eq!(name(document, path, method, status).as_deref(), Some(expected), "{method} {path} {status}");
    }
}

#[test]
fn retry_after_is_required_if_each_problem_of_the_status_has_it() {
    let [open, ..] = documents();
    for (name, required) in [("Overloaded", true), ("Unreachable", false), ("Unavailable", false)] {
        assert_eq!(open["components"]["responses"][name]["headers"]["Retry-After"]["required"], required, "{name}");
    }
    assert_eq!(open["components"]["responses"]["Trap"]["headers"].get("Retry-After"), None);
}
