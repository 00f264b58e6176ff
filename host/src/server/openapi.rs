//! The OpenAPI 3.1 document of a chain, generated from WIT signatures and their doc comments.
//!
//! The schemas say what the mapping of [`value::json`](crate::value::json) reads and writes, in its canonical spelling:
//! snake_case names. (It reads kebab-case as well.) Other formats are named where they fit.

mod problem;
mod schema;
mod stream;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value as Json, json};

use super::format::{Input, Output};
use super::problem::declared_statuses;
use super::socket;
use crate::error::declared::is_standard;
use crate::value::format::Format;
use crate::value::ty::{Signature, Type};
use problem::{PROBLEM, Status};
use schema::{Direction, Schemas};

/// Where the entrypoint is called.
const PUBLIC_CALL: &str = "/run_remote";
/// The name of the way in which a WebSocket alone shows a key.
const SOCKET_KEY: &str = "socketKey";

/// What a document says about the chain as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Info<'a> {
    /// The document's title: the chain's name.
    pub title: &'a str,
    /// The chain's version, or any other text that changes with its interface.
    pub version: &'a str,
    /// What the chain does, in Markdown.
    pub description: Option<&'a str>,
    /// Whether requests must show an API key.
    pub api_keys: bool,
}

/// A `run-remote` that is served at a path.
#[derive(Debug, Clone, Copy)]
pub struct Operation<'a> {
    /// Where a `POST` calls it: `/run_remote`.
    pub path: &'a str,
    /// Its name in generated clients, unique in the document: `run_remote`.
    pub id: &'a str,
    /// What a call does, in a line.
    pub summary: &'a str,
    /// What it takes and returns. Its doc comment becomes the operation's description.
    pub signature: &'a Signature,
}

/// The OpenAPI document of `operations`, and of the listener's own paths beside them.
pub fn document(info: &Info<'_>, operations: &[Operation<'_>]) -> Json {
    let mut schemas = Schemas::new();
    schemas.reserve(PROBLEM, problem::schema());
    let mut paths = own_paths(info.api_keys);
    for operation in operations {
        let mut path = Map::from_iter([("post".to_owned(), post(operation, info.api_keys, &mut schemas))]);
        if operation.path == PUBLIC_CALL && socket::fits(operation.signature) {
            path.insert("get".into(), stream::socket(operation.id, operation.signature, info.api_keys));
        }
        paths.insert(operation.path.to_owned(), path.into());
    }
    let mut about = json!({ "title": info.title, "version": info.version });
    describe(&mut about, info.description);
    let mut document = json!({
        "openapi": "3.1.1",
        "info": about,
        "paths": paths,
        "components": { "schemas": schemas.into_components(), "responses": problem::responses() },
    });
    if let (true, Some(object)) = (info.api_keys, document.as_object_mut()) {
        object.insert("security".into(), json!([{ "bearer": [] }, { "apiKey": [] }]));
        if let Some(components) = object.get_mut("components").and_then(Json::as_object_mut) {
            components.insert("securitySchemes".into(), security_schemes());
        }
    }
    document
}

/// The ways in which a request shows a key, any of which will do. One of them is for WebSockets alone.
fn security_schemes() -> Json {
    json!({
        "bearer": { "type": "http", "scheme": "bearer", "description": "An API key as a bearer token." },
        "apiKey": { "type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key." },
        SOCKET_KEY: {
            "type": "apiKey",
            "in": "header",
            "name": "Sec-WebSocket-Protocol",
            "description": "An API key in a WebSocket handshake, for web pages: `chainhost.v1, chainhost.bearer.KEY`, \
                            where KEY is the key in base64url without padding.",
        },
    })
}

/// The headers that every call may have.
fn headers() -> Json {
    let header = |name: &str, description: &str, schema: Json| json!({ "name": name, "in": "header", "description": description, "schema": schema });
    json!([
        header(
            "X-Request-Timeout",
            "How long the client waits: seconds, or a number with a unit such as `500ms`.",
            json!({ "type": "string", "examples": ["2.5", "500ms"] }),
        ),
        header(
            "X-Request-Id",
            "Names the request in the server's log and in a problem's `request_id`.",
            json!({ "type": "string" }),
        ),
        header(
            "traceparent",
            "The trace that the request belongs to (W3C Trace Context).",
            json!({ "type": "string" })
        ),
    ])
}

fn post(operation: &Operation<'_>, api_keys: bool, schemas: &mut Schemas) -> Json {
    let Operation { id, summary, signature, .. } = operation;
    let mut responses = Map::new();
    responses.insert("200".into(), answer(signature, schemas));
    for status in Status::ALL {
        responses.insert(status.code().to_string(), status.reference());
    }
    if let Some(Type::Result { err, .. }) = &signature.result {
        let error = err.as_deref().map(|ty| schemas.of(ty, Direction::Output));
        if err.as_deref().is_some_and(is_standard) {
            for status in declared_statuses() {
                let text = status.as_u16().to_string();
                // Those that the host itself answers with, too, have no `error` then.
                if !responses.contains_key(&text) {
                    responses.insert(text, problem::typed_error(error.clone()));
                }
            }
        }
        responses.insert("422".into(), problem::typed_error(error));
    }
    if api_keys {
        responses.insert("401".into(), problem::unauthorized());
    }
    let body = schemas.members(&signature.params, Direction::Input);
    let mut post = json!({
        "operationId": id,
        "summary": summary,
        "parameters": headers(),
        "requestBody": {
            "description": "The parameters by name.",
            "required": !signature.params.is_empty(),
            "content": taken(signature, body, schemas),
        },
        "responses": responses,
    });
    describe(&mut post, signature.docs.0.as_deref());
    post
}

/// The answer of a call that went well: of a `result`, its `T`; of nothing, null.
fn answer(signature: &Signature, schemas: &mut Schemas) -> Json {
    let ty = signature.answer();
    let schema = ty.map_or_else(|| json!({ "type": "null" }), |ty| schemas.of(ty, Direction::Output));
    let outputs = Output::of_result(signature.result.as_ref()).into_iter();
    let content: Map<_, _> = outputs
        .map(|output| {
            let media_type = match output {
                Output::Whole(format) => whole(format, &schema),
                Output::Stream(framing) => stream::given(framing, ty, schemas),
            };
            (output.media_type().to_owned(), media_type)
        })
        .collect();
    json!({ "description": "What the call returned.", "content": content })
}

/// The formats of the parameters, of which JSON has `schema`.
fn taken(signature: &Signature, schema: Json, schemas: &mut Schemas) -> Map<String, Json> {
    let inputs = Input::of_params(&signature.params);
    inputs
        .map(|input| {
            let media_type = match input {
                Input::Whole(format) => whole(format, &schema),
                Input::Stream(upload) => stream::taken(upload, &signature.params, schemas),
            };
            (input.media_type().to_owned(), media_type)
        })
        .collect()
}

/// A format, of which JSON has `schema`. CBOR has the same shape, but JSON Schema has no words for its byte strings; and of
/// plain bytes OpenAPI says no more than that they are such.
fn whole(format: Format, schema: &Json) -> Json {
    match format {
        Format::Json => json!({ "schema": schema }),
        Format::Cbor => {
            let description =
                "The same as the JSON, in CBOR (RFC 8949): bytes as byte strings, integers of 64 bits as such.";
            json!({ "schema": { "type": "string", "format": "binary", "description": description } })
        }
        Format::Bytes => json!({ "schema": { "type": "string", "format": "binary" } }),
    }
}

/// The paths that every public listener has. Load balancers, who ask for health and readiness, have no key.
fn own_paths(api_keys: bool) -> Map<String, Json> {
    let get = |id: &str, summary: &str, responses: Json| {
        let mut get = json!({ "operationId": id, "summary": summary, "responses": responses });
        if let (true, Some(object)) = (api_keys && id != "openapi", get.as_object_mut()) {
            object.insert("security".into(), json!([]));
        }
        json!({ "get": get })
    };
    let mut paths = Map::new();
    paths.insert(
        "/healthz".into(),
        get("healthz", "Whether the process lives", json!({ "200": { "description": "It does." } })),
    );
    paths.insert(
        "/readyz".into(),
        get(
            "readyz",
            "Whether every chainlet is ready",
            json!({
                "200": { "description": "Every chainlet is ready." },
                "503": Status::Unavailable.reference(),
            }),
        ),
    );
    let mut document = json!({ "200": {
        "description": "This document.",
        "content": { "application/json": { "schema": { "type": "object" } } },
    } });
    if let (true, Some(responses)) = (api_keys, document.as_object_mut()) {
        responses.insert("401".into(), problem::unauthorized());
    }
    paths.insert("/openapi.json".into(), get("openapi", "This document", document));
    paths
}

/// Adds a description to an object, if there is one.
fn describe(object: &mut Json, description: Option<&str>) {
    if let (Some(object), Some(description)) = (object.as_object_mut(), description) {
        object.insert("description".into(), description.into());
    }
}
