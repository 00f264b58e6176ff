//! The chain that the tests serve, and functions that send requests to it.

use axum::Router;
use axum::body::Body;
use chainhost_core::chain::Chain;
use chainhost_core::config::{ChainSpec, ChainletSpec, ComponentSource};
use chainhost_core::host::Host;
use http::{Request, header, response};
use http_body_util::BodyExt;
use serde_json::Value as Json;
use tower::ServiceExt;

/// The `run-remote` of this component traps for 0, never ends for 1, returns its typed error for 2, and returns every
/// other number unchanged.
const NUMBERS: &str = r#"
(component
  (core module $module
    (memory (export "memory") 1)
    (func (export "run") (param $n i32) (result i32)
      (if (i32.eq (local.get $n) (i32.const 0)) (then unreachable))
      (if (i32.eq (local.get $n) (i32.const 1)) (then (loop $forever (br $forever))))
      (i32.store8 (i32.const 0) (i32.eq (local.get $n) (i32.const 2)))
      (i32.store (i32.const 4) (local.get $n))
      (i32.const 0)))
  (core instance $instance (instantiate $module))
  (func (export "run-remote") (param "n" u32) (result (result u32 (error u32)))
    (canon lift (core func $instance "run") (memory $instance "memory"))))
"#;

/// Starts a chain of the chainlet `numbers`, in which `queue` calls may wait.
pub(super) async fn numbers(queue: u32) -> Chain {
    let component = ComponentSource::Bytes(wat::parse_str(NUMBERS).unwrap().into());
    let numbers = ChainletSpec::builder(component).queue(queue);
    let spec = ChainSpec::builder("counting").chainlet("numbers", numbers).build().unwrap();
    Host::builder().without_code_cache().build().unwrap().load(&spec).await.unwrap()
}

pub(super) fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

/// Returns a request that calls `path` with the JSON `body`.
pub(super) fn post(path: &str, body: &str) -> Request<Body> {
    Request::post(path).header(header::CONTENT_TYPE, "application/json").body(body.to_owned().into()).unwrap()
}

/// Sends `request` to `router`. Returns the answer with its body as text.
pub(super) async fn text(router: &Router, request: Request<Body>) -> (response::Parts, String) {
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    (head, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

/// Sends `request` to `router`. Returns the answer with its body as JSON.
pub(super) async fn json(router: &Router, request: Request<Body>) -> (response::Parts, Json) {
    let (head, text) = text(router, request).await;
    (head, serde_json::from_str(&text).unwrap())
}
