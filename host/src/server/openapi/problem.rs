//! The problem responses (RFC 9457) of an OpenAPI document.

use serde_json::{Map, Value as Json, json};

/// The name of the problem schema among the components.
pub(super) const PROBLEM: &str = "Problem";

/// A kind of failure response. Each operation lists the kinds that it can answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Malformed,
    BadInput,
    Unauthorized,
    Forbidden,
    NotReloadable,
    NotAcceptable,
    SlowRequest,
    TooLarge,
    MediaType,
    ReloadFailed,
    Version,
    Overloaded,
    HeadTooLarge,
    Trap,
    Internal,
    Unreachable,
    Unavailable,
    Deadline,
}

impl Status {
    const ALL: [Status; 18] = [
        Status::Malformed,
        Status::BadInput,
        Status::Unauthorized,
        Status::Forbidden,
        Status::NotReloadable,
        Status::NotAcceptable,
        Status::SlowRequest,
        Status::TooLarge,
        Status::MediaType,
        Status::ReloadFailed,
        Status::Version,
        Status::Overloaded,
        Status::HeadTooLarge,
        Status::Trap,
        Status::Internal,
        Status::Unreachable,
        Status::Unavailable,
        Status::Deadline,
    ];

    /// The failures that every call can meet.
    pub(super) const OF_CALLS: [Status; 10] = [
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
            Status::Malformed | Status::BadInput => 400,
            Status::Unauthorized => 401,
            Status::Forbidden => 403,
            Status::NotReloadable => 404,
            Status::NotAcceptable => 406,
            Status::SlowRequest => 408,
            Status::TooLarge => 413,
            Status::MediaType => 415,
            Status::ReloadFailed => 422,
            Status::Version => 426,
            Status::Overloaded => 429,
            Status::HeadTooLarge => 431,
            Status::Trap | Status::Internal => 500,
            Status::Unreachable => 502,
            Status::Unavailable => 503,
            Status::Deadline => 504,
        }
    }

    /// Returns its name among the components.
    fn name(self) -> &'static str {
        match self {
            Status::Malformed => "BadRequest",
            Status::BadInput => "BadInput",
            Status::Unauthorized => "Unauthorized",
            Status::Forbidden => "Forbidden",
            Status::NotReloadable => "NotReloadable",
            Status::NotAcceptable => "NotAcceptable",
            Status::SlowRequest => "SlowRequest",
            Status::TooLarge => "TooLarge",
            Status::MediaType => "UnsupportedMediaType",
            Status::ReloadFailed => "ReloadFailed",
            Status::Version => "UpgradeRequired",
            Status::Overloaded => "Overloaded",
            Status::HeadTooLarge => "HeadTooLarge",
            Status::Trap => "Trap",
            Status::Internal => "Internal",
            Status::Unreachable => "Unreachable",
            Status::Unavailable => "Unavailable",
            Status::Deadline => "DeadlineExceeded",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Status::Malformed => "The request is malformed.",
            Status::BadInput => "The body is malformed, or does not fit the parameters; `pointer` says where.",
            Status::Unauthorized => "The request shows no API key that the server knows.",
            Status::Forbidden => {
                "A web page of another origin sent the request, or the request calls this machine by a foreign name."
            }
            Status::NotReloadable => "The chain has no file to load a new version from.",
            Status::NotAcceptable => "The answer cannot be of any type that `Accept` names.",
            Status::SlowRequest => "The body did not arrive in time.",
            Status::TooLarge => "The body, or the values that are read from it, are larger than the server accepts.",
            Status::MediaType => "The server does not accept the body's media type.",
            Status::ReloadFailed => "The new version does not load; `detail` says why. The old one serves on.",
            Status::Version => "The request is not a WebSocket handshake, or one of another version of the protocol.",
            Status::Overloaded => "The server has too many calls or too little memory. Try again after `Retry-After`.",
            Status::HeadTooLarge => "The head of the request is larger than the server accepts.",
            Status::Trap => "A chainlet failed; `path` says which.",
            Status::Internal => "The host failed; its log says more.",
            Status::Unreachable => "A chainlet on another machine cannot be reached.",
            Status::Unavailable => "The chain, or a chainlet that the call needs, is not ready.",
            Status::Deadline => "The call did not end in time; `path` says where it was.",
        }
    }

    /// Returns the header of the answer beside the request's id: its name, and its description with its schema and
    /// whether it is always there.
    fn headers(self) -> Option<(&'static str, Json)> {
        let seconds = |required: bool| {
            let schema = json!({ "type": "integer", "minimum": 0 });
            Some(("Retry-After", json!({ "description": "Seconds to wait.", "required": required, "schema": schema })))
        };
        let text = |name, description: &str| {
            let header = json!({ "description": description, "required": true, "schema": { "type": "string" } });
            Some((name, header))
        };
        match self {
            Status::Overloaded => seconds(true),
            // A cancelled call is a 503 too, but has no `Retry-After`, because waiting does not help.
            Status::Unreachable | Status::Unavailable => seconds(false),
            Status::Unauthorized => text("WWW-Authenticate", "The way to send a key."),
            Status::Version => text("Upgrade", "The protocol that the path needs: `websocket`."),
            _ => None,
        }
    }

    /// Returns the path of the response among the components.
    fn path(self) -> String {
        format!("#/components/responses/{}", self.name())
    }

    /// Returns a reference to the response among the components.
    pub(super) fn reference(self) -> Json {
        json!({ "$ref": self.path() })
    }

    /// Returns the response itself, for the components.
    fn response(self) -> Json {
        let mut response = response(self.description(), reference());
        if let (Some((name, header)), Some(Json::Object(headers))) = (self.headers(), response.get_mut("headers")) {
            headers.insert(name.to_owned(), header);
        }
        response
    }
}

/// Adds `statuses` to an operation's responses. A code that has a response already keeps it.
pub(super) fn add(responses: &mut Map<String, Json>, statuses: impl IntoIterator<Item = Status>) {
    for status in statuses {
        responses.entry(status.code().to_string()).or_insert_with(|| status.reference());
    }
}

/// Returns the responses to which `paths` refers, for the components.
pub(super) fn responses(paths: &Map<String, Json>) -> Map<String, Json> {
    let text = Json::from(paths.clone()).to_string();
    let is_used = |status: &Status| text.contains(&format!("\"{}\"", status.path()));
    let used = Status::ALL.into_iter().filter(is_used);
    used.map(|status| (status.name().to_owned(), status.response())).collect()
}

/// Returns the response of a call that returned its typed error. `error` is the schema of that error, if it has one.
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
