//! What is answered while the chain starts, which may take long: its components are compiled, and each chainlet runs its
//! `init`.
//!
//! The process is alive, and says so to whoever would end it otherwise. It is not ready, and refuses calls.

use axum::response::Response;
use http::{Method, Request};
use serde_json::json;

use super::problem::{Kind, Problem};
use super::request_id::RequestId;
use super::run_remote;

/// The answer to `request`.
pub(super) fn answer<B>(request: &Request<B>) -> Response {
    if request.uri().path() == "/healthz" && matches!(*request.method(), Method::GET | Method::HEAD) {
        return run_remote::json(json!({ "status": "alive" }).to_string());
    }
    let detail = "the chain is starting: its components are loaded, and each chainlet runs its `init`";
    Problem::new(Kind::NotReady, detail).into_response(&RequestId::of(request.headers()))
}
