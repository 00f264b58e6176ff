//! The HTTP edge: a chain's entrypoint as JSON, CBOR or plain bytes over HTTP/1.1 and HTTP/2.
//!
//! [`Http`] puts a chain behind routes, which any axum or hyper server can mount. [`Server`] is such a server: it owns
//! its listeners and connections and stops without losing a call. `docs/http.md` is the reference for clients.
//!
//! ```no_run
//! # async fn example(chain: chainhost::chain::Chain) -> Result<(), Box<dyn std::error::Error>> {
//! // In your own axum server …
//! let routes = chainhost::server::router(chain.clone(), Default::default());
//! let app: axum::Router = axum::Router::new().nest("/greetings", routes);
//! // … or as a separate server, until ctrl-c.
//! let until = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
//! chainhost::server::serve(chain, Default::default(), until).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # The way of a request
//! Every request passes [`observe`], which gives it an id, counts and logs it, and turns a panic into an answer.
//! `POST /run_remote` then goes straight to [`run_remote`], because nearly all requests are such calls. Everything else
//! goes through the router in [`routes`] or [`admin`]. Every failure on the way becomes a [`problem`].

mod activity;
mod admin;
mod body;
mod connection;
mod format;
mod half_closed;
mod keys;
mod list_header;
mod listen;
mod methods;
mod metrics;
mod observe;
pub mod openapi;
mod origin;
mod problem;
mod refusal;
mod request_id;
mod routes;
mod run_remote;
mod socket;
mod starting;
mod streaming;
mod subprotocol;
mod tls;
mod upload;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use chainhost_core::live::LiveChain;
use chainhost_core::log_rate::LogRate;

pub use self::keys::{ApiKeys, ApiKeysError};
pub use self::listen::{Listening, ServeError, ServeOptions, Server, Starting, serve};
use self::metrics::Metrics;
use self::origin::Trusted;
pub use self::tls::{Tls, TlsError};

/// The settings for serving requests.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpOptions {
    /// The largest request body, in bytes: by default 16 MiB. A larger one is rejected with 413.
    pub body_limit: usize,
    /// The largest number of bytes that all clients together may make the server hold: bodies, messages of WebSockets,
    /// and answers that their clients have not taken yet. A request or an answer that finds no room becomes a 429. By
    /// default, this is half of the host's memory limit
    /// ([`HostBuilder::memory_limit`](chainhost_core::host::HostBuilder::memory_limit)).
    pub bodies_limit: Option<usize>,
    /// The longest time from a request's head to its answer: by default 60 s. A client may ask for less with the header
    /// `x-request-timeout`, but not for more.
    pub request_timeout: Duration,
    /// The API keys. Each request to the public listener must show one of them, except those to `/healthz` and
    /// `/readyz`. Without keys, anyone may call.
    pub api_keys: Option<ApiKeys>,
    /// Further host names, beside `localhost`, that requests to a listener on a loopback address may use, such as the
    /// name that a proxy passes on. Without API keys, such a listener rejects every other name that has a dot, because
    /// a web page could have made the browser send the request.
    pub allowed_hosts: Vec<String>,
    /// The origins of web pages, such as `https://app.example`, that may open WebSockets and may send requests to a
    /// listener on a loopback address.
    pub allowed_origins: Vec<String>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        HttpOptions {
            body_limit: 16 * 1024 * 1024,
            bodies_limit: None,
            request_timeout: Duration::from_secs(60),
            api_keys: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
        }
    }
}

impl HttpOptions {
    /// Sets the largest request body, in bytes.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Sets the bytes of requests and answers that may be held for all clients together.
    #[must_use]
    pub fn bodies_limit(mut self, bytes: usize) -> Self {
        self.bodies_limit = Some(bytes);
        self
    }

    /// Sets the longest time from a request's head to its answer.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Lets only requests in that show one of these keys.
    #[must_use]
    pub fn api_keys(mut self, keys: ApiKeys) -> Self {
        self.api_keys = Some(keys);
        self
    }

    /// Allows a name by which a listener on a loopback address may be called.
    #[must_use]
    pub fn allow_host(mut self, name: impl Into<String>) -> Self {
        self.allowed_hosts.push(name.into());
        self
    }

    /// Allows an origin of web pages.
    #[must_use]
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.allowed_origins.push(origin.into());
        self
    }
}

/// A chain behind HTTP routes. Clones share their metrics.
#[derive(Clone)]
pub struct Http(Arc<Shared>);

struct Shared {
    chain: LiveChain,
    options: HttpOptions,
    metrics: Metrics,
    /// The OpenAPI document that was made last: the number of its version of the chain, the path prefix that it was
    /// made for, and its text.
    openapi: Mutex<(u64, String, Bytes)>,
    /// True once the server has begun to stop.
    draining: AtomicBool,
    bodies: body::Limits,
    trusted: Trusted,
    /// Limits the log events of failed calls.
    log_rate: LogRate,
}

/// The readers of a listener's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// Anyone. A guest's own words about its failures go to the log only.
    Public,
    /// The people who run the chain.
    Admin,
}

impl Http {
    /// Puts `chain` behind routes.
    pub fn new(chain: impl Into<LiveChain>, options: HttpOptions) -> Self {
        let chain = chain.into();
        let metrics = Metrics::new(chain.clone());
        let openapi = Mutex::default();
        let bodies = {
            let current = chain.current();
            let memory = current.memory();
            body::Limits::new(options.body_limit, options.bodies_limit.unwrap_or(memory.limit() / 2), memory)
        };
        Http(Arc::new(Shared {
            chain,
            bodies,
            trusted: Trusted::of(&options),
            options,
            metrics,
            openapi,
            draining: AtomicBool::new(false),
            log_rate: LogRate::default(),
        }))
    }

    /// Returns the OpenAPI document of the current version, as it is served under `prefix`.
    fn openapi(&self, prefix: &str) -> Bytes {
        let version = self.0.chain.version();
        let mut openapi = self.0.openapi.lock().unwrap_or_else(PoisonError::into_inner);
        if openapi.0 != version || openapi.1 != prefix {
            let document = routes::openapi(&self.0.chain.current(), self.0.options.api_keys.is_some(), prefix);
            *openapi = (version, prefix.to_owned(), document);
        }
        openapi.2.clone()
    }

    /// Returns the public routes: `POST /run_remote`, `GET /openapi.json`, `GET /healthz`, `GET /readyz`.
    pub fn router(&self) -> Router {
        observe::layer(self, Audience::Public, routes::public(self))
    }

    /// Returns the routes for admins, which say more than the public should read: `GET /metrics`, `GET /chain`,
    /// `POST /reload`, `POST /chainlets/{name}/run_remote`, `GET /openapi.json`, and health and readiness.
    pub fn admin_router(&self) -> Router {
        observe::layer(self, Audience::Admin, admin::routes(self))
    }

    /// Marks the chain as not ready. From now on, answers ask HTTP/1 clients to close their connections.
    fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }
}

/// Returns the public routes of `chain`, for any axum or hyper server. [`Http`] also has the routes for admins.
pub fn router(chain: impl Into<LiveChain>, options: HttpOptions) -> Router {
    Http::new(chain, options).router()
}
