//! The chain whose first chainlet reads streams of the others, and its answer.

use std::time::{Duration, Instant};

use anyhow::Context;
use chainhost::chain::{CallOptions, Chain};
use chainhost::config::{ChainSpec, ChainletSpec};
use chainhost::host::Host;
use serde_json::json;

use crate::fuse::fuse;
use crate::guest;

/// The imports of the reader. Each is served by a chainlet of its own.
const IMPORTS: [&str; 5] = ["numbers", "texts", "bytes", "number", "text"];

/// Much longer than any call here takes.
const TIMEOUT: Duration = Duration::from_secs(300);

/// The parameters of the reader.
#[derive(Clone, Copy)]
pub struct Read {
    pub what: &'static str,
    pub count: u64,
    /// The number of items that are written at a time.
    pub batch: u32,
    /// The most items that are read at once.
    pub room: u32,
}

/// The answer of the reader, and the duration of its call.
pub struct Answer {
    pub items: u64,
    pub sum: u64,
    /// The time from the guest's start to the first item.
    pub first: Duration,
    pub took: Duration,
}

/// Loads a reader and its sources, in separate stores. With a `relay`, the bytes come through that interface of the
/// relay.
pub async fn chain(relay: Option<&str>) -> anyhow::Result<Chain> {
    let mut reader = ChainletSpec::builder(guest("bench_stream_reader")?);
    if relay.is_some() {
        reader = reader.depends("bytes", "relay");
    }
    let mut spec = ChainSpec::builder("streams").entrypoint("reader").chainlet("reader", reader);
    let source = guest("bench_stream_source")?;
    for name in IMPORTS {
        spec = spec.chainlet(name, ChainletSpec::builder(source.clone()).export(interface(name)));
    }
    if let Some(relay) = relay {
        let relay = ChainletSpec::builder(guest("bench_stream_relay")?).export(interface(relay));
        spec = spec.chainlet("relay", relay.depends("bytes", "bytes"));
    }
    Ok(Host::new()?.load(&spec.build()?).await?)
}

/// Loads the same two components fused into one, in which wasmtime moves items from one memory to the other.
pub async fn fused() -> anyhow::Result<Chain> {
    let reader = std::fs::read(guest("bench_stream_reader")?)?;
    let source = std::fs::read(guest("bench_stream_source")?)?;
    let imports = IMPORTS.map(interface);
    let fused = fuse(&reader, &source, &imports.each_ref().map(String::as_str))?;
    Ok(Host::new()?.load(&ChainSpec::builder("fused").chainlet("fused", ChainletSpec::builder(fused)).build()?).await?)
}

fn interface(name: &str) -> String {
    format!("bench:streams/{name}")
}

/// Calls the reader from a task of the runtime, as a server's connections do.
pub async fn read(chain: &Chain, read: Read) -> anyhow::Result<Answer> {
    let Read { what, count, batch, room } = read;
    let args = json!({ "what": what, "count": count, "batch": batch, "room": room });
    let mut options = CallOptions::default();
    options.timeout = Some(TIMEOUT);
    let chain = chain.clone();
    let call = tokio::spawn(async move {
        let start = Instant::now();
        let answer: (u64, u64, u64) = chain.call(&args, options).await?;
        Ok::<_, chainhost::error::CallError>((answer, start.elapsed()))
    });
    let ((items, sum, first), took) = call.await?.with_context(|| format!("reading {count} of {what}"))?;
    anyhow::ensure!(items == count, "{items} items of {count} were read, of {what}");
    Ok(Answer { items, sum, first: Duration::from_nanos(first), took })
}
