//! The OpenAPI 3.1 documents of a chain, generated from WIT signatures and their doc comments: one for the public
//! listener, and one for the admin listener.
//!
//! The schemas describe JSON as [`value::json`](chainhost_core::value::json) reads and writes it, with its canonical names in
//! snake_case. (It also reads kebab-case.) Other formats are listed where they fit.

mod admin;
mod example;
mod pattern;
mod problem;
mod schema;
mod stream;
mod text;

#[cfg(test)]
mod tests;

use chainhost_core::error::declared::is_standard;
use chainhost_core::value::format::Format;
use chainhost_core::value::ty::{Signature, Type};
use serde_json::{Map, Value as Json, json};

pub(super) use self::admin::document as admin_document;
use self::problem::PROBLEM;
use self::schema::{Direction, Schemas};
pub use self::text::to_text;
use super::format::{RequestFormat, ResponseFormat};
use super::problem::{ProblemKind, declared_statuses};
use super::socket;

/// The path that calls the entrypoint.
const PUBLIC_CALL: &str = "/run_remote";
/// The name of the security scheme that is only for WebSockets.
const SOCKET_KEY: &str = "socketKey";
/// The tag of operations that call a chainlet, and its description.
const CALLS: &str = "chain";
const CALLS_MEANING: &str = "Calls to the chain.";
/// The tag of operations that the host itself answers, and its description.
const HOST: &str = "host";
const HOST_MEANING: &str = "Requests that the host answers itself.";

/// The facts about a chain as a whole in a document.
#[derive(Debug, Clone, Copy)]
pub struct Info<'a> {
    /// The document's title: the chain's name.
    pub title: &'a str,
    /// The chain's version, or any other text that changes with its interface.
    pub version: &'a str,
    /// A description of the chain, in Markdown.
    pub description: Option<&'a str>,
    /// True if requests must show an API key.
    pub api_keys: bool,
    /// The path in front of all paths, such as `/greetings`, if the chain is nested in another server. Empty for none.
    pub prefix: &'a str,
}

/// A `run-remote` that is served at a path.
#[derive(Debug, Clone, Copy)]
pub struct Operation<'a> {
    /// The path whose `POST` calls it: `/run_remote`.
    pub path: &'a str,
    /// Its name in generated clients, unique in the document: `run_remote`.
    pub id: &'a str,
    /// A description of a call, in one line.
    pub summary: &'a str,
    /// Its parameters and result. Its doc comment becomes the operation's description.
    pub signature: &'a Signature,
}

/// The requests that a listener answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listener {
    /// Requests with an API key.
    Keys,
    /// All requests, except those that web pages of other origins send.
    Open,
}

impl Listener {
    /// Returns the ways in which any request can be rejected. `needs_key` is false for paths that never need a key.
    fn refusals(self, needs_key: bool) -> impl Iterator<Item = ProblemKind> {
        let own = match self {
            Listener::Keys => needs_key.then_some(ProblemKind::Unauthorized),
            Listener::Open => Some(ProblemKind::Forbidden),
        };
        [ProblemKind::BadRequest, ProblemKind::HeadTooLarge].into_iter().chain(own)
    }
}

/// Returns the OpenAPI document of `operations` and of the listener's own paths.
pub fn document(info: &Info<'_>, operations: &[Operation<'_>]) -> Json {
    let listener = if info.api_keys { Listener::Keys } else { Listener::Open };
    let mut schemas = Schemas::new();
    schemas.reserve(PROBLEM, problem::schema());
    let mut paths = own_paths(listener);
    for operation in operations {
        let mut path = Map::from_iter([("post".to_owned(), post(operation, listener, &mut schemas))]);
        if operation.path == PUBLIC_CALL && socket::fits(operation.signature) {
            path.insert("get".into(), stream::socket(operation.id, operation.signature, listener));
        }
        paths.insert(operation.path.to_owned(), path.into());
    }
    assemble(info, listener, paths, schemas)
}

/// Returns the document with `paths` and the components that they refer to.
fn assemble(info: &Info<'_>, listener: Listener, paths: Map<String, Json>, schemas: Schemas) -> Json {
    let mut components = json!({
        "schemas": schemas.into_components(),
        "responses": problem::responses(&paths),
        "headers": { "RequestId": request_id() },
    });
    // An empty list tells tools that requests need no key.
    let mut security = json!([]);
    if let (Listener::Keys, Some(components)) = (listener, components.as_object_mut()) {
        security = json!([{ "bearer": [] }, { "apiKey": [] }]);
        components.insert("securitySchemes".into(), security_schemes());
    }
    let about = format!("The chain `{}`, served by chainhost. The schemas are made from its WIT types.", info.title);
    let server = if info.prefix.is_empty() { "/" } else { info.prefix };
    json!({
        "openapi": "3.1.1",
        "info": { "title": info.title, "version": info.version, "description": info.description.unwrap_or(&about) },
        "servers": [{ "url": server, "description": "The server that this document is from." }],
        "security": security,
        "tags": [{ "name": CALLS, "description": CALLS_MEANING }, { "name": HOST, "description": HOST_MEANING }],
        "paths": paths,
        "components": components,
    })
}

/// Returns the ways to show a key. A request needs one of them. `SOCKET_KEY` is only for WebSockets.
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

/// Returns the headers that every call may have.
fn headers() -> Json {
    let header = |name: &str, description: &str, schema: Json| json!({ "name": name, "in": "header", "description": description, "schema": schema });
    json!([
        header(
            "X-Request-Timeout",
            "How long the client waits: seconds, or a number with a unit such as `500ms`.",
            json!({ "type": "string", "pattern": pattern::TIMEOUT, "examples": ["2.5", "5m"] }),
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

/// Returns the header that every answer has, for the components.
fn request_id() -> Json {
    json!({
        "description": "The request's id, as the log and a problem have it.",
        "required": true,
        "schema": { "type": "string" },
    })
}

/// Returns the headers of every answer.
fn answer_headers() -> Json {
    json!({ "X-Request-Id": { "$ref": "#/components/headers/RequestId" } })
}

fn post(operation: &Operation<'_>, listener: Listener, schemas: &mut Schemas) -> Json {
    let Operation { id, summary, signature, .. } = operation;
    let mut responses = Map::new();
    responses.insert("200".into(), answer(signature, schemas));
    problem::add(&mut responses, problem::OF_CALLS.into_iter().chain(listener.refusals(true)));
    if let Some(Type::Result { err, .. }) = &signature.result {
        let error = err.as_deref().map(|ty| schemas.of(ty, Direction::Output));
        if err.as_deref().is_some_and(is_standard) {
            for status in declared_statuses() {
                // A status that the host itself answers with, too, keeps its response, in which `error` is not
                // required.
                responses.entry(status.as_u16().to_string()).or_insert_with(|| problem::typed_error(error.clone()));
            }
        }
        responses.insert(problem::status(ProblemKind::Chainlet), problem::typed_error(error));
    }
    let body = schemas.members(&signature.params, Direction::Input);
    let docs = signature.docs.0.as_deref();
    json!({
        "operationId": id,
        "tags": [CALLS],
        "summary": summary,
        "description": docs.unwrap_or("Calls a `run-remote` whose WIT has no doc comment."),
        "parameters": headers(),
        "requestBody": {
            "description": "The parameters by name.",
            "required": !signature.params.is_empty(),
            "content": taken(signature, body, schemas),
        },
        "responses": responses,
    })
}

/// Returns the response for a successful call: for a `result`, its `ok`; for a function without a result, null.
fn answer(signature: &Signature, schemas: &mut Schemas) -> Json {
    let ty = signature.answer();
    let schema = ty.map_or_else(|| json!({ "type": "null" }), |ty| schemas.of(ty, Direction::Output));
    let example = ty.map_or(Some(Json::Null), example::of);
    let outputs = ResponseFormat::of_result(signature.result.as_ref()).into_iter();
    let content: Map<_, _> = outputs
        .map(|output| {
            let media_type = match output {
                ResponseFormat::Whole(format) => whole(format, &schema, example.as_ref()),
                ResponseFormat::Stream(framing) => stream::given(framing, ty, schemas),
            };
            (output.media_type().to_owned(), media_type)
        })
        .collect();
    json!({ "description": "What the call returned.", "headers": answer_headers(), "content": content })
}

/// Returns the formats of the parameters. `schema` is their schema in JSON.
fn taken(signature: &Signature, schema: Json, schemas: &mut Schemas) -> Map<String, Json> {
    let example = example::of_members(&signature.params);
    let inputs = RequestFormat::of_params(&signature.params);
    inputs
        .map(|input| {
            let media_type = match input {
                RequestFormat::Whole(format) => whole(format, &schema, example.as_ref()),
                RequestFormat::Stream(upload) => stream::taken(upload, &signature.params, schemas),
            };
            (input.media_type().to_owned(), media_type)
        })
        .collect()
}

/// Returns the content of a format. `schema` and `example` describe its JSON. CBOR has the same shape, but JSON Schema
/// cannot describe its byte strings. OpenAPI can only say of plain bytes that they are bytes.
fn whole(format: Format, schema: &Json, example: Option<&Json>) -> Json {
    match format {
        Format::Json => {
            let mut content = json!({ "schema": schema });
            example::add(&mut content, example.cloned());
            content
        }
        Format::Cbor => {
            let description =
                "The same as the JSON, in CBOR (RFC 8949): bytes as byte strings, integers of 64 bits as such.";
            json!({ "schema": { "type": "string", "format": "binary", "description": description } })
        }
        // Bytes.
        _ => json!({ "schema": { "type": "string", "format": "binary" } }),
    }
}

/// A `GET` that the host answers itself.
struct Get<'a> {
    path: &'a str,
    id: &'a str,
    summary: &'a str,
    description: &'a str,
    /// The content of the response with status 200.
    content: Json,
    /// The ways in which it may fail, beside those of any request.
    failures: &'a [ProblemKind],
    /// True if it needs a key when keys are required. Health and readiness need none, because load balancers have none.
    needs_key: bool,
}

impl Get<'_> {
    fn add_to(self, paths: &mut Map<String, Json>, listener: Listener) {
        let Get { path, id, summary, description, content, failures, needs_key } = self;
        let answer = json!({ "description": summary, "headers": answer_headers(), "content": content });
        let mut responses = Map::from_iter([("200".to_owned(), answer)]);
        problem::add(&mut responses, failures.iter().copied().chain(listener.refusals(needs_key)));
        let mut get = json!({
            "operationId": id, "tags": [HOST], "summary": summary, "description": description, "responses": responses,
        });
        if let (Listener::Keys, false, Some(get)) = (listener, needs_key, get.as_object_mut()) {
            get.insert("security".into(), json!([]));
        }
        paths.insert(path.to_owned(), json!({ "get": get }));
    }
}

/// Returns JSON content with the schema `schema`.
fn json_content(schema: Json) -> Json {
    json!({ "application/json": { "schema": schema } })
}

/// Returns the paths that every listener has.
fn own_paths(listener: Listener) -> Map<String, Json> {
    let state = |word: &str| {
        json_content(json!({
            "type": "object",
            "required": ["status"],
            "properties": { "status": { "type": "string", "const": word } },
        }))
    };
    let mut paths = Map::new();
    for get in [
        Get {
            path: "/healthz",
            id: "healthz",
            summary: "Whether the process lives",
            description: "It is answered from the beginning, also while the chain starts.",
            content: state("alive"),
            failures: &[],
            needs_key: false,
        },
        Get {
            path: "/readyz",
            id: "readyz",
            summary: "Whether every chainlet is ready",
            description: "A chainlet is ready if it has a replica that takes calls, or would start one for the next call.",
            content: state("ready"),
            failures: &[ProblemKind::NotReady, ProblemKind::Stopping],
            needs_key: false,
        },
        Get {
            path: "/openapi.json",
            id: "openapi",
            summary: "This document",
            description: "It changes with the version of the chain.",
            content: json_content(json!({ "type": "object" })),
            failures: &[ProblemKind::NotReady, ProblemKind::Crowded],
            needs_key: true,
        },
    ] {
        get.add_to(&mut paths, listener);
    }
    paths
}

/// Adds a description to an object, if there is one.
fn describe(object: &mut Json, description: Option<&str>) {
    if let (Some(object), Some(description)) = (object.as_object_mut(), description) {
        object.insert("description".into(), description.into());
    }
}
