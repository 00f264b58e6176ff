//! The OpenAPI document of the admin listener.

use serde_json::{Map, Value as Json, json};

use super::problem::{self, PROBLEM};
use super::schema::Schemas;
use super::{Get, HOST, Info, Listener, Operation, answer_headers, assemble, json_content, own_paths, post};
use crate::server::admin;
use crate::server::metrics::Exposition;
use crate::server::problem::ProblemKind;

/// Returns the OpenAPI document of the admin listener. `operations` call the chainlets of its chain.
pub(in crate::server) fn document(info: &Info<'_>, operations: &[Operation<'_>]) -> Json {
    let listener = Listener::Open;
    let mut schemas = Schemas::new();
    schemas.reserve(PROBLEM, problem::schema());
    let mut reference = |name: &str, schema: Json| {
        schemas.reserve(name, schema);
        json!({ "$ref": format!("#/components/schemas/{name}") })
    };
    let state = reference("ChainState", admin::state_schema());
    let reloaded = reference("ReloadedState", admin::reloaded_schema());
    let mut paths = own_paths(listener);
    for get in [
        Get {
            path: "/metrics",
            id: "metrics",
            summary: "The metrics",
            description: "They are in Prometheus' text format, or in OpenMetrics if `Accept` asks for that.",
            content: Exposition::ALL
                .map(|exposition| (exposition.content_type(), json!({ "schema": { "type": "string" } })))
                .into_iter()
                .collect(),
            failures: &[ProblemKind::NotAcceptable, ProblemKind::Internal, ProblemKind::NotReady, ProblemKind::Crowded],
            needs_key: false,
        },
        Get {
            path: "/chain",
            id: "chain",
            summary: "The state of the chain",
            description: "The state at this moment.",
            content: json_content(state),
            failures: &[ProblemKind::Internal, ProblemKind::NotReady, ProblemKind::Crowded],
            needs_key: false,
        },
    ] {
        get.add_to(&mut paths, listener);
    }
    paths.insert("/reload".into(), json!({ "post": reload(listener, reloaded) }));
    for operation in operations {
        paths.insert(operation.path.to_owned(), json!({ "post": post(operation, listener, &mut schemas) }));
    }
    assemble(info, listener, paths, schemas)
}

fn reload(listener: Listener, reloaded: Json) -> Json {
    let answer = json!({
        "description": "Calls go to the new version.",
        "headers": answer_headers(),
        "content": json_content(reloaded),
    });
    let mut responses = Map::from_iter([("200".to_owned(), answer)]);
    let failures = [
        ProblemKind::NotFound,
        ProblemKind::Reload,
        ProblemKind::Internal,
        ProblemKind::NotReady,
        ProblemKind::Stopping,
        ProblemKind::Crowded,
    ];
    problem::add(&mut responses, failures.into_iter().chain(listener.refusals(true)));
    json!({
        "operationId": "reload",
        "tags": [HOST],
        "summary": "Load a new version of the chain",
        "description": "Reads chain.toml, the secrets and the components again. Answers when calls go to the new version.",
        "responses": responses,
    })
}
