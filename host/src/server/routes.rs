//! The public routes, and the routes that both listeners have.

use axum::Router;
use axum::extract::rejection::NestedPathRejection;
use axum::extract::{Extension, NestedPath, Request, State};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use chainhost_core::chain::Chain;
use serde_json::json;

use super::methods::{Methods, read};
use super::observe::RequestContext;
use super::openapi::{self, Info, Operation};
use super::problem::{Problem, ProblemKind};
use super::{Audience, Http, run_remote, socket};

/// Returns the public routes. They have no fallback, so that an embedding server can have its own.
pub(super) fn public(http: &Http) -> Router {
    let entrypoint = post(call).get(socket::call).fallback(other_method_of_entrypoint);
    let routes = Router::new().route("/run_remote", entrypoint).route("/openapi.json", read(document));
    common(routes, Audience::Public).with_state(http.clone())
}

/// Adds the routes that both listeners have. Only admins learn why a chain is not ready.
pub(super) fn common(routes: Router<Http>, audience: Audience) -> Router<Http> {
    let readyz = async move |State(http), Extension(context)| readyz(&http, &context, audience);
    routes.route("/healthz", read(healthz)).route("/readyz", read(readyz))
}

/// Returns the OpenAPI document of `chain`. It stays the same while this version of the chain runs.
pub(super) fn openapi(chain: &Chain, api_keys: bool, prefix: &str) -> Bytes {
    let Some(signature) = chain.signature(chain.entrypoint().as_str()) else { return Bytes::new() };
    let call = Operation { path: "/run_remote", id: "run_remote", summary: "Call the chain", signature };
    let version = version_of([call].iter());
    let info = Info { title: chain.name(), version: &version, description: None, api_keys, prefix };
    openapi::to_text(&openapi::document(&info, &[call])).into()
}

/// Returns the OpenAPI document of the admin listener of `chain`.
pub(super) fn admin_openapi(chain: &Chain, prefix: &str) -> Bytes {
    let names: Vec<_> = chain.status().map(|(name, _)| name.as_str()).collect();
    let texts: Vec<_> = names
        .iter()
        .map(|name| {
            let path = format!("/chainlets/{name}/run_remote");
            // A chainlet's name has no `_`, so two names never become the same id.
            (path, format!("run_remote_of_{}", name.replace('-', "_")), format!("Call the chainlet {name}"))
        })
        .collect();
    let calls: Vec<_> = names
        .iter()
        .zip(&texts)
        .filter_map(|(name, (path, id, summary))| {
            Some(Operation { path, id, summary, signature: chain.signature(name)? })
        })
        .collect();
    let title = format!("{} (admin)", chain.name());
    let version = version_of(calls.iter());
    let description = format!("The state of the chain `{}` and the operations for its admins.", chain.name());
    let info = Info { title: &title, version: &version, description: Some(&description), api_keys: false, prefix };
    openapi::to_text(&openapi::admin_document(&info, &calls)).into()
}

/// Returns a version that changes only with the interface.
fn version_of<'a>(operations: impl Iterator<Item = &'a Operation<'a>>) -> String {
    let mut hasher = blake3::Hasher::new();
    for operation in operations {
        hasher.update(operation.signature.to_string().as_bytes());
    }
    hasher.finalize().to_hex().chars().take(12).collect()
}

/// Returns the answer to a path that does not exist.
pub(super) async fn not_found(Extension(context): Extension<RequestContext>, request: Request) -> Response {
    let detail = format!("there is nothing at {}; GET /openapi.json says what there is", request.uri().path());
    Problem::new(ProblemKind::NotFound, detail).into_response(&context.id)
}

async fn other_method_of_entrypoint(
    State(http): State<Http>,
    Extension(context): Extension<RequestContext>,
    request: Request,
) -> Response {
    Methods::of_entrypoint(&http, request.version()).answer_other(&context, &request)
}

async fn call(State(http): State<Http>, Extension(context): Extension<RequestContext>, request: Request) -> Response {
    run_remote::entrypoint(http, request, context).await
}

async fn document(State(http): State<Http>, prefix: Result<NestedPath, NestedPathRejection>) -> Response {
    run_remote::json(http.openapi(prefix.as_ref().map_or("", NestedPath::as_str)))
}

async fn healthz() -> Response {
    run_remote::json(json!({ "status": "alive" }).to_string())
}

fn readyz(http: &Http, context: &RequestContext, audience: Audience) -> Response {
    if http.is_draining() {
        return Problem::new(ProblemKind::Stopping, "the server is stopping").into_response(&context.id);
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
    Problem::new(ProblemKind::NotReady, format!("no replica is ready of: {}", missing.join(", ")))
        .into_response(&context.id)
}
