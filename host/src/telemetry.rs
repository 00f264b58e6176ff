//! The log, which goes to stderr, for people or for machines.

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

/// The variables that set the log filter. The first one that is set and not empty counts.
const VARIABLES: [&str; 2] = ["CHAINHOST_LOG", "RUST_LOG"];

/// The format of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line an event, for people
    #[default]
    Pretty,
    /// One JSON object an event
    Json,
}

/// The log filter if no variable sets one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// Everything that an operator wants to know.
    Service,
    /// The output of chainlets, and problems that do not fail the call.
    Guests,
    /// Warnings and errors.
    Quiet,
}

/// The reason why the log does not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A variable is not a valid log filter.
    #[error("{variable} is not a log filter: {error}; write it like `warn` or `info,chainhost=debug`")]
    Filter {
        /// The variable.
        variable: &'static str,
        /// The mistake in it.
        error: ParseError,
    },
    /// A variable is not text.
    #[error("{variable} is not a log filter: it is not UTF-8; write it like `warn` or `info,chainhost=debug`")]
    NotText {
        /// The variable.
        variable: &'static str,
    },
    /// The thread that writes the log does not start.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Another logger was installed before.
    #[error("the log does not start: {0}")]
    Start(Box<dyn std::error::Error + Send + Sync>),
}

impl Verbosity {
    fn filter(self) -> &'static str {
        match self {
            Verbosity::Service => "warn,chainhost=info,chainlet=info",
            // The error of the call says already how a replica ended.
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

/// The most lines that wait for the reader of stderr. A line has some kilobytes at most.
const WAITING: usize = 2048;

/// The interval at which the log checks for dropped lines.
const LOOK: Duration = Duration::from_secs(10);

/// The log of this process. Dropping it writes the lines that wait, as far as somebody reads them.
///
/// A thread of its own writes the log. So a slow reader of stderr delays only the log.
#[must_use = "dropping it ends the log"]
pub struct Log {
    _writer: WorkerGuard,
    left_out: ErrorCounter,
}

impl Log {
    /// Logs a warning when lines were dropped because nobody read them. Never returns.
    pub async fn tell_left_out(left_out: ErrorCounter) -> Infallible {
        let mut told = 0;
        loop {
            sleep(LOOK).await;
            let now = left_out.dropped_lines();
            if now > told {
                tracing::warn!(suppressed = now - told, "log lines were dropped: the reader of stderr is too slow");
                told = now;
            }
        }
    }

    /// Returns the counter of dropped lines.
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
        // An internal error means that stderr cannot be written. The report of it would go to stderr, too, and panic.
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
    fn chainhosts_own_variable_comes_before_the_general_one() {
        assert_eq!(from(&[]).unwrap(), "warn");
        assert_eq!(from(&[("RUST_LOG", "debug")]).unwrap(), "debug");
        assert_eq!(from(&[("RUST_LOG", "debug"), ("CHAINHOST_LOG", "error")]).unwrap(), "error");
        assert_eq!(from(&[("RUST_LOG", "debug"), ("CHAINHOST_LOG", " ")]).unwrap(), "debug");
    }

    #[test]
    fn the_error_names_a_variable_that_is_no_filter() {
        let error = from(&[("CHAINHOST_LOG", "chainhost=loud")]).unwrap_err();
        assert!(error.starts_with("CHAINHOST_LOG is not a log filter: "), "{error}");
    }
}
