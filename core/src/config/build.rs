//! `build` of a chainlet: the way to make its component file.

use std::path::PathBuf;

use schemars::{Schema, SchemaGenerator};
use toml::de::DeValue;

use super::place::Place;
use super::reader::{Expected, Node, Problems};
use super::row_type::{RowType, Text};
use super::spec::DEFAULT_WORKDIR;
use super::table::{Rows, Table, table};

table! {
    /// The way to build a component file.
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct Build {
        /// The command, as a shell reads it, for example `command = "cargo build --release --target wasm32-wasip2"`.
        pub command: String = String::new(), required, is "a command as for a shell",
            like "command = \"cargo build --release --target wasm32-wasip2\"";

        /// The folder in which the command runs, relative to chain.toml, for example `workdir = "say-hello"`.
        pub workdir: PathBuf = PathBuf::from(DEFAULT_WORKDIR), like "workdir = \"say-hello\"",
            help "write it like workdir = \".\"";
    }
}

impl Build {
    /// Returns a build that runs `command` in the folder of chain.toml.
    #[must_use]
    pub fn new(command: impl Into<String>) -> Self {
        Self { command: command.into(), ..Self::with_defaults() }
    }
}

impl Table for Build {
    const WHAT: &'static str = "a command, or a table with a command";

    fn read_short(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        match node.value {
            DeValue::String(command) => Some(Self::new(command.as_ref())),
            _ => node.mistyped(problems, expected),
        }
    }

    fn short_schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(String::schema(&Text::NotEmpty, generator))
    }

    fn check_rules(&self, place: &mut Place<'_>) {
        if self.command.trim().is_empty() {
            // The short form, `build = "…"`, has no key for the command, so the error is at `build`.
            let help = "name a command, or remove the key";
            place.error(&place.at.key("command"), "expected a command, found an empty one", help);
        }
    }
}
