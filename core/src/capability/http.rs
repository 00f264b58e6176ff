//! `wasi:http` 0.2 and 0.3: requests that guests send, to the hosts that chain.toml names.
//!
//! All replicas of a chainlet share its connections; no other chainlet does.

mod connect;
mod error;
mod hosts;
mod rule;

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use wasmtime::component::Linker;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

use self::connect::Connect;
use self::hosts::Hosts;
pub use self::rule::HostRule;
use super::{Capability, GrantRequest, Row, StateError, listed};
use crate::chainlet::state::ReplicaState;
use crate::config::{ConfigError, NetworkAccess};
use crate::deadline::moment_after;

/// The longest time for each step of a request if its guest does not set one: to get a place and a connection, to get
/// the head of the answer, to get the next part of its body. The deadline of the guest's own call may end it sooner.
const STEP: Duration = Duration::from_secs(600);
/// The most bytes of a request's body that the host holds at a time, even if the request is never sent.
const CHUNK: usize = 16 * 1024;
/// The most bytes that the headers of one request or answer may have.
const FIELDS: usize = 32 * 1024;
/// The time for which an idle connection is kept for another request.
const IDLE: Duration = Duration::from_secs(20);
/// The most idle connections for each host.
const IDLE_CONNECTIONS: usize = 16;

/// The interfaces, of both versions.
const INTERFACES: &[&str] = &["wasi:http/types", "wasi:http/outgoing-handler", "wasi:http/client"];

type HttpClient = Client<HttpsConnector<Connect>, WasiBody>;

/// The two clients of a chainlet.
struct Clients {
    /// Keeps connections for further requests.
    keeping: HttpClient,
    /// Makes a new connection for each request: those that a kept connection lost.
    fresh: HttpClient,
}

/// The capability.
pub(super) struct OutgoingHttp;

/// The sender of the requests of one chainlet.
pub(super) struct Outgoing {
    hosts: Arc<Hosts>,
    /// Made for the first request, as it reads the certificates that the system trusts.
    clients: OnceLock<Clients>,
    /// For the requests in flight.
    places: Arc<Semaphore>,
    /// The runtime of the requests. They do not run on the threads of guests, because guests compute there.
    runtime: Handle,
}

/// The part of a replica's store that sends requests.
pub(super) struct HttpState {
    context: WasiHttpCtx,
    hooks: Hooks,
}

/// Sends a guest's requests.
struct Hooks(Arc<Outgoing>);

impl Capability for OutgoingHttp {
    type Grant = Arc<Outgoing>;
    type State = HttpState;

    fn name(&self) -> &'static str {
        "http"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        INTERFACES
    }

    fn add_to_linker(&self, linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
        wasmtime_wasi_http::p3::add_to_linker(linker)
    }

    async fn grant(&self, chainlet: &GrantRequest<'_>) -> Result<Arc<Outgoing>, ConfigError> {
        let NetworkAccess { hosts, concurrency, .. } = &chainlet.chainlet.network;
        if hosts.is_empty() && chainlet.import_of(INTERFACES).is_some() {
            tracing::warn!(
                chainlet = %chainlet.name,
                "the component imports wasi:http, and every request will be refused: chain.toml has no network.hosts for it"
            );
        }
        let hosts = Arc::new(Hosts::new(chainlet.name, hosts));
        Ok(Arc::new(Outgoing::new(hosts, *concurrency)))
    }

    fn state(&self, outgoing: &Arc<Arc<Outgoing>>, _: u32, _: &mut WasiCtxBuilder) -> Result<HttpState, StateError> {
        let mut context = WasiHttpCtx::new();
        context.set_field_size_limit(FIELDS);
        Ok(HttpState { context, hooks: Hooks((**outgoing).clone()) })
    }

    fn rows(&self, chainlet: &GrantRequest<'_>) -> Vec<Row> {
        let NetworkAccess { hosts, concurrency, .. } = &chainlet.chainlet.network;
        match hosts.is_empty() {
            true => Vec::new(),
            false => vec![Row::new("hosts", format_args!("{}; {concurrency} requests at once", listed(hosts)))],
        }
    }
}

impl WasiHttpView for ReplicaState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let (HttpState { context, hooks }, table) = self.of_mut_and_table::<OutgoingHttp>();
        WasiHttpCtxView { ctx: context, table, hooks }
    }
}

impl Outgoing {
    /// Allows `concurrency` requests at once. Call this inside a tokio runtime: its threads have the connections.
    fn new(hosts: Arc<Hosts>, concurrency: u32) -> Self {
        let places = usize::try_from(concurrency).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Outgoing {
            hosts,
            clients: OnceLock::new(),
            places: Arc::new(Semaphore::new(places)),
            runtime: Handle::current(),
        }
    }

    fn clients(&self) -> &Clients {
        self.clients.get_or_init(|| {
            // They share the limits to connections, too.
            let connector = connect::with_tls(self.hosts.clone());
            let builder = || Client::builder(TokioExecutor::new());
            Clients {
                keeping: builder()
                    .pool_timer(TokioTimer::new())
                    .pool_idle_timeout(IDLE)
                    .pool_max_idle_per_host(IDLE_CONNECTIONS)
                    .build(connector.clone()),
                fresh: builder().pool_max_idle_per_host(0).build(connector),
            }
        })
    }

    /// Sends a request over a connection that is there, or a new one. A server may close a connection in the very moment in
    /// which the next request goes over it. So a request that may be sent twice, of whose body nothing has gone, and which got
    /// no part of an answer, goes once more, over a new connection (RFC 9110, 9.2.2).
    async fn exchange(&self, request: Request<WasiBody>) -> Result<Response<Incoming>, legacy::Error> {
        let (head, body) = request.into_parts();
        let again = head.method.is_idempotent().then(|| head.clone());
        let body = Arc::new(Unsent { body: Mutex::new(Some(body)), has_gone: AtomicBool::new(false) });
        let first = Request::from_parts(head, Lent(body.clone()).boxed_unsync());
        let error = match (self.clients().keeping.request(first).await, &again) {
            (Err(error), Some(_)) if error::is_lost(&error) => error,
            (outcome, _) => return outcome,
        };
        match again.zip(body.take_back()) {
            Some((head, body)) => self.clients().fresh.request(Request::from_parts(head, body)).await,
            None => Err(error),
        }
    }

    async fn send(
        self: Arc<Self>,
        request: Request<WasiBody>,
        options: RequestOptions,
    ) -> Result<Response<ResponseBody>, Error> {
        let (host, port) = destination(request.uri())?;
        if !self.hosts.admits(host, port) {
            return Err(Error::HttpRequestDenied);
        }
        let [connect, first, next] =
            [options.connect_timeout, options.first_byte_timeout, options.between_bytes_timeout]
                .map(|time| time.unwrap_or(STEP));
        let place = timeout(connect, self.places.clone().acquire_owned()).await;
        // The places are never closed.
        let place = place.map_err(|_| Error::ConnectionLimitReached)?.map_err(|_| Error::ConnectionLimitReached)?;
        // A connection may be there already, so both times are for both.
        let answer = timeout(connect.saturating_add(first), self.exchange(request)).await;
        let answer = answer.map_err(|_| Error::HttpResponseTimeout)?.map_err(|error| error::of_client(&error))?;
        Ok(answer.map(|body| ResponseBody { body, next, patience: Box::pin(sleep(next)), _place: place }))
    }
}

/// The body of a request, which can be had back as long as nothing of it has gone.
struct Unsent {
    body: Mutex<Option<WasiBody>>,
    has_gone: AtomicBool,
}

impl Unsent {
    fn take_back(&self) -> Option<WasiBody> {
        if self.has_gone.load(Ordering::Relaxed) { None } else { self.lock().take() }
    }

    fn lock(&self) -> MutexGuard<'_, Option<WasiBody>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of a request while it is sent.
struct Lent(Arc<Unsent>);

impl Body for Lent {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Unsent { has_gone, .. } = &*self.0;
        let Some(body) = &mut *self.0.lock() else { return Poll::Ready(None) };
        let next = ready!(Pin::new(body).poll_frame(cx));
        if next.is_some() {
            has_gone.store(true, Ordering::Relaxed);
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

/// The host of a URL as the URL has it, and the port.
fn destination(uri: &Uri) -> Result<(&str, u16), Error> {
    let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
    // A user name before an `@` is never sent. Its only use would be to make a reader take it for the host.
    if authority.as_str().contains('@') {
        return Err(Error::HttpRequestUriInvalid);
    }
    let port = match (authority.port_u16(), has_port(authority)) {
        (Some(port), _) => port,
        (None, true) => return Err(Error::HttpRequestUriInvalid),
        (None, false) if uri.scheme() == Some(&Scheme::HTTP) => 80,
        (None, false) => 443,
    };
    Ok((authority.host(), port))
}

/// Returns true if there is a colon after the host, even if no port follows.
fn has_port(authority: &Authority) -> bool {
    authority.as_str().len() > authority.host().len()
}

impl WasiHttpHooks for Hooks {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        // Not needed: the body of the answer is dropped when the guest is done with it.
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Sending), Error>> + Send> {
        let sent = self.0.clone().send(request, options.unwrap_or_default());
        let sent = AbortOnDropHandle::new(self.0.runtime.spawn(sent));
        Box::new(async move {
            let answer = sent.await.map_err(|error| Error::InternalError(Some(error.to_string())))??;
            let sending: Sending = Box::new(async { Ok(()) });
            Ok((answer.map(BodyExt::boxed_unsync), sending))
        })
    }
}

/// The rest of a request after its answer has begun. The guest has nothing to do for it.
type Sending = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// The body of an answer, which holds the place of its request.
struct ResponseBody {
    body: Incoming,
    next: Duration,
    patience: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                let next = moment_after(tokio::time::Instant::now(), self.next);
                self.patience.as_mut().reset(next);
                Poll::Ready(frame.map(|frame| frame.map_err(|error| error::of_hyper(&error))))
            }
            Poll::Pending => {
                ready!(self.patience.as_mut().poll(cx));
                Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str) -> Option<(String, u16)> {
        let uri: Uri = uri.parse().unwrap();
        destination(&uri).ok().map(|(host, port)| (host.to_owned(), port))
    }

    #[test]
    fn a_url_leads_to_its_host_and_its_port_or_that_of_its_scheme() {
        assert_eq!(of("https://example.com/x"), Some(("example.com".into(), 443)));
        assert_eq!(of("http://example.com"), Some(("example.com".into(), 80)));
        assert_eq!(of("http://example.com:8080"), Some(("example.com".into(), 8080)));
        assert_eq!(of("https://[::1]:8443/"), Some(("[::1]".into(), 8443)));
        assert_eq!(of("http://[::1]/"), Some(("[::1]".into(), 80)));
    }

    #[test]
    fn a_url_that_could_be_mistaken_leads_nowhere() {
        assert_eq!(of("https://good.example@evil.example/"), None);
        assert_eq!(of("/x"), None);
    }
}
