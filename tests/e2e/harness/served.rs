//! A chain that is served by a process of its own.

use std::process::Command;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value as Json, json};
use tokio::task::JoinHandle;

use super::{Endpoint, Finished, Held, LIMIT, PAUSE, Process, Reply, eventually};

/// A process that serves a chain until it is dropped.
pub struct Served {
    pub public: Endpoint,
    pub admin: Endpoint,
    process: Process,
}

impl Served {
    /// Starts `command` and waits until it says where it listens.
    pub fn start(command: Command) -> Self {
        let mut process = Process::start(command);
        let limit = Instant::now() + LIMIT;
        loop {
            if let Some((public, admin)) = addresses(&process.stderr()) {
                return Served { public, admin, process };
            }
            if let Some(status) = process.ended() {
                panic!("the chain is not served: {status}\n{}", process.finish().stderr);
            }
            assert!(Instant::now() < limit, "the chain is not served: it does not get ready");
            std::thread::sleep(PAUSE);
        }
    }

    /// Tells `faulty`, or a relay to it, what to do, and gives what it answers.
    pub async fn ask(&self, what: &str) -> String {
        self.public.tell(what).await.said()
    }

    /// Tells one chainlet what to do, as an admin can.
    pub async fn tell(&self, chainlet: &str, what: &str) -> Reply {
        self.admin.post(&format!("/chainlets/{chainlet}/run_remote"), &json!({ "what": what })).await
    }

    /// Begins to tell the entrypoint something that takes time.
    pub fn begin(&self, what: &str) -> JoinHandle<Reply> {
        let (public, what) = (self.public, what.to_owned());
        tokio::spawn(async move { public.tell(&what).await })
    }

    /// Begins to hold `count` calls, and waits until `chainlet` has them all.
    pub async fn hold(&self, what: &str, count: usize, chainlet: &str) -> Vec<JoinHandle<Reply>> {
        let before: usize = self.tell(chainlet, "held").await.said().parse().unwrap();
        let calls = (0..count).map(|_| self.begin(what)).collect();
        let expected = (before + count).to_string();
        eventually("all calls are held", async || (self.tell(chainlet, "held").await.said() == expected).then_some(()))
            .await;
        calls
    }

    /// The state of one chainlet, as an admin sees it.
    pub async fn state(&self, chainlet: &str) -> Json {
        let state = self.admin.get("/chain").await.json();
        let chainlets = state["chainlets"].as_array().unwrap();
        chainlets.iter().find(|state| state["name"] == chainlet).unwrap().clone()
    }

    /// Waits until the state of a chainlet has `value` in `member`.
    pub async fn until_state(&self, chainlet: &str, member: &str, value: Json) {
        let what = format!("{member} of {chainlet} is {value}");
        eventually(&what, async || (self.state(chainlet).await[member] == value).then_some(())).await;
    }

    /// What the process has written to its log so far.
    pub fn log(&self) -> String {
        self.process.stderr()
    }

    /// Waits until the log has `text` in it.
    pub async fn until_log(&self, text: &str) {
        eventually(&format!("the log says `{text}`"), async || self.log().contains(text).then_some(())).await;
    }

    /// The process's number in the system.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What the process holds of the system now.
    pub fn held(&self) -> Held {
        Held::by(self.id())
    }

    /// Sends the process a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for the process's end, which something else brings about.
    pub async fn finish(self) -> Finished {
        // In a thread of its own, as calls of the test may have to go on.
        tokio::task::spawn_blocking(|| self.process.finish()).await.unwrap()
    }
}

/// Where the program says that it listens, for people or for machines: at the public and the admin address.
fn addresses(stderr: &str) -> Option<(Endpoint, Endpoint)> {
    // Whole lines only, as half an address can look like one.
    let lines = stderr.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    lines.into_iter().find_map(|line| {
        let mut addresses = line.split("://").skip(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit() && !".:[]".contains(c)).unwrap_or(rest.len());
            rest[..end].parse().ok().map(Endpoint)
        });
        Some((addresses.next()??, addresses.next()??))
    })
}
