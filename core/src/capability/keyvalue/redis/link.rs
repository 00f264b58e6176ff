//! The connection to a Redis server.
//!
//! All operations share one connection, which carries many at once. The first operation makes it, and the next one after
//! a failure makes a new one. The crate's own `ConnectionManager` is not used: it keeps the error of a connection that
//! failed at its authentication, and keeps a connection on which nothing is answered any more.
//!
//! A read is repeated once if its connection breaks. A write is not, because the server may have done it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, Cmd, RedisError, Value, cmd};
use tokio::time::{Instant, timeout_at};

use super::super::error::Problem;

/// After this time without an operation, a write asks first whether the connection still works. Proxies drop idle
/// connections, and a write that meets a dropped one fails.
const IDLE: Duration = if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(10) };

/// The timeout instead of one that is too long to count: 30 years.
const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

pub(super) struct Link {
    client: Client,
    timeout: Duration,
    current: Mutex<Option<Connection>>,
    /// Held by the one operation that connects.
    connecting: tokio::sync::Mutex<()>,
}

/// The failure of one command.
enum Failure {
    TimedOut,
    /// The connection broke while the command was on its way.
    Broken(RedisError),
    /// The server rejected the command or the connection.
    Rejected(RedisError),
}

#[derive(Clone)]
struct Connection {
    id: u64,
    connection: MultiplexedConnection,
    used: Instant,
}

impl Link {
    pub(super) fn new(url: &str, timeout: Duration) -> Result<Self, Problem> {
        // The error of the crate could repeat a password.
        let client = Client::open(url).map_err(|_| Problem::BadSpec {
            key: "url",
            cause: "is not the address of a Redis server: use redis://host:6379, rediss://host:6379 or unix:///path"
                .to_owned(),
        })?;
        Ok(Self { client, timeout, current: Mutex::default(), connecting: tokio::sync::Mutex::default() })
    }

    /// Returns the time at which an operation that starts now has taken too long.
    pub(super) fn deadline(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.timeout).unwrap_or(now + FOREVER)
    }

    /// Sends a command that changes nothing.
    pub(super) async fn read(&self, command: &Cmd, deadline: Instant) -> Result<Value, Problem> {
        self.twice(command, deadline).await.map_err(|failure| self.problem(&failure))
    }

    /// Sends a command that changes something.
    pub(super) async fn write(&self, command: &Cmd) -> Result<Value, Problem> {
        let deadline = self.deadline();
        let idle = self.current().as_ref().is_some_and(|current| current.used.elapsed() > IDLE);
        let sending = async {
            if idle {
                self.twice(&cmd("PING"), deadline).await?;
            }
            self.once(command, deadline).await
        };
        sending.await.map_err(|failure| self.problem(&failure))
    }

    /// Makes the problem of an answer that no Redis server gives.
    pub(super) fn unexpected(&self) -> Problem {
        self.unavailable("the answer is not that of a Redis server")
    }

    async fn twice(&self, command: &Cmd, deadline: Instant) -> Result<Value, Failure> {
        match self.once(command, deadline).await {
            Err(Failure::Broken(_)) => self.once(command, deadline).await,
            result => result,
        }
    }

    async fn once(&self, command: &Cmd, deadline: Instant) -> Result<Value, Failure> {
        let mut current =
            timeout_at(deadline, self.connection()).await.map_err(|_| Failure::TimedOut)?.map_err(Failure::Rejected)?;
        let failure = match timeout_at(deadline, command.query_async(&mut current.connection)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) if error.is_unrecoverable_error() => Failure::Broken(error),
            Ok(Err(error)) => return Err(Failure::Rejected(error)),
            Err(_) => Failure::TimedOut,
        };
        // After a timeout too: the server may be gone without a word, which the system finds out after many minutes.
        self.drop_connection(current.id);
        Err(failure)
    }

    /// Returns the connection, and makes it first if there is none.
    async fn connection(&self) -> Result<Connection, RedisError> {
        if let Some(current) = self.take_turn() {
            return Ok(current);
        }
        let _turn = self.connecting.lock().await;
        if let Some(current) = self.take_turn() {
            return Ok(current);
        }
        // The caller limits the time.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let new = Connection { id: fresh_id(), connection, used: Instant::now() };
        *self.current() = Some(new.clone());
        Ok(new)
    }

    fn take_turn(&self) -> Option<Connection> {
        let mut current = self.current();
        let current = current.as_mut()?;
        current.used = Instant::now();
        Some(current.clone())
    }

    /// Forgets the connection. Operations that still wait on it keep it until they end.
    fn drop_connection(&self, id: u64) {
        self.current().take_if(|current| current.id == id);
    }

    fn current(&self) -> MutexGuard<'_, Option<Connection>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn problem(&self, failure: &Failure) -> Problem {
        let error = match failure {
            Failure::TimedOut => return Problem::TimedOut { after: self.timeout },
            Failure::Broken(error) | Failure::Rejected(error) => error,
        };
        let text = error.to_string();
        match error.code() {
            Some("OOM") => Problem::ServerFull,
            _ if text.contains("value is not an integer") => Problem::NotANumber,
            _ if text.contains("would overflow") => Problem::Overflow,
            _ => self.unavailable(&text),
        }
    }

    fn unavailable(&self, cause: &str) -> Problem {
        Problem::Unavailable {
            cause: format!("the Redis server {}: {cause}", self.client.get_connection_info().addr()),
        }
    }
}

/// Returns a number that no other connection has.
fn fresh_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
