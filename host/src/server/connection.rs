//! The connections of one listener, from the first byte to the last.
//!
//! Each connection is a task of its own. The number of places for connections is limited, and a slow client soon loses
//! its place: its handshake, its heads, its bodies ([`super::body`]) and its reading of answers have time limits.
//!
//! When all places are taken, a few more connections get one answer each and are closed: `/healthz` and `/readyz`
//! answer as usual, and everything else gets a 503. Further connections are closed at once.
//!
//! When the listener closes, its connections end in three steps:
//! 1. For [`LINGER`] they continue to serve, but each HTTP/1 answer closes its connection. So a client that keeps its
//!    connection busy loses no call that it sends at the moment of the shutdown.
//! 2. Idle connections are closed, HTTP/2 clients are told to open no more streams, and requests in flight are served,
//!    up to a time limit.
//! 3. All connections that are left are cut.

mod front;

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use chainhost_core::chain::StartProgress;
use http::{Request, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::front::{Content, Front};
use super::activity::{Activity, CloseReason};
use super::half_closed::{EndOfInput, HalfClosed};
use super::metrics::Metrics;
use super::origin::Trusted;
use super::refusal::Refusals;
use super::socket::ListenerHold;
use super::tls::{ClientName, Tls};
use super::{Audience, Http};

/// The time for which connections stay open for a next request after their listener has closed.
const LINGER: Duration = Duration::from_millis(250);
/// The longest time for a client's part of the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The longest time in which a client may take none of the bytes that it is sent.
const UNREAD: Duration = Duration::from_secs(60);
/// The time for which a connection that is being closed stays open without activity. It is for the last bytes of an
/// answer, and for an HTTP/2 client to confirm that it has heard of the end.
const REST: Duration = Duration::from_secs(1);
/// The longest time in which an HTTP/2 client may take nothing more of its answers. It is longer than `UNREAD`, because
/// such a client announces in large steps how much it takes.
const UNTAKEN: Duration = Duration::from_secs(300);
/// The largest number of connections that may be open at once without a place.
const CROWD: usize = 64;
/// The longest life of such a connection.
const CROWD_LIFE: Duration = Duration::from_secs(5);
/// The pause after the machine could not accept a connection, for example because it has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The connections of one listener. Dropping it cuts them all.
pub(super) struct Connections {
    content: Arc<Content>,
    front: Arc<Front>,
    places: Arc<Semaphore>,
    /// Serves connections that come when all places are taken.
    crowded: Arc<Front>,
    /// The places of those connections.
    crowd: Arc<Semaphore>,
    tls: Option<Tls>,
    tasks: TaskTracker,
    closing: CancellationToken,
    cut: CancellationToken,
    /// Cancels `cut` when the listener's connections are dropped.
    _cut_on_drop: DropGuard,
}

/// The rules for the connections of a listener.
#[derive(Clone)]
pub(super) struct Rules<'a> {
    pub audience: Audience,
    /// The largest number of connections at once.
    pub most: usize,
    /// The longest time for which a connection may be idle, or may take to send the head of a request.
    pub idle: Duration,
    /// The TLS settings, if connections are encrypted.
    pub tls: Option<&'a Tls>,
    /// If set, requests must name this machine by an address, as `localhost`, or by one of these names, and only these
    /// web pages may send them.
    pub local: Option<Trusted>,
}

impl Connections {
    pub(super) fn new(rules: &Rules<'_>) -> Self {
        let content = Arc::new(Content::default());
        let cut = CancellationToken::new();
        Connections {
            front: Arc::new(Front::new(rules, content.clone())),
            places: Arc::new(Semaphore::new(rules.most.min(Semaphore::MAX_PERMITS))),
            crowded: Arc::new(Front::crowded(rules, content.clone())),
            crowd: Arc::new(Semaphore::new(CROWD)),
            tls: rules.tls.cloned(),
            content,
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            _cut_on_drop: cut.clone().drop_guard(),
            cut,
        }
    }

    /// From now on, serves calls of the entrypoint by `http`, and all other requests by `routes`.
    pub(super) fn serve(&self, http: Http, routes: Router) {
        self.content.serve(http, routes);
    }

    /// Sets the `progress` that clients are told of until then.
    pub(super) fn follow(&self, progress: StartProgress) {
        self.content.follow(progress);
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Accepts connections from `listener` until `stop`, and then those that clients had opened before.
    pub(super) async fn accept(&self, listener: TcpListener, stop: impl Future) {
        self.accept_until(&listener, stop).await;
        if let Err(error) = self.accept_backlog(listener) {
            tracing::warn!(%error, "connections that came with the shutdown may be lost");
        }
    }

    /// Accepts connections from `listener` until `stop`, and returns the output of `stop`.
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

    /// Accepts the connections in the backlog. The kernel completes connections before the server accepts them, so
    /// their clients may have sent calls already.
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

    /// Closes each connection as soon as that loses nothing. Returns false if some connections are still at work at
    /// `limit`.
    pub(super) async fn close(&self, limit: Instant) -> bool {
        self.tasks.close();
        if timeout(LINGER, self.tasks.wait()).await.is_ok() {
            return true;
        }
        self.closing.cancel();
        timeout_at(limit, self.tasks.wait()).await.is_ok()
    }

    /// Ends all remaining connections at once.
    pub(super) async fn cut(&self) {
        self.tasks.close();
        self.cut.cancel();
        self.tasks.wait().await;
    }

    fn open(&self, stream: TcpStream) {
        let metrics = self.content.metrics();
        let (place, front) = match self.places.clone().try_acquire_owned() {
            Ok(place) => (place, self.front.clone()),
            Err(_) => {
                if let Some(metrics) = metrics {
                    metrics.connection_refused();
                }
                // Dropping the stream closes the connection.
                let Ok(place) = self.crowd.clone().try_acquire_owned() else { return };
                (place, self.crowded.clone())
            }
        };
        // Child tokens, so that connections do not contend for the lock inside one token each time they are polled.
        let cut = self.cut.child_token();
        let held = Arc::new((place, metrics.map(Metrics::connection_opened)));
        let place = ListenerHold { tasks: self.tasks.clone(), cut: cut.clone(), _held: held };
        let end = ConnectionHold { closing: self.closing.child_token(), cut, place };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection ended before it began");
            return;
        }
        let life = front.is_crowded().then_some(CROWD_LIFE);
        match self.tls.clone() {
            None => self.spawn(drive(front, stream, None, end), life),
            Some(tls) => self.spawn(drive_encrypted(front, tls, stream, end), life),
        }
    }

    /// Serves `connection`, for at most `life` if it is set.
    fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static, life: Option<Duration>) {
        match life {
            None => self.tasks.spawn(connection),
            Some(life) => self.tasks.spawn(async move {
                // By then its client has its answer, or was too slow.
                let _ = timeout(life, connection).await;
            }),
        };
    }
}

/// The parts of the listener that a connection holds until it ends.
struct ConnectionHold {
    closing: CancellationToken,
    cut: CancellationToken,
    place: ListenerHold,
}

/// Serves one connection from its TLS handshake to its end.
async fn drive_encrypted(front: Arc<Front>, tls: Tls, stream: TcpStream, end: ConnectionHold) {
    let handshake = timeout(HANDSHAKE, tls.acceptor().accept(stream));
    let stream = tokio::select! {
        stream = handshake => stream,
        () = end.cut.cancelled() => return,
        // The client has sent no request over it yet.
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
}

/// Serves one connection to its end. `client` is the name in the client's certificate.
async fn drive<S: AsyncRead + AsyncWrite + Send + 'static>(
    front: Arc<Front>,
    stream: S,
    client: Option<ClientName>,
    end: ConnectionHold,
) {
    let activity = Activity::new(front.idle, UNTAKEN);
    let served = Arc::new(AtomicBool::new(false));
    let input = EndOfInput::default();
    let service = {
        let (front, activity, place, served) = (front.clone(), activity.clone(), end.place.clone(), served.clone());
        // A connection without a place closes after its first answer.
        let last = front.is_crowded().then(|| end.closing.clone());
        let input = input.clone();
        service_fn(move |mut request: Request<Incoming>| {
            let (front, activity, last) = (front.clone(), activity.clone(), last.clone());
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
                if let Some(last) = last {
                    last.cancel();
                }
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
                if let Some(metrics) = front.metrics() {
                    metrics.head_refused(status);
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
            CloseReason::Idle => None,
            CloseReason::Unread => return tracing::debug!("a client took nothing of its answers"),
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
                // Only answers that nobody takes, and clients that do not close their side, are left now.
                () = activity.done(REST, UNREAD) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// Returns true if an error of `accept` is about the connection that was to be accepted, and not about the listener.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
