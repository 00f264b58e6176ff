//! The memory and the threads that many idle chainlets take.

use std::fmt::Write;

use serde_json::json;

use crate::harness::{Chain, Held, Served, eventually};

const MIB: u64 = 1 << 20;

/// Returns a chain of `count` chainlets of one component, each with its own replica.
fn greeters(count: usize) -> Chain {
    let mut text = "[chain]\nname = \"many\"\nentrypoint = \"greeter-0\"\n".to_owned();
    for number in 0..count {
        writeln!(text, "[chainlets.greeter-{number}]\ncomponent = \"<say_hello>\"\nconfig.greeting = \"Hello\"")
            .unwrap();
    }
    Chain::new(&text)
}

/// Serves `count` chainlets from the compiled code in the cache, and waits until they are ready.
async fn idle(count: usize) -> Served {
    let served = greeters(count).serve();
    eventually("the chain is ready", async || (served.public.get("/readyz").await.status == 200).then_some(())).await;
    assert_eq!(served.public.call(&json!({ "name": "Ada" })).await.status, 200);
    served
}

#[tokio::test]
async fn a_thousand_idle_chainlets_fit_in_300_mib_and_40_threads() {
    // This run fills the cache.
    drop(idle(1).await);
    let served = idle(1_000).await;
    let Held { resident, threads, .. } = served.held();
    println!("1,000 chainlets: {} MiB, {threads} threads", resident / MIB);
    assert!(resident <= 300 * MIB, "{} MiB", resident / MIB);
    assert!(threads <= 40, "{threads} threads");
}

#[tokio::test]
async fn one_idle_chainlet_takes_little_memory_beside_the_program() {
    // This run fills the cache, because compiling takes more memory than the compiled code.
    drop(idle(1).await);
    let Held { resident, anonymous, .. } = idle(1).await.held();
    println!("one chainlet: {} MiB, of which {} MiB are not files", resident / MIB, anonymous / MIB);
    assert!(anonymous <= 12 * MIB, "{} MiB", anonymous / MIB);
    // The pages of files are those of the program, which is several times as large here as in a release.
    assert!(resident <= 64 * MIB, "{} MiB", resident / MIB);
}
