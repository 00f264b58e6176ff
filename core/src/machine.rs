//! Failures that the machine or a limit of this process causes, and what to do about them.
//!
//! Such a failure says nothing about a chain: the same chain runs on another machine, or with another limit. So it is
//! told apart from mistakes in a chain, wherever it is found.

use std::fmt::Display;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The error that the system refuses something that the host needs. Its message says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct MachineError {
    message: String,
}

/// The number of files that an async runtime opens, or a few more.
pub const FILES_OF_A_RUNTIME: usize = 8;
/// The path of a file that always exists.
#[cfg(unix)]
const NOTHING: &str = "/dev/null";
#[cfg(not(unix))]
const NOTHING: &str = "NUL";
/// The longest time to wait until the system no longer counts a thread that has ended.
const GONE: Duration = Duration::from_secs(1);

/// Help if the system starts no more threads.
const THREADS: &str = "let this user, container or service have more threads and processes: see `ulimit -u`, the \
                       `pids.max` of its control group, TasksMax= of a systemd unit, and `ulimit -v` for their stacks";
/// Help if memory may not become executable.
const EXECUTABLE: &str = "the host compiles WebAssembly to machine code, so allow it to: set \
                          MemoryDenyWriteExecute=no in its systemd unit, or change the policy of SELinux or seccomp";
/// Help if the system gives no more memory.
const MEMORY: &str = "give the process more memory and address space: see `ulimit -v`, the limit of its control \
                      group, and the system's `vm.max_map_count`";

impl MachineError {
    /// Returns the error that `what` does not work because of `error`.
    pub(crate) fn new(what: impl Display, error: &io::Error) -> Self {
        let help = remedy(error).unwrap_or("see what the system's log says about it");
        MachineError { message: format!("{what}: {error}; {help}") }
    }

    /// Returns the error that the threads for `what` do not start because of `error`.
    pub(crate) fn threads(what: impl Display, error: &io::Error) -> Self {
        let help = remedy_of_start(error).unwrap_or(THREADS);
        MachineError { message: format!("the system does not start the threads for {what}: {error}; {help}") }
    }

    /// Returns the error that compiled code cannot be made ready to run because of `error`.
    pub(crate) fn code(error: &wasmtime::Error) -> Self {
        let help = match system_error(error) {
            Some(cause) if cause.kind() == io::ErrorKind::PermissionDenied => EXECUTABLE,
            Some(cause) => remedy(&cause).unwrap_or(MEMORY),
            None => MEMORY,
        };
        MachineError { message: format!("the system does not let this process run compiled code: {error:#}; {help}") }
    }
}

/// Returns what to do about `error`, if it comes from the machine or from a limit of this process, rather than from the
/// file or the address that was asked for.
///
/// ```
/// # use chainhost_core as chainhost;
/// # use std::io::{Error, ErrorKind};
/// # use chainhost::machine::remedy;
/// assert!(remedy(&Error::from(ErrorKind::StorageFull)).is_some());
/// assert!(remedy(&Error::from(ErrorKind::NotFound)).is_none());
/// ```
#[must_use]
pub fn remedy(error: &io::Error) -> Option<&'static str> {
    // Some libraries wrap the system's error in an error of their own, to name the file.
    let inner = error.get_ref().and_then(|inner| inner.source()?.downcast_ref::<io::Error>());
    if let Some(remedy) = inner.and_then(remedy) {
        return Some(remedy);
    }
    #[cfg(unix)]
    if let Some(rustix::io::Errno::MFILE) = rustix::io::Errno::from_io_error(error) {
        return Some("let the process open more files: see `ulimit -n`, and LimitNOFILE= of a systemd unit");
    }
    #[cfg(unix)]
    if let Some(rustix::io::Errno::NFILE) = rustix::io::Errno::from_io_error(error) {
        return Some("let the system have more open files: see its `fs.file-max`");
    }
    match error.kind() {
        io::ErrorKind::StorageFull => Some("make room on the disk"),
        io::ErrorKind::QuotaExceeded => Some("make room on the disk: this user's quota is used up"),
        io::ErrorKind::FileTooLarge => {
            Some("let the process write longer files: see `ulimit -f`, and LimitFSIZE= of a systemd unit")
        }
        io::ErrorKind::OutOfMemory => Some(MEMORY),
        _ => None,
    }
}

/// Returns what [`remedy`] does, for an `error` that says why a thread or a process does not start.
#[must_use]
pub fn remedy_of_start(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::WouldBlock => Some(THREADS),
        _ => remedy(error),
    }
}

/// Returns the system's error, if it is the root of `error`.
pub(crate) fn system_error(error: &wasmtime::Error) -> Option<io::Error> {
    let cause = error.root_cause();
    #[cfg(unix)]
    if let Some(code) = cause.downcast_ref::<rustix::io::Errno>() {
        return Some((*code).into());
    }
    cause.downcast_ref::<io::Error>()?.raw_os_error().map(io::Error::from_raw_os_error)
}

/// Checks that the system starts `count` more threads of this process at this moment.
///
/// An async runtime does not report this itself: it panics if its first thread does not start. If a later thread does
/// not start, it waits for ever for the work that it has given to that thread.
///
/// # Errors
///
/// Fails if one of them does not start. `what` says what they are for.
pub fn has_threads(count: usize, what: impl Display) -> Result<(), MachineError> {
    let (gate, places) = (Mutex::new(()), Mutex::new(Vec::new()));
    let started = thread::scope(|scope| {
        // Holds all threads until the last has started, so that they all exist at once.
        let closed = gate.lock();
        let started = (0..count).try_for_each(|_| {
            let body = || {
                drop(gate.lock());
                places.lock().unwrap_or_else(PoisonError::into_inner).extend(place_of_this_thread());
            };
            thread::Builder::new().spawn_scoped(scope, body).map(drop)
        });
        drop(closed);
        started
    });
    wait_for_the_end(&places.into_inner().unwrap_or_else(PoisonError::into_inner));
    started.map_err(|error| MachineError::threads(what, &error))
}

/// Returns the path at which the system shows the calling thread for as long as it counts it; `None` on a system that
/// does not show threads.
fn place_of_this_thread() -> Option<PathBuf> {
    // Reading a link needs no open file, so this works even at the limit of open files.
    Some(Path::new("/proc").join(fs::read_link("/proc/thread-self").ok()?))
}

/// Waits until the system no longer counts the threads at `places`, which have ended. This happens a moment after they
/// can be joined, and until then other threads may not start.
fn wait_for_the_end(places: &[PathBuf]) {
    let limit = Instant::now() + GONE;
    while places.iter().any(|place| place.symlink_metadata().is_ok()) && Instant::now() < limit {
        thread::yield_now();
    }
}

/// Checks that the system opens `count` more files for this process at this moment.
///
/// An async runtime panics if it cannot open the files with which it waits for signals.
///
/// # Errors
///
/// Fails if it does not open one of them. `what` says what they are for.
pub fn has_files(count: usize, what: impl Display) -> Result<(), MachineError> {
    let files: io::Result<Vec<_>> = (0..count).map(|_| File::open(NOTHING)).collect();
    files.map(drop).map_err(|error| MachineError::new(format_args!("the files for {what} do not open"), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_the_machine_comes_with_what_to_do_about_it() {
        for (kind, word) in [
            (io::ErrorKind::StorageFull, "disk"),
            (io::ErrorKind::FileTooLarge, "ulimit -f"),
            (io::ErrorKind::OutOfMemory, "ulimit -v"),
        ] {
            assert!(remedy(&kind.into()).unwrap().contains(word), "{kind}");
        }
        assert_eq!(remedy(&io::ErrorKind::PermissionDenied.into()), None);
    }

    #[cfg(unix)]
    #[test]
    fn the_system_error_is_found_in_an_error_that_names_the_file() {
        #[derive(Debug, thiserror::Error)]
        #[error("at some path: {0}")]
        struct At(#[source] io::Error);
        let error = io::Error::other(At(rustix::io::Errno::MFILE.into()));
        assert!(remedy(&error).unwrap().contains("ulimit -n"));
    }

    #[cfg(unix)]
    #[test]
    fn the_system_error_is_found_in_an_error_of_wasmtime() {
        use rustix::io::Errno;
        let cause = wasmtime::Error::from(Errno::ACCESS).context("making it executable");
        assert_eq!(system_error(&cause).unwrap().kind(), io::ErrorKind::PermissionDenied);
        let message = MachineError::code(&cause).to_string();
        assert!(message.contains("making it executable") && message.contains("MemoryDenyWriteExecute=no"), "{message}");
        let cause = wasmtime::Error::from(io::Error::from(Errno::MFILE)).context("making an image");
        assert!(MachineError::code(&cause).to_string().contains("ulimit -n"));
        assert!(system_error(&wasmtime::Error::msg("no such section")).is_none());
    }

    #[test]
    fn threads_and_files_below_the_limits_are_no_error() {
        has_threads(4, "a test").unwrap();
        has_files(FILES_OF_A_RUNTIME, "a test").unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_has_ended_is_waited_for_until_it_is_gone() {
        let place = thread::spawn(place_of_this_thread).join().unwrap().unwrap();
        wait_for_the_end(std::slice::from_ref(&place));
        assert!(place.symlink_metadata().is_err());
    }
}
