//! The server that chainhost itself offers: its addresses, and its life from the first connection to the last.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chainhost_core::chain::StartProgress;
use chainhost_core::deadline::moment_after;
use chainhost_core::live::LiveChain;
use chainhost_core::log_fields::millis;
use chainhost_core::machine;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::{Connections, Rules};
use super::origin::Trusted;
use super::tls::Tls;
use super::{Audience, Http, HttpOptions, admin, routes};

/// The largest number of connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// The largest number of connections of the admin listener. Clients of the public listener cannot take them.
const ADMIN_CONNECTIONS: usize = 256;
/// The longest time for writing the answers that the shutdown itself caused.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The settings of a server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServeOptions {
    /// The address of the public listener: by default 127.0.0.1:8080. With port 0, the system chooses a free port.
    pub listen: SocketAddr,
    /// The address of the admin listener, which only admins should be able to reach. By default there is none.
    pub admin: Option<SocketAddr>,
    /// The certificate of the public listener, and which certificates its clients need ([`Tls::with_client_ca`]).
    /// Without it, the public listener speaks plain HTTP. The admin listener always does.
    pub tls: Option<Tls>,
    /// The largest number of connections of the public listener: by default 10,000. A few more connections get a 503
    /// that says so, and answers from `/healthz` and `/readyz`. Further ones are closed at once. The admin listener has
    /// 256 connections of its own.
    pub max_connections: usize,
    /// The longest time for which a connection may be idle, or may take to send the head of a request, before it is
    /// closed. The default of 75 s is longer than proxies usually keep a connection.
    pub idle_timeout: Duration,
    /// The longest time for which a shutdown waits for calls in flight: by default 30 s. Then they are answered with
    /// 503.
    pub shutdown_grace: Duration,
    /// The settings for serving requests.
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

/// The error that a server cannot listen on an address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[error("cannot listen on {address}: {error}; {help}", help = help(error, *address))]
pub struct ServeError {
    /// The address from the settings.
    pub address: SocketAddr,
    /// The error of the operating system.
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

/// A server that has its addresses, but serves nothing yet: clients are refused until [`Server::open`] or
/// [`Server::listen`].
///
/// It is made before the chain, so that a conflict over an address is known before guests start.
#[derive(Debug)]
pub struct Server {
    public: Reserved,
    admin: Option<Reserved>,
    options: ServeOptions,
}

#[derive(Debug)]
/// An address that the server has bound, but does not listen on yet.
struct Reserved {
    socket: TcpSocket,
    address: SocketAddr,
}

/// A server that clients can connect to. It serves them while [`Listening::run`] runs.
#[must_use = "clients wait until it runs"]
pub struct Listening {
    http: Http,
    public: Listener,
    admin: Option<Listener>,
    grace: Duration,
}

/// A server that clients can connect to while its chain starts.
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
    /// Binds the addresses.
    ///
    /// # Errors
    ///
    /// Fails if an address is not available.
    pub fn bind(options: ServeOptions) -> Result<Self, ServeError> {
        let public = Reserved::bind(options.listen)?;
        let admin = options.admin.map(Reserved::bind).transpose()?;
        Ok(Server { public, admin, options })
    }

    /// Returns the public address, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.public.address
    }

    /// Returns the admin address, with the real port, if there is one.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|admin| admin.address)
    }

    /// Lets clients connect, and serves `chain` to them. It must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// Fails if another program took an address meanwhile.
    pub fn listen(self, chain: impl Into<LiveChain>) -> Result<Listening, ServeError> {
        Ok(self.open()?.serve(chain))
    }

    /// Lets clients connect before there is a chain. They learn that the chain starts. It must be called inside a tokio
    /// runtime.
    ///
    /// # Errors
    ///
    /// Fails if another program took an address meanwhile.
    pub fn open(self) -> Result<Starting, ServeError> {
        let Server { public, admin, options } = self;
        let rules = Rules {
            audience: Audience::Public,
            most: options.max_connections,
            idle: options.idle_timeout,
            tls: options.tls.as_ref(),
            // With API keys this check is not needed: a web page that happens to be open has no key.
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
    /// From now on, `/readyz` names the chainlets that the start waits for, as `progress` says.
    pub fn follow(&self, progress: &StartProgress) {
        for listener in [Some(&self.public), self.admin.as_ref()].into_iter().flatten() {
            listener.connections.follow(progress.clone());
        }
    }

    /// Answers clients until `ready`: `/healthz` with 200, everything else with 503. Returns the output of `ready`.
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

    /// Serves `chain` to the clients, including those that are connected already.
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
            // Allows a port on which connections of an earlier server are still closing. On Windows, the option would
            // let two programs share a port.
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
    /// Returns the public address, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.public.address
    }

    /// Returns the admin address, with the real port, if there is one.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|admin| admin.address)
    }

    /// Returns the URL of the public listener.
    pub fn url(&self) -> String {
        let scheme = if self.public.connections.is_encrypted() { "https" } else { "http" };
        format!("{scheme}://{}", self.local_addr())
    }

    /// Serves until `shutdown`. Then it stops without losing a call: it accepts no new connections, finishes the
    /// requests that it has, and stops the chain. The admin listener serves until the chain has stopped.
    ///
    /// Dropping the future ends all connections at once, and leaves the chain running.
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

/// Serves `chain` until `shutdown`, then stops without losing a call, like [`Server`] and [`Listening`].
///
/// # Errors
///
/// Fails if an address is not available.
pub async fn serve(
    chain: impl Into<LiveChain>,
    options: ServeOptions,
    shutdown: impl Future,
) -> Result<(), ServeError> {
    Server::bind(options)?.listen(chain)?.run(shutdown).await;
    Ok(())
}
