//! The kinds of problems, each declared once.
//!
//! A row of `problem_kinds!` declares a kind. The responses of the server and those in the OpenAPI documents come from
//! it, and a test compares the tables of `docs/http.md` with it.

use std::time::Duration;

use chainhost_core::error::{DeclaredKind, ErrorKind};
use http::StatusCode;

use crate::server::socket;

/// Everything that all problems of a kind have in common.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) struct Declaration {
    pub status: StatusCode,
    /// Its `type`. Clients decide by it, so it never changes.
    pub uri: &'static str,
    pub title: &'static str,
    /// Its response in OpenAPI documents.
    pub documented: Documented,
    /// The number of seconds after which another attempt makes sense.
    pub retry_after: Option<u64>,
    /// The headers that only responses of this kind have, without `Retry-After`.
    pub headers: &'static [OwnHeader],
}

/// The response in OpenAPI documents that stands for a kind of problem.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) struct Documented {
    /// Its name among the components. Clients have the name in their code, so it never changes. `None` if each operation
    /// has a response of its own.
    pub component: Option<&'static str>,
    pub description: &'static str,
}

/// A header that only the responses of one kind of problem have.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) struct OwnHeader {
    pub name: &'static str,
    /// Its value, or `None` if the value depends on the request. Then the code that makes the response adds it.
    pub value: Option<&'static str>,
    pub description: &'static str,
}

/// Declares the kinds of problems. A row has the kind, its status, the end of its `type`, its title and its response in
/// OpenAPI documents. Then come the parts that it needs; each is a method of [`Declaration`].
///
/// Several kinds may have one status. If an operation can have several of them, its response for this status is that of
/// the first one here.
macro_rules! problem_kinds {
    ($($Kind:ident: $STATUS:ident, $name:literal, $title:literal, $documented:expr $(, $part:ident($value:expr))*;)+) => {
        /// A kind of problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(in crate::server) enum ProblemKind {
            $($Kind,)+
        }

        impl ProblemKind {
            /// All kinds, in the order of their declaration.
            pub(in crate::server) const ALL: &[ProblemKind] = &[$(ProblemKind::$Kind,)+];

            /// Returns what all problems of this kind have in common.
            pub(in crate::server) fn declaration(self) -> Declaration {
                match self {
                    $(
                        ProblemKind::$Kind => Declaration {
                            status: StatusCode::$STATUS,
                            uri: concat!("urn:chainhost:problem:", $name),
                            title: $title,
                            documented: $documented,
                            retry_after: None,
                            headers: &[],
                        }$(.$part($value))*,
                    )+
                }
            }
        }
    };
}

problem_kinds! {
    InvalidInput: BAD_REQUEST, "invalid-input", "The input does not fit",
        component("BadInput", "The body is malformed, or does not fit the parameters; `pointer` says where.");
    BadRequest: BAD_REQUEST, "bad-request", "The request is malformed",
        component("BadRequest", "The request is malformed.");
    Unauthorized: UNAUTHORIZED, "unauthorized", "An API key is needed",
        component("Unauthorized", "The request shows no API key that the server knows."),
        headers(&[
            OwnHeader { name: "WWW-Authenticate", value: Some("Bearer"), description: "The way to send a key." },
        ]);
    Forbidden: FORBIDDEN, "forbidden", "This listener does not serve this caller",
        component(
            "Forbidden",
            "A web page of another origin sent the request, or the request calls this machine by a foreign name.",
        );
    NotFound: NOT_FOUND, "not-found", "There is nothing here",
        component("NotReloadable", "The chain has no file to load a new version from.");
    MethodNotAllowed: METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not for this path",
        component("MethodNotAllowed", "The path does not serve this method over this version of HTTP."),
        headers(&[OwnHeader { name: "Allow", value: None, description: "The methods that the path serves." }]);
    NotAcceptable: NOT_ACCEPTABLE, "not-acceptable", "No answer is of a type that is accepted",
        component("NotAcceptable", "The answer cannot be of any type that `Accept` names.");
    SlowRequest: REQUEST_TIMEOUT, "slow-request", "The request did not arrive in time",
        component("SlowRequest", "The body did not arrive in time.");
    TooLarge: PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large",
        component("TooLarge", "The body, or the values that are read from it, are larger than the server accepts.");
    MediaType: UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body is of no type that is taken",
        component("UnsupportedMediaType", "The server does not accept the body's media type.");
    Chainlet: UNPROCESSABLE_ENTITY, "chainlet-error", "The chainlet answered with its error",
        in_each_operation("The call returned its typed error, which `error` holds.");
    Reload: UNPROCESSABLE_ENTITY, "reload-failed", "The new version does not load",
        component("ReloadFailed", "The new version does not load; `detail` says why. The old one serves on.");
    UpgradeRequired: UPGRADE_REQUIRED, "upgrade-required", "A WebSocket handshake is needed",
        component(
            "UpgradeRequired",
            "The request is not a WebSocket handshake, or one of another version of the protocol.",
        ),
        // RFC 9110, 15.5.22, and RFC 6455, 4.4.
        headers(&[
            OwnHeader {
                name: "Upgrade",
                value: Some("websocket"),
                description: "The protocol that the path needs: `websocket`.",
            },
            OwnHeader {
                name: "Sec-WebSocket-Version",
                value: Some(socket::VERSION),
                description: "The version of the protocol that the server speaks.",
            },
        ]);
    Overloaded: TOO_MANY_REQUESTS, "overloaded", "The server is overloaded",
        component("Overloaded", "The server has too many calls or too little memory. Try again after `Retry-After`."),
        retry_as(ErrorKind::Overloaded);
    HeadTooLarge: REQUEST_HEADER_FIELDS_TOO_LARGE, "head-too-large", "The head is too large",
        component("HeadTooLarge", "The head of the request is larger than the server accepts.");
    Trap: INTERNAL_SERVER_ERROR, "trap", "A chainlet trapped",
        component("Trap", "A chainlet failed; `path` says which.");
    Internal: INTERNAL_SERVER_ERROR, "internal", "The host failed",
        component("Internal", "The host failed; its log says more.");
    Unreachable: BAD_GATEWAY, "unreachable", "A chainlet cannot be reached",
        component("Unreachable", "A chainlet on another machine cannot be reached."),
        retry_as(ErrorKind::Unreachable);
    NotReady: SERVICE_UNAVAILABLE, "not-ready", "The chain is not ready",
        component("Unavailable", "The chain, or a chainlet that the call needs, is not ready."),
        retry_as(ErrorKind::NotReady);
    Stopping: SERVICE_UNAVAILABLE, "stopping", "The chain is stopping",
        the_same_as(ProblemKind::NotReady),
        retry_as(ErrorKind::Stopping);
    // It has no `Retry-After`, because waiting does not help.
    Cancelled: SERVICE_UNAVAILABLE, "cancelled", "The call was cancelled",
        the_same_as(ProblemKind::NotReady);
    Crowded: SERVICE_UNAVAILABLE, "too-many-connections", "The server has no connection left",
        the_same_as(ProblemKind::NotReady),
        retry_after(1);
    Deadline: GATEWAY_TIMEOUT, "deadline", "The answer did not come in time",
        component("DeadlineExceeded", "The call did not end in time; `path` says where it was.");
}

/// A response among the components.
fn component(name: &'static str, description: &'static str) -> Documented {
    Documented { component: Some(name), description }
}

/// A response in each operation, because its schema depends on the operation.
fn in_each_operation(description: &'static str) -> Documented {
    Documented { component: None, description }
}

/// The response of a kind that has the same status, because a document has one response for each status.
fn the_same_as(kind: ProblemKind) -> Documented {
    kind.declaration().documented
}

/// The parts of a row.
impl Declaration {
    fn headers(self, headers: &'static [OwnHeader]) -> Self {
        Declaration { headers, ..self }
    }

    fn retry_after(self, seconds: u64) -> Self {
        Declaration { retry_after: Some(seconds), ..self }
    }

    /// Sets the time that other callers of the chain learn, such as guests, when a call fails in this way.
    fn retry_as(self, failure: ErrorKind) -> Self {
        Declaration { retry_after: failure.retry_after().map(whole_seconds), ..self }
    }
}

impl From<ErrorKind> for ProblemKind {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidInput => ProblemKind::InvalidInput,
            ErrorKind::TooLarge => ProblemKind::TooLarge,
            ErrorKind::AnswerTooLarge => ProblemKind::NotAcceptable,
            ErrorKind::Chainlet => ProblemKind::Chainlet,
            ErrorKind::Overloaded => ProblemKind::Overloaded,
            ErrorKind::NotReady => ProblemKind::NotReady,
            ErrorKind::Deadline => ProblemKind::Deadline,
            ErrorKind::Trap => ProblemKind::Trap,
            ErrorKind::Stopping => ProblemKind::Stopping,
            ErrorKind::Unreachable => ProblemKind::Unreachable,
            ErrorKind::Cancelled => ProblemKind::Cancelled,
            // A fault of the host. A test holds that no other kind comes here.
            _ => ProblemKind::Internal,
        }
    }
}

/// Returns the status of a standard declared error, and the number of seconds after which another attempt makes sense.
pub(in crate::server) const fn of_declared(kind: DeclaredKind) -> (StatusCode, Option<u64>) {
    match kind {
        DeclaredKind::Invalid => (StatusCode::BAD_REQUEST, None),
        DeclaredKind::Unauthenticated => (StatusCode::UNAUTHORIZED, None),
        DeclaredKind::Forbidden => (StatusCode::FORBIDDEN, None),
        DeclaredKind::NotFound => (StatusCode::NOT_FOUND, None),
        DeclaredKind::Conflict => (StatusCode::CONFLICT, None),
        DeclaredKind::Unprocessable => (StatusCode::UNPROCESSABLE_ENTITY, None),
        DeclaredKind::TooMany => (StatusCode::TOO_MANY_REQUESTS, Some(1)),
        DeclaredKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, None),
        DeclaredKind::Unimplemented => (StatusCode::NOT_IMPLEMENTED, None),
        DeclaredKind::Upstream => (StatusCode::BAD_GATEWAY, None),
        DeclaredKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, Some(5)),
        DeclaredKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, None),
    }
}

/// Returns the statuses of all standard declared errors.
pub(in crate::server) fn declared_statuses() -> impl Iterator<Item = StatusCode> {
    DeclaredKind::ALL.into_iter().map(|kind| of_declared(kind).0)
}

/// Returns true if every problem with `status` tells when another attempt makes sense.
pub(in crate::server) fn always_tells_when_to_retry(status: StatusCode) -> bool {
    let declarations = ProblemKind::ALL.iter().map(|kind| kind.declaration());
    let own = declarations.map(|declaration| (declaration.status, declaration.retry_after));
    own.chain(DeclaredKind::ALL.map(of_declared)).filter(|(other, _)| *other == status).all(|(_, time)| time.is_some())
}

/// Returns `time` in seconds for the header `Retry-After`. Rounds up, so that clients do not try too early.
pub(in crate::server) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).max(1)
}
