//! Compares bytes in and out over HTTP: through a chainlet that returns the bytes that it reads, and through a hyper
//! server that does the same.
//!
//! Client and server are tasks of one process, over one connection.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use anyhow::ensure;
use bytes::Bytes;
use chainhost::chain::Chain;
use chainhost::config::{ChainSpec, ChainletSpec};
use chainhost::host::Host;
use chainhost::server::{ServeOptions, Server};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::memory::{self, Peak};
use super::runtime;
use crate::{guest, median};

const LENGTH: u64 = 256 << 20;
const CHUNK: usize = 64 << 10;
const SAMPLES: usize = 5;
const MEDIA_TYPE: &str = "application/octet-stream";

pub fn run() -> anyhow::Result<()> {
    let (mut chains, mut bares) = (Vec::new(), Vec::new());
    runtime()?.block_on(async {
        let (chain, bare) = (chain().await?, bare().await?);
        for _ in 0..SAMPLES {
            chains.push(echo(chain).await?);
            bares.push(echo(bare).await?);
        }
        anyhow::Ok(())
    })?;
    let (chain, bare) = (median(chains), median(bares));
    let (chain_peak, bare_peak) = (memory::of(&["http", "chain"])?, memory::of(&["http", "bare"])?);
    println!("### 256 MiB in and out by HTTP, one connection, client and server in one process\n");
    println!("| what | MiB/s | peak memory, MiB |\n|---|---|---|");
    println!("| **a chainlet of `stream<u8>` that gives back what it reads** | **{chain:.0}** | **{chain_peak}** |");
    println!("| a hyper server that gives back the body | {bare:.0} | {bare_peak} |");
    println!("\nchainhost / hyper: **{:.2}**.\n", chain / bare);
    Ok(())
}

/// Sends it once, to measure the memory that it takes.
pub async fn once(side: &str) -> anyhow::Result<u64> {
    let server = if side == "chain" { chain().await? } else { bare().await? };
    let peak = Peak::start();
    echo(server).await?;
    peak.above()
}

/// Serves a chain with the echo, as long as the runtime lives.
async fn chain() -> anyhow::Result<SocketAddr> {
    let echo = ChainletSpec::builder(guest("guest_stream_echo")?);
    let chain: Chain = Host::new()?.load(&ChainSpec::builder("echo").chainlet("echo", echo).build()?).await?;
    let mut options = ServeOptions::default();
    options.listen = anywhere();
    let server = Server::bind(options)?.listen(chain)?;
    let address = server.local_addr();
    tokio::spawn(server.run(std::future::pending::<()>()));
    Ok(address)
}

/// Serves an echo by hyper alone, as long as the runtime lives.
async fn bare() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(anywhere()).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let service = service_fn(|request: Request<Incoming>| async {
                    Ok::<_, Infallible>(Response::new(request.into_body()))
                });
                // The client reports the errors.
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(address)
}

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Returns MiB per second in each direction.
async fn echo(address: SocketAddr) -> anyhow::Result<f64> {
    let stream = TcpStream::connect(address).await?;
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::post("/run_remote").header("host", "bench");
    let request = request.header("content-type", MEDIA_TYPE).header("accept", MEDIA_TYPE).body(Upload::new())?;
    let start = Instant::now();
    let mut response = client.send_request(request).await?;
    ensure!(response.status().is_success(), "not answered: {}", response.status());
    let mut came_back = 0;
    while let Some(frame) = response.frame().await {
        came_back += frame?.data_ref().map_or(0, Bytes::len) as u64;
    }
    let took = start.elapsed();
    ensure!(came_back == LENGTH, "{came_back} bytes of {LENGTH} came back");
    drop(client);
    connection.await??;
    Ok((LENGTH >> 20) as f64 / took.as_secs_f64())
}

/// A body that costs its client no work.
struct Upload {
    chunk: Bytes,
    left: u64,
}

impl Upload {
    fn new() -> Self {
        Upload { chunk: Bytes::from(vec![7; CHUNK]), left: LENGTH }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let length = self.left.min(self.chunk.len() as u64);
        self.left -= length;
        Poll::Ready(Some(Ok(Frame::data(self.chunk.slice(..length as usize)))))
    }
}
