//! What the tests have in common: chains in folders of their own, the program as a child process, and an HTTP client
//! that hides nothing.

pub mod cbor;
mod chain;
mod held;
mod http;
mod process;
mod redis;
mod served;
mod streams;
pub mod tls;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use chain::Chain;
pub use held::Held;
pub use http::{Endpoint, Reply, json_request};
pub use process::{Finished, Process, chainhost};
pub use redis::Redis;
pub use served::Served;
pub use streams::{Answer, End, Event};

/// How long anything may take that a test waits for. Nothing comes near it unless it is broken.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The pause between two looks at something that a test waits for.
const PAUSE: Duration = Duration::from_millis(10);

/// One chainlet, which does as it is told.
pub const FAULTY: &str = r#"
[chain]
name = "test"

[chainlets.faulty]
component = "<guest_faulty>"
"#;

/// A relay before two chainlets of one component: `next` is `first`, `other` is `second`.
pub const RELAY: &str = r#"
[chain]
name = "test"

[chainlets.relay]
component = "<guest_relay>"
depends.next = { chainlet = "first" }
depends.other = { chainlet = "second" }

[chainlets.first]
component = "<guest_faulty>"

[chainlets.second]
component = "<guest_faulty>"
"#;

/// The repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The folder for what tests keep from one run to the next: compiled guests, and the dependencies of a new chain.
pub fn kept(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The file of the component `name`, which `cargo xtask guests` builds.
pub fn component(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let path = target.join("wasm32-wasip2/release").join(name).with_extension("wasm");
    assert!(path.is_file(), "{} is missing: run `cargo xtask guests`, which builds it", path.display());
    path
}

/// Looks until there is something to see.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let limit = Instant::now() + LIMIT;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < limit, "waited in vain: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
