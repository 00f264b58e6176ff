//! What values cost: on their way from one chainlet to another and back, and as JSON at the edge.

mod by_hand;
mod echo;
mod json;
mod types;

pub fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // In a task, so that what both sides wake runs on the thread that waits for it.
    runtime.block_on(async { tokio::spawn(echo::run()).await? })?;
    json::run()
}
