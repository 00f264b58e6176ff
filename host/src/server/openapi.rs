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
use super::socket;
use crate::value::format::Format;
use crate::value::ty::{Signature, Type};
use problem::{PROBLEM, Status};
use schema::{Direction, Schemas};

/// Where the entrypoint is called.
const PUBLIC_CALL: &str = "/run_remote";

/// What a document says about the chain as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Info<'a> {
    /// The document's title: the chain's name.
    pub title: &'a str,
    /// The chain's version, or any other text that changes with its interface.
    pub version: &'a str,
    /// What the chain does, in Markdown.
    pub description: Option<&'a str>,
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
    let mut paths = own_paths();
    for operation in operations {
        let mut path = Map::from_iter([("post".to_owned(), post(operation, &mut schemas))]);
        if operation.path == PUBLIC_CALL && socket::fits(operation.signature) {
            path.insert("get".into(), stream::socket(operation.id, operation.signature));
        }
        paths.insert(operation.path.to_owned(), path.into());
    }
    let mut about = json!({ "title": info.title, "version": info.version });
    describe(&mut about, info.description);
    json!({
        "openapi": "3.1.1",
        "info": about,
        "paths": paths,
        "components": { "schemas": schemas.into_components(), "responses": problem::responses() },
    })
}

fn post(operation: &Operation<'_>, schemas: &mut Schemas) -> Json {
    let Operation { id, summary, signature, .. } = operation;
    let mut responses = Map::new();
    responses.insert("200".into(), answer(signature, schemas));
    for status in Status::ALL {
        responses.insert(status.code().to_string(), status.reference());
    }
    if let Some(Type::Result { err, .. }) = &signature.result {
        let error = err.as_deref().map(|ty| schemas.of(ty, Direction::Output));
        responses.insert("422".into(), problem::typed_error(error));
    }
    let body = schemas.members(&signature.params, Direction::Input);
    let mut post = json!({
        "operationId": id,
        "summary": summary,
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
        Format::Cbor | Format::Bytes => json!({}),
    }
}

/// The paths that every public listener has.
fn own_paths() -> Map<String, Json> {
    let get = |id: &str, summary: &str, responses: Json| json!({ "get": { "operationId": id, "summary": summary, "responses": responses } });
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
    let document = json!({ "200": {
        "description": "This document.",
        "content": { "application/json": { "schema": { "type": "object" } } },
    } });
    paths.insert("/openapi.json".into(), get("openapi", "This document", document));
    paths
}

/// Adds a description to an object, if there is one.
fn describe(object: &mut Json, description: Option<&str>) {
    if let (Some(object), Some(description)) = (object.as_object_mut(), description) {
        object.insert("description".into(), description.into());
    }
}
