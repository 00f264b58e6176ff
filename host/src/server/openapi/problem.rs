//! The problem responses (RFC 9457) of an OpenAPI document.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::server::problem::{Declaration, OwnHeader, ProblemKind, always_tells_when_to_retry};

/// The name of the problem schema among the components.
pub(super) const PROBLEM: &str = "Problem";

/// The problems with which every call can be answered, without those of every request and the error that the chainlet
/// declares.
pub(super) const OF_CALLS: [ProblemKind; 14] = [
    ProblemKind::InvalidInput,
    ProblemKind::NotAcceptable,
    ProblemKind::SlowRequest,
    ProblemKind::TooLarge,
    ProblemKind::MediaType,
    ProblemKind::Overloaded,
    ProblemKind::Trap,
    ProblemKind::Internal,
    ProblemKind::Unreachable,
    ProblemKind::NotReady,
    ProblemKind::Stopping,
    ProblemKind::Cancelled,
    ProblemKind::Crowded,
    ProblemKind::Deadline,
];

/// Returns the path of the component `name`.
fn path(name: &str) -> String {
    format!("#/components/responses/{name}")
}

/// Returns the component `name`, which stands for `kinds`.
fn component(name: &str, kinds: &[Declaration]) -> Option<(String, Json)> {
    let mut response = response(kinds.first()?.documented.description, reference());
    let headers = response.get_mut("headers")?.as_object_mut()?;
    if let Some(kind) = kinds.iter().find(|kind| kind.retry_after.is_some()) {
        let required = always_tells_when_to_retry(kind.status);
        let schema = json!({ "type": "integer", "minimum": 0 });
        let header = json!({ "description": "Seconds to wait.", "required": required, "schema": schema });
        headers.insert("Retry-After".to_owned(), header);
    }
    for OwnHeader { name, description, .. } in kinds.iter().flat_map(|kind| kind.headers) {
        let header = json!({ "description": description, "required": true, "schema": { "type": "string" } });
        headers.insert((*name).to_owned(), header);
    }
    Some((name.to_owned(), response))
}

/// Adds the problems of `kinds` to an operation's responses. If several have the same status, the first that
/// [`ProblemKind`] declares names the response.
pub(super) fn add(responses: &mut Map<String, Json>, kinds: impl IntoIterator<Item = ProblemKind>) {
    let kinds: Vec<_> = kinds.into_iter().collect();
    for kind in ProblemKind::ALL.iter().filter(|kind| kinds.contains(kind)) {
        if let Some(name) = kind.declaration().documented.component {
            responses.entry(status(*kind)).or_insert_with(|| json!({ "$ref": path(name) }));
        }
    }
}

/// Returns the key of the responses to which a problem of `kind` belongs.
pub(super) fn status(kind: ProblemKind) -> String {
    kind.declaration().status.as_u16().to_string()
}

/// Returns the responses to which `paths` refers, for the components.
pub(super) fn responses(paths: &Map<String, Json>) -> Map<String, Json> {
    let mut components: BTreeMap<&str, Vec<Declaration>> = BTreeMap::new();
    for declaration in ProblemKind::ALL.iter().map(|kind| kind.declaration()) {
        if let Some(name) = declaration.documented.component {
            components.entry(name).or_default().push(declaration);
        }
    }
    let text = Json::from(paths.clone()).to_string();
    components.retain(|name, _| text.contains(&format!("\"{}\"", path(name))));
    components.iter().filter_map(|(name, kinds)| component(name, kinds)).collect()
}

/// Returns the response of a call that returned its typed error. `error` is the schema of that error, if it has one.
pub(super) fn typed_error(error: Option<Json>) -> Json {
    let schema = match error {
        None => reference(),
        Some(error) => {
            json!({ "allOf": [reference(), { "properties": { "error": error }, "required": ["error"] }] })
        }
    };
    response(ProblemKind::Chainlet.declaration().documented.description, schema)
}

fn response(description: &str, schema: Json) -> Json {
    json!({
        "description": description,
        "headers": super::answer_headers(),
        "content": { "application/problem+json": { "schema": schema } },
    })
}

fn reference() -> Json {
    json!({ "$ref": format!("#/components/schemas/{PROBLEM}") })
}

/// Returns the schema of a problem.
pub(super) fn schema() -> Json {
    json!({
        "type": "object",
        "description": "A failure, as a problem document of RFC 9457.",
        "required": ["type", "title", "status", "detail", "request_id"],
        "properties": {
            "type": {
                "type": "string",
                "format": "uri-reference",
                "description": "The kind of problem. It never changes, so programs can rely on it.",
            },
            "title": { "type": "string", "description": "The kind of problem, in words." },
            "status": { "type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status." },
            "detail": { "type": "string", "description": "This problem, in words: what happened, and what to do." },
            "chainlet": { "type": "string", "description": "For a failed call: the chainlet that failed, the root cause." },
            "pointer": {
                "type": "string",
                "format": "json-pointer",
                "description": "For bad input: the JSON pointer of the offending place in the body.",
            },
            "path": {
                "type": "array",
                "description": "For a failure inside the chain: the edges that it came through, root cause last.",
                "items": {
                    "type": "object",
                    "description": "One chainlet's dependency on another.",
                    "required": ["from", "dependency", "to"],
                    "properties": {
                        "from": { "type": "string", "description": "The chainlet that called." },
                        "dependency": { "type": "string", "description": "The caller's name for the dependency." },
                        "to": { "type": "string", "description": "The chainlet that was called." },
                    },
                },
            },
            "error": { "description": "For a typed error: the value that the call returned." },
            "request_id": { "type": "string", "description": "The request's id, which is also in logs and traces." },
            "backtrace": {
                "type": "string",
                "description": "For a trap, on the admin listener alone: the frames of the guest.",
            },
        },
    })
}
