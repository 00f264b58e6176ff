//! The time until a chain of two chainlets is ready, with and without compiled code in the cache.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Context;
use chainhost::host::Host;

use crate::median;

const RUNS: usize = 15;

pub fn run() -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("chainhost-bench-{}", std::process::id()));
    let cold = in_a_process(&folder)?;
    let warm = (0..RUNS).map(|_| in_a_process(&folder)).collect::<anyhow::Result<Vec<_>>>()?;
    std::fs::remove_dir_all(&folder)?;
    println!("### Start of examples/hello, from a new process to a chain that is ready\n");
    println!("| what | ms |\n|---|---|");
    println!("| nothing cached: both components are compiled | {cold:.0} |");
    println!("| **compiled code cached** | **{:.1}** |\n", median(warm));
    Ok(())
}

/// Returns the milliseconds that a new process takes.
fn in_a_process(cache: &Path) -> anyhow::Result<f64> {
    let start = Instant::now();
    let status = Command::new(std::env::current_exe()?).arg("start-once").arg(cache).status()?;
    anyhow::ensure!(status.success(), "the start failed: {status}");
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

pub fn once(cache: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let host = Host::builder().code_cache(cache).build()?;
        let chain = host.load_file(crate::http::hello()).await.context("examples/hello does not load")?;
        anyhow::ensure!(chain.is_ready(), "the chain is not ready");
        // Stopping is not measured.
        std::process::exit(0)
    })
}
