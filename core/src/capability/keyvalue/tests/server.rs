//! Redis servers for tests.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A server of a test's own, on a free port and in a temporary folder. It keeps its data over a restart.
pub(super) struct Server {
    port: u16,
    folder: TempDir,
    options: Vec<String>,
    process: Option<Child>,
}

impl Server {
    /// Starts a server, or says that the test is skipped if the machine has no `redis-server`.
    pub(super) fn start(options: &[&str]) -> Option<Self> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            // Not by eprintln!, which the test harness hides.
            writeln!(std::io::stderr(), "SKIPPED: a test of the Redis store, because there is no redis-server")
                .unwrap();
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let mut server = Self { port, folder, options, process: None };
        server.restart();
        Some(server)
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(super) fn restart(&mut self) {
        self.kill();
        let port = self.port.to_string();
        let process = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"])
            .args(["--appendfsync", "always", "--dir"])
            .arg(self.folder.path())
            .args(&self.options)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(30), "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Sends a signal, for example `STOP`.
    pub(super) fn signal(&self, name: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Runs a command on the server, past the store.
    pub(super) fn command(&self, parts: &[&[u8]]) -> ::redis::Value {
        let mut connection = ::redis::Client::open(self.url()).unwrap().get_connection().unwrap();
        let mut command = ::redis::Cmd::new();
        for part in parts {
            command.arg(*part);
        }
        command.query(&mut connection).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
