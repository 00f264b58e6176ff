//! The time to scale up from zero: compares a call that waits for the start of a replica with a call that finds one,
//! and with a new process that does nothing.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use chainhost::chain::{CallOptions, Chain};
use chainhost::config::{ChainSpec, ChainletSpec, Replicas};
use chainhost::host::Host;

use crate::{guest, median};

const RUNS: usize = 101;
const BODY: &[u8] = br#"{"text":"a short string"}"#;

pub fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut replicas = Replicas::between(0, 1);
        replicas.window = Duration::from_millis(10);
        replicas.idle = Duration::from_millis(10);
        let callee = ChainletSpec::builder(guest("bench_callee")?).replicas(replicas);
        let chain = Host::new()?.load(&ChainSpec::builder("scale").chainlet("callee", callee).build()?).await?;
        let (mut started, mut found, mut process) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..RUNS {
            until_none_is_left(&chain).await;
            started.push(call(&chain).await?);
            found.push(call(&chain).await?);
            process.push(new_process()?);
        }
        let (started, found, process) = (median(started), median(found), median(process));
        println!("### Scale up from no replica, of a chainlet without `init`\n");
        println!("| what | µs |\n|---|---|");
        println!("| **a call that waits for a replica's start** | **{started:.0}** |");
        println!("| a call that finds a replica | {found:.0} |");
        println!("| a new process that does nothing (`true`) | {process:.0} |");
        println!(
            "\nFrom \"scale up\" to \"ready\": {:.0} µs, **{:.2}** of a new process.\n",
            started - found,
            (started - found) / process
        );
        Ok(())
    })
}

async fn until_none_is_left(chain: &Chain) {
    while chain.status().any(|(_, status)| status.ready > 0) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Returns the microseconds that a call takes.
async fn call(chain: &Chain) -> anyhow::Result<f64> {
    let chain = chain.clone();
    let call = tokio::spawn(async move {
        let start = Instant::now();
        chain.call_json(BODY, CallOptions::default()).await?;
        Ok(start.elapsed().as_secs_f64() * 1e6)
    });
    call.await?
}

fn new_process() -> anyhow::Result<f64> {
    let start = Instant::now();
    let status = Command::new("true").status().context("there is no program `true`")?;
    anyhow::ensure!(status.success(), "`true` failed: {status}");
    Ok(start.elapsed().as_secs_f64() * 1e6)
}
