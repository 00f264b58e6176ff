//! What is answered while the chain starts, which may take long: its components are compiled, and each chainlet runs its
//! `init`.
//!
//! The process is alive, and says so to whoever would end it otherwise. It is not ready, says to `/readyz` which
//! chainlets it waits for, and refuses calls.

use std::borrow::Cow;

use axum::response::Response;
use http::{Method, Request};
use serde_json::json;

use super::problem::{Kind, Problem};
use super::request_id::RequestId;
use super::run_remote;
use crate::chain::StartProgress;

/// The answer to `request`, while the start has come as far as `progress` says, where somebody follows it.
pub(super) fn answer<B>(request: &Request<B>, progress: Option<&StartProgress>) -> Response {
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    let detail = match request.uri().path() {
        "/healthz" if is_get => return run_remote::json(json!({ "status": "alive" }).to_string()),
        "/readyz" => waits(&progress.map(StartProgress::waiting_for).unwrap_or_default()),
        _ => STARTS.into(),
    };
    Problem::new(Kind::NotReady, detail).into_response(&RequestId::of(request.headers()))
}

const STARTS: &str = "the chain is starting: its components are loaded, and each chainlet runs its `init`";

fn waits(chainlets: &[String]) -> Cow<'static, str> {
    match chainlets {
        // They are built, or the last of them has just become ready.
        [] => STARTS.into(),
        chainlets => format!("the chain is starting, and waits for: {}", chainlets.join(", ")).into(),
    }
}
