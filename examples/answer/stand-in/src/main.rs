//! Serves a stand-in for a language model.

use std::net::SocketAddr;

use answer_stand_in::{Behaviour, StandIn, app};
use clap::Parser;
use tokio::net::TcpListener;

/// A stand-in for the server of a language model.
#[derive(Parser)]
struct Arguments {
    /// The address on which to listen.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// The key that requests must show.
    #[arg(long, default_value = "secret-of-the-stand-in")]
    key: String,
    /// The time until the first token, in milliseconds.
    #[arg(long, default_value_t = Behaviour::default().first_token)]
    first_token: u64,
    /// The time for each further token, in milliseconds.
    #[arg(long, default_value_t = Behaviour::default().between)]
    between: u64,
    /// Refuse all requests with 429.
    #[arg(long)]
    refuse: bool,
    /// Break each answer off after this number of tokens.
    #[arg(long)]
    break_after: Option<usize>,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let Arguments { listen, key, first_token, between, refuse, break_after } = Arguments::parse();
    let usual = Behaviour { first_token, between, refuse, break_after };
    let listener = TcpListener::bind(listen).await?;
    println!("the stand-in listens on http://{}", listener.local_addr()?);
    axum::serve(listener, app(StandIn::new(&key, usual))).await
}
