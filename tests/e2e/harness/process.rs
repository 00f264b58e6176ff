//! The program as a child process, with its output and its exit code.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use super::{LIMIT, PAUSE, kept};

/// Returns a command that runs the program in the same environment everywhere. It gets no setting of the caller, a
/// panic prints a backtrace, and all tests share its cache of compiled code.
pub fn chainhost() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chainhost"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CHAINHOST_") || name == "RUST_LOG") {
            command.env_remove(name);
        }
    }
    command.env("RUST_BACKTRACE", "1").env("XDG_CACHE_HOME", kept("cache"));
    command
}

/// A child process. Dropping it kills the process.
pub struct Process {
    child: Child,
    stdout: Captured,
    stderr: Captured,
}

/// The exit code and the output of a process that has ended.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    /// Starts `command` without input.
    pub fn start(command: Command) -> Self {
        Self::start_with_input(command, b"")
    }

    /// Starts `command`, and writes `input` to its stdin.
    pub fn start_with_input(mut command: Command, input: &[u8]) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // The write fails if the program ends without reading its input, which it may do.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input);
        let stdout = Captured::of(child.stdout.take().unwrap());
        let stderr = Captured::of(child.stderr.take().unwrap());
        Process { child, stdout, stderr }
    }

    /// Returns the text that the process has written to stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Returns the exit status, or `None` while the process runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends the process a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Waits for the end of the process.
    pub fn finish(mut self) -> Finished {
        let limit = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.ended() {
                break status;
            }
            assert!(Instant::now() < limit, "the program does not end; its stderr:\n{}", self.stderr());
            std::thread::sleep(PAUSE);
        };
        Finished { code: status.code(), stdout: self.stdout.whole(), stderr: self.stderr.whole() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- stderr of the program:\n{}---", self.stderr());
        }
    }
}

impl Finished {
    /// Returns the text on stdout. Fails unless the exit code is 0.
    #[track_caller]
    pub fn answer(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:#?}");
        &self.stdout
    }

    /// Asserts that the program refused to work: the exit code is `code`, stdout is empty, and stderr has messages for
    /// people that contain each of `words`.
    #[track_caller]
    pub fn refused(&self, code: i32, words: &[&str]) {
        let Finished { code: actual, stdout, stderr } = self;
        assert_eq!(*actual, Some(code), "{stderr}");
        assert_eq!(stdout, "", "an error belongs on stderr");
        assert!(stderr.lines().any(|line| line.starts_with("error: ")), "no line says what is wrong:\n{stderr}");
        for word in words {
            assert!(stderr.contains(word), "nothing says `{word}`:\n{stderr}");
        }
        // Lines that guests printed may contain anything.
        for line in stderr.lines().filter(|line| !line.contains("] stdout: ") && !line.contains("] stderr: ")) {
            for trace in ["panicked", "backtrace", "BACKTRACE", "this is a bug", ".rs:"] {
                assert!(!line.contains(trace), "`{trace}` is not for users:\n{stderr}");
            }
        }
    }
}

/// The output of a pipe. A thread reads it as it comes, so that the writer never has to wait.
struct Captured {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Captured {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let into = bytes.clone();
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                into.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Captured { bytes, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    /// Returns all output, after the writer has closed its end.
    fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.text()
    }
}
