//! The routes for whoever runs the chain.

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, Request, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use serde::Serialize;
use serde_json::json;

use super::methods::{act, read};
use super::metrics::Exposition;
use super::observe::Asked;
use super::problem::{Kind, Problem};
use super::{Audience, Http, routes, run_remote};
use crate::chain::Chain;
use crate::live::{LiveChain, ReloadError, Reloaded};

pub(super) fn routes(http: &Http) -> Router {
    let admin = Router::new()
        .route("/metrics", read(metrics))
        .route("/chain", read(state))
        .route("/reload", act(reload))
        .route("/chainlets/{name}/run_remote", act(call));
    routes::common(admin, Audience::Admin).with_state(http.clone())
}

/// The chain at one moment.
#[derive(Serialize)]
struct ChainState<'a> {
    name: &'a str,
    entrypoint: &'a str,
    ready: bool,
    draining: bool,
    /// How many versions of the chain there have been.
    version: u64,
    trial: Option<TrialState>,
    chainlets: Vec<ChainletState<'a>>,
}

/// A version that gets a share of the calls first.
#[derive(Serialize)]
struct TrialState {
    version: u64,
    share: f64,
}

#[derive(Serialize)]
struct ChainletState<'a> {
    name: &'a str,
    signature: Option<String>,
    ready: usize,
    /// How many replicas there should be for the present load.
    wanted: u32,
    active: usize,
    waiting: usize,
    /// Why replicas are missing.
    down: Option<String>,
    dependencies: Vec<DependencyState<'a>>,
}

#[derive(Serialize)]
struct DependencyState<'a> {
    name: &'a str,
    chainlet: &'a str,
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

async fn state(State(http): State<Http>, Extension(asked): Extension<Asked>) -> Response {
    let chain = http.0.chain.current();
    match serde_json::to_vec(&ChainState::of(&http.0.chain, &chain, http.is_draining())) {
        Ok(body) => run_remote::json(body),
        Err(error) => {
            Problem::new(Kind::Internal, format!("the state cannot be written: {error}")).into_response(&asked.id)
        }
    }
}

async fn reload(State(http): State<Http>, Extension(asked): Extension<Asked>) -> Response {
    match http.0.chain.reload().await {
        Ok(Reloaded { version, on_trial, .. }) => {
            tracing::info!(request = %asked.id, version, on_trial, "reloaded");
            run_remote::json(json!({ "version": version, "on_trial": on_trial }).to_string())
        }
        Err(error) => {
            tracing::error!(request = %asked.id, %error, "the new version does not load; the old one serves on");
            let kind = match error {
                ReloadError::Source(_) => Kind::Reload,
                ReloadError::NoSource => Kind::NotFound,
                ReloadError::Stopping => Kind::Stopping,
            };
            Problem::new(kind, error.to_string()).into_response(&asked.id)
        }
    }
}

async fn metrics(State(http): State<Http>, Extension(asked): Extension<Asked>, headers: HeaderMap) -> Response {
    let Some(exposition) = Exposition::asked_for(&headers) else {
        let [prometheus, open] = [Exposition::Prometheus, Exposition::OpenMetrics].map(Exposition::media_type);
        let detail = format!("the metrics can be {prometheus}, or {open}, and the header Accept names neither");
        return Problem::new(Kind::NotAcceptable, detail).into_response(&asked.id);
    };
    match http.0.metrics.text(exposition) {
        Ok(text) => {
            let mut response = Response::new(Body::from(text));
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(exposition.content_type()));
            headers.insert(header::VARY, HeaderValue::from_static("accept"));
            response
        }
        Err(error) => {
            Problem::new(Kind::Internal, format!("the metrics cannot be written: {error}")).into_response(&asked.id)
        }
    }
}

async fn call(
    State(http): State<Http>,
    Extension(asked): Extension<Asked>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    match name {
        Ok(Path(name)) => run_remote::chainlet(http, &name, request, asked).await,
        Err(error) => {
            Problem::new(Kind::NotFound, format!("the path names no chainlet: {error}")).into_response(&asked.id)
        }
    }
}
