//! A server of one's own with a chain in it: a route that calls the chain with Rust types, the chain's own routes, and a
//! capability of its own.
//!
//! `embed [CHAIN] [ADDRESS]`, by default examples/hello/chain.toml on 127.0.0.1:8080.

mod prices;

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use chainhost::chain::{CallOptions, Chain};
use chainhost::host::Host;
use chainhost::server::{self, HttpOptions};
use serde::Serialize;
use tokio::net::TcpListener;

/// The parameters of the chain's entrypoint.
#[derive(Serialize)]
struct Names {
    names: Vec<String>,
}

async fn hello(State(chain): State<Chain>, Path(name): Path<String>) -> Result<String, (StatusCode, String)> {
    let names = Names { names: vec![name] };
    let mut options = CallOptions::default();
    options.timeout = Some(Duration::from_secs(5));
    match chain.call::<Vec<String>>(&names, options).await {
        Ok(greetings) => Ok(greetings.join("\n")),
        Err(error) => Err((StatusCode::BAD_GATEWAY, error.to_string())),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The text of an error has its place in chain.toml and what to do; its `Debug` is for developers.
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| "examples/hello/chain.toml".to_owned());
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());

    // Chainlets may import `shop:catalogue/prices`, beside all that every host offers.
    let articles = [("apple", 120), ("pear", 95)].map(|(article, cents)| (article.to_owned(), cents));
    let prices = prices::Prices(Arc::new(HashMap::from(articles)));
    let host = Host::builder().capability(prices).build()?;

    let chain = host.load_file(file).await?;
    let app = Router::new()
        .route("/hello/{name}", get(hello))
        .with_state(chain.clone())
        .nest("/greetings", server::router(chain.clone(), HttpOptions::default()));

    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    chain.stop(Duration::from_secs(10)).await;
    Ok(())
}
