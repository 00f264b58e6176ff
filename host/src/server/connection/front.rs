//! Serves the requests of a listener's connections.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use chainhost_core::chain::StartProgress;
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Version, header};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use tower::ServiceExt;

use super::Rules;
use crate::server::body::RequestBody;
use crate::server::metrics::Metrics;
use crate::server::observe::{observed, with};
use crate::server::origin::Trusted;
use crate::server::problem::{Problem, ProblemKind};
use crate::server::request_id::RequestId;
use crate::server::{Audience, Http, body, run_remote, starting};

/// The longest head of a request, in bytes.
const HEAD_LIMIT: u16 = u16::MAX;
/// The interval of pings on a silent HTTP/2 connection. They show whether its client is still there.
const PING: Duration = Duration::from_secs(30);
/// The most bytes that are buffered for sending on each HTTP/2 stream.
const SEND_BUFFER: usize = 64 * 1024;
/// The longest idle time of a connection. A longer setting is shortened to it.
const LONGEST_IDLE: Duration = Duration::from_hours(24);
/// The most requests that one HTTP/2 connection may have in flight.
const STREAMS: u32 = 100;
/// The longest time that a connection without a place may be idle.
const IDLE_WITHOUT_PLACE: Duration = Duration::from_secs(2);

/// The chain that all connections of a listener serve. `site` is empty while the chain starts.
#[derive(Default)]
pub(super) struct Content {
    site: OnceLock<ServedChain>,
    start: OnceLock<StartProgress>,
}

/// The chain and its routes, once the chain has started.
struct ServedChain {
    http: Http,
    /// Serves everything except calls of the entrypoint.
    routes: Router,
}

/// Serves the requests of one kind of connection: those that have a place, or those that came when all places were
/// taken.
pub(super) struct Front {
    content: Arc<Content>,
    audience: Audience,
    /// The names by which requests may call this server, and the web pages that may send them. `None` allows all.
    local: Option<Trusted>,
    /// The reason why its connections have no place; they get one answer. `None` if they have places.
    crowded: Option<String>,
    pub(super) protocol: auto::Builder<TokioExecutor>,
    /// The longest time that a connection may be idle, or take to send the head of a request.
    pub(super) idle: Duration,
}

impl Content {
    /// From now on, serves calls of the entrypoint with `http`, and all other requests with `routes`.
    pub(super) fn serve(&self, http: Http, routes: Router) {
        // This is set once: a listener has one chain, and a reload changes only the version inside it.
        let _ = self.site.set(ServedChain { http, routes });
    }

    /// Until [`serve`](Self::serve) is called, answers tell the `progress` of the start.
    pub(super) fn follow(&self, progress: StartProgress) {
        // This is set once, because a chain starts once.
        let _ = self.start.set(progress);
    }

    pub(super) fn metrics(&self) -> Option<&Metrics> {
        self.site.get().map(|site| &site.http.0.metrics)
    }
}

impl Front {
    /// Makes the front of connections that have a place.
    pub(super) fn new(rules: &Rules<'_>, content: Arc<Content>) -> Self {
        Self::with(rules, content, rules.idle.min(LONGEST_IDLE), None)
    }

    /// Makes the front of connections that came when all places were taken.
    pub(super) fn crowded(rules: &Rules<'_>, content: Arc<Content>) -> Self {
        let most = rules.most;
        let why = match rules.audience {
            Audience::Public => {
                format!("clients have all {most} connections of --max-connections; close some, or raise it")
            }
            Audience::Admin => format!("all {most} connections of the admin listener are open; close some"),
        };
        Self::with(rules, content, rules.idle.min(IDLE_WITHOUT_PLACE), Some(why))
    }

    fn with(rules: &Rules<'_>, content: Arc<Content>, idle: Duration, crowded: Option<String>) -> Self {
        let mut protocol = auto::Builder::new(TokioExecutor::new());
        protocol.http1().timer(TokioTimer::new()).header_read_timeout(idle).max_buf_size(usize::from(HEAD_LIMIT));
        protocol
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .max_header_list_size(u32::from(HEAD_LIMIT))
            .max_concurrent_streams(STREAMS)
            .max_send_buf_size(SEND_BUFFER);
        Front { content, audience: rules.audience, local: rules.local.clone(), crowded, protocol, idle }
    }

    pub(super) fn metrics(&self) -> Option<&Metrics> {
        self.content.metrics()
    }

    /// Returns true if its connections have no place. They are closed after their first answer.
    pub(super) fn is_crowded(&self) -> bool {
        self.crowded.is_some()
    }

    /// Answers `request`.
    pub(super) async fn serve<B: RequestBody>(&self, request: Request<B>) -> Response {
        let version = request.version();
        let mut response = self.answer(request).await;
        // HTTP/2 forbids this header (RFC 9113, 8.2.2).
        if self.is_crowded() && version <= Version::HTTP_11 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Returns the problem for a request whose connection has no place. Requests for the health and readiness of the
    /// chain are answered all the same.
    fn refusal<B>(&self, request: &Request<B>) -> Option<Problem> {
        let why = self.crowded.as_ref().filter(|_| !matches!(request.uri().path(), "/healthz" | "/readyz"))?;
        Some(Problem::new(ProblemKind::Crowded, why.clone()))
    }

    /// Rejects requests that a foreign web page may have sent, if its browser could carry them past a firewall.
    fn guard<B>(&self, request: &Request<B>, named: Option<&Authority>) -> Result<(), Problem> {
        self.local.as_ref().map_or(Ok(()), |trusted| trusted.guard(request.headers(), named))
    }

    async fn answer<B: RequestBody>(&self, request: Request<B>) -> Response {
        let is_call = self.audience == Audience::Public
            && request.method() == Method::POST
            && request.uri().path() == "/run_remote";
        let Some(ServedChain { http, routes }) = self.content.site.get() else {
            return match well_formed(&request).and_then(|named| self.guard(&request, named.as_ref())) {
                Ok(()) => starting::answer(&request, self.content.start.get()),
                Err(problem) => problem.into_response(&RequestId::of(request.headers())),
            };
        };
        observed(http, self.audience, request, |request, context| async move {
            let named = match well_formed(&request) {
                Ok(named) => named,
                Err(problem) => {
                    let mut response = problem.into_response(&context.id);
                    // The bytes that follow are perhaps no request, so the connection closes.
                    response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
                    return response;
                }
            };
            if let Err(problem) = self.guard(&request, named.as_ref()) {
                return problem.into_response(&context.id);
            }
            if let Some(problem) = self.refusal(&request) {
                // The body is read and dropped, because the client may send all of it before it reads the answer.
                tokio::spawn(body::discard(request.into_body()));
                return problem.into_response(&context.id);
            }
            if is_call {
                return run_remote::entrypoint(http.clone(), request, context).await;
            }
            // A router answers every request, so it cannot fail.
            routes.clone().oneshot(with(context, request.map(Body::new))).await.unwrap_or_else(|never| match never {})
        })
        .await
    }
}

/// Returns the server that a request names, by its target or its `Host`, or `None` if it names none.
///
/// # Errors
/// Fails if hyper accepts the request but RFC 9112 does not: an HTTP/1.1 request without exactly one valid `Host`
/// (3.2), or with a transfer coding other than `chunked` (6.1).
fn well_formed<B>(request: &Request<B>) -> Result<Option<Authority>, Problem> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (host, is_only) = (hosts.next(), hosts.next().is_none());
    let named = match host.map(|host| host.to_str().map(str::parse::<Authority>)) {
        // A `Host` has no userinfo (RFC 9112, 3.2; RFC 9110, 7.2).
        Some(Ok(Ok(named))) if !named.as_str().contains('@') => Ok(Some(named)),
        // `Host` may be empty if the target has no authority (3.2).
        Some(Ok(Err(_))) if host.is_some_and(|host| host.is_empty()) => Ok(None),
        None => Ok(None),
        Some(_) => Err(()),
    };
    if request.version() == Version::HTTP_11 {
        if host.is_none() || !is_only || named.is_err() {
            return Err(Problem::new(
                ProblemKind::BadRequest,
                "a request must have exactly one header Host, which is a name or an address",
            ));
        }
        let mut codings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
        let coded = codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
        if !coded || codings.next().is_some() {
            return Err(Problem::new(
                ProblemKind::BadRequest,
                "the only supported Transfer-Encoding is `chunked`, once",
            ));
        }
    }
    // A browser sends one (RFC 6454, 7.3). With several, whoever checks may read another one than whoever acts.
    if request.headers().get_all(header::ORIGIN).iter().nth(1).is_some() {
        return Err(Problem::new(ProblemKind::BadRequest, "a request may have one header Origin"));
    }
    // The target takes precedence over the header (3.2.2).
    Ok(request.uri().authority().cloned().or(named.unwrap_or_default()))
}
