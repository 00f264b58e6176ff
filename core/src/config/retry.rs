//! The failures and errors for which an edge also repeats calls, beside those after which a repetition is always safe.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use super::reader::{Expected, Node, Problems};
use super::row_type::RowType;
use crate::error::{DeclaredKind, ErrorKind};

/// A kind of failure, or of an error of the standard type `chainlet:host/errors`, for which an edge repeats a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RetryKind {
    /// The failure `overloaded`, of the callee or of a chainlet further down.
    Overloaded,
    /// The failure `not-ready`, of the callee or of a chainlet further down.
    NotReady,
    /// The failure `deadline`: a chainlet further down, or the callee, took too long.
    Deadline,
    /// The failure `trap`.
    Trap,
    /// The failure `unreachable`.
    Unreachable,
    /// The failure `internal` of a host, and the error `internal` of a chainlet.
    Internal,
    /// The error `conflict`.
    Conflict,
    /// The error `too-many`.
    TooMany,
    /// The error `upstream`.
    Upstream,
    /// The error `unavailable`.
    Unavailable,
    /// The error `timeout`.
    Timeout,
}

impl RetryKind {
    const ALL: [(RetryKind, &str); 11] = [
        (RetryKind::Overloaded, "overloaded"),
        (RetryKind::NotReady, "not-ready"),
        (RetryKind::Deadline, "deadline"),
        (RetryKind::Trap, "trap"),
        (RetryKind::Unreachable, "unreachable"),
        (RetryKind::Internal, "internal"),
        (RetryKind::Conflict, "conflict"),
        (RetryKind::TooMany, "too-many"),
        (RetryKind::Upstream, "upstream"),
        (RetryKind::Unavailable, "unavailable"),
        (RetryKind::Timeout, "timeout"),
    ];

    /// Returns true if failures of `kind` are of this kind.
    pub(crate) fn is_failure(self, kind: ErrorKind) -> bool {
        matches!(
            (self, kind),
            (RetryKind::Overloaded, ErrorKind::Overloaded)
                | (RetryKind::NotReady, ErrorKind::NotReady)
                | (RetryKind::Deadline, ErrorKind::Deadline)
                | (RetryKind::Trap, ErrorKind::Trap)
                | (RetryKind::Unreachable, ErrorKind::Unreachable)
                | (RetryKind::Internal, ErrorKind::Internal)
        )
    }

    /// Returns true if declared errors of `kind` are of this kind.
    pub(crate) fn is_declared(self, kind: DeclaredKind) -> bool {
        matches!(
            (self, kind),
            (RetryKind::Internal, DeclaredKind::Internal)
                | (RetryKind::Conflict, DeclaredKind::Conflict)
                | (RetryKind::TooMany, DeclaredKind::TooMany)
                | (RetryKind::Upstream, DeclaredKind::Upstream)
                | (RetryKind::Unavailable, DeclaredKind::Unavailable)
                | (RetryKind::Timeout, DeclaredKind::Timeout)
        )
    }
}

impl fmt::Display for RetryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

/// A text that names no [`RetryKind`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is none of these")]
pub struct UnknownRetryKind;

impl FromStr for RetryKind {
    type Err = UnknownRetryKind;

    fn from_str(text: &str) -> Result<Self, UnknownRetryKind> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(kind, _)| *kind).ok_or(UnknownRetryKind)
    }
}

impl RowType for RetryKind {
    type Bounds = ();

    fn what((): &()) -> &'static str {
        "one of \"overloaded\", \"not-ready\", \"deadline\", \"trap\", \"unreachable\", \"internal\", \"conflict\", \
         \"too-many\", \"upstream\", \"unavailable\" and \"timeout\""
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        node.parsed(problems, expected, str::parse)
    }

    fn schema((): &(), generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_name_and_means_something() {
        for (kind, name) in RetryKind::ALL {
            assert_eq!(name.parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), name);
            let declared = DeclaredKind::ALL.iter().filter(|declared| kind.is_declared(**declared));
            assert!(declared.clone().all(|declared| declared.name() == name));
            let failures = crate::chain::edge::failure::KINDS.iter().filter(|failure| kind.is_failure(**failure));
            assert!(failures.clone().all(|failure| failure.name() == name));
            assert!(declared.count() + failures.count() > 0, "{name}");
        }
        assert_eq!("invalid".parse::<RetryKind>(), Err(UnknownRetryKind));
    }
}
