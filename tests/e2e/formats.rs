//! Bodies and answers in formats other than JSON, and the choice of the format by client and server.

use bytes::Bytes;
use chainhost::chain::{CallOptions, Formats};
use chainhost::config::ChainSpec;
use chainhost::error::ErrorKind;
use chainhost::host::Host;
use chainhost::value::format::Format;
use http::{Request, header};
use http_body_util::Full;
use serde_json::{Value as Json, json};

use crate::harness::{Chain, Reply, Served, cbor, kept, repository};

const JSON: &str = "application/json";
const CBOR: &str = "application/cbor";
const OCTETS: &str = "application/octet-stream";

/// A chainlet that returns its bytes, behind one that passes them on.
const BLOBS: &str = r#"
[chain]
name = "blobs"

[chainlets.front]
component = "<guest_blob_relay>"
depends.next = "back"

[chainlets.back]
component = "<guest_blob>"
"#;

fn values() -> Served {
    Chain::new("[chain]\nname = \"values\"\n[chainlets.echo]\ncomponent = \"<guest_values>\"\n").serve()
}

fn example() -> Json {
    let text = std::fs::read_to_string(repository().join("tests/guests/values/example.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn request(path: &str, kind: &str, accept: Option<&str>, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = Request::post(path).header(header::CONTENT_TYPE, kind);
    if let Some(accept) = accept {
        request = request.header(header::ACCEPT, accept);
    }
    request.body(Full::new(body.into())).unwrap()
}

async fn call(served: &Served, kind: &str, accept: Option<&str>, body: impl Into<Bytes>) -> Reply {
    served.public.send(request("/run_remote", kind, accept, body)).await
}

/// Returns the body of a successful response of the type `kind`.
#[track_caller]
fn body(reply: &Reply, kind: &str) -> Bytes {
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    assert_eq!(reply.headers[header::CONTENT_TYPE], kind);
    reply.body.clone()
}

#[tokio::test]
async fn bytes_go_in_and_come_out_unchanged() {
    let served = Chain::new(BLOBS).serve();
    let data = Bytes::from_iter((0..100_000_u32).map(|n| (n % 251) as u8));
    assert_eq!(body(&call(&served, OCTETS, Some(OCTETS), data.clone()).await, OCTETS), data);
    let back = "/chainlets/back/run_remote";
    assert_eq!(body(&served.admin.send(request(back, OCTETS, Some(OCTETS), data)).await, OCTETS).len(), 100_000);
    assert_eq!(body(&call(&served, OCTETS, Some(OCTETS), "").await, OCTETS), "");
}

#[tokio::test]
async fn body_and_answer_may_have_different_formats() {
    let served = Chain::new(BLOBS).serve();
    let wrapped = json!({ "data": "AAEC" });
    assert_eq!(call(&served, OCTETS, None, &b"\0\x01\x02"[..]).await.json(), "AAEC");
    assert_eq!(call(&served, OCTETS, Some("text/html, */*;q=0.8"), &b"\0\x01\x02"[..]).await.json(), "AAEC");
    assert_eq!(body(&call(&served, JSON, Some(OCTETS), wrapped.to_string()).await, OCTETS), &b"\0\x01\x02"[..]);
    let preferred = "application/json;q=0.5, application/octet-stream";
    assert_eq!(body(&call(&served, JSON, Some(preferred), wrapped.to_string()).await, OCTETS), &b"\0\x01\x02"[..]);
    assert_eq!(body(&call(&served, CBOR, Some(CBOR), cbor::encode(&wrapped)).await, CBOR), &b"\x43\0\x01\x02"[..]);
}

#[tokio::test]
async fn a_value_of_every_type_comes_back_from_cbor_unchanged() {
    let served = values();
    let input = example();
    let answer = body(&call(&served, CBOR, Some(CBOR), cbor::encode(&input)).await, CBOR);
    assert_eq!(cbor::decode(&answer), input["value"]);
    assert_eq!(call(&served, CBOR, None, cbor::encode(&input)).await.json(), input["value"]);
    let answer = body(&call(&served, JSON, Some(CBOR), input.to_string()).await, CBOR);
    assert_eq!(cbor::decode(&answer), input["value"]);
}

#[tokio::test]
async fn bad_cbor_is_refused_with_its_place_and_the_server_goes_on() {
    let served = values();
    let mut input = example();
    input["value"]["lists"]["u16s"][2] = json!(70_000);
    let problem = call(&served, CBOR, None, cbor::encode(&input)).await.problem(400, "invalid-input");
    assert_eq!(problem["pointer"], "/value/lists/u16s/2", "{problem}");
    let whole = cbor::encode(&example());
    let problem = call(&served, CBOR, None, whole[..whole.len() - 1].to_vec()).await.problem(400, "invalid-input");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("bad CBOR after") && detail.contains("ends in the middle"), "{problem}");
    assert_eq!(problem["pointer"], "/value/weekdays/1", "{problem}");
    for hostile in [
        &b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff\x65value"[..],
        b"\xa1\x65value\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\xa1\x65val\xff\xfe\x01",
        b"\xa1\x65value\xc1\x00",
        b"\xff",
        b"\xa0\x00",
        b"not CBOR at all",
    ] {
        let problem = call(&served, CBOR, None, hostile).await.problem(400, "invalid-input");
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{hostile:?}");
    }
    for open in [&b"\x81"[..], b"\x9f", b"\xa1\x65value", b"\xd8\x20"] {
        call(&served, CBOR, None, open.repeat(200_000)).await.problem(400, "invalid-input");
    }
    assert_eq!(call(&served, CBOR, None, whole).await.json(), example()["value"]);
}

#[tokio::test]
async fn a_typed_error_is_a_json_problem_even_if_the_client_prefers_another() {
    let served = Chain::new(BLOBS).serve();
    for accept in [CBOR, OCTETS] {
        let problem = call(&served, OCTETS, Some(accept), "err:no such thing").await.problem(422, "chainlet-error");
        assert_eq!(problem["error"], "no such thing");
    }
}

#[tokio::test]
async fn an_accept_without_a_supported_type_is_a_406_that_lists_them() {
    let served = values();
    let problem = call(&served, JSON, Some(OCTETS), example().to_string()).await.problem(406, "not-acceptable");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("application/json, application/cbor") && !detail.contains("octet"), "{problem}");
    let problem = call(&Chain::new(BLOBS).serve(), OCTETS, Some("image/png"), "x").await.problem(406, "not-acceptable");
    assert!(problem["detail"].as_str().unwrap().contains("application/octet-stream"), "{problem}");
}

#[tokio::test]
async fn a_body_of_an_unsupported_type_is_a_415_that_lists_the_supported() {
    let served = values();
    for (kind, words) in [
        (OCTETS, "the body is `application/octet-stream`; this takes application/json, application/cbor,"),
        ("text/plain", "the body is `text/plain`"),
        ("multipart/form-data; boundary=x", "this takes application/json"),
    ] {
        let problem = call(&served, kind, None, "x").await.problem(415, "unsupported-media-type");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
    }
    let problem =
        call(&Chain::new(BLOBS).serve(), "text/plain", None, "x").await.problem(415, "unsupported-media-type");
    assert!(problem["detail"].as_str().unwrap().contains("application/octet-stream"), "{problem}");
}

#[tokio::test]
async fn the_openapi_document_names_the_formats_that_fit() {
    let served = Chain::new(BLOBS).serve();
    let document = served.public.get("/openapi.json").await.json();
    let post = &document["paths"]["/run_remote"]["post"];
    for content in [&post["requestBody"]["content"], &post["responses"]["200"]["content"]] {
        for kind in [JSON, CBOR, OCTETS] {
            assert!(content[kind].is_object(), "{kind}: {content}");
        }
    }
}

#[tokio::test]
async fn a_quarter_of_a_gibibyte_goes_through_http_and_an_edge() {
    let served = Chain::new(BLOBS).serve_with(&["--body-limit", "300MiB"]);
    let mut data = vec![0x5a; 256 << 20];
    for (index, byte) in data.iter_mut().enumerate().step_by(4093) {
        *byte = index as u8;
    }
    let data = Bytes::from(data);
    let answer = call(&served, OCTETS, Some(OCTETS), data.clone()).await;
    // `assert_eq!` would print both bodies.
    assert!(body(&answer, OCTETS) == data, "the answer differs");
}

#[tokio::test]
async fn the_error_for_a_value_beyond_the_limit_names_the_key_to_raise() {
    let served = Chain::new(&format!("{BLOBS}resources.value_limit = \"2MiB\"\n")).serve();
    let data = vec![7; 3 << 20];
    let front = request("/chainlets/front/run_remote", OCTETS, Some(OCTETS), data);
    let problem = served.admin.send(front).await.problem(500, "trap");
    assert!(
        problem["detail"].as_str().unwrap().contains("raise resources.value_limit of the chainlet back"),
        "{problem}"
    );
    assert_eq!(problem["chainlet"], "back");
    assert_eq!(body(&call(&served, OCTETS, Some(OCTETS), "x").await, OCTETS), "x");
}

#[tokio::test]
async fn a_value_beyond_the_limit_for_a_dependency_traps_with_the_key_to_raise() {
    let relay = "[chain]\nname = \"test\"\n[chainlets.front]\ncomponent = \"<guest_relay>\"\n\
        depends = { next = \"middle\", other = \"back\" }\n[chainlets.middle]\ncomponent = \"<guest_relay>\"\n\
        depends = { next = \"back\", other = \"back\" }\nresources.value_limit = \"1MiB\"\n\
        [chainlets.back]\ncomponent = \"<guest_faulty>\"\n";
    let served = Chain::new(relay).serve();
    let problem = served.tell("front", &format!("echo:{}", "x".repeat(2 << 20))).await.problem(500, "trap");
    assert!(
        problem["detail"].as_str().unwrap().contains("raise resources.value_limit of the chainlet middle"),
        "{problem}"
    );
    assert_eq!(served.ask("echo:x").await, "x", "another replica answers");
}

#[tokio::test]
async fn bytes_beyond_the_value_limit_are_a_413_that_names_it() {
    let served =
        Chain::new(&BLOBS.replace("<guest_blob_relay>\"", "<guest_blob_relay>\"\nresources.value_limit = \"1MiB\""))
            .serve();
    let problem = call(&served, OCTETS, None, vec![7; 2 << 20]).await.problem(413, "body-too-large");
    assert!(problem["detail"].as_str().unwrap().contains("resources.value_limit of the chainlet front"), "{problem}");
}

#[tokio::test]
async fn a_small_body_that_becomes_a_large_value_is_a_413_that_names_the_limit() {
    let chain = "[chain]\nname = \"values\"\n[chainlets.echo]\ncomponent = \"<guest_values>\"\nresources.value_limit = \"256KiB\"\n";
    let served = Chain::new(chain).serve();
    let mut input = example();
    assert_eq!(served.public.call(&input).await.json(), input["value"]);
    input["value"]["lists"]["matrix"] = vec![json!([]); 10_000].into();
    for (kind, bytes) in [(JSON, input.to_string().into_bytes()), (CBOR, cbor::encode(&input))] {
        assert!(bytes.len() < 64 * 1024);
        let problem = call(&served, kind, None, bytes).await.problem(413, "body-too-large");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("resources.value_limit of the chainlet echo"), "{problem}");
        assert!(problem["pointer"].as_str().unwrap().starts_with("/value/lists/matrix"), "{problem}");
    }
}

#[tokio::test]
async fn an_embedder_calls_with_bytes_without_http() {
    let spec = ChainSpec::from_toml(&Chain::filled(BLOBS), "chain.toml".as_ref()).unwrap();
    let host = Host::builder().code_cache(kept("cache").join("chainhost/code")).build().unwrap();
    let chain = host.load(&spec).await.unwrap();
    let bytes = Formats { input: Format::Bytes, answer: Format::Bytes };
    let data = Bytes::from_static(b"as it is");
    assert_eq!(chain.call_bytes(&data, bytes, CallOptions::default()).await.unwrap(), data);
    let answer = Formats { answer: Format::Cbor, ..bytes };
    let answer = chain.chainlet("back").unwrap().call_bytes(&data, answer, CallOptions::default()).await;
    assert_eq!(answer.unwrap(), &b"\x48as it is"[..]);
    assert!(chain.chainlet("nobody").is_none());
    let error =
        chain.call_bytes(&Bytes::from_static(b"{"), Formats::default(), CallOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().starts_with("bad JSON in line 1, column 1"), "{error}");
}
