//! What values cost: on their way from one chainlet to another and back, and as JSON at the edge.

mod by_hand;
mod echo;
mod json;
mod types;

pub fn run() -> anyhow::Result<()> {
    echo::run()?;
    json::run()
}
