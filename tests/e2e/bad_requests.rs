//! Wrong requests. Each gets a problem document of its kind, and the server still answers others.

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Chain, Served, json_request};

/// Asserts that the server still answers.
async fn goes_on(served: &Served) {
    assert_eq!(served.public.call(&json!({ "names": ["Ada"] })).await.json(), json!(["Hello, Ada!"]));
}

fn request(method: Method, path: &str, headers: &[(&str, &str)], body: &'static str) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::from(body)).unwrap()
}

#[tokio::test]
async fn a_body_that_does_not_fit_is_a_400_with_a_pointer() {
    let served = Chain::hello().serve();
    for (body, pointer) in [
        (&br#"{"names": ["Ada""#[..], None),
        (br#"{"names": ["Ada"]} and more"#, None),
        (b"", Some("")),
        (b"null", Some("")),
        (br#"["Ada"]"#, Some("")),
        (b"{}", Some("")),
        (br#"{"names": 5}"#, Some("/names")),
        (br#"{"names": ["Ada", null]}"#, Some("/names/1")),
        (br#"{"nmaes": ["Ada"]}"#, Some("/nmaes")),
        (br#"{"names": ["Ada"], "more": 1}"#, Some("/more")),
        (b"{\"names\": [\"\xff\xfe\"]}", None),
        (br#"{"names": ["\ud800"]}"#, None),
    ] {
        let shown = String::from_utf8_lossy(body).into_owned();
        let reply = served.public.send(json_request("/run_remote", body)).await;
        let problem = reply.problem(400, "invalid-input");
        if let Some(pointer) = pointer {
            assert_eq!(problem["pointer"], pointer, "{shown}: {problem}");
        }
    }
    goes_on(&served).await;
}

#[tokio::test]
async fn json_that_is_nested_too_deeply_is_refused() {
    let served = Chain::hello().serve();
    for open in ["[", "{\"names\":"] {
        let reply = served.public.send(json_request("/run_remote", open.repeat(200_000))).await;
        reply.problem(400, "invalid-input");
    }
    goes_on(&served).await;
}

#[tokio::test]
async fn a_body_above_the_limit_is_a_413_whether_or_not_its_length_is_known() {
    let served = Chain::hello().serve_with(&["--body-limit", "1KiB"]);
    let body = json!({ "names": ["x".repeat(2000)] }).to_string();
    served.public.send(json_request("/run_remote", body.clone())).await.problem(413, "body-too-large");

    let mut stream = TcpStream::connect(served.public.0).await.unwrap();
    let head =
        "POST /run_remote HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    stream.write_all(chunk.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    goes_on(&served).await;
}

#[tokio::test]
async fn a_body_whose_headers_do_not_say_json_is_a_415() {
    let served = Chain::hello().serve();
    for headers in [
        &[][..],
        &[("content-type", "text/plain")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "application/json"), ("content-encoding", "gzip")],
    ] {
        let request = request(Method::POST, "/run_remote", headers, r#"{"names": []}"#);
        served.public.send(request).await.problem(415, "unsupported-media-type");
    }
    let request = request(
        Method::POST,
        "/run_remote",
        &[("content-type", "application/json; charset=utf-8")],
        r#"{"names": []}"#,
    );
    assert_eq!(served.public.send(request).await.json(), json!([]));
}

#[tokio::test]
async fn an_unsupported_method_is_a_405_that_lists_the_supported_ones() {
    let served = Chain::hello().serve();
    let (calls, reads) = ("POST, OPTIONS", "GET, HEAD, OPTIONS");
    for (listener, method, path, allowed) in [
        (served.public, Method::GET, "/run_remote", calls),
        (served.public, Method::PUT, "/run_remote", calls),
        (served.public, Method::POST, "/openapi.json", reads),
        (served.public, Method::DELETE, "/healthz", reads),
        (served.public, Method::POST, "/readyz", reads),
        (served.admin, Method::GET, "/reload", calls),
        (served.admin, Method::GET, "/chainlets/say-hello/run_remote", calls),
        (served.admin, Method::POST, "/metrics", reads),
        (served.admin, Method::PATCH, "/chain", reads),
    ] {
        let reply = listener.send(request(method.clone(), path, &[], "")).await;
        assert_eq!(reply.headers[header::ALLOW], allowed, "{method} {path}");
        reply.problem(405, "method-not-allowed");
        let reply = listener.send(request(Method::OPTIONS, path, &[], "")).await;
        assert_eq!((reply.status.as_u16(), &reply.headers[header::ALLOW]), (204, &allowed.parse().unwrap()), "{path}");
    }
    let head = served.public.send(request(Method::HEAD, "/run_remote", &[], "")).await;
    assert_eq!((head.status.as_u16(), &head.headers[header::ALLOW]), (405, &calls.parse().unwrap()));
    goes_on(&served).await;
}

#[tokio::test]
async fn a_chain_with_websockets_takes_get_only_over_http_1_1() {
    let served = Chain::new("[chain]\nname = \"one\"\n[chainlets.only]\ncomponent = \"<guest_stream_echo>\"\n").serve();
    let both = "GET, POST, OPTIONS";
    for method in [Method::PUT, Method::HEAD] {
        let reply = served.public.send(request(method.clone(), "/run_remote", &[], "")).await;
        assert_eq!((reply.status.as_u16(), &reply.headers[header::ALLOW]), (405, &both.parse().unwrap()), "{method}");
    }
    let mut sender = served.public.http2().await.unwrap();
    let uri = format!("http://{}/run_remote", served.public.0);
    let response = sender.send_request(request(Method::GET, &uri, &[], "")).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()[header::ALLOW]),
        (405, &"POST, OPTIONS".parse().unwrap())
    );
}

#[tokio::test]
async fn a_path_that_does_not_exist_is_a_404() {
    let served = Chain::hello().serve();
    for path in ["/", "/run-remote", "/run_remote/", "/run_remote/more", "/%2e%2e/etc/passwd", "/\u{e9}"] {
        let path: String = path.chars().map(|c| if c.is_ascii() { c.to_string() } else { "%C3%A9".into() }).collect();
        served.public.get(&path).await.problem(404, "not-found");
    }
    goes_on(&served).await;
}

#[tokio::test]
async fn an_invalid_header_is_a_400() {
    let served = Chain::hello().serve();
    let headers = [("content-type", "application/json"), ("x-request-timeout", "soon")];
    let reply = served.public.send(request(Method::POST, "/run_remote", &headers, r#"{"names": []}"#)).await;
    let problem = reply.problem(400, "bad-request");
    assert!(problem["detail"].as_str().unwrap().contains("x-request-timeout"), "{problem}");
}

#[tokio::test]
async fn clients_that_send_garbage_or_leave_harm_nobody() {
    let served = Chain::hello().serve();
    for garbage in [
        &b"\0\xff\r\n\r\n"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /run_remote HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\ncontent-type: application/json\r\n\r\n{",
        b"POST /run_remote HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nno frame at all",
    ] {
        let mut stream = TcpStream::connect(served.public.0).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        drop(stream);
    }
    goes_on(&served).await;
    assert!(!served.log().contains("ERROR"), "{}", served.log());
}

#[tokio::test]
async fn problems_are_the_same_over_http_2() {
    let served = Chain::hello().serve();
    let mut sender = served.public.http2().await.unwrap();
    let uri = format!("http://{}/run_remote", served.public.0);
    let response = sender.send_request(json_request(&uri, r#"{"names": 5}"#)).await.unwrap();
    let problem = crate::harness::Reply::read(response).await.problem(400, "invalid-input");
    assert_eq!(problem["pointer"], "/names");
}
