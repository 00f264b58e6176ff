//! Serves a page for a chain whose answers are streams, and the chain's own routes beside it.
//!
//! `stream-page [CHAIN] [ADDRESS]`, by default examples/stream/chain.toml on 127.0.0.1:8080.

use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use chainhost::host::Host;
use chainhost::server::{self, HttpOptions};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| "examples/stream/chain.toml".to_owned());
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());

    let chain = Host::new()?.load_file(file).await?;
    // The page and its requests have the same origin, so a browser needs no other permission.
    let app = Router::new()
        .route("/", get(async || Html(include_str!("index.html"))))
        .nest("/chat", server::router(chain.clone(), HttpOptions::default()));

    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    chain.stop(Duration::from_secs(10)).await;
    Ok(())
}
