//! Benchmarks. Each result has a comparison beside it, measured in the same run.
//!
//! `cargo xtask bench` builds everything and runs all benchmarks; `cargo run --locked --release -p chainhost-benches --
//! NAME` runs one. They print Markdown for `docs/performance.md`.

mod bare;
mod cancel;
mod client;
mod fuse;
mod gpu;
mod hop;
mod http;
mod scale;
mod start;
mod streams;
mod values;
mod wrk;

use std::path::{Path, PathBuf};

/// The allocator of `chainhost`, for all sides of each comparison.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    if chainhost::gpu_worker().is_some() {
        return Ok(());
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["all"] => {
            hop::run()?;
            values::run()?;
            streams::run()?;
            http::run()?;
            cancel::run()?;
            start::run()?;
            scale::run()?;
            gpu::run()
        }
        ["hop"] => hop::run(),
        ["values"] => values::run(),
        ["streams"] => streams::run(),
        ["http"] => http::run(),
        ["cancel"] => cancel::run(),
        ["start"] => start::run(),
        ["scale"] => scale::run(),
        ["gpu"] => gpu::run(),
        // These commands are for processes that the benchmarks start.
        ["serve", which, rest @ ..] => http::serve(which, rest),
        ["start-once", cache] => start::once(Path::new(cache)),
        ["peak", what @ ..] => streams::peak(what),
        _ => anyhow::bail!("usage: chainhost-benches [all|hop|values|streams|http|cancel|start|scale|gpu]"),
    }
}

/// Returns the path of a guest that `cargo xtask guests` has built.
fn guest(name: &str) -> anyhow::Result<PathBuf> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/wasm32-wasip2/release").join(format!("{name}.wasm"));
    anyhow::ensure!(path.is_file(), "{} is missing: run `cargo xtask guests` first", path.display());
    Ok(path)
}

/// Returns the median of `figures`.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
