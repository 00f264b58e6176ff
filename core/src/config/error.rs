//! Mistakes in a configuration, and what to do about them.

use std::{fmt, io};

use super::location::Location;
use crate::machine;

/// One mistake in a configuration.
///
/// It is shown with its place, what was found and expected there, the line of the file, and what to do:
///
/// ```text
/// chain.toml:9:10: chainlets.say-hello.resources.memory: expected from 64KiB to 4GiB, found 8GiB
/// 9 | memory = "8GiB"
///   |          ^^^^^^
/// help: choose a size that 32-bit WebAssembly can use, such as memory = "256MiB"
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    location: Box<Location>,
    message: String,
    help: String,
    is_of_the_machine: bool,
}

impl ConfigError {
    /// Returns a mistake at `location`. `message` says what was found and what was expected, and `help` says what to
    /// do.
    #[must_use]
    pub fn new(location: Location, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { location: Box::new(location), message: message.into(), help: help.into(), is_of_the_machine: false }
    }

    /// Returns the error that the file at `location` cannot be used because of `error`. `help` says what to do if the
    /// file is at fault; if the machine is, its remedy is shown instead.
    pub(super) fn of_file(location: Location, what: &str, error: &io::Error, help: impl Into<String>) -> Self {
        let remedy = machine::remedy(error);
        let help = remedy.map_or_else(|| help.into(), str::to_owned);
        Self { is_of_the_machine: remedy.is_some(), ..Self::new(location, format!("{what}: {error}"), help) }
    }

    /// Returns true if the machine or a limit of this process is at fault, rather than the configuration.
    #[must_use]
    pub fn is_of_the_machine(&self) -> bool {
        self.is_of_the_machine
    }

    /// Returns the place of the mistake.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Returns what was found and what was expected, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn help(&self) -> &str {
        &self.help
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.location.to_string();
        if !place.is_empty() {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)?;
        self.location.write_snippet(f)?;
        write!(f, "\nhelp: {}", self.help)
    }
}

impl std::error::Error for ConfigError {}

/// All mistakes that were found in a configuration, at least one, in the order of the file.
///
/// They are shown one after the other, with an empty line between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Returns `Ok` if `errors` is empty. So a check can collect all errors before it fails.
    ///
    /// # Errors
    /// Fails with all of `errors`, if there are any.
    pub fn check(errors: Vec<ConfigError>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self::all(errors)) }
    }

    /// Puts `errors`, of which there is at least one, in the order of the file.
    pub(super) fn all(mut errors: Vec<ConfigError>) -> Self {
        errors.sort_by_key(|error| error.location.offset());
        Self(errors)
    }

    /// Returns the errors, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, error) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("\n\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl IntoIterator for ConfigErrors {
    type Item = ConfigError;
    type IntoIter = std::vec::IntoIter<ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
