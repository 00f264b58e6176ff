//! Turns a request for `run_remote` into a call, and the outcome of the call into a response.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use chainhost_core::chain::answer::Streamed;
use chainhost_core::chain::{self, CallOptions, Chain};
use chainhost_core::chainlet::Chainlet;
use chainhost_core::chainlet::callee::Callee;
use chainhost_core::chainlet::params::{Params, Values};
use chainhost_core::deadline::{Deadline, TimeLimit};
use chainhost_core::error::{CallError, ErrorKind};
use chainhost_core::live::InVersion;
use chainhost_core::log_fields::log_call_error;
use chainhost_core::memory::Reservation;
use chainhost_core::trace::TraceContext;
use chainhost_core::value::format::Format;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Version, header};

use super::body::{self, RequestBody, WholeBody};
use super::format::{Framing, RequestFormat, ResponseFormat};
use super::observe::RequestContext;
use super::problem::{Problem, ProblemKind};
use super::request_id::RequestId;
use super::{Audience, Http, format, streaming, upload};

/// The header with the time that the client waits.
const TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout");

/// The longest time for which the answer to an upload waits for its first item. In this time an error at the beginning
/// of the body is found, so that the response gets the status of that error, however early the guest returns its
/// stream.
const FIRST: Duration = Duration::from_millis(100);

/// The headers of a trace context (<https://www.w3.org/TR/trace-context/>).
const TRACE_PARENT: &str = "traceparent";
const TRACE_STATE: &str = "tracestate";

/// The response to a request.
type ResponseResult = Result<Response, Problem>;

/// A request that has been read as far as its call needs it.
struct ReceivedRequest {
    headers: HeaderMap,
    version: Version,
    body: Body,
    options: CallOptions,
}

/// A request's body.
enum Body {
    Whole(WholeBody),
    /// A body with the items of a stream, which are read during the call. The call belongs to the `version` of the
    /// chain that was current when the request came.
    Stream {
        params: Values,
        version: InVersion,
    },
}

/// The outcome of a call.
enum ResponseContent {
    Whole(Bytes, Reservation),
    Stream(Streamed, Framing),
}

/// Calls the entrypoint.
pub(super) async fn entrypoint<B: RequestBody>(http: Http, request: Request<B>, context: RequestContext) -> Response {
    call(&http, None, request, &context).await.unwrap_or_else(|problem| problem.into_response(&context.id))
}

/// Calls the chainlet `name`, for an admin.
pub(super) async fn chainlet<B: RequestBody>(
    http: Http,
    name: &str,
    request: Request<B>,
    context: RequestContext,
) -> Response {
    call(&http, Some(name), request, &context).await.unwrap_or_else(|problem| problem.into_response(&context.id))
}

/// Calls the chainlet `name`, or the entrypoint if it is `None`.
async fn call<B: RequestBody>(
    http: &Http,
    name: Option<&str>,
    request: Request<B>,
    context: &RequestContext,
) -> ResponseResult {
    let audience = if name.is_some() { Audience::Admin } else { Audience::Public };
    let fail = |error| failed(http, error, audience, &context.id);
    let ReceivedRequest { headers, version: protocol, body, options } = receive(http, name, request, context).await?;
    let uploads = matches!(body, Body::Stream { .. });
    let (version, params) = match body {
        Body::Stream { params, version } => (version, params.into()),
        Body::Whole(WholeBody { bytes, format }) => (http.0.chain.begin(), Params::Encoded { format, bytes }),
    };
    let chainlet = target(http, &version, name)?;
    let output = format::of_answer(&headers, || Some(chainlet.signature().clone()))?;
    let whole = |(bytes, reservation)| ResponseContent::Whole(bytes, reservation);
    let outcome = async {
        let answer = chain::answer(chainlet, params, options).await?;
        match output {
            ResponseFormat::Whole(format) => answer.written(format).await.map(whole),
            // HTTP/1.0 has no chunks: a connection that breaks off looks like the end of the answer. So it gets all
            // bytes at once.
            ResponseFormat::Stream(Framing::Bytes) if protocol < Version::HTTP_11 => answer.bytes().await.map(whole),
            ResponseFormat::Stream(framing) => match answer.streamed() {
                Ok(mut streamed) => {
                    if uploads {
                        streamed.begin(FIRST).await?;
                    }
                    Ok(ResponseContent::Stream(streamed, framing))
                }
                Err(answer) => answer.written(Format::Json).await.map(whole),
            },
        }
    }
    .await;
    // The outcome of a stream is counted when it ends.
    if name.is_none() && !matches!(outcome, Ok(ResponseContent::Stream(..))) {
        version.count(&outcome);
    }
    let body = match outcome.map_err(fail)? {
        ResponseContent::Whole(bytes, reservation) => untaken(http, bytes, reservation)?.into(),
        ResponseContent::Stream(streamed, framing) => {
            streaming::body(streamed, framing, context.clone(), http.clone(), audience, version)
        }
    };
    let mut response = with_type(body, output.media_type());
    if matches!(output, ResponseFormat::Stream(_)) {
        // Keeps caches and proxies from collecting items that the client should see at once.
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    }
    Ok(response)
}

/// Returns a written answer. Its bytes count in the limit of all bodies until the client has taken them.
fn untaken(http: &Http, bytes: Bytes, reservation: Reservation) -> Result<Bytes, Problem> {
    // Dropped first, because the limit of all bodies is a share of the same budget: the bytes would count twice.
    drop(reservation);
    let reservation = http.0.bodies.all().reserve(bytes.len());
    let reservation = reservation.map_err(|no_room| {
        Problem::new(ProblemKind::Overloaded, format!("the call was made, but its answer cannot be given: {no_room}"))
    })?;
    Ok(reservation.own(bytes))
}

/// Returns the chainlet `name` of `chain`, or its entrypoint.
fn target<'a>(http: &Http, chain: &'a Chain, name: Option<&str>) -> Result<&'a Arc<Chainlet>, Problem> {
    chain.callee(name).ok_or_else(|| Problem::new(ProblemKind::NotFound, no_chainlet(http, name.unwrap_or_default())))
}

/// Reads the request. Its body must be complete before the deadline, except for the items of a stream, and be of a
/// format that the chainlet supports.
async fn receive<B: RequestBody>(
    http: &Http,
    name: Option<&str>,
    request: Request<B>,
    context: &RequestContext,
) -> Result<ReceivedRequest, Problem> {
    let (head, body) = request.into_parts();
    let deadline = deadline(http, &head.headers, context)?;
    let signature = || http.0.chain.current().callee(name).map(|chainlet| chainlet.signature().clone());
    let body = match format::of_body(&head.headers, signature) {
        Ok(RequestFormat::Stream(upload)) => {
            let version = http.0.chain.begin();
            let chainlet = target(http, &version, name)?;
            let params = upload::open(&head, body, upload, chainlet, &http.0.bodies, &deadline).await;
            let audience = if name.is_some() { Audience::Admin } else { Audience::Public };
            let params = params.map_err(|refusal| match refusal {
                Ok(error) => failed(http, error, audience, &context.id),
                Err(problem) => problem,
            })?;
            Body::Stream { params, version }
        }
        Ok(RequestFormat::Whole(format)) => {
            Body::Whole(body::read(&head.headers, head.version, body, Ok(format), &http.0.bodies, &deadline).await?)
        }
        Err(refusal) => {
            Body::Whole(body::read(&head.headers, head.version, body, Err(refusal), &http.0.bodies, &deadline).await?)
        }
    };
    Ok(ReceivedRequest {
        options: options(&deadline, context, &head.headers),
        headers: head.headers,
        version: head.version,
        body,
    })
}

/// Returns the time at which the request must have its complete answer.
pub(super) fn deadline(http: &Http, headers: &HeaderMap, context: &RequestContext) -> Result<Deadline, Problem> {
    let longest = http.0.options.request_timeout;
    let (time, limit) = match asked_timeout(headers)? {
        Some(time) if time < longest => (time, TimeLimit::Header),
        _ => (longest, TimeLimit::Server),
    };
    Ok(Deadline::after(context.at, time, limit))
}

/// Returns the options of the call for a request with `headers`, which must be done by `deadline`.
pub(super) fn options(deadline: &Deadline, context: &RequestContext, headers: &HeaderMap) -> CallOptions {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let trace_context =
        header(TRACE_PARENT).and_then(|parent| TraceContext::new(parent, header(TRACE_STATE).unwrap_or_default()));
    let deadline = Some(deadline.clone());
    let mut options = CallOptions::default();
    options.request_id = Some(context.id.text.clone());
    options.trace_context = trace_context;
    options.deadline = deadline;
    options.span = Some(context.span.clone());
    options
}

/// Returns the time that the client waits: seconds such as `2.5`, or a duration such as `500ms`.
fn asked_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let mut values = headers.get_all(TIMEOUT).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::new(ProblemKind::BadRequest, "a request may have one header x-request-timeout"));
    }
    let timeout = value.to_str().ok().and_then(|text| match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text).ok(),
    });
    match timeout.filter(|timeout| !timeout.is_zero()) {
        Some(timeout) => Ok(Some(timeout)),
        None => Err(Problem::new(
            ProblemKind::BadRequest,
            "the header x-request-timeout is no duration; write seconds, such as `2.5`, or a unit, such as `500ms`",
        )),
    }
}

/// Logs a failed call, and returns it as a problem. The log has the facts that the client may not see.
pub(super) fn failed(http: &Http, error: CallError, audience: Audience, id: &RequestId) -> Problem {
    let admit = || http.0.log_rate.admit().map(|left_out| (left_out > 0).then_some(left_out));
    match error.kind() {
        ErrorKind::NotReady | ErrorKind::Unreachable | ErrorKind::Deadline => {
            if let Some(suppressed) = admit() {
                log_call_error!(warn, &error, "a call failed", request = display(id), suppressed = suppressed);
            }
        }
        ErrorKind::InvalidInput
        | ErrorKind::TooLarge
        | ErrorKind::AnswerTooLarge
        | ErrorKind::Overloaded
        | ErrorKind::Cancelled
        | ErrorKind::Stopping => log_call_error!(debug, &error, "a call failed", request = display(id)),
        // The chainlet in which the error began has logged it.
        ErrorKind::Chainlet => {}
        // A trap or a fault of the host. For a trap, the log event about the end of the replica has the guest's frames.
        _ => {
            if let Some(suppressed) = admit() {
                log_call_error!(error, &error, "a call failed", request = display(id), suppressed = suppressed);
            }
        }
    }
    Problem::of_call(error, audience)
}

fn no_chainlet(http: &Http, name: &str) -> String {
    let chain = http.0.chain.current();
    let names: Vec<_> = chain.status().map(|(name, _)| name.as_str()).collect();
    format!("the chain has no chainlet `{name}`; it has {}", names.join(", "))
}

/// Returns a response of JSON.
pub(super) fn json(body: impl Into<axum::body::Body>) -> Response {
    with_type(body.into(), Format::Json.media_type())
}

fn with_type(body: axum::body::Body, media_type: &'static str) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &str) -> Result<Option<Duration>, ProblemKind> {
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
    fn a_value_that_is_no_timeout_is_rejected() {
        for value in ["", "soon", "0", "-1", "NaN", "inf", "1e300", "0ms"] {
            assert_eq!(asked(value), Err(ProblemKind::BadRequest), "{value}");
        }
    }
}
