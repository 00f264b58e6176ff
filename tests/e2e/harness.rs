//! The common part of the tests: chains in their own folders, the program as a child process, and an HTTP client that
//! shows each request and response unchanged.

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

/// The longest time that a test waits for anything. Only a broken host comes near it.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The pause between two looks at something that a test waits for.
const PAUSE: Duration = Duration::from_millis(10);

/// A chain of one chainlet, which does what each call tells it to do.
pub const FAULTY: &str = r#"
[chain]
name = "test"

[chainlets.faulty]
component = "<guest_faulty>"
"#;

/// A relay that calls two chainlets of one component: `next` is `first`, and `other` is `second`.
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

/// Returns the folder of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Returns a folder for files that the tests keep from one run to the next: compiled guests, and the dependencies of a
/// new chain.
pub fn kept(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Returns the file of the component `name`, which `cargo xtask guests` builds.
pub fn component(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let path = target.join("wasm32-wasip2/release").join(name).with_extension("wasm");
    assert!(path.is_file(), "{} is missing: run `cargo xtask guests`, which builds it", path.display());
    path
}

/// Calls `look` again and again until it returns a value, and returns that value.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let limit = Instant::now() + LIMIT;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < limit, "waited too long until {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
