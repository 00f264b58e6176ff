//! What streams cost: an item and the first of them through one edge, many bytes through two, and through HTTP.

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

/// Where all sides run.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
