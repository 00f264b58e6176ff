//! The one table of exit codes, and the failures that lead to them.

use std::error::Error;
use std::fmt::{self, Display, Write as _};
use std::process::ExitCode;
use std::{io, iter};

use chainhost::chain::LoadError;
use chainhost::config::{ConfigError, ConfigErrors};
use chainhost::error::CallError;
use chainhost::host::HostError;
use chainhost::machine::{self, MachineError};

use super::output;
use crate::telemetry::TelemetryError;

/// The kind of failure with which the program ends. A script sees it in the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The call got no answer.
    Call,
    /// The command line asks for something that is not there.
    Usage,
    /// The chain, or a file that goes with it, is wrong or missing.
    Config,
    /// A component was not built.
    Build,
    /// The server cannot listen on an address.
    Listen,
    /// The chain is valid but does not start.
    Start,
    /// The system refuses something that does not depend on the chain: reading or writing a file, stdin or stdout;
    /// threads, open files or memory.
    System,
}

impl Exit {
    /// All kinds, in the order of their codes.
    const ALL: [Exit; 7] =
        [Exit::Call, Exit::Usage, Exit::Config, Exit::Build, Exit::Listen, Exit::Start, Exit::System];

    /// Returns the exit code and its meaning.
    const fn entry(self) -> (u8, &'static str) {
        match self {
            Exit::Call => (1, "the call failed: bad input, the chainlet's own error, a trap, a deadline"),
            Exit::Usage => (2, "the command line is wrong"),
            Exit::Config => {
                (3, "chain.toml, or a component, file, secret, key or certificate for it, is wrong or missing")
            }
            Exit::Build => (4, "a build command failed, or wrote no component"),
            Exit::Listen => (5, "the chain cannot be served: a port is in use, or may not be used"),
            Exit::Start => (6, "the chain does not start: an init failed, or there is no GPU for it"),
            Exit::System => (7, "the system refuses a file, stdin, stdout, threads, open files or memory"),
        }
    }
}

/// Returns the exit codes as the help shows them.
pub fn table() -> String {
    let mut table = "  0    done\n".to_owned();
    for (code, meaning) in Exit::ALL.map(Exit::entry) {
        // Writing to a string cannot fail.
        let _ = writeln!(table, "  {code:<4} {meaning}");
    }
    table.push_str(
        "  101  a bug in chainhost\n  128+ ended by the signal of that number: 130 by Ctrl-C, 143 by SIGTERM",
    );
    table
}

/// A failure of the program: its exit code, and the messages for the user.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    messages: Vec<String>,
}

impl Failure {
    /// Makes a failure with one message: what happened, where, and what to do.
    pub fn new(exit: Exit, message: impl Display) -> Self {
        Failure { code: exit.entry().0, messages: vec![message.to_string()] }
    }

    /// Does the same as [`Failure::new`], unless a cause of `error` is the machine or a limit of this process. Then the
    /// exit code is that of [`Exit::System`], and the message says what to do about it.
    pub fn of(exit: Exit, error: &dyn Error) -> Self {
        match remedy(error) {
            Some(help) => Failure::new(Exit::System, format_args!("{error}; {help}")),
            None => Failure::new(exit, error),
        }
    }

    /// Makes the failure of the system to do something. `what` says what failed, and `error` is the reason.
    pub fn system(what: impl Display, error: &io::Error) -> Self {
        match machine::remedy(error) {
            Some(help) => Failure::new(Exit::System, format_args!("{what}: {error}; {help}")),
            None => Failure::new(Exit::System, format_args!("{what}: {error}")),
        }
    }

    /// Makes the end by a signal. It has no message, because the sender knows about the signal.
    pub fn signal(number: u8) -> Self {
        Failure { code: 128u8.saturating_add(number), messages: Vec::new() }
    }

    /// Returns the exit code of the program.
    pub fn code(&self) -> ExitCode {
        self.code.into()
    }

    /// Writes the messages to stderr.
    pub fn report(&self) {
        for (index, message) in self.messages.iter().enumerate() {
            if index > 0 {
                output::note("");
            }
            output::error(message);
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.messages.join("\n\n"))
    }
}

/// Returns what to do about the first cause of `error` that comes from the machine.
fn remedy(error: &dyn Error) -> Option<&'static str> {
    iter::successors(error.source(), |&error| error.source())
        .find_map(|cause| machine::remedy(cause.downcast_ref::<io::Error>()?))
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        let exit = if errors.iter().any(ConfigError::is_of_the_machine) { Exit::System } else { Exit::Config };
        Failure { code: exit.entry().0, messages: errors.iter().map(ToString::to_string).collect() }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        ConfigErrors::from(error).into()
    }
}

impl From<MachineError> for Failure {
    fn from(error: MachineError) -> Self {
        Failure::new(Exit::System, error)
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Config(errors) => errors.into(),
            LoadError::Machine(error) => error.into(),
            LoadError::Start(cause) if cause.is_of_the_machine() => Failure::new(Exit::System, LoadError::Start(cause)),
            error => Failure::new(Exit::Start, error),
        }
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        // No error of a host depends on the chain.
        Failure::of(Exit::System, &error)
    }
}

impl From<TelemetryError> for Failure {
    fn from(error: TelemetryError) -> Self {
        match error {
            TelemetryError::Machine(error) => error.into(),
            error => Failure::new(Exit::Config, error),
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        if let Some(backtrace) = error.backtrace() {
            tracing::debug!(chainlet = %error.chainlet(), backtrace, "the guest's frames at the trap");
        }
        match error.guest_error() {
            Some(own) => Failure::new(Exit::Call, format_args!("{error}: {}", own.get())),
            None => Failure::new(Exit::Call, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_has_its_own_number_and_a_line_in_the_help() {
        let codes = Exit::ALL.map(|exit| exit.entry().0);
        assert_eq!(codes, [1, 2, 3, 4, 5, 6, 7]);
        let table = table();
        for (code, meaning) in Exit::ALL.map(Exit::entry) {
            assert!(table.contains(&format!("\n  {code}    {meaning}\n")), "{table}");
        }
    }

    #[test]
    fn each_mistake_of_a_configuration_is_a_message_of_its_own() {
        let text = "[chain]\nname = \"C\"\n[chainlets.a]\ncomponent = 1\n";
        let errors = chainhost::config::ChainSpec::from_toml(text, "chain.toml".as_ref()).unwrap_err();
        let failure = Failure::from(errors);
        assert_eq!(failure.code, 3);
        assert_eq!(failure.messages.len(), 2, "{failure}");
    }

    #[test]
    fn an_error_caused_by_the_machine_has_its_code_and_says_what_to_do() {
        #[derive(Debug, thiserror::Error)]
        #[error("the file cannot be read: {0}")]
        struct Unreadable(#[source] io::Error);
        let failure = |kind: io::ErrorKind| Failure::of(Exit::Config, &Unreadable(kind.into()));
        assert_eq!(failure(io::ErrorKind::NotFound).code, 3);
        let full = failure(io::ErrorKind::StorageFull);
        assert_eq!(full.code, 7);
        assert!(full.to_string().ends_with("; make room on the disk"), "{full}");
    }

    #[test]
    fn a_signal_has_the_exit_code_that_shells_know() {
        assert_eq!((Failure::signal(2).code, Failure::signal(15).code), (130, 143));
    }
}
