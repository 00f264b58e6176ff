//! Many faults at once and at random: guests trap, stall and take all memory, clients leave, callers hold locks and
//! memory meanwhile, and new versions of the chain are loaded. The test asks the same of the chain for every seed.
//! `CHAINHOST_CHAOS_SEED` sets another seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::harness::{Chain, Reply, Served, eventually, json_request};

const SEED: u64 = 20_261_124;
const CLIENTS: u64 = 6;
const CALLS: u64 = 120;
const RELOADS: usize = 12;

const CONCURRENCY: u64 = 4;
const QUEUE: u64 = 8;
const REPLICAS: u64 = 3;
/// More than all calls of the caller hold at once, and far less than the sum of what they hold one after the other.
const CALLER_MEMORY: u64 = 32 << 20;

fn chain(version: usize) -> String {
    let faulty = format!(
        "component = \"<guest_faulty>\"\nconcurrency = {CONCURRENCY}\nqueue = {QUEUE}\n\
         replicas = {{ min = 1, max = {REPLICAS}, window = \"50ms\", idle = \"200ms\" }}\n\
         resources = {{ memory = \"16MiB\" }}\ngrace = \"1s\"\nconfig = {{ version = {version} }}\n"
    );
    Chain::filled(&format!(
        r#"
[chain]
name = "test"
[chainlets.caller]
component = "<guest_caller>"
queue = 64
concurrency = 64
depends.next = {{ chainlet = "first", attempts = 2 }}
depends.other = {{ chainlet = "second", breaker = {{ failures = 3, pause = "50ms" }} }}
[chainlets.first]
{faulty}
[chainlets.second]
{faulty}
"#
    ))
}

/// An action of a client, with the answers that it may get in addition to those that any call may get.
enum Act {
    /// Asks for a text that comes back unchanged.
    Echo,
    /// Asks for a number that is at most this.
    Bounded(&'static str, u64),
    /// Asks for a fault whose call ends in this status, or in the bad luck of any call.
    Fault(&'static str, u16),
    /// Waits for less time than the guest takes to answer.
    Impatient(&'static str),
    /// Leaves in the middle of its call.
    Leave,
    /// Sends a body that is no call.
    Nonsense,
}

fn act(rng: &mut Rng) -> Act {
    match rng.u8(0..100) {
        0..40 => Act::Echo,
        40..46 => Act::Bounded("inits", 1),
        46..52 => Act::Bounded("peak", CONCURRENCY),
        52..57 => Act::Fault("err:no", 422),
        57..72 => Act::Fault(["trap", "panic:chaos", "exit:1", "overflow", "hoard", "leak"][rng.usize(0..6)], 500),
        72..80 => Act::Impatient(["forever", "spin:300", "block:300"][rng.usize(0..3)]),
        80..92 => Act::Leave,
        _ => Act::Nonsense,
    }
}

/// Returns true if the call failed for a reason that any call may meet: a fault of another call in its instance, or too
/// much load. Fails if such a failure has the wrong kind.
fn is_bad_luck(reply: &Reply) -> bool {
    let kind = match reply.status.as_u16() {
        429 => "overloaded",
        500 => "trap",
        503 => "not-ready",
        504 => "deadline",
        _ => return false,
    };
    reply.problem(reply.status.as_u16(), kind);
    true
}

/// Makes the calls of one client. Returns the number of echoes that it asked for, and the number that it got.
async fn client(served: &Served, seed: u64, number: u64) -> (u32, u32) {
    let (mut asked, mut got) = (0, 0);
    let mut rng = Rng::with_seed(seed ^ (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for step in 0..CALLS {
        let edge = if rng.bool() { "other:" } else { "" };
        // The caller holds this while it waits.
        let holds = ["", "lock:", "memory:1:", "within:60000:"][rng.usize(0..4)];
        let say = async |what: &str, timeout: &str| {
            let mut request =
                json_request("/run_remote", json!({ "what": format!("{holds}{edge}{what}") }).to_string());
            request.headers_mut().insert("x-request-timeout", timeout.parse().unwrap());
            served.public.send(request).await
        };
        match act(&mut rng) {
            // Two clients make a guest spin forever, each at another moment.
            _ if number < 2 && step == CALLS / 3 * (number + 1) => {
                let reply = say("spin", "50ms").await;
                assert!(is_bad_luck(&reply), "{reply:?}");
            }
            Act::Echo => {
                let text = format!("{number}-{step}");
                let reply = say(&format!("echo:{text}"), "60s").await;
                asked += 1;
                if !is_bad_luck(&reply) {
                    assert_eq!(reply.said(), text);
                    got += 1;
                }
            }
            Act::Bounded(what, most) => {
                let reply = say(what, "60s").await;
                assert!(
                    is_bad_luck(&reply) || (1..=most).contains(&reply.said().parse().unwrap()),
                    "{what}: {reply:?}"
                );
            }
            Act::Fault(what, status) => {
                let reply = say(what, "60s").await;
                assert!(reply.status == status || is_bad_luck(&reply), "{what}: {reply:?}");
            }
            Act::Impatient(what) => {
                let reply = say(what, "20ms").await;
                assert!(is_bad_luck(&reply), "{what}: {reply:?}");
            }
            Act::Leave => {
                let left = tokio::time::timeout(Duration::from_millis(rng.u64(0..20)), say("sleep:30", "60s")).await;
                assert!(left.is_err() || left.is_ok_and(|reply| reply.status == 200 || is_bad_luck(&reply)));
            }
            Act::Nonsense => {
                served.public.call(&json!({ "what": step })).await.problem(400, "invalid-input");
            }
        }
    }
    (asked, got)
}

async fn reloads(chain: &Chain, served: &Served, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    for version in 2..RELOADS + 2 {
        tokio::time::sleep(Duration::from_millis(rng.u64(0..400))).await;
        chain.write("chain.toml", self::chain(version));
        let reloaded = served.admin.post("/reload", &json!({})).await.json();
        assert_eq!(reloaded["version"], version);
    }
}

/// Checks the state of the chain again and again until `done`.
async fn within_limits(served: &Served, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        let state = served.admin.get("/chain").await.json();
        for chainlet in state["chainlets"].as_array().unwrap().iter().filter(|chainlet| chainlet["name"] != "caller") {
            let count = |member: &str| chainlet[member].as_u64().unwrap();
            assert!(count("waiting") <= QUEUE && count("wanted") <= REPLICAS, "{chainlet}");
            // For each replica that there should be, another may be about to leave.
            assert!(count("ready") <= 2 * REPLICAS && count("active") <= 2 * REPLICAS * CONCURRENCY, "{chainlet}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos_loses_no_answer_exceeds_no_limit_and_leaves_a_healthy_chain() {
    let seed = std::env::var("CHAINHOST_CHAOS_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    println!("the seed is {seed}");
    let chain = Chain::new(&chain(1));
    let served = chain.serve();
    let done = Arc::new(AtomicBool::new(false));
    let storm = async {
        let clients = futures::future::join_all((0..CLIENTS).map(|number| client(&served, seed, number)));
        let (echoes, ()) = futures::future::join(clients, reloads(&chain, &served, seed)).await;
        done.store(true, Ordering::Relaxed);
        echoes.into_iter().fold((0, 0), |sum, echoes| (sum.0 + echoes.0, sum.1 + echoes.1))
    };
    let ((asked, got), ()) = futures::future::join(storm, within_limits(&served, &done)).await;
    println!("{got} of {asked} echoes came");
    assert!(got * 2 > asked, "only {got} of {asked} echoes came, and more than half must come");

    for chainlet in ["first", "second"] {
        let is_calm = |state: &Json| {
            state["ready"].as_u64() >= Some(1)
                && (state["active"].as_u64(), state["waiting"].as_u64()) == (Some(0), Some(0))
        };
        eventually("all is quiet", async || is_calm(&served.state(chainlet).await).then_some(())).await;
    }
    assert_eq!(served.public.get("/readyz").await.status, 200);
    served.until_state("caller", "active", json!(0)).await;
    eventually("no lock is held", async || (served.public.tell("lock:other:echo:x").await.status == 200).then_some(()))
        .await;
    let pages: u64 = served.ask("pages").await.parse().unwrap();
    assert!(pages * 65_536 < CALLER_MEMORY, "the caller holds {pages} pages");
    let log = served.log();
    let replaced = |line: &&str| line.contains("starting another") && line.contains("chainlet=caller");
    assert_eq!(log.lines().find(replaced), None, "no call of the caller trapped or spun");
    eventually("a call goes through", async || (served.public.tell("other:echo:x").await.status == 200).then_some(()))
        .await;
    assert_eq!(served.ask("setting:version").await, (RELOADS + 1).to_string());
    eventually("the old versions have stopped", async || {
        (served.log().matches("an old version of the chain has stopped").count() == RELOADS).then_some(())
    })
    .await;
    assert!(!served.log().contains("bug"), "{}", served.log());
    served.signal(Signal::TERM);
    assert_eq!(served.finish().await.code, Some(0));
}
