//! A Redis server for one test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{LIMIT, PAUSE, Process};

/// A server on a free port, with its data in a temporary folder. A restart keeps the data.
pub struct Redis {
    port: u16,
    password: Option<&'static str>,
    folder: TempDir,
    process: Option<Process>,
}

impl Redis {
    /// Starts a server. If this machine has no program `redis-server`, returns `None` and says that the test is
    /// skipped.
    pub fn start() -> Option<Self> {
        Self::start_with(None)
    }

    /// Does the same as [`Redis::start`], with a password that clients need.
    pub fn start_with(password: Option<&'static str>) -> Option<Self> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            // The test harness would hide the output of `eprintln!`.
            let mut stderr = std::io::stderr();
            writeln!(stderr, "there is no redis-server: a test of a store in Redis is skipped").unwrap();
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut redis = Redis { port, password, folder: tempfile::tempdir().unwrap(), process: None };
        redis.resume();
        Some(redis)
    }

    /// Returns the URL of the server, without a password.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Returns the address of the server.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Kills the server.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts the server again with the data that it had, and waits until it answers.
    pub fn resume(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--dir"]).arg(self.folder.path());
        command.args(self.password.iter().flat_map(|password| ["--requirepass", password]));
        self.process = Some(Process::start(command));
        let limit = Instant::now() + LIMIT;
        // The server answers with PONG or NOAUTH only after it has read its data. Before that, it answers with another
        // error.
        while !self.attempt("PING").is_ok_and(|answer| answer.starts_with("+PONG") || answer.starts_with("-NOAUTH")) {
            assert!(Instant::now() < limit, "redis-server does not answer");
            std::thread::sleep(PAUSE);
        }
    }

    /// Sends the server a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.as_ref().unwrap().signal(signal);
    }

    /// Sends a command whose arguments have no spaces, and returns the server's answer as it stands on the line.
    pub fn command(&self, command: &str) -> String {
        self.attempt(command).unwrap()
    }

    fn attempt(&self, command: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.address())?;
        write!(stream, "{command}\r\nQUIT\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}
