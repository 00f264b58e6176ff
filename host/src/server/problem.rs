//! Failures as problem documents (RFC 9457). Only this file maps a kind of failure to its type, title and status.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Audience;
use super::request_id::RequestId;
use crate::error::{CallError, DeclaredKind, ErrorKind};
use crate::guest_words::clip;

/// A kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProblemKind {
    BadRequest,
    InvalidInput,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    UpgradeRequired,
    NotAcceptable,
    SlowRequest,
    TooLarge,
    HeadTooLarge,
    MediaType,
    Chainlet,
    Overloaded,
    Crowded,
    Reload,
    Trap,
    Internal,
    NotReady,
    Stopping,
    Deadline,
    Unreachable,
    Cancelled,
}

/// The parts of a problem that its kind decides.
struct Appearance {
    status: StatusCode,
    /// Its `type`. Clients decide by it, so it never changes.
    uri: &'static str,
    title: &'static str,
    /// The number of seconds after which another attempt makes sense.
    retry_after: Option<u64>,
}

impl ProblemKind {
    #[rustfmt::skip]
    const fn appearance(self) -> Appearance {
        const fn of(status: StatusCode, uri: &'static str, title: &'static str, retry_after: Option<u64>) -> Appearance {
            Appearance { status, uri, title, retry_after }
        }
        use StatusCode as S;
        match self {
            ProblemKind::BadRequest       => of(S::BAD_REQUEST,            "urn:chainhost:problem:bad-request",            "The request is malformed", None),
            ProblemKind::InvalidInput     => of(S::BAD_REQUEST,            "urn:chainhost:problem:invalid-input",          "The input does not fit", None),
            ProblemKind::Unauthorized     => of(S::UNAUTHORIZED,           "urn:chainhost:problem:unauthorized",           "An API key is needed", None),
            ProblemKind::Forbidden        => of(S::FORBIDDEN,              "urn:chainhost:problem:forbidden",              "This listener does not serve this caller", None),
            ProblemKind::NotFound         => of(S::NOT_FOUND,              "urn:chainhost:problem:not-found",              "There is nothing here", None),
            ProblemKind::UpgradeRequired  => of(S::UPGRADE_REQUIRED,       "urn:chainhost:problem:upgrade-required",       "A WebSocket handshake is needed", None),
            ProblemKind::MethodNotAllowed => of(S::METHOD_NOT_ALLOWED,     "urn:chainhost:problem:method-not-allowed",     "The method is not for this path", None),
            ProblemKind::NotAcceptable    => of(S::NOT_ACCEPTABLE,         "urn:chainhost:problem:not-acceptable",         "No answer is of a type that is accepted", None),
            ProblemKind::SlowRequest      => of(S::REQUEST_TIMEOUT,        "urn:chainhost:problem:slow-request",           "The request did not arrive in time", None),
            ProblemKind::TooLarge         => of(S::PAYLOAD_TOO_LARGE,      "urn:chainhost:problem:body-too-large",         "The body is too large", None),
            ProblemKind::HeadTooLarge     => of(S::REQUEST_HEADER_FIELDS_TOO_LARGE, "urn:chainhost:problem:head-too-large",        "The head is too large", None),
            ProblemKind::MediaType        => of(S::UNSUPPORTED_MEDIA_TYPE, "urn:chainhost:problem:unsupported-media-type", "The body is of no type that is taken", None),
            ProblemKind::Chainlet         => of(S::UNPROCESSABLE_ENTITY,   "urn:chainhost:problem:chainlet-error",         "The chainlet answered with its error", None),
            ProblemKind::Overloaded       => of(S::TOO_MANY_REQUESTS,      "urn:chainhost:problem:overloaded",             "The server is overloaded", Some(1)),
            ProblemKind::Crowded          => of(S::SERVICE_UNAVAILABLE,    "urn:chainhost:problem:too-many-connections",   "The server has no connection left", Some(1)),
            ProblemKind::Reload           => of(S::UNPROCESSABLE_ENTITY,   "urn:chainhost:problem:reload-failed",          "The new version does not load", None),
            ProblemKind::Trap             => of(S::INTERNAL_SERVER_ERROR,  "urn:chainhost:problem:trap",                   "A chainlet trapped", None),
            ProblemKind::Internal         => of(S::INTERNAL_SERVER_ERROR,  "urn:chainhost:problem:internal",               "The host failed", None),
            ProblemKind::NotReady         => of(S::SERVICE_UNAVAILABLE,    "urn:chainhost:problem:not-ready",              "The chain is not ready", Some(5)),
            ProblemKind::Stopping         => of(S::SERVICE_UNAVAILABLE,    "urn:chainhost:problem:stopping",               "The chain is stopping", Some(1)),
            ProblemKind::Unreachable      => of(S::BAD_GATEWAY,            "urn:chainhost:problem:unreachable",            "A chainlet cannot be reached", Some(5)),
            ProblemKind::Cancelled        => of(S::SERVICE_UNAVAILABLE,    "urn:chainhost:problem:cancelled",              "The call was cancelled", None),
            ProblemKind::Deadline         => of(S::GATEWAY_TIMEOUT,        "urn:chainhost:problem:deadline",               "The answer did not come in time", None),
        }
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
            ErrorKind::Internal => ProblemKind::Internal,
        }
    }
}

/// Returns the status of a standard declared error, and the number of seconds after which another attempt makes sense.
/// The table in `docs/http.md` is the same.
const fn of_declared(kind: DeclaredKind) -> (StatusCode, Option<u64>) {
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

/// Returns `time` in seconds for the header `Retry-After`. Rounds up, so that clients do not try too early.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).max(1)
}

/// Returns the statuses of all standard declared errors.
pub(super) fn declared_statuses() -> impl Iterator<Item = StatusCode> {
    DeclaredKind::ALL.into_iter().map(|kind| of_declared(kind).0)
}

/// A failed request.
#[derive(Debug)]
pub(super) struct Problem {
    kind: ProblemKind,
    detail: Cow<'static, str>,
    call: Option<(CallError, Audience)>,
}

/// The most bytes of a detail that come from a call.
const DETAIL: usize = 4 * 1024;

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chainlet: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Vec<ProblemEdge<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backtrace: Option<&'a str>,
}

#[derive(Serialize)]
struct ProblemEdge<'a> {
    from: &'a str,
    dependency: &'a str,
    to: &'a str,
}

impl Problem {
    /// Makes a problem that `detail` describes in a sentence.
    pub(super) fn new(kind: ProblemKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Problem { kind, detail: detail.into(), call: None }
    }

    /// Makes the problem of a failed call, as `audience` may see it.
    pub(super) fn of_call(error: CallError, audience: Audience) -> Self {
        let kind = error.kind().into();
        let detail = match (audience, kind) {
            // A guest's words may contain anything: data of other requests, file names, secrets.
            (Audience::Public, ProblemKind::Trap | ProblemKind::Internal | ProblemKind::NotReady) => {
                format!("{}; the server's log says more, under this request_id", error.public_message())
            }
            // A message may repeat a type, and the types of a component may be long.
            _ => clip(error.message().to_owned(), DETAIL),
        };
        Problem { kind, detail: detail.into(), call: Some((error, audience)) }
    }

    /// Returns the status of the problem's response.
    pub(super) fn status(&self) -> StatusCode {
        self.appearance().status
    }

    /// Returns a few words for the problem, the same for all problems of its kind.
    pub(super) fn title(&self) -> &'static str {
        self.kind.appearance().title
    }

    pub(super) fn kind(&self) -> ProblemKind {
        self.kind
    }

    /// Returns the parts that its kind decides, with two exceptions: a standard declared error has its own status and
    /// its own time for another attempt, and any other failed call has its own time for another attempt.
    fn appearance(&self) -> Appearance {
        let appearance = self.kind.appearance();
        let Some((error, _)) = &self.call else { return appearance };
        match error.declared() {
            Some(declared) => {
                let (status, retry_after) = of_declared(declared.kind);
                Appearance { status, retry_after, ..appearance }
            }
            None => Appearance { retry_after: error.retry_after().map(whole_seconds), ..appearance },
        }
    }

    #[cfg(test)]
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// Returns the document for the request `id`, as JSON in one line.
    pub(super) fn document(&self, id: &RequestId) -> Vec<u8> {
        let Appearance { status, uri, title, .. } = self.appearance();
        let mut document = Document {
            r#type: uri,
            title,
            status: status.as_u16(),
            detail: &self.detail,
            request_id: &id.text,
            pointer: None,
            chainlet: None,
            path: None,
            error: None,
            backtrace: None,
        };
        if let Some((error, audience)) = &self.call {
            document.pointer = error.pointer();
            document.chainlet = Some(error.chainlet().as_str());
            document.path = Some(
                error
                    .path()
                    .map(|edge| ProblemEdge {
                        from: edge.from.as_str(),
                        dependency: edge.dependency.as_str(),
                        to: edge.to.as_str(),
                    })
                    .collect(),
            );
            document.error = error.guest_error();
            document.backtrace = error.backtrace().filter(|_| *audience == Audience::Admin);
        }
        // Text, and JSON that was checked before, can always be serialised. If not, the status still tells the kind.
        serde_json::to_vec(&document)
            .inspect_err(|error| tracing::error!(request = %id, %error, "a problem document cannot be written"))
            .unwrap_or_default()
    }

    /// Returns the response to the request `id`.
    pub(super) fn into_response(self, id: &RequestId) -> Response {
        let Appearance { status, retry_after, .. } = self.appearance();
        let mut response = Response::new(Body::from(self.document(id)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.kind == ProblemKind::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::HeaderMap;
    use http_body_util::BodyExt;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::error::{DeclaredError, EdgeName};

    fn id() -> RequestId {
        RequestId::of(&HeaderMap::from_iter([(super::super::request_id::HEADER, "r1".parse().unwrap())]))
    }

    async fn answer(problem: Problem) -> (http::response::Parts, Json) {
        let (head, body) = problem.into_response(&id()).into_parts();
        (head, serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap())
    }

    fn trap() -> CallError {
        let edge = |from: &str, dependency: &str, to: &str| {
            Arc::new(EdgeName {
                from: from.parse().unwrap(),
                dependency: dependency.parse().unwrap(),
                to: to.parse().unwrap(),
            })
        };
        CallError::new(
            ErrorKind::Trap,
            &"index".parse().unwrap(),
            "panicked; its last words: the password is swordfish",
        )
        .with_backtrace(Some("0: index!oops".into()))
        .through(&edge("rank", "store", "index"))
        .through(&edge("search", "rank", "rank"))
    }

    #[tokio::test]
    async fn the_public_learns_where_a_chainlet_trapped_but_not_what_it_said() {
        let (head, document) = answer(Problem::of_call(trap(), Audience::Public)).await;
        assert_eq!(head.status, 500);
        assert_eq!(head.headers[header::CONTENT_TYPE], "application/problem+json");
        let expected = json!({
            "type": "urn:chainhost:problem:trap",
            "title": "A chainlet trapped",
            "status": 500,
            "detail": "the chainlet `index` trapped; the server's log says more, under this request_id",
            "request_id": "r1",
            "chainlet": "index",
            "path": [
                { "from": "search", "dependency": "rank", "to": "rank" },
                { "from": "rank", "dependency": "store", "to": "index" },
            ],
        });
        assert_eq!(document, expected);
    }

    #[tokio::test]
    async fn an_admin_learns_everything() {
        let (_, document) = answer(Problem::of_call(trap(), Audience::Admin)).await;
        assert_eq!(document["detail"], "panicked; its last words: the password is swordfish");
        assert_eq!(document["backtrace"], "0: index!oops");
    }

    #[tokio::test]
    async fn a_typed_error_is_the_member_error_of_the_problem() {
        let error = CallError::new(ErrorKind::Chainlet, &"a".parse().unwrap(), "the chainlet answered with its error")
            .with_guest_error(RawValue::from_string(r#"{"no_such_book":7}"#.into()).unwrap());
        let (head, document) = answer(Problem::of_call(error, Audience::Public)).await;
        assert_eq!(head.status, 422);
        assert_eq!(document["error"], json!({ "no_such_book": 7 }));
    }

    #[tokio::test]
    async fn an_error_of_the_standard_type_has_the_status_of_its_kind() {
        for (kind, status, retry_after) in [
            (DeclaredKind::Invalid, 400, None),
            (DeclaredKind::NotFound, 404, None),
            (DeclaredKind::TooMany, 429, Some("1")),
            (DeclaredKind::Unavailable, 503, Some("5")),
            (DeclaredKind::Timeout, 504, None),
        ] {
            let declared = DeclaredError { kind, message: "gone".into(), repeatable: false };
            let error = CallError::new(ErrorKind::Chainlet, &"a".parse().unwrap(), "").with_declared(declared);
            let (head, document) = answer(Problem::of_call(error, Audience::Public)).await;
            assert_eq!((head.status.as_u16(), document["status"].as_u64()), (status, Some(status.into())));
            assert_eq!(head.headers.get(header::RETRY_AFTER).map(|value| value.to_str().unwrap()), retry_after);
            assert_eq!(
                (&document["type"], &document["detail"]),
                (&json!("urn:chainhost:problem:chainlet-error"), &json!("gone"))
            );
        }
    }

    #[tokio::test]
    async fn invalid_input_names_its_place() {
        let error = CallError::new(ErrorKind::InvalidInput, &"a".parse().unwrap(), "expected a u8, found 300")
            .at("/n/0".into());
        let (head, document) = answer(Problem::of_call(error, Audience::Public)).await;
        assert_eq!(head.status, 400);
        assert_eq!((&document["pointer"], &document["detail"]), (&json!("/n/0"), &json!("expected a u8, found 300")));
    }

    #[tokio::test]
    async fn the_header_retry_after_has_whole_seconds() {
        let failure = |kind| CallError::new(kind, &"a".parse().unwrap(), "");
        let at = |time| failure(ErrorKind::NotReady).with_retry_after(time);
        for (error, retry_after) in [
            (failure(ErrorKind::NotReady), Some("5")),
            (at(Duration::from_millis(1200)), Some("2")),
            (at(Duration::ZERO), Some("1")),
            (at(Duration::from_hours(24)), Some("86400")),
            (failure(ErrorKind::Trap), None),
        ] {
            let (head, _) = answer(Problem::of_call(error, Audience::Public)).await;
            assert_eq!(head.headers.get(header::RETRY_AFTER).map(|value| value.to_str().unwrap()), retry_after);
        }
    }

    #[tokio::test]
    async fn an_overload_tells_when_to_try_again() {
        let (head, document) = answer(Problem::new(ProblemKind::Overloaded, "full")).await;
        assert_eq!(head.status, 429);
        assert_eq!(head.headers[header::RETRY_AFTER], "1");
        assert!(document.get("path").is_none() && document.get("chainlet").is_none());
    }
}
