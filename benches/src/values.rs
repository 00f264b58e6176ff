//! The costs of values: from one chainlet to another and back, and as JSON over HTTP.

mod by_hand;
mod echo;
mod json;
mod types;

pub fn run() -> anyhow::Result<()> {
    echo::run()?;
    json::run()
}
