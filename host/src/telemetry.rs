//! The log: to stderr, for people or for machines.

mod human;

use std::convert::Infallible;
use std::env::{self, VarError};
use std::fmt;
use std::io;
use std::time::Duration;

use chainhost::machine::{self, MachineError};
use clap::ValueEnum;
use tokio::time::sleep;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::cli::stderr_has_colours;

/// The variables that say what is logged; the first that is set counts.
const VARIABLES: [&str; 2] = ["CHAINHOST_LOG", "RUST_LOG"];

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line an event, for people
    #[default]
    Pretty,
    /// One JSON object an event
    Json,
}

/// What is logged where no variable says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// Everything that an operator wants to know.
    Service,
    /// What chainlets print, and what is wrong and does not fail the call.
    Guests,
    /// What is wrong.
    Quiet,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A variable does not say what is to be logged.
    #[error("{variable} is not a log filter: {error}; write it like `warn` or `info,chainhost=debug`")]
    Filter {
        /// The variable.
        variable: &'static str,
        /// What is wrong with it.
        error: ParseError,
    },
    /// A variable is not text.
    #[error("{variable} is not a log filter: it is not UTF-8; write it like `warn` or `info,chainhost=debug`")]
    NotText {
        /// The variable.
        variable: &'static str,
    },
    /// The thread that writes it does not start.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Somebody else has begun to log.
    #[error("the log does not start: {0}")]
    Start(Box<dyn std::error::Error + Send + Sync>),
}

impl Verbosity {
    fn filter(self) -> &'static str {
        match self {
            Verbosity::Service => "warn,chainhost=info,chainlet=info",
            // How a replica ended is in the error that the call ends with.
            Verbosity::Guests => "warn,chainlet=info,chainhost::chainlet=off",
            Verbosity::Quiet => "warn",
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogFormat::Pretty => "pretty",
            LogFormat::Json => "json",
        })
    }
}

/// How many lines wait for whoever reads stderr. A line has some kilobytes at most.
const WAITING: usize = 2048;

/// How often is looked whether lines were left out.
const LOOK: Duration = Duration::from_secs(10);

/// The log of this process. What waits is written when it is dropped, as far as somebody reads it.
///
/// A thread of its own writes it: whoever does not read stderr holds up the log, and nothing else.
#[must_use = "what waits to be written is lost without it"]
pub struct Log {
    _writer: WorkerGuard,
    left_out: ErrorCounter,
}

impl Log {
    /// Tells when lines were left out since nobody read them. Never returns.
    pub async fn tell_left_out(left_out: ErrorCounter) -> Infallible {
        let mut told = 0;
        loop {
            sleep(LOOK).await;
            let now = left_out.dropped_lines();
            if now > told {
                tracing::warn!(suppressed = now - told, "log lines were left out: what reads stderr is too slow");
                told = now;
            }
        }
    }

    /// Counts the lines that were left out.
    pub fn left_out(&self) -> ErrorCounter {
        self.left_out.clone()
    }
}

/// Starts the log of this process.
pub fn start(format: LogFormat, verbosity: Verbosity) -> Result<Log, TelemetryError> {
    let filter = filter(verbosity, env::var)?;
    machine::has_threads(1, "the log")?;
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING)
        .lossy(true)
        .thread_name("chainhost-log")
        .finish(io::stderr());
    let started = Log { left_out: writer.error_counter(), _writer: guard };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(stderr_has_colours())
        // It would report on stderr that stderr cannot be written, by way of a panic.
        .log_internal_errors(false);
    match format {
        LogFormat::Pretty => log.event_format(human::Lines).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    }
    .map_err(TelemetryError::Start)?;
    Ok(started)
}

fn filter(
    verbosity: Verbosity,
    variable: impl Fn(&'static str) -> Result<String, VarError>,
) -> Result<EnvFilter, TelemetryError> {
    for name in VARIABLES {
        match variable(name) {
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => {
                return EnvFilter::try_new(text).map_err(|error| TelemetryError::Filter { variable: name, error });
            }
            Err(VarError::NotUnicode(_)) => return Err(TelemetryError::NotText { variable: name }),
            Err(VarError::NotPresent) => {}
        }
    }
    Ok(EnvFilter::new(verbosity.filter()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<String, String> {
        filter(Verbosity::Quiet, |name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned()).ok_or(VarError::NotPresent)
        })
        .map(|filter| filter.to_string())
        .map_err(|error| error.to_string())
    }

    #[test]
    fn the_own_variable_goes_before_the_general_one() {
        assert_eq!(from(&[]).unwrap(), "warn");
        assert_eq!(from(&[("RUST_LOG", "debug")]).unwrap(), "debug");
        assert_eq!(from(&[("RUST_LOG", "debug"), ("CHAINHOST_LOG", "error")]).unwrap(), "error");
        assert_eq!(from(&[("RUST_LOG", "debug"), ("CHAINHOST_LOG", " ")]).unwrap(), "debug");
    }

    #[test]
    fn a_variable_that_is_no_filter_is_named() {
        let error = from(&[("CHAINHOST_LOG", "chainhost=loud")]).unwrap_err();
        assert!(error.starts_with("CHAINHOST_LOG is not a log filter: "), "{error}");
    }
}
