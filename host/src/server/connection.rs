//! The connections of one listener, from the first byte to the last.
//!
//! Each connection is a task of its own, which ends with it. There are only so many places, and no client holds one for
//! long by being slow: not with its handshake, a head, a body ([`super::body`]), or by not reading its answer.
//!
//! When all places are taken, a few more connections get one answer each and are closed: `/healthz` and `/readyz`
//! answer as ever, and all else is a 503. Connections beyond those are closed at once.
//!
//! When the listener closes, they end in three steps:
//! 1. For [`LINGER`] they serve on, but each HTTP/1 answer closes its connection. So a client that keeps its connection
//!    busy loses no call that it sends in the very moment of the shutdown.
//! 2. Idle ones are closed, HTTP/2 ones are told to open no more streams, and requests in flight are served, up to a limit.
//! 3. What is left is cut.

mod front;

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
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
use super::activity::{Activity, Over};
use super::half_closed::{EndOfInput, HalfClosed};
use super::metrics::Metrics;
use super::origin::Trusted;
use super::refusal::Refusals;
use super::socket::Place;
use super::tls::{ClientName, Tls};
use super::{Audience, Http};
use crate::chain::StartProgress;

/// How long connections are kept open for a next request once their listener has closed.
const LINGER: Duration = Duration::from_millis(250);
/// How long a client may take for its part of the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a client may take none of the bytes that it is sent.
const UNREAD: Duration = Duration::from_secs(60);
/// How long a connection that is to be closed stays open although nothing goes on in it: for the last bytes of an answer, and
/// for a client of HTTP/2 to say that it has heard of the end.
const REST: Duration = Duration::from_secs(1);
/// How long a client of HTTP/2, which says what it will take in large steps, may take no further part of its answers.
const UNTAKEN: Duration = Duration::from_secs(300);
/// How many connections may be open at once for which there is no place.
const CROWD: usize = 64;
/// How long one of them may last. Without a place of its own, it must not stay.
const CROWD_LIFE: Duration = Duration::from_secs(5);
/// The pause after the machine could not accept a connection, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The connections of one listener. Dropping it cuts them all.
pub(super) struct Connections {
    content: Arc<Content>,
    front: Arc<Front>,
    places: Arc<Semaphore>,
    /// For connections that come when all places are taken.
    crowded: Arc<Front>,
    crowd: Arc<Semaphore>,
    tls: Option<Tls>,
    tasks: TaskTracker,
    closing: CancellationToken,
    cut: CancellationToken,
    _cut_on_drop: DropGuard,
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

    /// From now on, requests are served by `http`, and by `routes` where they are not for the entrypoint.
    pub(super) fn serve(&self, http: Http, routes: Router) {
        self.content.serve(http, routes);
    }

    /// Until then, `progress` says what is waited for.
    pub(super) fn follow(&self, progress: StartProgress) {
        self.content.follow(progress);
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
        let metrics = self.content.metrics();
        let (place, front) = match self.places.clone().try_acquire_owned() {
            Ok(place) => (place, self.front.clone()),
            Err(_) => {
                if let Some(metrics) = metrics {
                    metrics.connection_refused();
                }
                let Ok(place) = self.crowd.clone().try_acquire_owned() else { return };
                (place, self.crowded.clone())
            }
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
        let life = front.is_crowded().then_some(CROWD_LIFE);
        match self.tls.clone() {
            None => self.spawn(drive(front, stream, None, end), life),
            Some(tls) => self.spawn(drive_encrypted(front, tls, stream, end), life),
        }
    }

    /// Serves `connection`, for at most `life` where it has an end.
    fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static, life: Option<Duration>) {
        match life {
            None => self.tasks.spawn(connection),
            Some(life) => self.tasks.spawn(async move {
                // Its client has its answer, or was too slow.
                let _ = timeout(life, connection).await;
            }),
        };
    }
}

/// What a connection holds of its listener until its end.
struct End {
    closing: CancellationToken,
    cut: CancellationToken,
    place: Place,
}

/// Serves one connection to its end, which begins with a handshake.
async fn drive_encrypted(front: Arc<Front>, tls: Tls, stream: TcpStream, end: End) {
    let handshake = timeout(HANDSHAKE, tls.acceptor().accept(stream));
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
        tracing::debug!(%error, "a connection broke off");
    }
}

/// Whether an error of `accept` is one of the connection that was to be accepted, rather than of the listener.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
