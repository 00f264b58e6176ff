//! Answers requests while the chain starts. A start can take long, because components are compiled and each chainlet
//! runs its `init`.
//!
//! Meanwhile `/healthz` says that the process is alive, so that an orchestrator does not end it. `/readyz` says that
//! the chain is not ready, and which chainlets it waits for. Calls are rejected.

use std::borrow::Cow;

use axum::response::Response;
use chainhost_core::chain::StartProgress;
use http::{Method, Request};
use serde_json::json;

use super::problem::{Problem, ProblemKind};
use super::request_id::RequestId;
use super::run_remote;

/// Returns the answer to `request` during the start. `progress` is `None` if the start tells no progress.
pub(super) fn answer<B>(request: &Request<B>, progress: Option<&StartProgress>) -> Response {
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    let detail = match request.uri().path() {
        "/healthz" if is_get => return run_remote::json(json!({ "status": "alive" }).to_string()),
        "/readyz" => waits(&progress.map(StartProgress::waiting_for).unwrap_or_default()),
        _ => STARTS.into(),
    };
    Problem::new(ProblemKind::NotReady, detail).into_response(&RequestId::of(request.headers()))
}

const STARTS: &str = "the chain is starting: its components are loaded, and each chainlet runs its `init`";

fn waits(chainlets: &[String]) -> Cow<'static, str> {
    match chainlets {
        // Either the load has not begun, because chainlets are still built, or the last one has just become ready.
        [] => STARTS.into(),
        chainlets => format!("the chain is starting, and waits for: {}", chainlets.join(", ")).into(),
    }
}
