//! Failures as problem documents (RFC 9457). Only [`kind`] maps a kind of failure to its type, title and status.

mod kind;

#[cfg(test)]
mod docs;

use std::borrow::Cow;

use axum::body::Body;
use axum::response::Response;
use chainhost_core::error::CallError;
use chainhost_core::guest_words::clip;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::value::RawValue;

pub(super) use self::kind::{Declaration, OwnHeader, ProblemKind, always_tells_when_to_retry, declared_statuses};
use self::kind::{of_declared, whole_seconds};
use super::Audience;
use super::request_id::RequestId;

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
        self.status_and_retry().0
    }

    /// Returns a few words for the problem, the same for all problems of its kind.
    pub(super) fn title(&self) -> &'static str {
        self.kind.declaration().title
    }

    pub(super) fn kind(&self) -> ProblemKind {
        self.kind
    }

    /// Returns the status, and the number of seconds after which another attempt makes sense. The kind decides both,
    /// with two exceptions: a standard declared error has its own status and its own time for another attempt, and any
    /// other failed call has its own time for another attempt.
    fn status_and_retry(&self) -> (StatusCode, Option<u64>) {
        let declaration = self.kind.declaration();
        let Some((error, _)) = &self.call else { return (declaration.status, declaration.retry_after) };
        match error.declared() {
            Some(declared) => of_declared(declared.kind),
            None => (declaration.status, error.retry_after().map(whole_seconds)),
        }
    }

    #[cfg(test)]
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// Returns the document for the request `id`, as JSON in one line.
    pub(super) fn document(&self, id: &RequestId) -> Vec<u8> {
        let declaration = self.kind.declaration();
        let mut document = Document {
            r#type: declaration.uri,
            title: declaration.title,
            status: self.status().as_u16(),
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
        let (status, retry_after) = self.status_and_retry();
        let mut response = Response::new(Body::from(self.document(id)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        for OwnHeader { name, value, .. } in self.kind.declaration().headers {
            if let Some(value) = value {
                headers.insert(*name, HeaderValue::from_static(value));
            }
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use chainhost_core::error::{DeclaredError, DeclaredKind, EdgeName, ErrorKind};
    use http::HeaderMap;
    use http_body_util::BodyExt;
    use serde_json::{Value as Json, json};

    use super::*;

    #[test]
    fn each_kind_of_failure_is_a_problem_of_its_own() {
        for kind in ErrorKind::ALL {
            let internal = ProblemKind::from(kind) == ProblemKind::Internal;
            assert_eq!(internal, kind == ErrorKind::Internal, "{kind}");
        }
    }

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
    async fn the_response_of_each_kind_is_the_declared_one() {
        for kind in ProblemKind::ALL {
            let declaration = kind.declaration();
            let (head, document) = answer(Problem::new(*kind, "why")).await;
            assert_eq!(head.status, declaration.status);
            assert_eq!((&document["type"], &document["title"]), (&json!(declaration.uri), &json!(declaration.title)));
            assert_eq!(document["status"], declaration.status.as_u16());
            let retry_after = declaration.retry_after.map(HeaderValue::from);
            assert_eq!(head.headers.get(header::RETRY_AFTER), retry_after.as_ref());
            for OwnHeader { name, value, .. } in declaration.headers {
                assert_eq!(head.headers.get(*name).map(|value| value.to_str().unwrap()), *value, "{name}");
            }
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
