//! The public routes, and what both listeners answer in the same way.

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use serde_json::json;

use super::methods::{Methods, read};
use super::observe::Asked;
use super::openapi::{self, Info, Operation};
use super::problem::{Kind, Problem};
use super::{Audience, Http, run_remote, socket};
use crate::chain::Chain;

/// The public routes. There is no fallback, so that an embedding server can have its own.
pub(super) fn public(http: &Http) -> Router {
    let entrypoint = post(call).get(socket::call).fallback(other_method_of_entrypoint);
    let routes = Router::new().route("/run_remote", entrypoint).route("/openapi.json", read(document));
    common(routes, Audience::Public).with_state(http.clone())
}

/// Adds what both listeners have. Only an admin is told why a chain is not ready.
pub(super) fn common(routes: Router<Http>, audience: Audience) -> Router<Http> {
    let readyz = async move |State(http), Extension(asked)| readyz(&http, &asked, audience);
    routes.route("/healthz", read(healthz)).route("/readyz", read(readyz))
}

/// The OpenAPI document of `chain`, which is the same for as long as this version of it runs.
pub(super) fn openapi(chain: &Chain, api_keys: bool) -> Bytes {
    let Some(signature) = chain.signature(chain.entrypoint().as_str()) else { return Bytes::new() };
    // A version that changes with the interface, and with nothing else.
    let version = blake3::hash(signature.to_string().as_bytes()).to_hex();
    let version = version.get(..12).unwrap_or_default();
    let call = Operation { path: "/run_remote", id: "run_remote", summary: "Call the chain", signature };
    let info = Info { title: chain.name(), version, description: None, api_keys };
    openapi::document(&info, &[call]).to_string().into()
}

/// The answer to a path that does not exist.
pub(super) async fn not_found(Extension(asked): Extension<Asked>, request: Request) -> Response {
    let detail =
        format!("there is nothing at {}; GET /openapi.json says what a public listener has", request.uri().path());
    Problem::new(Kind::NotFound, detail).into_response(&asked.id)
}

async fn other_method_of_entrypoint(
    State(http): State<Http>,
    Extension(asked): Extension<Asked>,
    request: Request,
) -> Response {
    Methods::of_entrypoint(&http, request.version()).answer_other(&asked, &request)
}

async fn call(State(http): State<Http>, Extension(asked): Extension<Asked>, request: Request) -> Response {
    run_remote::entrypoint(http, request, asked).await
}

async fn document(State(http): State<Http>) -> Response {
    run_remote::json(http.openapi())
}

async fn healthz() -> Response {
    run_remote::json(json!({ "status": "alive" }).to_string())
}

fn readyz(http: &Http, asked: &Asked, audience: Audience) -> Response {
    if http.is_draining() {
        return Problem::new(Kind::Stopping, "the server is stopping").into_response(&asked.id);
    }
    let chain = http.0.chain.current();
    let missing = chain.status().filter(|(_, status)| !status.is_ready());
    let missing: Vec<_> = missing
        .map(|(name, status)| match (audience, status.down) {
            (Audience::Admin, Some(why)) => format!("{name} ({why})"),
            _ => name.to_string(),
        })
        .collect();
    if missing.is_empty() {
        return run_remote::json(json!({ "status": "ready" }).to_string());
    }
    Problem::new(Kind::NotReady, format!("no replica is ready of: {}", missing.join(", "))).into_response(&asked.id)
}
