//! The routes of the admin listener.

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{NestedPathRejection, PathRejection};
use axum::extract::{Extension, NestedPath, Path, Request, State};
use axum::response::Response;
use chainhost_core::chain::Chain;
use chainhost_core::live::{LiveChain, ReloadError, Reloaded};
use http::{HeaderMap, HeaderValue, header};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::Value as Json;

use super::methods::{act, read};
use super::metrics::Exposition;
use super::observe::RequestContext;
use super::problem::{Problem, ProblemKind};
use super::{Audience, Http, routes, run_remote};

pub(super) fn routes(http: &Http) -> Router {
    let admin = Router::new()
        .route("/metrics", read(metrics))
        .route("/chain", read(state))
        .route("/reload", act(reload))
        .route("/openapi.json", read(document))
        .route("/chainlets/{name}/run_remote", act(call));
    routes::common(admin, Audience::Admin).with_state(http.clone())
}

/// The chain at one moment.
#[derive(Serialize, JsonSchema)]
struct ChainState<'a> {
    /// The chain's name.
    name: &'a str,
    /// The chainlet that the outside calls.
    entrypoint: &'a str,
    /// True if every chainlet is ready.
    ready: bool,
    /// True if the server is stopping.
    draining: bool,
    /// The number of versions that the chain has had.
    version: u64,
    /// The version on trial, which gets only a share of the calls.
    trial: Option<TrialState>,
    /// The chainlets of the version, each after those that it calls.
    chainlets: Vec<ChainletState<'a>>,
}

/// The version on trial, which gets only a share of the calls.
#[derive(Serialize, JsonSchema)]
struct TrialState {
    /// The number of the version.
    version: u64,
    /// The share of the calls that it gets.
    #[schemars(range(min = 0.0, max = 1.0))]
    share: f64,
}

/// A chainlet at one moment.
#[derive(Serialize, JsonSchema)]
struct ChainletState<'a> {
    /// The chainlet's name.
    name: &'a str,
    /// The type of its `run-remote`, in WIT.
    signature: Option<String>,
    /// The number of replicas that take calls.
    ready: usize,
    /// The number of replicas that there should be for the present load.
    wanted: u32,
    /// The number of calls in flight.
    active: usize,
    /// The number of calls that wait for a replica.
    waiting: usize,
    /// The reason why replicas are missing.
    down: Option<String>,
    /// The chainlets that it calls.
    dependencies: Vec<DependencyState<'a>>,
}

/// A chainlet's dependency on another.
#[derive(Serialize, JsonSchema)]
struct DependencyState<'a> {
    /// The name that the chainlet uses for it.
    name: &'a str,
    /// The chainlet that it resolves to.
    chainlet: &'a str,
}

/// The outcome of a reload.
#[derive(Serialize, JsonSchema)]
struct ReloadedState {
    /// True if the new version is on trial: it gets only a share of the calls at first.
    on_trial: bool,
    /// The number of the new version.
    version: u64,
}

/// Returns the JSON Schema of [`ChainState`].
pub(super) fn state_schema() -> Json {
    schema_of::<ChainState<'_>>()
}

/// Returns the JSON Schema of [`ReloadedState`].
pub(super) fn reloaded_schema() -> Json {
    schema_of::<ReloadedState>()
}

/// Returns the schema of a `T` as it is serialised, without references.
fn schema_of<T: JsonSchema>() -> Json {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

impl<'a> ChainState<'a> {
    fn of(live: &LiveChain, chain: &'a Chain, draining: bool) -> Self {
        let chainlets = chain.status().map(|(name, status)| ChainletState {
            name: name.as_str(),
            signature: chain.signature(name.as_str()).map(ToString::to_string),
            ready: status.ready,
            wanted: status.wanted,
            active: status.active,
            waiting: status.waiting,
            down: status.down,
            dependencies: chain
                .edges()
                .filter(|edge| edge.from == *name)
                .map(|edge| DependencyState { name: edge.dependency.as_str(), chainlet: edge.to.as_str() })
                .collect(),
        });
        ChainState {
            name: chain.name(),
            entrypoint: chain.entrypoint().as_str(),
            ready: !draining && chain.is_ready(),
            draining,
            version: live.version(),
            trial: live.on_trial().map(|(version, share)| TrialState { version, share }),
            chainlets: chainlets.collect(),
        }
    }
}

async fn state(State(http): State<Http>, Extension(context): Extension<RequestContext>) -> Response {
    let chain = http.0.chain.current();
    written(&ChainState::of(&http.0.chain, &chain, http.is_draining()), &context)
}

/// Returns an answer with `state` as its body.
fn written(state: &impl Serialize, context: &RequestContext) -> Response {
    match serde_json::to_vec(state) {
        Ok(body) => run_remote::json(body),
        Err(error) => Problem::new(ProblemKind::Internal, format!("the state cannot be written: {error}"))
            .into_response(&context.id),
    }
}

async fn document(State(http): State<Http>, prefix: Result<NestedPath, NestedPathRejection>) -> Response {
    let chain = http.0.chain.current();
    run_remote::json(routes::admin_openapi(&chain, prefix.as_ref().map_or("", NestedPath::as_str)))
}

async fn reload(State(http): State<Http>, Extension(context): Extension<RequestContext>) -> Response {
    match http.0.chain.reload().await {
        Ok(Reloaded { version, on_trial, .. }) => {
            tracing::info!(request = %context.id, version, on_trial, "reloaded");
            written(&ReloadedState { on_trial, version }, &context)
        }
        Err(error) => {
            tracing::error!(request = %context.id, %error, "the new version does not load; the old one serves on");
            let kind = match error {
                ReloadError::NoSource => ProblemKind::NotFound,
                ReloadError::Stopping => ProblemKind::Stopping,
                // The source has no new version.
                _ => ProblemKind::Reload,
            };
            Problem::new(kind, error.to_string()).into_response(&context.id)
        }
    }
}

async fn metrics(
    State(http): State<Http>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
) -> Response {
    let Some(exposition) = Exposition::asked_for(&headers) else {
        let [prometheus, open] = [Exposition::Prometheus, Exposition::OpenMetrics].map(Exposition::media_type);
        let detail = format!("the metrics can be {prometheus}, or {open}, and the header Accept names neither");
        return Problem::new(ProblemKind::NotAcceptable, detail).into_response(&context.id);
    };
    match http.0.metrics.text(exposition) {
        Ok(text) => {
            let mut response = Response::new(Body::from(text));
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(exposition.content_type()));
            headers.insert(header::VARY, HeaderValue::from_static("accept"));
            response
        }
        Err(error) => Problem::new(ProblemKind::Internal, format!("the metrics cannot be written: {error}"))
            .into_response(&context.id),
    }
}

async fn call(
    State(http): State<Http>,
    Extension(context): Extension<RequestContext>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    match name {
        Ok(Path(name)) => run_remote::chainlet(http, &name, request, context).await,
        Err(error) => Problem::new(ProblemKind::NotFound, format!("the path names no chainlet: {error}"))
            .into_response(&context.id),
    }
}
