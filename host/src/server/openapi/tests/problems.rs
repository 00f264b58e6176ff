//! Problems, and the keys whose lack is one, in documents.

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
    assert!(document["paths"]["/run_remote"]["post"]["responses"]["401"].is_object());
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
    let standard = crate::error::declared::tests::standard();
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
