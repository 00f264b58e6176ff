//! The problem responses (RFC 9457) of an OpenAPI document.

use serde_json::{Map, Value as Json, json};

/// The name of the problem schema among the components.
pub(super) const PROBLEM: &str = "Problem";

/// A kind of failure response. Each operation lists the kinds that it can answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProblemStatus {
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

impl ProblemStatus {
    const ALL: [ProblemStatus; 18] = [
        ProblemStatus::Malformed,
        ProblemStatus::BadInput,
        ProblemStatus::Unauthorized,
        ProblemStatus::Forbidden,
        ProblemStatus::NotReloadable,
        ProblemStatus::NotAcceptable,
        ProblemStatus::SlowRequest,
        ProblemStatus::TooLarge,
        ProblemStatus::MediaType,
        ProblemStatus::ReloadFailed,
        ProblemStatus::Version,
        ProblemStatus::Overloaded,
        ProblemStatus::HeadTooLarge,
        ProblemStatus::Trap,
        ProblemStatus::Internal,
        ProblemStatus::Unreachable,
        ProblemStatus::Unavailable,
        ProblemStatus::Deadline,
    ];

    /// The failures that every call can meet.
    pub(super) const OF_CALLS: [ProblemStatus; 10] = [
        ProblemStatus::BadInput,
        ProblemStatus::NotAcceptable,
        ProblemStatus::SlowRequest,
        ProblemStatus::TooLarge,
        ProblemStatus::MediaType,
        ProblemStatus::Overloaded,
        ProblemStatus::Trap,
        ProblemStatus::Unreachable,
        ProblemStatus::Unavailable,
        ProblemStatus::Deadline,
    ];

    pub(super) fn code(self) -> u16 {
        match self {
            ProblemStatus::Malformed | ProblemStatus::BadInput => 400,
            ProblemStatus::Unauthorized => 401,
            ProblemStatus::Forbidden => 403,
            ProblemStatus::NotReloadable => 404,
            ProblemStatus::NotAcceptable => 406,
            ProblemStatus::SlowRequest => 408,
            ProblemStatus::TooLarge => 413,
            ProblemStatus::MediaType => 415,
            ProblemStatus::ReloadFailed => 422,
            ProblemStatus::Version => 426,
            ProblemStatus::Overloaded => 429,
            ProblemStatus::HeadTooLarge => 431,
            ProblemStatus::Trap | ProblemStatus::Internal => 500,
            ProblemStatus::Unreachable => 502,
            ProblemStatus::Unavailable => 503,
            ProblemStatus::Deadline => 504,
        }
    }

    /// Returns its name among the components.
    fn name(self) -> &'static str {
        match self {
            ProblemStatus::Malformed => "BadRequest",
            ProblemStatus::BadInput => "BadInput",
            ProblemStatus::Unauthorized => "Unauthorized",
            ProblemStatus::Forbidden => "Forbidden",
            ProblemStatus::NotReloadable => "NotReloadable",
            ProblemStatus::NotAcceptable => "NotAcceptable",
            ProblemStatus::SlowRequest => "SlowRequest",
            ProblemStatus::TooLarge => "TooLarge",
            ProblemStatus::MediaType => "UnsupportedMediaType",
            ProblemStatus::ReloadFailed => "ReloadFailed",
            ProblemStatus::Version => "UpgradeRequired",
            ProblemStatus::Overloaded => "Overloaded",
            ProblemStatus::HeadTooLarge => "HeadTooLarge",
            ProblemStatus::Trap => "Trap",
            ProblemStatus::Internal => "Internal",
            ProblemStatus::Unreachable => "Unreachable",
            ProblemStatus::Unavailable => "Unavailable",
            ProblemStatus::Deadline => "DeadlineExceeded",
        }
    }

    fn description(self) -> &'static str {
        match self {
            ProblemStatus::Malformed => "The request is malformed.",
            ProblemStatus::BadInput => "The body is malformed, or does not fit the parameters; `pointer` says where.",
            ProblemStatus::Unauthorized => "The request shows no API key that the server knows.",
            ProblemStatus::Forbidden => {
                "A web page of another origin sent the request, or the request calls this machine by a foreign name."
            }
            ProblemStatus::NotReloadable => "The chain has no file to load a new version from.",
            ProblemStatus::NotAcceptable => "The answer cannot be of any type that `Accept` names.",
            ProblemStatus::SlowRequest => "The body did not arrive in time.",
            ProblemStatus::TooLarge => {
                "The body, or the values that are read from it, are larger than the server accepts."
            }
            ProblemStatus::MediaType => "The server does not accept the body's media type.",
            ProblemStatus::ReloadFailed => "The new version does not load; `detail` says why. The old one serves on.",
            ProblemStatus::Version => {
                "The request is not a WebSocket handshake, or one of another version of the protocol."
            }
            ProblemStatus::Overloaded => {
                "The server has too many calls or too little memory. Try again after `Retry-After`."
            }
            ProblemStatus::HeadTooLarge => "The head of the request is larger than the server accepts.",
            ProblemStatus::Trap => "A chainlet failed; `path` says which.",
            ProblemStatus::Internal => "The host failed; its log says more.",
            ProblemStatus::Unreachable => "A chainlet on another machine cannot be reached.",
            ProblemStatus::Unavailable => "The chain, or a chainlet that the call needs, is not ready.",
            ProblemStatus::Deadline => "The call did not end in time; `path` says where it was.",
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
            ProblemStatus::Overloaded => seconds(true),
            // A cancelled call is a 503 too, but has no `Retry-After`, because waiting does not help.
            ProblemStatus::Unreachable | ProblemStatus::Unavailable => seconds(false),
            ProblemStatus::Unauthorized => text("WWW-Authenticate", "The way to send a key."),
            ProblemStatus::Version => text("Upgrade", "The protocol that the path needs: `websocket`."),
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
pub(super) fn add(responses: &mut Map<String, Json>, statuses: impl IntoIterator<Item = ProblemStatus>) {
    for status in statuses {
        responses.entry(status.code().to_string()).or_insert_with(|| status.reference());
    }
}

/// Returns the responses to which `paths` refers, for the components.
pub(super) fn responses(paths: &Map<String, Json>) -> Map<String, Json> {
    let text = Json::from(paths.clone()).to_string();
    let is_used = |status: &ProblemStatus| text.contains(&format!("\"{}\"", status.path()));
    let used = ProblemStatus::ALL.into_iter().filter(is_used);
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
