//! `run_remote`: a body to a call, and what comes of it to an answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use tokio::time::Instant;

use super::body::{self, Received, RequestBody};
use super::observe::Asked;
use super::problem::{Kind, Problem};
use super::request_id::RequestId;
use super::{Audience, Http, format};
use crate::chain::{CallOptions, Chain, Formats};
use crate::error::{CallError, ErrorKind};
use crate::value::Signature;
use crate::value::format::Format;

/// The header by which a client says how long it waits.
const TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout");

/// What a call is answered with.
type Answer = Result<(Bytes, Format), Problem>;

/// A request that has been read.
struct Read {
    headers: HeaderMap,
    body: Received,
    options: CallOptions,
}

/// Calls the entrypoint.
pub(super) async fn entrypoint<B: RequestBody>(http: Http, request: Request<B>, asked: Asked) -> Response {
    respond(call_entrypoint(&http, request, &asked).await, &asked.id)
}

/// Calls the chainlet `name`, for an admin.
pub(super) async fn chainlet<B: RequestBody>(http: Http, name: &str, request: Request<B>, asked: Asked) -> Response {
    respond(call_chainlet(&http, name, request, &asked).await, &asked.id)
}

async fn call_entrypoint<B: RequestBody>(http: &Http, request: Request<B>, asked: &Asked) -> Answer {
    let signature = |chain: &Chain| chain.signature(chain.entrypoint().as_str()).cloned();
    let Read { headers, body, options } = receive(http, request, asked, || signature(&http.0.chain.current())).await?;
    let chain = http.0.chain.begin();
    let answer = format::of_answer(&headers, || signature(&chain))?;
    let formats = Formats { input: body.format, answer };
    let outcome = chain.call_bytes(&body.bytes, formats, options).await;
    chain.count(&outcome);
    match outcome {
        Ok(bytes) => Ok((bytes, answer)),
        Err(error) => Err(failed(http, error, Audience::Public, &asked.id)),
    }
}

async fn call_chainlet<B: RequestBody>(http: &Http, name: &str, request: Request<B>, asked: &Asked) -> Answer {
    let signature = |chain: &Chain| chain.signature(name).cloned();
    let Read { headers, body, options } = receive(http, request, asked, || signature(&http.0.chain.current())).await?;
    let chain = http.0.chain.begin();
    let answer = format::of_answer(&headers, || signature(&chain))?;
    let formats = Formats { input: body.format, answer };
    match chain.call_chainlet_bytes(name, &body.bytes, formats, options).await {
        Some(Ok(bytes)) => Ok((bytes, answer)),
        Some(Err(error)) => Err(failed(http, error, Audience::Admin, &asked.id)),
        None => Err(Problem::new(Kind::NotFound, no_chainlet(http, name))),
    }
}

/// Reads the request, which must be complete before its deadline, and of a format that the function of `signature` takes.
async fn receive<B: RequestBody>(
    http: &Http,
    request: Request<B>,
    asked: &Asked,
    signature: impl Fn() -> Option<Arc<Signature>>,
) -> Result<Read, Problem> {
    let (head, body) = request.into_parts();
    let longest = http.0.options.request_timeout;
    let timeout = asked_timeout(&head.headers)?.map_or(longest, |timeout| timeout.min(longest));
    let deadline = asked.at + timeout;
    let format = format::of_body(&head.headers, signature);
    let body = body::read(&head.headers, body, format, &http.0.bodies, deadline).await?;
    let timeout = Some(deadline.saturating_duration_since(Instant::now()));
    let options = CallOptions { timeout, request_id: Some(asked.id.text.clone()) };
    Ok(Read { headers: head.headers, body, options })
}

/// What the client says it waits: `2.5` in seconds, or `500ms`, or any such duration.
fn asked_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let Some(value) = headers.get(TIMEOUT) else { return Ok(None) };
    let timeout = value.to_str().ok().and_then(|text| match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text).ok(),
    });
    match timeout.filter(|timeout| !timeout.is_zero()) {
        Some(timeout) => Ok(Some(timeout)),
        None => Err(Problem::new(
            Kind::BadRequest,
            "the header x-request-timeout is no duration; write seconds, such as `2.5`, or a unit, such as `500ms`",
        )),
    }
}

/// A failed call as a problem. What the client is not told is in the log.
fn failed(http: &Http, error: CallError, audience: Audience, id: &RequestId) -> Problem {
    let untold = || http.0.log_rate.admit().map(|left_out| (left_out > 0).then_some(left_out));
    match error.kind() {
        ErrorKind::Trap | ErrorKind::Internal => {
            if let Some(untold) = untold() {
                tracing::error!(request = %id, %error, backtrace = error.backtrace(), untold, "a call failed");
            }
        }
        ErrorKind::NotReady | ErrorKind::Deadline => {
            if let Some(untold) = untold() {
                tracing::warn!(request = %id, %error, untold, "a call failed");
            }
        }
        ErrorKind::InvalidInput
        | ErrorKind::TooLarge
        | ErrorKind::Chainlet
        | ErrorKind::Overloaded
        | ErrorKind::Stopping => {
            tracing::debug!(request = %id, %error, "a call failed");
        }
    }
    Problem::of_call(error, audience)
}

fn no_chainlet(http: &Http, name: &str) -> String {
    let chain = http.0.chain.current();
    let names: Vec<_> = chain.status().map(|(name, _)| name.as_str()).collect();
    format!("the chain has no chainlet `{name}`; it has {}", names.join(", "))
}

fn respond(answer: Answer, id: &RequestId) -> Response {
    match answer {
        Ok((body, format)) => with_type(body, format),
        Err(problem) => problem.into_response(id),
    }
}

/// An answer of JSON.
pub(super) fn json(body: impl Into<Body>) -> Response {
    with_type(body, Format::Json)
}

fn with_type(body: impl Into<Body>, format: Format) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &str) -> Result<Option<Duration>, Kind> {
        let headers = HeaderMap::from_iter([(TIMEOUT, value.parse().unwrap())]);
        asked_timeout(&headers).map_err(|problem| problem.kind())
    }

    #[test]
    fn a_timeout_is_seconds_or_has_a_unit() {
        assert_eq!(asked_timeout(&HeaderMap::new()).unwrap(), None);
        assert_eq!(asked("2.5"), Ok(Some(Duration::from_millis(2500))));
        assert_eq!(asked("500ms"), Ok(Some(Duration::from_millis(500))));
        assert_eq!(asked("2m"), Ok(Some(Duration::from_secs(120))));
    }

    #[test]
    fn a_timeout_that_is_none_is_refused() {
        for value in ["", "soon", "0", "-1", "NaN", "inf", "1e300", "0ms"] {
            assert_eq!(asked(value), Err(Kind::BadRequest), "{value}");
        }
    }
}
