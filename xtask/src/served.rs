//! A chain that is served by another process while a task asks it.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::http;

/// The longest time for a start. With `--build`, this includes compiling the crates of the chain.
const START: Duration = Duration::from_secs(900);
/// The longest time for a stop: a little more than `chainhost` itself waits for calls in flight.
const STOP: Duration = Duration::from_secs(40);
/// The number of lines of its log that are kept.
const LOG_LINES: usize = 1000;
/// The time between two checks whether the process has ended.
const TICK: Duration = Duration::from_millis(20);

/// The running process. It does not outlive this value.
pub struct Served {
    process: Child,
    listeners: Listeners,
    log: Log,
}

/// The addresses of a chain's listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listeners {
    public: SocketAddr,
    admin: Option<SocketAddr>,
}

impl Served {
    /// Starts `chainhost` with `command` on any free port, and waits until it is ready. If a method of this type fails,
    /// the failure shows the log.
    pub fn start(command: &mut Command) -> Result<Self, Failure> {
        command.args(["--listen", "127.0.0.1:0", "--log", "pretty"]).env_remove("CHAINHOST_ADMIN");
        Self::spawn(command)
    }

    /// Starts it like [`start`](Served::start), with an admin listener.
    pub fn start_with_admin(command: &mut Command) -> Result<Self, Failure> {
        Self::start(command.args(["--admin", "127.0.0.1:0"]))
    }

    fn spawn(command: &mut Command) -> Result<Self, Failure> {
        let program = Path::new(command.get_program()).display().to_string();
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::new(format_args!("{program} does not start: {error}"), "build it again"))?;
        let (sender, receiver) = mpsc::channel();
        let log = Log::default();
        if let Some(stderr) = process.stderr.take() {
            let log = log.clone();
            thread::spawn(move || follow(stderr, &log, &sender));
        }
        // Dropping this value stops the process, so any failure from here on stops it.
        let listeners = Listeners { public: SocketAddr::from(([127, 0, 0, 1], 0)), admin: None };
        let mut served = Served { process, listeners, log };
        let ready = served.wait_until_ready(&receiver);
        ready.map_err(|failure| served.explain(failure))?;
        Ok(served)
    }

    fn wait_until_ready(&mut self, addresses: &mpsc::Receiver<Listeners>) -> Result<(), Failure> {
        match addresses.recv_timeout(START) {
            Ok(listeners) => self.listeners = listeners,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                return Err(Failure::new(
                    format_args!("the chain is not ready after {} s", START.as_secs()),
                    "look at its log above",
                ));
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let status = self.wait(STOP).map_or("it still runs".to_owned(), |status| status.to_string());
                return Err(Failure::new(
                    format_args!("the chain does not start ({status})"),
                    "its message is above; `chainhost --help` says what the exit status means",
                ));
            }
        }
        match http::get(self.listeners.public, "/readyz")? {
            http::Answer { status: 200, .. } => Ok(()),
            answer => Err(Failure::new(
                format_args!("the chain says that it is not ready: {} {}", answer.status, answer.body),
                "look at its log above",
            )),
        }
    }

    /// Adds the log of the chain to a failure that the chain may have caused.
    pub fn explain(&self, failure: Failure) -> Failure {
        failure.with_output(&self.log.text())
    }

    /// Returns its address.
    pub fn address(&self) -> SocketAddr {
        self.listeners.public
    }

    /// Returns the address of its admin listener, if it has one.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.listeners.admin
    }

    /// Asks the process to stop, and waits for its end.
    pub fn stop(mut self) -> Result<(), Failure> {
        terminate(&mut self.process);
        let failure = match self.wait(STOP) {
            Some(status) if status.success() || !cfg!(unix) => return Ok(()),
            Some(status) => {
                Failure::new(format_args!("the chain did not stop as it should ({status})"), "look at its log above")
            }
            None => Failure::new(
                format_args!("the chain does not stop within {} s", STOP.as_secs()),
                "it was ended now; report this as a bug",
            ),
        };
        Err(self.explain(failure))
    }

    fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Ok(Some(status)) = self.process.try_wait() {
                return Some(status);
            }
            thread::sleep(TICK);
        }
        None
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // An error usually means that the process has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The last lines that the process has logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<VecDeque<String>>>);

impl Log {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LOG_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| format!("  | {line}\n")).collect()
    }
}

/// Keeps the log, and sends the addresses as soon as a line has them. Ends with the process.
fn follow(stderr: ChildStderr, log: &Log, sender: &mpsc::Sender<Listeners>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let listeners = listeners(&line);
        log.push(line);
        if let Some(listeners) = listeners {
            // An error means that the receiver already has the addresses.
            let _ = sender.send(listeners);
        }
    }
}

/// Returns the addresses in the line with which `chainhost serve` reports that it is ready.
fn listeners(line: &str) -> Option<Listeners> {
    let (_, rest) = line.split_once(" is served at http://")?;
    let address = |text: &str| text.split([' ', ',']).next()?.parse().ok();
    let admin = rest.split_once(", admin at http://").and_then(|(_, rest)| address(rest));
    Some(Listeners { public: address(rest)?, admin })
}

/// Sends SIGTERM on systems with signals. The standard library itself can only kill a process at once.
fn terminate(process: &mut Child) {
    let asked =
        cfg!(unix) && Command::new("kill").arg(process.id().to_string()).status().is_ok_and(|status| status.success());
    if !asked {
        // An error means that the process has ended already.
        let _ = process.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_a_log_are_kept() {
        let log = Log::default();
        (0..=LOG_LINES).for_each(|line| log.push(line.to_string()));
        let text = log.text();
        assert_eq!(text.lines().count(), LOG_LINES);
        assert!(text.starts_with("  | 1\n") && text.ends_with(&format!("  | {LOG_LINES}\n")), "{text}");
    }

    #[test]
    fn the_addresses_are_read_from_the_ready_line() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let public = listeners("search is served at http://127.0.0.1:4321 (ready in 12 ms)");
        assert_eq!(public, Some(Listeners { public: at(4321), admin: None }));
        let both = listeners("a is served at http://127.0.0.1:4321, admin at http://127.0.0.1:9 (ready in 1 ms)");
        assert_eq!(both, Some(Listeners { public: at(4321), admin: Some(at(9)) }));
        assert_eq!(listeners("INFO compiling search"), None);
    }
}
