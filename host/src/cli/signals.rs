//! The signals that ask the program to end, or to load a new version of its chain.

use std::io;

use super::Failure;

/// Catches SIGINT and SIGTERM from its creation on. Without a handler, they would not end the first process of a
/// container.
pub struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(not(unix))]
    interrupt: tokio::signal::windows::CtrlC,
}

/// Catches SIGHUP, which asks for a new version of the chain, from its creation on.
pub struct Hangups {
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
}

/// A signal that was caught.
#[derive(Debug, Clone, Copy)]
pub struct CaughtSignal {
    /// Its name.
    pub name: &'static str,
    /// Its number, on which the exit code depends.
    pub number: u8,
}

const INTERRUPT: CaughtSignal = CaughtSignal { name: "SIGINT", number: 2 };
#[cfg(unix)]
const TERMINATE: CaughtSignal = CaughtSignal { name: "SIGTERM", number: 15 };

/// Makes a write beyond `ulimit -f` fail, as on a full disk. By default, SIGXFSZ would end the process.
///
/// The signal is caught and not ignored, because build commands would inherit that it is ignored.
#[cfg(unix)]
#[expect(unsafe_code, reason = "the handler of a signal may do little, which the compiler does not check")]
pub fn survive_long_files() -> Result<(), Failure> {
    let signal = rustix::process::Signal::XFSZ.as_raw();
    // SAFETY: the handler does nothing, and a handler may do that at any time.
    unsafe { signal_hook_registry::register(signal, || {}) }
        .map(drop)
        .map_err(|error| Failure::system("SIGXFSZ cannot be caught", &error))
}

/// Does nothing, because this system has no such signal.
#[cfg(not(unix))]
pub fn survive_long_files() -> Result<(), Failure> {
    Ok(())
}

/// Does `work` until a signal comes. Then drops it, which also ends the process of a build command.
pub async fn or_signal<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut signals = Signals::catch()?;
    tokio::select! {
        result = work => result,
        signal = signals.next() => Err(Failure::signal(signal.number)),
    }
}

impl Hangups {
    /// Begins to catch signals.
    #[cfg(unix)]
    pub fn catch() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let hangup =
            signal(SignalKind::hangup()).map_err(|error| Failure::system("SIGHUP cannot be caught", &error))?;
        Ok(Hangups { hangup })
    }

    /// Catches nothing, because this system has no SIGHUP.
    #[cfg(not(unix))]
    pub fn catch() -> Result<Self, Failure> {
        Ok(Hangups {})
    }

    /// Waits for the next SIGHUP.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        self.hangup.recv().await;
        #[cfg(not(unix))]
        std::future::pending::<()>().await;
    }
}

impl Signals {
    /// Begins to catch signals.
    pub fn catch() -> Result<Self, Failure> {
        Self::register().map_err(|error| Failure::system("signals cannot be caught", &error))
    }

    #[cfg(unix)]
    fn register() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    #[cfg(not(unix))]
    fn register() -> io::Result<Self> {
        Ok(Signals { interrupt: tokio::signal::windows::ctrl_c()? })
    }

    /// Waits for the next signal. Dropping the future loses no signal.
    #[cfg(unix)]
    pub async fn next(&mut self) -> CaughtSignal {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPT,
            _ = self.terminate.recv() => TERMINATE,
        }
    }

    /// Waits for the next signal. Dropping the future loses no signal.
    #[cfg(not(unix))]
    pub async fn next(&mut self) -> CaughtSignal {
        let _ = self.interrupt.recv().await;
        INTERRUPT
    }
}
