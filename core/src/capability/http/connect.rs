//! Connections to the hosts that a chainlet may reach. What an address is asked about is what is connected to: between the
//! two, no one looks the name up again.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{Hosts, destination};
use crate::forward::{forward_read, forward_write};

/// The time after which an address that does not answer is given up for the next one.
const CONNECT: Duration = Duration::from_secs(10);

/// The reason why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("the URL has no host")]
    Uri,
    #[error("the name can't be looked up: {0}")]
    Lookup(#[source] io::Error),
    #[error("the name leads to no address that may be connected to")]
    Prohibited,
    #[error("{0}")]
    Connect(#[source] io::Error),
    #[error("no connection in time")]
    Timeout,
}

/// The most names that are looked up at once. A look-up holds a thread until it has ended, even if nobody waits for it any
/// more.
const LOOKUPS: usize = 8;

/// The most connections of a chainlet, with idle ones. Without it, a rule that allows many hosts and ports would allow as
/// many connections.
const CONNECTIONS: usize = 1_024;

/// Connects without TLS.
#[derive(Clone)]
pub(super) struct Connect {
    hosts: Arc<Hosts>,
    lookups: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

/// A connection, and its place among those of its chainlet.
pub(super) struct Connection {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

/// Connects with TLS where the URL asks for it.
pub(super) fn with_tls(hosts: Arc<Hosts>) -> HttpsConnector<Connect> {
    let system = HttpsConnectorBuilder::new().with_provider_and_native_roots(ring::default_provider());
    // Without certificates of the system, such as in a container that has nothing but the program, those of Mozilla.
    // The second call fails only if the provider has no version of TLS, and ring has.
    let builder = match system {
        Ok(builder) => builder,
        Err(error) => {
            tracing::info!(%error, "the system trusts no certificates; those that Mozilla trusts are trusted");
            let builder = HttpsConnectorBuilder::new().with_provider_and_webpki_roots(ring::default_provider());
            builder.unwrap_or_else(|_| HttpsConnectorBuilder::new().with_webpki_roots())
        }
    };
    let [lookups, places] = [LOOKUPS, CONNECTIONS].map(|limit| Arc::new(Semaphore::new(limit)));
    let connect = Connect { hosts, lookups, places };
    builder.https_or_http().enable_all_versions().wrap_connector(connect)
}

impl tower::Service<Uri> for Connect {
    type Response = TokioIo<Connection>;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<Self::Response, ConnectError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        connect(self.clone(), uri).boxed()
    }
}

async fn connect(Connect { hosts, lookups, places }: Connect, uri: Uri) -> Result<TokioIo<Connection>, ConnectError> {
    let (host, port) = destination(&uri).map_err(|_| ConnectError::Uri)?;
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let admitted = match bare.parse::<IpAddr>() {
        // An address in the URL itself was asked about as the host that it is.
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => {
            let found = look_up(bare.to_owned(), port, lookups).await.map_err(ConnectError::Lookup)?;
            found.into_iter().filter(|to| hosts.admits_address(host, *to)).collect()
        }
    };
    let _place = places.acquire_owned().await.map_err(|_| ConnectError::Timeout)?;
    let mut failed = ConnectError::Prohibited;
    for address in admitted {
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(ConnectError::Connect)?;
                return Ok(TokioIo::new(Connection { stream, _place }));
            }
            Ok(Err(error)) => failed = ConnectError::Connect(error),
            Err(_) => failed = ConnectError::Timeout,
        }
    }
    Err(failed)
}

impl legacy::connect::Connection for Connection {
    fn connected(&self) -> legacy::connect::Connected {
        self.stream.connected()
    }
}

forward_read!(impl[] Connection);
forward_write!(impl[] Connection);

async fn look_up(name: String, port: u16, lookups: Arc<Semaphore>) -> io::Result<Vec<SocketAddr>> {
    let place = lookups.acquire_owned().await.map_err(io::Error::other)?;
    let found = spawn_blocking(move || {
        let found = (name, port).to_socket_addrs().map(Iterator::collect);
        drop(place);
        found
    });
    found.await.map_err(io::Error::other)?
}
