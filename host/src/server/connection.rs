//! The connections of one listener, from the first byte to the last.
//!
//! Each connection is a task of its own, which ends with it. There are only so many, and no client holds one for long by
//! being slow: not with its handshake, a head, a body ([`super::body`]), or by not reading its answer.
//!
//! When the listener closes, they end in three steps:
//! 1. For [`LINGER`] they serve on, but each HTTP/1 answer closes its connection. So a client that keeps its connection
//!    busy loses no call that it sends in the very moment of the shutdown.
//! 2. Idle ones are closed, HTTP/2 ones are told to open no more streams, and requests in flight are served, up to a limit.
//! 3. What is left is cut.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::uri::Authority;
use http::{Method, Request, Version, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::activity::{Activity, Over};
use super::body::RequestBody;
use super::half_closed::{EndOfInput, HalfClosed};
use super::metrics::Metrics;
use super::observe::{observed, with};
use super::origin::Trusted;
use super::problem::{Kind, Problem};
use super::refusal::Refusals;
use super::socket::Place;
use super::tls::{ClientName, Tls};
use super::{Audience, Http, request_id::RequestId, run_remote, starting};

/// How long connections are kept open for a next request once their listener has closed.
const LINGER: Duration = Duration::from_millis(250);
/// How long a client may take for its part of the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a client may take none of the bytes that it is sent.
const UNREAD: Duration = Duration::from_secs(60);
/// How long a connection that is to be closed stays open although nothing goes on in it: for the last bytes of an answer, and
/// for a client of HTTP/2 to say that it has heard of the end.
const REST: Duration = Duration::from_secs(1);
/// The longest head of a request, in bytes.
const HEAD_LIMIT: u16 = u16::MAX;
/// How often a silent HTTP/2 connection is asked whether its client is still there.
const PING: Duration = Duration::from_secs(30);
/// How long a client of HTTP/2, which says what it will take in large steps, may take no further part of its answers.
const UNTAKEN: Duration = Duration::from_secs(300);
/// How much of each answer over HTTP/2 is on its way at a time, in bytes.
const SEND_BUFFER: usize = 64 * 1024;
/// The longest time that makes sense for a connection to be idle.
const LONGEST_IDLE: Duration = Duration::from_hours(24);
/// How many requests one HTTP/2 connection may have in flight.
const STREAMS: u32 = 100;
/// The pause after the machine could not accept a connection, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The connections of one listener. Dropping it cuts them all.
pub(super) struct Connections {
    front: Arc<Front>,
    tls: Option<Tls>,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    closing: CancellationToken,
    cut: CancellationToken,
    _cut_on_drop: DropGuard,
}

/// What is served, once there is a chain.
struct Site {
    http: Http,
    /// Serves everything but the entrypoint.
    routes: Router,
}

/// What serves the requests of all connections.
struct Front {
    /// Empty while the chain starts.
    site: OnceLock<Site>,
    audience: Audience,
    /// Whom requests must name, and which web pages may send them; none where that does not matter.
    local: Option<Trusted>,
    protocol: auto::Builder<TokioExecutor>,
    /// How long a connection may be idle, or take to send the head of a request.
    idle: Duration,
}

/// What the connections of a listener are to be like.
#[derive(Clone)]
pub(super) struct Rules<'a> {
    pub audience: Audience,
    /// How many there may be at once.
    pub most: usize,
    /// How long one may be idle, or take to send the head of a request.
    pub idle: Duration,
    /// What they are encrypted with, where they are.
    pub tls: Option<&'a Tls>,
    /// Whether requests must name this machine by an address or as `localhost`, or one of these, and which web pages may send
    /// them.
    pub local: Option<Trusted>,
}

impl Connections {
    pub(super) fn new(rules: &Rules<'_>) -> Self {
        let Rules { audience, most, idle, tls, ref local } = *rules;
        let idle = idle.min(LONGEST_IDLE);
        let mut protocol = auto::Builder::new(TokioExecutor::new());
        protocol.http1().timer(TokioTimer::new()).header_read_timeout(idle).max_buf_size(usize::from(HEAD_LIMIT));
        protocol
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .max_header_list_size(u32::from(HEAD_LIMIT))
            .max_concurrent_streams(STREAMS)
            .max_send_buf_size(SEND_BUFFER);
        let cut = CancellationToken::new();
        Connections {
            front: Arc::new(Front { site: OnceLock::new(), audience, local: local.clone(), protocol, idle }),
            tls: tls.cloned(),
            places: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            _cut_on_drop: cut.clone().drop_guard(),
            cut,
        }
    }

    /// From now on, requests are served by `http`, and by `routes` where they are not for the entrypoint.
    pub(super) fn serve(&self, http: Http, routes: Router) {
        // There is one chain for each listener, whose versions come and go.
        let _ = self.front.site.set(Site { http, routes });
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Takes connections from `listener` until `stop`, and with it those that clients had opened by then.
    pub(super) async fn accept(&self, listener: TcpListener, stop: impl Future) {
        self.accept_until(&listener, stop).await;
        if let Err(error) = self.accept_backlog(listener) {
            tracing::warn!(%error, "connections that came with the shutdown may be lost");
        }
    }

    /// Takes connections from `listener` until `stop`, which comes to what is returned.
    pub(super) async fn accept_until<T>(&self, listener: &TcpListener, stop: impl Future<Output = T>) -> T {
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                biased;
                stopped = &mut stop => return stopped,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.open(stream),
                    Err(error) if is_of_the_connection(&error) => {}
                    Err(error) => {
                        tracing::warn!(%error, "a connection cannot be accepted; trying again");
                        tokio::select! {
                            biased;
                            stopped = &mut stop => return stopped,
                            () = sleep(ACCEPT_PAUSE) => {}
                        }
                    }
                }
            }
        }
    }

    /// The kernel completes connections before they are accepted; their clients may have sent calls already.
    fn accept_backlog(&self, listener: TcpListener) -> io::Result<()> {
        let listener = listener.into_std()?;
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    self.open(TcpStream::from_std(stream)?);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Closes the connections as soon as that loses nothing; false where some are still at work at `limit`.
    pub(super) async fn close(&self, limit: Instant) -> bool {
        self.tasks.close();
        if timeout(LINGER, self.tasks.wait()).await.is_ok() {
            return true;
        }
        self.closing.cancel();
        timeout_at(limit, self.tasks.wait()).await.is_ok()
    }

    /// Ends the connections that are left.
    pub(super) async fn cut(&self) {
        self.tasks.close();
        self.cut.cancel();
        self.tasks.wait().await;
    }

    fn open(&self, stream: TcpStream) {
        let metrics = self.front.site.get().map(|site| &site.http.0.metrics);
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            if let Some(metrics) = metrics {
                metrics.connection_refused();
            }
            return;
        };
        // Children, so that connections do not contend for the lock inside a token at each of their turns.
        let cut = self.cut.child_token();
        let held = Arc::new((place, metrics.map(Metrics::connection_opened)));
        let place = Place { tasks: self.tasks.clone(), cut: cut.clone(), _held: held };
        let end = End { closing: self.closing.child_token(), cut, place };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection ended before it began");
            return;
        }
        let front = self.front.clone();
        match &self.tls {
            None => self.tasks.spawn(drive(front, stream, None, end)),
            Some(tls) => {
                let handshake = timeout(HANDSHAKE, tls.acceptor().accept(stream));
                self.tasks.spawn(async move {
                    let stream = tokio::select! {
                        stream = handshake => stream,
                        () = end.cut.cancelled() => return,
                        // Nothing was asked over it yet.
                        () = end.closing.cancelled() => return,
                    };
                    match stream {
                        Ok(Ok(stream)) => {
                            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                            let client = certificate.and_then(ClientName::of);
                            drive(front, stream, client, end).await;
                        }
                        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                        Err(_) => tracing::debug!("a client was too slow with its TLS handshake"),
                    }
                })
            }
        };
    }
}

/// What a connection holds of its listener until its end.
struct End {
    closing: CancellationToken,
    cut: CancellationToken,
    place: Place,
}

/// Serves one connection, of a client with this name, to its end.
async fn drive<S: AsyncRead + AsyncWrite + Send + 'static>(
    front: Arc<Front>,
    stream: S,
    client: Option<ClientName>,
    end: End,
) {
    let activity = Activity::new(front.idle, UNTAKEN);
    let served = Arc::new(AtomicBool::new(false));
    let input = EndOfInput::default();
    let service = {
        let (front, activity, place, served) = (front.clone(), activity.clone(), end.place.clone(), served.clone());
        let input = input.clone();
        service_fn(move |mut request: Request<Incoming>| {
            let (front, activity) = (front.clone(), activity.clone());
            if request.headers().contains_key(header::UPGRADE) {
                request.extensions_mut().insert(place.clone());
            }
            if let Some(client) = &client {
                request.extensions_mut().insert(client.clone());
            }
            served.store(true, Ordering::Relaxed);
            let request = input.watch(request);
            let asking = activity.ask();
            async move {
                let response = front.serve(request).await;
                let response = response.map(|body| activity.watch(body));
                drop(asking);
                Ok::<_, Infallible>(response)
            }
        })
    };
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(UNREAD));
    let refusals = {
        let front = front.clone();
        Refusals::new(
            HalfClosed::new(Box::pin(stream), input),
            Arc::new(move |status| {
                if let Some(site) = front.site.get() {
                    site.http.0.metrics.head_refused(status);
                }
            }),
            served,
        )
    };
    let mut connection = pin!(front.protocol.serve_connection_with_upgrades(TokioIo::new(refusals), service));
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => Some(ended),
        () = end.closing.cancelled() => None,
        () = end.cut.cancelled() => return,
        over = activity.over() => match over {
            Over::Idle => None,
            Over::Unread => return tracing::debug!("a client took nothing of its answers"),
        },
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            activity.happen();
            tokio::select! {
                biased;
                ended = connection => ended,
                () = end.cut.cancelled() => return,
                // What is left are answers that nobody takes, and clients that do not close their side.
                () = activity.done(REST, UNREAD) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection broke off");
    }
}

impl Front {
    /// Refuses what a web page could have a browser send here, where that is a way past a firewall.
    fn guard<B>(&self, request: &Request<B>, named: Option<&Authority>) -> Result<(), Problem> {
        self.local.as_ref().map_or(Ok(()), |trusted| trusted.guard(request.headers(), named))
    }

    async fn serve<B: RequestBody>(&self, request: Request<B>) -> Response {
        let is_call = self.audience == Audience::Public
            && request.method() == Method::POST
            && request.uri().path() == "/run_remote";
        let Some(Site { http, routes }) = self.site.get() else {
            return match well_formed(&request).and_then(|named| self.guard(&request, named.as_ref())) {
                Ok(()) => starting::answer(&request),
                Err(problem) => problem.into_response(&RequestId::of(request.headers())),
            };
        };
        observed(http, self.audience, request, |request, asked| async move {
            let named = match well_formed(&request) {
                Ok(named) => named,
                Err(problem) => {
                    let mut response = problem.into_response(&asked.id);
                    // What follows is not known to be a request.
                    response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
                    return response;
                }
            };
            if let Err(problem) = self.guard(&request, named.as_ref()) {
                return problem.into_response(&asked.id);
            }
            if is_call {
                return run_remote::entrypoint(http.clone(), request, asked).await;
            }
            // A router answers every request, so it cannot fail.
            routes.clone().oneshot(with(asked, request.map(Body::new))).await.unwrap_or_else(|never| match never {})
        })
        .await
    }
}

/// The server that a request names, by its target or its `Host`; none where that is empty.
///
/// # Errors
/// It is one that hyper lets through and RFC 9112 does not: in HTTP/1.1, a request without one valid `Host` (3.2), or one whose
/// body is coded in another way than `chunked` (6.1).
fn well_formed<B>(request: &Request<B>) -> Result<Option<Authority>, Problem> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (host, is_only) = (hosts.next(), hosts.next().is_none());
    let named = match host.map(|host| host.to_str().map(str::parse::<Authority>)) {
        Some(Ok(Ok(named))) => Ok(Some(named)),
        // It may be empty, where the target has no authority.
        Some(Ok(Err(_))) if host.is_some_and(|host| host.is_empty()) => Ok(None),
        None => Ok(None),
        Some(_) => Err(()),
    };
    if request.version() == Version::HTTP_11 {
        if host.is_none() || !is_only || named.is_err() {
            return Err(Problem::new(
                Kind::BadRequest,
                "a request has one header Host, and that is a name or an address",
            ));
        }
        let mut codings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
        let coded = codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
        if !coded || codings.next().is_some() {
            return Err(Problem::new(Kind::BadRequest, "the only Transfer-Encoding that is taken is `chunked`, once"));
        }
    }
    // The target goes before the header (3.2.2).
    Ok(request.uri().authority().cloned().or(named.unwrap_or_default()))
}

/// Whether an error of `accept` is one of the connection that was to be accepted, rather than of the listener.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
