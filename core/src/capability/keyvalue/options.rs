//! The description of a store, as chain.toml has it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The description of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// The place where the store keeps its entries.
    pub kind: StoreKind,
    /// The most bytes that all entries may have together, each with [`ENTRY_OVERHEAD`](super::limits::ENTRY_OVERHEAD). A store
    /// in Redis ignores it, because the server has its own limit.
    pub limit: u64,
    /// The most bytes that one value may have.
    pub value_limit: u64,
    /// The longest time for one operation, including the time to connect.
    pub timeout: Duration,
}

/// The place where a store keeps its entries.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreKind {
    /// In the memory of the host. The entries are lost when the host ends.
    Memory,
    /// In a file of this machine, which one host opens at a time.
    File {
        /// The path of the file. The store makes the file and its folder if they are missing.
        path: PathBuf,
    },
    /// On a Redis server.
    Redis {
        /// The address of the server: `redis://host:6379`, `rediss://` for TLS, or `unix://` for a socket. It may have a
        /// user, a password and the number of a database.
        url: String,
        /// The text before each key on the server, for example `"cart:"`. It separates stores that share a server, so no
        /// prefix may be the start of another one.
        prefix: String,
    },
}

impl StoreOptions {
    /// 64 MiB.
    pub const DEFAULT_LIMIT: u64 = 64 << 20;
    /// 1 MiB.
    pub const DEFAULT_VALUE_LIMIT: u64 = 1 << 20;
    /// 5 seconds.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

    /// A store of this kind with the default limits.
    #[cfg(test)]
    pub fn new(kind: StoreKind) -> Self {
        Self {
            kind,
            limit: Self::DEFAULT_LIMIT,
            value_limit: Self::DEFAULT_VALUE_LIMIT,
            timeout: Self::DEFAULT_TIMEOUT,
        }
    }
}

/// Leaves out the address of a server, because it can have a password.
impl fmt::Debug for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreKind::Memory => f.write_str("Memory"),
            StoreKind::File { path } => f.debug_struct("File").field("path", path).finish(),
            StoreKind::Redis { prefix, .. } => f.debug_struct("Redis").field("prefix", prefix).finish_non_exhaustive(),
        }
    }
}
