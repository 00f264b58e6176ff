//! The signals that ask the program to end.

use std::io;

/// Catches SIGINT and SIGTERM from its creation on, also for a process that is the first of its container, which they
/// would not end otherwise.
pub struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(not(unix))]
    interrupt: tokio::signal::windows::CtrlC,
}

/// A signal that came.
#[derive(Debug, Clone, Copy)]
pub struct Received {
    /// What to call it.
    pub name: &'static str,
    /// Its number, on which the exit code depends.
    pub number: u8,
}

const INTERRUPT: Received = Received { name: "SIGINT", number: 2 };
#[cfg(unix)]
const TERMINATE: Received = Received { name: "SIGTERM", number: 15 };

impl Signals {
    /// Begins to catch.
    #[cfg(unix)]
    pub fn catch() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Begins to catch.
    #[cfg(not(unix))]
    pub fn catch() -> io::Result<Self> {
        Ok(Signals { interrupt: tokio::signal::windows::ctrl_c()? })
    }

    /// Waits for the next one. It may be dropped and asked again without losing any.
    #[cfg(unix)]
    pub async fn next(&mut self) -> Received {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPT,
            _ = self.terminate.recv() => TERMINATE,
        }
    }

    /// Waits for the next one. It may be dropped and asked again without losing any.
    #[cfg(not(unix))]
    pub async fn next(&mut self) -> Received {
        let _ = self.interrupt.recv().await;
        INTERRUPT
    }
}
