//! Observes every request: gives it an id, checks its API key if keys are required, counts, times and logs it, and
//! answers it even if serving panics.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::extract::Request as AxumRequest;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::{Router, body::Body};
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderValue, Request, StatusCode, Version, header};
use hyper::body::{Body as _, Frame};
use tokio::time::Instant;
use tracing::Span;

use super::keys::KeyRefusal;
use super::metrics::{RequestInFlight, Route};
use super::problem::{Problem, ProblemKind};
use super::request_id::{self, RequestId};
use super::tls::ClientName;
use super::{Audience, Http};

/// The target of the log event that each request writes at level DEBUG.
const ACCESS: &str = "chainhost::access";

/// Facts about a request beside its head and body, for the code that serves it.
#[derive(Clone)]
pub(super) struct RequestContext {
    pub id: RequestId,
    /// The time at which its head had arrived.
    pub at: Instant,
    pub end: Arc<RequestEnd>,
    /// The span of the request, around the calls that it makes.
    pub span: Span,
}

/// Serves `request` with `serve`, and observes the outcome.
pub(super) async fn observed<B, F: Future<Output = Response>>(
    http: &Http,
    audience: Audience,
    request: Request<B>,
    serve: impl FnOnce(Request<B>, RequestContext) -> F,
) -> Response {
    let end = Arc::new(RequestEnd::default());
    let id = RequestId::of(request.headers());
    let span =
        tracing::debug_span!("request", request = %id, method = %request.method(), url_path = request.uri().path());
    let context = RequestContext { id, at: Instant::now(), end: end.clone(), span };
    let (id, version) = (context.id.clone(), request.version());
    let entered = RequestInFlight::new(http.clone(), Route::of(audience, request.uri().path()));
    // The request is gone when the event is written, so its fields are copied, but only if the event is logged.
    let line = tracing::enabled!(target: ACCESS, tracing::Level::DEBUG).then(|| {
        let certificate = request.extensions().get::<ClientName>().cloned();
        (request.method().clone(), request.uri().path().to_owned(), certificate)
    });
    let allowed = allowed(http, audience, &request);
    let (client, served) = match allowed {
        Ok(client) => (client, AssertUnwindSafe(async { serve(request, context).await }).catch_unwind().await),
        Err(problem) => (None, Ok(problem.into_response(&id))),
    };
    let mut response = served.unwrap_or_else(|panic| {
        tracing::error!(request = %id, error = panic_message(&*panic),
            "serving a request panicked: this is a bug of chainhost");
        Problem::new(ProblemKind::Internal, "the host failed; its log says more, under this request_id")
            .into_response(&id)
    });
    response.headers_mut().insert(request_id::HEADER, id.header.clone());
    let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if http.is_draining() && version <= Version::HTTP_11 && !is_upgrade {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let took = entered.elapsed();
    let status = response.status();
    let response = match response.body().size_hint().exact() {
        // A WebSocket is in flight until its conversation ends, although its answer is complete.
        Some(_) if is_upgrade => {
            end.hold(entered);
            response
        }
        Some(_) => {
            entered.answered(status);
            response
        }
        None => response.map(|body| Body::new(Underway { body, entered: Some((entered, status)), end })),
    };
    if let Some((method, path, certificate)) = line {
        let certificate = certificate.as_ref().map(|name| &*name.0);
        tracing::debug!(target: ACCESS, request = %id, client = client.as_deref(), certificate, %method, url_path = path,
            status = response.status().as_u16(), duration_ms = took.as_micros() as f64 / 1e3, "served");
    }
    response
}

/// The final status of a request whose answer goes on after a head that reports success.
#[derive(Default)]
pub(super) struct RequestEnd {
    /// 0 until the status is known.
    status: AtomicU16,
    /// A WebSocket's request, which is in flight until the last clone of [`RequestContext`] is dropped.
    underway: Mutex<Option<RequestInFlight>>,
}

impl RequestEnd {
    /// Makes the request count like one that is answered with `status`.
    pub(super) fn set(&self, status: StatusCode) {
        self.status.store(status.as_u16(), Ordering::Relaxed);
    }

    fn status(&self) -> Option<StatusCode> {
        StatusCode::from_u16(self.status.load(Ordering::Relaxed)).ok()
    }

    fn hold(&self, entered: RequestInFlight) {
        *self.underway.lock().unwrap_or_else(PoisonError::into_inner) = Some(entered);
    }
}

impl Drop for RequestEnd {
    fn drop(&mut self) {
        let underway = self.underway.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((entered, status)) = underway.zip(self.status()) {
            entered.answered(status);
        }
    }
}

/// The body of an answer of unknown length. Its request is in flight until the body ends.
struct Underway {
    body: Body,
    entered: Option<(RequestInFlight, StatusCode)>,
    end: Arc<RequestEnd>,
}

impl hyper::body::Body for Underway {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let next = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(None | Some(Err(_))) = next
            && let Some((entered, status)) = self.entered.take()
        {
            entered.answered(self.end.status().unwrap_or(status));
        }
        next
    }
}

/// Returns the name of the key that a request shows. Health and readiness need no key, because load balancers have
/// none.
///
/// Admins show no key either. But any web page that an admin has open could send requests from the admin's machine.
/// Browsers mark such requests with the header `Origin`, so the admin listener rejects them.
fn allowed<B>(http: &Http, audience: Audience, request: &Request<B>) -> Result<Option<Arc<str>>, Problem> {
    if audience == Audience::Admin && request.headers().contains_key(header::ORIGIN) {
        let detail = "a web page may not ask for anything here; send the request without the header `Origin`";
        return Err(Problem::new(ProblemKind::Forbidden, detail));
    }
    let keys = http.0.options.api_keys.as_ref().filter(|_| audience == Audience::Public);
    let Some(keys) = keys.filter(|_| !matches!(request.uri().path(), "/healthz" | "/readyz")) else { return Ok(None) };
    keys.check(request.headers()).map(Some).map_err(|refused| match refused {
        KeyRefusal::NoKey => Problem::new(
            ProblemKind::Unauthorized,
            "the request shows no API key: send `Authorization: Bearer KEY`, or `X-API-Key: KEY`; a WebSocket of a web \
             page offers the subprotocols `chainhost.v1` and `chainhost.bearer.KEY`, with the key in base64url",
        ),
        KeyRefusal::WrongKey => {
            Problem::new(ProblemKind::Unauthorized, "the API key of the request is not one of this server's keys")
        }
        KeyRefusal::Malformed(detail) => Problem::new(ProblemKind::BadRequest, detail),
    })
}

/// Wraps `routes` in [`observed`].
pub(super) fn layer(http: &Http, audience: Audience, routes: Router) -> Router {
    let http = http.clone();
    routes.route_layer(middleware::from_fn(move |request: AxumRequest, next: Next| {
        let http = http.clone();
        async move { observed(&http, audience, request, |request, context| next.run(with(context, request))).await }
    }))
}

/// Adds `context` to the request, for handlers behind a router.
pub(super) fn with(context: RequestContext, mut request: Request<Body>) -> Request<Body> {
    request.extensions_mut().insert(context);
    request
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "no message",
    }
}
