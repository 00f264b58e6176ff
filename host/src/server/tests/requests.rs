//! The answers of the routes to single requests. These do not depend on the server in which the routes are mounted.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, header};
use serde_json::json;

use super::chain::{get, json, numbers, post, text};
use crate::server::observe::observed;
use crate::server::{ApiKeys, Audience, Http, HttpOptions, router};

#[tokio::test]
async fn a_call_is_answered_with_bare_json_and_the_id_of_its_request() {
    let router = router(numbers(1).await, HttpOptions::default());
    let mut request = post("/run_remote", r#"{"n": 7}"#);
    request.headers_mut().insert("x-request-id", "r7".parse().unwrap());
    let (head, answer) = json(&router, request).await;
    assert_eq!((head.status.as_u16(), answer), (200, json!(7)));
    assert_eq!(
        (&head.headers[header::CONTENT_TYPE], &head.headers["x-request-id"]),
        (&"application/json".parse().unwrap(), &"r7".parse().unwrap())
    );
}

#[tokio::test]
async fn input_that_does_not_fit_is_400_and_says_where() {
    let router = router(numbers(1).await, HttpOptions::default());
    for (body, pointer) in
        [(r#"{"n": -1}"#, json!("/n")), (r#"{"n": 1.5}"#, json!("/n")), (r#"{"n": 7, "m": 1}"#, json!("/m"))]
    {
        let (head, problem) = json(&router, post("/run_remote", body)).await;
        assert_eq!((head.status.as_u16(), &problem["pointer"]), (400, &pointer), "{body}: {problem}");
        assert_eq!(problem["type"], "urn:chainhost:problem:invalid-input");
    }
    let (head, problem) = json(&router, post("/run_remote", "")).await;
    assert_eq!(head.status, 400, "{problem}");
    let (head, problem) = json(&router, post("/run_remote", r#"{"n": "#)).await;
    assert_eq!(head.status, 400, "{problem}");
}

#[tokio::test]
async fn a_typed_error_is_422_and_holds_the_error() {
    let router = router(numbers(1).await, HttpOptions::default());
    let (head, problem) = json(&router, post("/run_remote", r#"{"n": 2}"#)).await;
    assert_eq!((head.status.as_u16(), &problem["error"], &problem["chainlet"]), (422, &json!(2), &json!("numbers")));
}

#[tokio::test]
async fn a_trap_is_500_and_the_next_call_is_served() {
    let router = router(numbers(1).await, HttpOptions::default());
    let (head, problem) = json(&router, post("/run_remote", r#"{"n": 0}"#)).await;
    assert_eq!((head.status.as_u16(), &problem["type"]), (500, &json!("urn:chainhost:problem:trap")));
    assert_eq!(problem["path"], json!([]));
    assert!(!problem["detail"].as_str().unwrap().contains("unreachable"), "{problem}");
    let (head, answer) = json(&router, post("/run_remote", r#"{"n": 5}"#)).await;
    assert_eq!((head.status.as_u16(), answer), (200, json!(5)));
}

#[tokio::test]
async fn a_call_that_takes_longer_than_its_client_waits_is_504() {
    let router = router(numbers(1).await, HttpOptions::default());
    let mut request = post("/run_remote", r#"{"n": 1}"#);
    request.headers_mut().insert("x-request-timeout", "20ms".parse().unwrap());
    let (head, problem) = json(&router, request).await;
    assert_eq!((head.status.as_u16(), &problem["type"]), (504, &json!("urn:chainhost:problem:deadline")));
}

#[tokio::test]
async fn a_client_cannot_ask_for_more_time_than_the_server_gives() {
    let options = HttpOptions { request_timeout: Duration::from_millis(20), ..HttpOptions::default() };
    let router = router(numbers(1).await, options);
    let mut request = post("/run_remote", r#"{"n": 1}"#);
    request.headers_mut().insert("x-request-timeout", "1h".parse().unwrap());
    assert_eq!(json(&router, request).await.0.status, 504);
}

#[tokio::test]
async fn a_call_that_finds_the_queue_full_is_429() {
    let chain = numbers(1).await;
    let router = router(chain.clone(), HttpOptions::default());
    let calls: Vec<_> = (0..2)
        .map(|_| {
            let router = router.clone();
            tokio::spawn(async move { json(&router, post("/run_remote", r#"{"n": 1}"#)).await })
        })
        .collect();
    while chain.status().any(|(_, status)| status.active + status.waiting < 2) {
        tokio::task::yield_now().await;
    }
    let (head, problem) = json(&router, post("/run_remote", r#"{"n": 5}"#)).await;
    assert_eq!((head.status.as_u16(), &problem["type"]), (429, &json!("urn:chainhost:problem:overloaded")));
    assert!(head.headers.contains_key(header::RETRY_AFTER));
    calls.iter().for_each(|call| call.abort());
}

#[tokio::test]
async fn a_body_that_is_too_large_or_not_json_is_refused() {
    let router = router(numbers(1).await, HttpOptions { body_limit: 16, ..HttpOptions::default() });
    let (head, problem) = json(&router, post("/run_remote", r#"{"n": 7, "padding": 1}"#)).await;
    assert_eq!((head.status.as_u16(), &problem["type"]), (413, &json!("urn:chainhost:problem:body-too-large")));
    let form = Request::post("/run_remote").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let (head, problem) = json(&router, form.body(Body::from("n=7")).unwrap()).await;
    assert_eq!((head.status.as_u16(), &problem["type"]), (415, &json!("urn:chainhost:problem:unsupported-media-type")));
}

#[tokio::test]
async fn a_wrong_method_is_405_and_the_answer_lists_the_right_ones() {
    let router = router(numbers(1).await, HttpOptions::default());
    let (head, problem) = json(&router, get("/run_remote")).await;
    assert_eq!((head.status.as_u16(), &problem["type"]), (405, &json!("urn:chainhost:problem:method-not-allowed")));
    assert_eq!(head.headers[header::ALLOW], "POST, OPTIONS");
    let options = Request::options("/healthz").body(Body::empty()).unwrap();
    let (head, body) = text(&router, options).await;
    assert_eq!((head.status.as_u16(), body.as_str()), (204, ""));
    assert_eq!(head.headers[header::ALLOW], "GET, HEAD, OPTIONS");
}

#[tokio::test]
async fn health_readiness_and_the_openapi_document_are_served() {
    let http = Http::new(numbers(1).await, HttpOptions::default());
    for router in [http.router(), http.admin_router()] {
        assert_eq!(json(&router, get("/healthz")).await.1, json!({ "status": "alive" }));
        assert_eq!(json(&router, get("/readyz")).await.1, json!({ "status": "ready" }));
    }
    let (_, document) = json(&http.router(), get("/openapi.json")).await;
    assert_eq!(document["info"]["title"], "counting");
    assert!(document["paths"]["/run_remote"]["post"].is_object(), "{document}");
    assert_eq!(document["servers"][0]["url"], "/");
    let nested = Router::new().nest("/counting", http.router()).nest("/admin", http.admin_router());
    for path in ["/counting", "/admin"] {
        let (_, document) = json(&nested, get(&format!("{path}/openapi.json"))).await;
        assert_eq!(document["servers"][0]["url"], path, "the paths are under it");
    }
    let head = Request::head("/openapi.json").body(Body::empty()).unwrap();
    assert_eq!(text(&http.router(), head).await.0.status, 200);
    http.drain();
    let (head, problem) = json(&http.router(), get("/readyz")).await;
    assert_eq!((head.status.as_u16(), &problem["type"]), (503, &json!("urn:chainhost:problem:stopping")));
    assert_eq!(text(&http.router(), get("/healthz")).await.0.status, 200);
}

#[tokio::test]
async fn the_openapi_document_of_a_server_with_keys_says_so() {
    let key = "0123456789abcdef";
    let options = HttpOptions::default().api_keys(ApiKeys::new([("ada", key)]).unwrap());
    let router = router(numbers(1).await, options);
    let mut request = get("/openapi.json");
    request.headers_mut().insert("x-api-key", key.parse().unwrap());
    let (_, document) = json(&router, request).await;
    assert_eq!(document["security"], json!([{ "bearer": [] }, { "apiKey": [] }]));
    for scheme in ["bearer", "apiKey", "socketKey"] {
        assert!(document["components"]["securitySchemes"][scheme].is_object(), "{scheme}");
    }
    let (head, problem) = json(&router, get("/openapi.json")).await;
    assert_eq!((head.status.as_u16(), &problem["type"]), (401, &json!("urn:chainhost:problem:unauthorized")));
    assert!(document["paths"]["/openapi.json"]["get"]["responses"]["401"].is_object());
}

#[tokio::test]
async fn an_admin_sees_the_chain_and_may_call_any_chainlet() {
    let admin = Http::new(numbers(1).await, HttpOptions::default()).admin_router();
    let (_, state) = json(&admin, get("/chain")).await;
    assert_eq!((&state["entrypoint"], &state["ready"]), (&json!("numbers"), &json!(true)));
    let numbers = &state["chainlets"][0];
    assert_eq!(
        (&numbers["name"], &numbers["ready"], &numbers["dependencies"]),
        (&json!("numbers"), &json!(1), &json!([]))
    );
    assert!(numbers["signature"].as_str().unwrap().contains("result<u32, u32>"), "{numbers}");
    assert_eq!(json(&admin, post("/chainlets/numbers/run_remote", r#"{"n": 5}"#)).await.1, json!(5));
    let (head, problem) = json(&admin, post("/chainlets/letters/run_remote", "{}")).await;
    assert_eq!(
        (head.status.as_u16(), &problem["detail"]),
        (404, &json!("the chain has no chainlet `letters`; it has numbers"))
    );
    let (_, problem) = json(&admin, post("/chainlets/numbers/run_remote", r#"{"n": 0}"#)).await;
    assert!(problem["detail"].as_str().unwrap().contains("unreachable"), "{problem}");
}

#[tokio::test]
async fn metrics_count_requests_and_show_the_chainlets() {
    let http = Http::new(numbers(1).await, HttpOptions::default());
    for n in [7, 8, 2] {
        text(&http.router(), post("/run_remote", &format!(r#"{{"n": {n}}}"#))).await;
    }
    let (head, metrics) = text(&http.admin_router(), get("/metrics")).await;
    assert!(head.headers[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    for line in [
        r#"chainhost_http_requests_total{route="/run_remote",status="200"} 2"#,
        r#"chainhost_http_requests_total{route="/run_remote",status="422"} 1"#,
        r#"chainhost_http_request_duration_seconds_count{route="/run_remote"} 3"#,
        r#"chainhost_chainlet_replicas_ready{chainlet="numbers"} 1"#,
        r#"chainhost_chainlet_calls_active{chainlet="numbers"} 0"#,
        "chainhost_http_requests_in_flight 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn a_request_whose_client_leaves_is_counted_as_499() {
    let http = Http::new(numbers(1).await, HttpOptions::default());
    let router = http.router();
    let left = tokio::time::timeout(Duration::from_millis(20), json(&router, post("/run_remote", r#"{"n": 1}"#)));
    assert!(left.await.is_err());
    let (_, metrics) = text(&http.admin_router(), get("/metrics")).await;
    assert!(metrics.contains(r#"requests_total{route="/run_remote",status="499"} 1"#), "{metrics}");
}

#[tokio::test]
async fn a_panic_while_serving_is_500() {
    let http = Http::new(numbers(1).await, HttpOptions::default());
    let response = observed(&http, Audience::Public, get("/healthz"), |_, _| async { panic!("on purpose") }).await;
    assert_eq!(response.status(), 500);
    assert!(response.headers().contains_key("x-request-id"));
}
