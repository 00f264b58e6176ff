//! Compares the HTTP edge and its hop with hand-written servers that do the same work.

use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use chainhost::host::Host;
use chainhost::server::{ServeOptions, Server};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use crate::{client, median, wrk};

const CONNECTIONS: usize = 32;
const TIME: Duration = Duration::from_secs(5);
const ROUNDS: usize = 3;
const NAMES: &str = r#"{"names":["Ada"]}"#;

/// Returns the path of the served chain.
pub fn hello() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/hello/chain.toml")
}

pub fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let chain = Served::new(&["chain"])?;
    let back = Served::new(&["back"])?;
    let front = Served::new(&["front", &back.address])?;
    let bare = Served::new(&["bare"])?;
    println!("### HTTP, examples/hello with its hop, {CONNECTIONS} connections, client and servers on one machine\n");
    println!("| what | requests/s |\n|---|---|");
    compare([&chain, &front, &bare], |address| runtime.block_on(client::load(address, NAMES, CONNECTIONS, TIME)))?;
    match wrk::version() {
        Some(version) => {
            println!("The same with {version} as the client, which has a thread for each of the two processors:\n");
            println!("| what | requests/s |\n|---|---|");
            compare([&chain, &front, &bare], |address| wrk::load(address, NAMES, CONNECTIONS, TIME))?;
        }
        None => println!("wrk is not installed, so the rows with it are missing.\n"),
    }
    Ok(())
}

/// Measures a chain and two other servers in turn, and prints the median of each.
fn compare(servers: [&Served; 3], load: impl Fn(&str) -> anyhow::Result<f64>) -> anyhow::Result<()> {
    let mut rates = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for (rates, server) in rates.iter_mut().zip(servers) {
            rates.push(load(&server.address)?);
        }
    }
    let [chain, two, bare] = rates.map(median);
    println!("| **chainhost, two chainlets** | **{chain:.0}** |");
    println!("| two hyper servers, one calling the other over keep-alive HTTP | {two:.0} |");
    println!("| one hyper server, a function call | {bare:.0} |");
    println!("\nchainhost / two servers: **{:.2}**; chainhost / one server: **{:.2}**.\n", chain / two, chain / bare);
    Ok(())
}

/// A server in a process of its own, which ends when this value is dropped.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn new(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut child =
            Command::new(std::env::current_exe()?).arg("serve").args(arguments).stdout(Stdio::piped()).spawn()?;
        let mut address = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut address)?;
        Ok(Served { child, address: address.trim().to_string() })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The process has no data to lose, and may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves one side of the comparison until the process is killed. The first line of output is the address.
pub fn serve(which: &str, rest: &[&str]) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match (which, rest) {
            ("chain", []) => {
                let chain = Host::new()?.load_file(hello()).await?;
                let mut options = ServeOptions::default();
                options.listen = anywhere();
                let server = Server::bind(options)?.listen(chain)?;
                println!("{}", server.local_addr());
                server.run(std::future::pending::<()>()).await;
                Ok(())
            }
            ("bare", []) => {
                listen(|request| async move {
                    let names = names(request).await?;
                    Ok(names.iter().map(|name| greet(name)).collect::<Vec<_>>())
                })
                .await
            }
            ("back", []) => {
                listen(|request| async move {
                    let name: Name = serde_json::from_slice(&request.into_body().collect().await?.to_bytes())?;
                    Ok(greet(&name.name))
                })
                .await
            }
            ("front", [back]) => {
                let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
                let back = format!("http://{back}/run_remote");
                listen(move |request| {
                    let (client, back) = (client.clone(), back.clone());
                    async move {
                        let mut greetings = Vec::new();
                        for name in names(request).await? {
                            let body = serde_json::to_vec(&Name { name })?;
                            let request = Request::post(&back).body(Full::from(body))?;
                            let answer = client.request(request).await?.into_body().collect().await?.to_bytes();
                            greetings.push(serde_json::from_slice::<String>(&answer)?);
                        }
                        Ok(greetings)
                    }
                })
                .await
            }
            _ => anyhow::bail!("there is no such server"),
        }
    })
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Name {
    name: String,
}

#[derive(serde::Deserialize)]
struct Names {
    names: Vec<String>,
}

async fn names(request: Request<Incoming>) -> anyhow::Result<Vec<String>> {
    let names: Names = serde_json::from_slice(&request.into_body().collect().await?.to_bytes())?;
    Ok(names.names)
}

fn greet(name: &str) -> String {
    format!("Hello, {name}!")
}

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn listen<F, A, T>(answer: F) -> anyhow::Result<()>
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = anyhow::Result<T>> + Send,
    T: serde::Serialize,
{
    let listener = TcpListener::bind(anywhere()).await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = answer.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer.clone();
                async move {
                    let body = match answer(request).await {
                        Ok(value) => serde_json::to_vec(&value).unwrap_or_default(),
                        Err(error) => error.to_string().into_bytes(),
                    };
                    let response = Response::builder().header("content-type", "application/json");
                    Ok::<_, Infallible>(response.body(Full::new(Bytes::from(body))).unwrap_or_default())
                }
            });
            // A client may leave in the middle of a request; the server ignores that.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
