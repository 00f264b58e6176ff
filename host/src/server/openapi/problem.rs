//! The problem responses (RFC 9457), in OpenAPI's words.

use serde_json::{Map, Value as Json, json};

/// The name of the problem schema among the components.
pub(super) const PROBLEM: &str = "Problem";

/// The name of the response to a request without a key, where keys are asked for.
const UNAUTHORIZED: &str = "Unauthorized";

/// The failures that every call can meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    BadInput,
    NotAcceptable,
    SlowRequest,
    TooLarge,
    MediaType,
    Overloaded,
    Trap,
    Unreachable,
    Unavailable,
    Deadline,
}

impl Status {
    pub(super) const ALL: [Status; 10] = [
        Status::BadInput,
        Status::NotAcceptable,
        Status::SlowRequest,
        Status::TooLarge,
        Status::MediaType,
        Status::Overloaded,
        Status::Trap,
        Status::Unreachable,
        Status::Unavailable,
        Status::Deadline,
    ];

    pub(super) fn code(self) -> u16 {
        match self {
            Status::BadInput => 400,
            Status::NotAcceptable => 406,
            Status::SlowRequest => 408,
            Status::TooLarge => 413,
            Status::MediaType => 415,
            Status::Overloaded => 429,
            Status::Trap => 500,
            Status::Unreachable => 502,
            Status::Unavailable => 503,
            Status::Deadline => 504,
        }
    }

    /// Its name among the components.
    fn name(self) -> &'static str {
        match self {
            Status::BadInput => "BadInput",
            Status::NotAcceptable => "NotAcceptable",
            Status::SlowRequest => "SlowRequest",
            Status::TooLarge => "TooLarge",
            Status::MediaType => "UnsupportedMediaType",
            Status::Overloaded => "Overloaded",
            Status::Trap => "Trap",
            Status::Unreachable => "Unreachable",
            Status::Unavailable => "Unavailable",
            Status::Deadline => "DeadlineExceeded",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Status::BadInput => "The body is not of its type, or does not fit the parameters; `pointer` says where.",
            Status::NotAcceptable => "The answer cannot be of any type that `Accept` names.",
            Status::SlowRequest => "The body did not arrive in time.",
            Status::TooLarge => "The body, or what it becomes, is larger than the server accepts.",
            Status::MediaType => "The body is of no type that is taken.",
            Status::Overloaded => "The server has too much to do, or to hold. Try again after `Retry-After`.",
            Status::Trap => "A chainlet failed; `path` says which.",
            Status::Unreachable => "A chainlet on another machine cannot be reached.",
            Status::Unavailable => "The chain, or a chainlet that the call needs, is not ready.",
            Status::Deadline => "The call did not end in time; `path` says where it was.",
        }
    }

    /// A reference to the response among the components.
    pub(super) fn reference(self) -> Json {
        json!({ "$ref": format!("#/components/responses/{}", self.name()) })
    }
}

/// The responses among the components.
pub(super) fn responses() -> Map<String, Json> {
    let response = |status: Status| {
        let mut response = response(status.description(), reference());
        let waits = matches!(status, Status::Overloaded | Status::Unreachable | Status::Unavailable);
        if let (true, Some(response)) = (waits, response.as_object_mut()) {
            let schema = json!({ "type": "integer", "minimum": 0 });
            // A call that was cancelled is a 503, too, after which nothing is to be waited for.
            let required = status == Status::Overloaded;
            let header = json!({ "description": "Seconds to wait.", "required": required, "schema": schema });
            response.insert("headers".into(), json!({ "Retry-After": header }));
        }
        (status.name().to_owned(), response)
    };
    let mut responses: Map<_, _> = Status::ALL.into_iter().map(response).collect();
    let schema = json!({ "type": "string" });
    let header = json!({ "description": "How a key is shown.", "required": true, "schema": schema });
    let mut unauthorized = self::response("The request shows no API key that the server knows.", reference());
    if let Some(response) = unauthorized.as_object_mut() {
        response.insert("headers".into(), json!({ "WWW-Authenticate": header }));
    }
    responses.insert(UNAUTHORIZED.to_owned(), unauthorized);
    responses
}

/// A reference to the response to a request without a key.
pub(super) fn unauthorized() -> Json {
    json!({ "$ref": format!("#/components/responses/{UNAUTHORIZED}") })
}

/// The response to a request that is no WebSocket handshake.
pub(super) fn upgrade_required() -> Json {
    response("The request is no WebSocket handshake of version 13.", reference())
}

/// The response of a call that returned its typed error, of the schema `error` if it has one.
pub(super) fn typed_error(error: Option<Json>) -> Json {
    let schema = match error {
        None => reference(),
        Some(error) => {
            json!({ "allOf": [reference(), { "properties": { "error": error }, "required": ["error"] }] })
        }
    };
    response("The call returned its typed error, which `error` holds.", schema)
}

fn response(description: &str, schema: Json) -> Json {
    json!({ "description": description, "content": { "application/problem+json": { "schema": schema } } })
}

fn reference() -> Json {
    json!({ "$ref": format!("#/components/schemas/{PROBLEM}") })
}

/// The schema of a problem.
pub(super) fn schema() -> Json {
    json!({
        "type": "object",
        "description": "What went wrong, as RFC 9457 has it.",
        "required": ["type", "title", "status", "detail", "request_id"],
        "properties": {
            "type": {
                "type": "string",
                "format": "uri-reference",
                "description": "The kind of problem. It stays the same from version to version: decide by it.",
            },
            "title": { "type": "string", "description": "The kind of problem, in words." },
            "status": { "type": "integer", "description": "The HTTP status." },
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
                        "dependency": { "type": "string", "description": "What it calls the dependency." },
                        "to": { "type": "string", "description": "The chainlet that was called." },
                    },
                },
            },
            "error": { "description": "For a typed error: the value that the call returned." },
            "request_id": { "type": "string", "description": "The request's id, as logs and traces have it." },
        },
    })
}
