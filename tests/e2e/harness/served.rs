//! A process that serves one chain.

use std::process::Command;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value as Json, json};
use tokio::task::JoinHandle;

use super::{Endpoint, Finished, Held, LIMIT, PAUSE, Process, Reply, eventually};

/// A process that serves a chain. Dropping it ends the process.
pub struct Served {
    pub public: Endpoint,
    pub admin: Endpoint,
    process: Process,
}

impl Served {
    /// Starts `command`, and waits until its log names the addresses on which it listens.
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

    /// Calls the entrypoint with the parameter `what`, and returns its answer, which is a text.
    pub async fn ask(&self, what: &str) -> String {
        self.public.tell(what).await.said()
    }

    /// Calls one chainlet with the parameter `what`, through the admin listener.
    pub async fn tell(&self, chainlet: &str, what: &str) -> Reply {
        self.admin.post(&format!("/chainlets/{chainlet}/run_remote"), &json!({ "what": what })).await
    }

    /// Begins a call of the entrypoint, and does not wait for its answer.
    pub fn begin(&self, what: &str) -> JoinHandle<Reply> {
        let (public, what) = (self.public, what.to_owned());
        tokio::spawn(async move { public.tell(&what).await })
    }

    /// Begins `count` calls that `chainlet` holds, and waits until it has them all.
    pub async fn hold(&self, what: &str, count: usize, chainlet: &str) -> Vec<JoinHandle<Reply>> {
        let before: usize = self.tell(chainlet, "held").await.said().parse().unwrap();
        let calls = (0..count).map(|_| self.begin(what)).collect();
        let expected = (before + count).to_string();
        eventually("all calls are held", async || (self.tell(chainlet, "held").await.said() == expected).then_some(()))
            .await;
        calls
    }

    /// Returns the state of one chainlet, as the admin listener shows it.
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

    /// Returns the text that the process has written to its log so far.
    pub fn log(&self) -> String {
        self.process.stderr()
    }

    /// Waits until the log contains `text`.
    pub async fn until_log(&self, text: &str) {
        eventually(&format!("the log says `{text}`"), async || self.log().contains(text).then_some(())).await;
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the memory, files and threads that the process holds now.
    pub fn held(&self) -> Held {
        Held::by(self.id())
    }

    /// Sends the process a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits until the process ends. The caller makes it end.
    pub async fn finish(self) -> Finished {
        // The wait has its own thread, because calls of the test may have to continue meanwhile.
        tokio::task::spawn_blocking(|| self.process.finish()).await.unwrap()
    }
}

/// Finds the public and the admin address in the program's log, which is for people or for machines.
fn addresses(stderr: &str) -> Option<(Endpoint, Endpoint)> {
    // Only whole lines count, because half an address can look like an address.
    let lines = stderr.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    lines.into_iter().find_map(|line| {
        let mut addresses = line.split("://").skip(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit() && !".:[]".contains(c)).unwrap_or(rest.len());
            rest[..end].parse().ok().map(Endpoint)
        });
        Some((addresses.next()??, addresses.next()??))
    })
}
