//! A server of one's own: its addresses, and its life from the first connection to the last.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::{Connections, Rules};
use super::origin::Trusted;
use super::tls::Tls;
use super::{Audience, Http, HttpOptions, admin, routes};
use crate::chain::StartProgress;
use crate::deadline::moment_after;
use crate::live::LiveChain;
use crate::log_fields::millis;
use crate::machine;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;
/// How many connections the admin listener has. They are its own: clients cannot take them.
const ADMIN_CONNECTIONS: usize = 256;
/// How long answers that the shutdown itself caused may take to be written.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// How a server is to be.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServeOptions {
    /// The address for the public: 127.0.0.1:8080 unless it is said. Port 0 is any free one.
    pub listen: SocketAddr,
    /// The address for whoever runs the chain, which should not be reachable by others; none unless it is said.
    pub admin: Option<SocketAddr>,
    /// What the public listener encrypts its connections with, and which certificates its clients need
    /// ([`Tls::with_client_ca`]); without it, it speaks HTTP in the clear. The admin listener always does.
    pub tls: Option<Tls>,
    /// How many connections the public listener has at most, 10,000 unless it is said. A few more are told so by a 503,
    /// and get answers from `/healthz` and `/readyz`; further ones are closed at once. The admin listener has 256 of
    /// its own.
    pub max_connections: usize,
    /// How long a connection may be idle, or take to send the head of a request, before it is closed: 75 s unless it is said,
    /// which is longer than proxies usually keep one.
    pub idle_timeout: Duration,
    /// How long a shutdown waits for calls in flight, 30 s unless it is said. Then they are answered with 503.
    pub shutdown_grace: Duration,
    /// How requests are served.
    pub http: HttpOptions,
}

impl Default for ServeOptions {
    fn default() -> Self {
        ServeOptions {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            admin: None,
            tls: None,
            max_connections: 10_000,
            idle_timeout: Duration::from_secs(75),
            shutdown_grace: Duration::from_secs(30),
            http: HttpOptions::default(),
        }
    }
}

/// Why a server does not listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[error("cannot listen on {address}: {error}; {help}", help = help(error, *address))]
pub struct ServeError {
    /// The address, as it was asked for.
    pub address: SocketAddr,
    /// What the system says.
    #[source]
    pub error: io::Error,
}

fn help(error: &io::Error, address: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "another program has port {}: stop it, or choose another port (0 takes any free one)",
                address.port()
            )
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine has no address {}: choose one of its own, such as 127.0.0.1 or 0.0.0.0", address.ip())
        }
        io::ErrorKind::PermissionDenied => {
            format!("this user may not listen on port {}: choose one above 1023", address.port())
        }
        _ => machine::remedy(error).unwrap_or("choose another address").to_owned(),
    }
}

/// A server that has its addresses, but nothing to serve yet: clients are refused until [`Server::open`] or
/// [`Server::listen`].
///
/// It comes before the chain, so that an address that is taken is known before guests start.
#[derive(Debug)]
pub struct Server {
    public: Reserved,
    admin: Option<Reserved>,
    options: ServeOptions,
}

#[derive(Debug)]
struct Reserved {
    socket: TcpSocket,
    address: SocketAddr,
}

/// A server that clients can connect to. They are served while [`Listening::run`] runs.
#[must_use = "clients wait until it runs"]
pub struct Listening {
    http: Http,
    public: Listener,
    admin: Option<Listener>,
    grace: Duration,
}

/// A server that clients can connect to while the chain that it is to serve starts.
#[must_use = "clients wait until it serves"]
pub struct Starting {
    public: Listener,
    admin: Option<Listener>,
    http: HttpOptions,
    grace: Duration,
}

struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    connections: Connections,
}

impl Server {
    /// Takes the addresses.
    ///
    /// # Errors
    ///
    /// Where one cannot be had.
    pub fn bind(options: ServeOptions) -> Result<Self, ServeError> {
        let public = Reserved::bind(options.listen)?;
        let admin = options.admin.map(Reserved::bind).transpose()?;
        Ok(Server { public, admin, options })
    }

    /// The public address, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.public.address
    }

    /// The admin address, with the real port, where there is one.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|admin| admin.address)
    }

    /// Lets clients connect, to have `chain` serve them. It must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// Where another program took an address after all.
    pub fn listen(self, chain: impl Into<LiveChain>) -> Result<Listening, ServeError> {
        Ok(self.open()?.serve(chain))
    }

    /// Lets clients connect before there is a chain: they learn that it starts. It must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// Where another program took an address after all.
    pub fn open(self) -> Result<Starting, ServeError> {
        let Server { public, admin, options } = self;
        let rules = Rules {
            audience: Audience::Public,
            most: options.max_connections,
            idle: options.idle_timeout,
            tls: options.tls.as_ref(),
            // Whoever shows a key is no web page that happens to be open.
            local: (public.address.ip().is_loopback() && options.http.api_keys.is_none())
                .then(|| Trusted::of(&options.http)),
        };
        let admin = admin.map(|admin| {
            let local = admin.address.ip().is_loopback().then(Trusted::default);
            let rules =
                Rules { audience: Audience::Admin, most: ADMIN_CONNECTIONS, tls: None, local, idle: rules.idle };
            admin.listen(Connections::new(&rules))
        });
        Ok(Starting {
            admin: admin.transpose()?,
            public: public.listen(Connections::new(&rules))?,
            http: options.http,
            grace: options.shutdown_grace,
        })
    }
}

impl Starting {
    /// From now on, `/readyz` says which chainlets the start waits for, as `progress` has it.
    pub fn follow(&self, progress: &StartProgress) {
        for listener in [Some(&self.public), self.admin.as_ref()].into_iter().flatten() {
            listener.connections.follow(progress.clone());
        }
    }

    /// Answers clients until `ready`, and returns what that comes to: `/healthz` with 200, everything else with 503.
    pub async fn until<T>(&self, ready: impl Future<Output = T>) -> T {
        let Listener { socket, connections, .. } = &self.public;
        let public = connections.accept_until(socket, ready);
        match &self.admin {
            None => public.await,
            Some(Listener { socket, connections, .. }) => {
                let admin = connections.accept_until(socket, std::future::pending::<std::convert::Infallible>());
                tokio::select! {
                    biased;
                    ready = public => ready,
                    never = admin => match never {},
                }
            }
        }
    }

    /// Has `chain` serve the clients, those that are connected already, too.
    pub fn serve(self, chain: impl Into<LiveChain>) -> Listening {
        let Starting { public, admin, http, grace } = self;
        let http = Http::new(chain, http);
        public.connections.serve(http.clone(), routes::public(&http).fallback(routes::not_found));
        if let Some(admin) = &admin {
            admin.connections.serve(http.clone(), admin::routes(&http).fallback(routes::not_found));
        }
        Listening { http, public, admin, grace }
    }
}

impl Reserved {
    fn bind(address: SocketAddr) -> Result<Self, ServeError> {
        let bind = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // A port whose last server's connections still fade away is free. Windows means something else by this.
            #[cfg(not(windows))]
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            Ok(Reserved { address: socket.local_addr()?, socket })
        };
        bind().map_err(|error| ServeError { address, error })
    }

    fn listen(self, connections: Connections) -> Result<Listener, ServeError> {
        let Reserved { socket, address } = self;
        let socket = socket.listen(BACKLOG).map_err(|error| ServeError { address, error })?;
        Ok(Listener { socket, address, connections })
    }
}

impl Listening {
    /// The public address, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.public.address
    }

    /// The admin address, with the real port, where there is one.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|admin| admin.address)
    }

    /// The URL of the public listener.
    pub fn url(&self) -> String {
        let scheme = if self.public.connections.is_encrypted() { "https" } else { "http" };
        format!("{scheme}://{}", self.local_addr())
    }

    /// Serves until `shutdown`, then stops without losing a call: it takes no new connections, finishes the requests that
    /// it has, and stops the chain. The admin listener serves until the chain has stopped.
    ///
    /// Dropping the future ends every connection at once, and leaves the chain running.
    pub async fn run(self, shutdown: impl Future) {
        let Listening { http, public, admin, grace } = self;
        let stopped = CancellationToken::new();
        let admin = async {
            if let Some(Listener { socket, connections, .. }) = admin {
                connections.accept(socket, stopped.cancelled()).await;
                connections.close(Instant::now() + LAST_ANSWERS).await;
                connections.cut().await;
            }
        };
        let public = async {
            let Listener { socket, connections, .. } = public;
            let shutdown = async {
                shutdown.await;
                tracing::info!(drain_ms = millis(grace), "stopping: serving the calls in flight");
                http.drain();
            };
            connections.accept(socket, shutdown).await;
            let limit = moment_after(Instant::now(), grace);
            if connections.close(limit).await {
                http.0.chain.stop(limit.saturating_duration_since(Instant::now())).await;
            } else {
                tracing::warn!(
                    drain_ms = millis(grace),
                    limit = %"--drain",
                    "calls are still in flight after the time for them; they are answered with 503"
                );
                http.0.chain.stop(Duration::ZERO).await;
                connections.close(Instant::now() + LAST_ANSWERS).await;
                connections.cut().await;
            }
            stopped.cancel();
        };
        tokio::join!(public, admin);
        tracing::info!("stopped");
    }
}

/// Serves `chain` until `shutdown`, then stops without losing a call, as [`Server`] and [`Listening`] do.
///
/// # Errors
///
/// Where an address cannot be had.
pub async fn serve(
    chain: impl Into<LiveChain>,
    options: ServeOptions,
    shutdown: impl Future,
) -> Result<(), ServeError> {
    Server::bind(options)?.listen(chain)?.run(shutdown).await;
    Ok(())
}
