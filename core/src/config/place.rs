//! The place of a value in a spec that is checked.

use std::fmt::Display;

use super::error::ConfigError;
use super::key::KeyPath;
use super::location::Location;
use super::reader::Expected;

/// The place of a value in a spec that is checked, and the mistakes that were found so far.
pub(crate) struct Place<'a> {
    /// The key of the value.
    pub(crate) at: KeyPath,
    expected: Expected,
    /// Help for a value that is out of bounds, in place of an example.
    help: Option<&'static str>,
    /// Returns the place where a key was set.
    locate: &'a dyn Fn(&KeyPath) -> Location,
    errors: &'a mut Vec<ConfigError>,
}

impl<'a> Place<'a> {
    /// Returns the place of a table whose key is `at`.
    pub(crate) fn of_table(
        at: KeyPath,
        locate: &'a dyn Fn(&KeyPath) -> Location,
        errors: &'a mut Vec<ConfigError>,
    ) -> Self {
        Self { at, expected: Expected { what: "a table", example: "" }, help: None, locate, errors }
    }

    /// Returns the place of the key `key` of this table.
    pub(crate) fn key(&mut self, key: &str, expected: Expected, help: Option<&'static str>) -> Place<'_> {
        Place { at: self.at.key(key), expected, help, locate: self.locate, errors: self.errors }
    }

    /// Returns the place of an element of this value, whose key is `at`.
    pub(crate) fn inner(&mut self, at: KeyPath) -> Place<'_> {
        Place { at, expected: self.expected, help: self.help, locate: self.locate, errors: self.errors }
    }

    /// Notes a mistake in the value of `at`.
    pub(crate) fn error(&mut self, at: &KeyPath, message: impl Into<String>, help: impl Into<String>) {
        self.errors.push(ConfigError::new((self.locate)(at), message, help));
    }

    /// Notes a mistake in the value of `at`, without the line of the file: it may hold a secret.
    pub(crate) fn error_in_private(&mut self, at: &KeyPath, message: impl Into<String>, help: impl Into<String>) {
        self.errors.push(ConfigError::new((self.locate)(at).without_snippet(), message, help));
    }

    /// Notes a mistake in this value. The help is an example, unless the key has a help of its own.
    pub(crate) fn wrong(&mut self, message: impl Into<String>) {
        self.out_of_bounds(message, format!("write it like {}", self.expected.example));
    }

    /// Notes that this value is none of the expected ones.
    pub(crate) fn unexpected(&mut self, found: impl Display) {
        self.wrong(format!("expected {}, found {found}", self.expected.what));
    }

    /// Notes a mistake in this value. `help` holds unless the key has a help of its own.
    pub(crate) fn out_of_bounds(&mut self, message: impl Into<String>, help: impl Into<String>) {
        let help = self.help.map_or_else(|| help.into(), str::to_owned);
        self.error(&self.at.clone(), message, help);
    }
}
