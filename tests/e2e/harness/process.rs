//! The program as a child process, and what came of it.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use super::{LIMIT, PAUSE, kept};

/// The program, in surroundings that are the same everywhere: no setting of the caller reaches it, it would show a
/// backtrace if it had one, and it keeps compiled code where all tests share it.
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

/// A child process, which is killed when it is dropped.
pub struct Process {
    child: Child,
    stdout: Captured,
    stderr: Captured,
}

/// How a process ended.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    /// Starts `command`, which gets no input.
    pub fn start(command: Command) -> Self {
        Self::start_with_input(command, b"")
    }

    /// Starts `command` with all of `input` on stdin.
    pub fn start_with_input(mut command: Command, input: &[u8]) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that does not read its input leaves a broken pipe, which is its right.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input);
        let stdout = Captured::of(child.stdout.take().unwrap());
        let stderr = Captured::of(child.stderr.take().unwrap());
        Process { child, stdout, stderr }
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Its number in the system.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Waits for its end.
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
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- stderr of the program:\n{}---", self.stderr());
        }
    }
}

impl Finished {
    /// What it wrote to stdout, where it ended well and said nothing else.
    #[track_caller]
    pub fn answer(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:#?}");
        &self.stdout
    }

    /// Asserts that it refused to work: with the exit code `code`, nothing on stdout, and messages for people on stderr
    /// of which each of `words` is a part.
    #[track_caller]
    pub fn refused(&self, code: i32, words: &[&str]) {
        let Finished { code: actual, stdout, stderr } = self;
        assert_eq!(*actual, Some(code), "{stderr}");
        assert_eq!(stdout, "", "an error belongs on stderr");
        assert!(stderr.lines().any(|line| line.starts_with("error: ")), "no line says what is wrong:\n{stderr}");
        for word in words {
            assert!(stderr.contains(word), "nothing says `{word}`:\n{stderr}");
        }
        // What guests print is theirs.
        for line in stderr.lines().filter(|line| !line.contains("] stdout: ") && !line.contains("] stderr: ")) {
            for trace in ["panicked", "backtrace", "BACKTRACE", "this is a bug", ".rs:"] {
                assert!(!line.contains(trace), "`{trace}` is not for users:\n{stderr}");
            }
        }
    }
}

/// What comes out of a pipe, read as it comes so that the writer never has to wait.
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

    /// Everything, once the writer has closed its end.
    fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.text()
    }
}
