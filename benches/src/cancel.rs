//! Cancellation of a call by its client: the time from the end of the connection until the callee's guest has dropped
//! everything that it held.

use std::time::{Duration, Instant};

use anyhow::Context;
use chainhost::chain::Chain;
use chainhost::config::{ChainSpec, ChainletSpec};
use chainhost::host::Host;
use chainhost::server::{ServeOptions, Server};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::guest;

const CALLS: usize = 1_000;
const BODY: &str = r#"{"text":"hold"}"#;

pub fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut times = runtime.block_on(async {
        let relay = ChainletSpec::builder(guest("bench_caller")?).depends("callee", "holder");
        let holder = ChainletSpec::builder(guest("bench_holder")?);
        let spec = ChainSpec::builder("cancel").entrypoint("relay").chainlet("relay", relay).chainlet("holder", holder);
        let chain = Host::new()?.load(&spec.build()?).await?;
        let mut options = ServeOptions::default();
        options.listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(options)?.listen(chain.clone())?;
        let address = server.local_addr();
        tokio::spawn(server.run(std::future::pending::<()>()));
        let mut times = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            times.push(hang_up(&chain, address).await?);
        }
        anyhow::Ok(times)
    })?;
    times.sort_unstable();
    let at = |share: usize| -> anyhow::Result<f64> {
        Ok(times.get(CALLS * share / 100).context("no time was taken")?.as_secs_f64() * 1e6)
    };
    println!("### A call that its client gives up, over HTTP and one hop\n");
    println!("| from the hang-up until the callee's guest has let go | µs |\n|---|---|");
    println!("| half of {CALLS} calls | **{:.0}** |", at(50)?);
    println!("| 99 of 100 | {:.0} |\n", at(99)?);
    Ok(())
}

/// Closes a connection, and measures the time until the guest at the end of the chain has dropped its call.
async fn hang_up(chain: &Chain, address: std::net::SocketAddr) -> anyhow::Result<Duration> {
    let mut client = TcpStream::connect(address).await?;
    client.set_nodelay(true)?;
    let length = BODY.len();
    let request = format!(
        "POST /run_remote HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{BODY}"
    );
    client.write_all(request.as_bytes()).await?;
    while held(chain) == 0 {
        tokio::task::yield_now().await;
    }
    // Gives both guests the time to wait idly before the connection ends.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let start = Instant::now();
    drop(client);
    // The place of a call is free when its guest has returned, which is after it has dropped everything.
    while held(chain) > 0 {
        tokio::task::yield_now().await;
    }
    Ok(start.elapsed())
}

/// Returns the number of calls that the guest at the end of the chain holds.
fn held(chain: &Chain) -> usize {
    chain.status().filter(|(name, _)| name.as_str() == "holder").map(|(_, status)| status.active).sum()
}
