//! The costs of streams: one item and the first item through one edge, many bytes through two edges, and many through
//! HTTP.

mod bytes;
mod channel;
mod first;
mod http;
mod items;
mod memory;
mod read;

pub use self::memory::once as peak;

pub fn run() -> anyhow::Result<()> {
    items::run()?;
    first::run()?;
    bytes::run()?;
    http::run()
}

/// Makes the runtime for all sides.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
