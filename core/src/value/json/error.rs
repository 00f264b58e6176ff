//! Errors in JSON text.

use std::fmt;
use std::str::Utf8Error;

use crate::value::mapping::{ReadRefusal, Reading, TypedNames};
use crate::value::ty::Member;

/// The rejection of a JSON text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct JsonError {
    /// The kind of mistake: the text is no JSON at all, does not fit the type, or is too large.
    pub kind: JsonErrorKind,
    /// The JSON pointer (RFC 6901) of the offending place; empty for the whole document. A missing field is reported at
    /// the object that lacks it, an unknown or repeated field at itself.
    pub pointer: String,
    /// The content found there, and the content expected.
    pub message: String,
}

/// The reason why JSON text was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonErrorKind {
    /// The text is not JSON (or not UTF-8).
    Syntax {
        /// The line at which reading stopped, from 1.
        line: usize,
        /// The column at which reading stopped, in bytes, from 1; 0 at the start of a line.
        column: usize,
    },
    /// The text is JSON, but does not fit the WIT type.
    Type,
    /// The text may fit, but its values would take more bytes than allowed.
    TooLarge {
        /// The allowed number of bytes.
        limit: usize,
    },
    /// The text may fit, but the host has no room for its values.
    NoRoom {
        /// True if the host would have no room even if it held nothing else.
        for_good: bool,
    },
}

impl JsonError {
    pub(super) fn new(error: &serde_json::Error, reading: &Reading) -> Self {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let message = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
        let pointer = reading.pointer();
        if let Some(refused) = reading.refused() {
            return JsonError { kind: refused.into(), pointer, message: message.to_owned() };
        }
        // serde_json counts this as a syntax error, but the text is valid JSON.
        if message == "number out of range" {
            let message = "the number is larger than an f64 can be".to_owned();
            return JsonError { kind: JsonErrorKind::Type, pointer, message };
        }
        if !error.is_data() {
            let message = match message {
                "recursion limit exceeded" => "it nests more than 127 levels deep",
                message => message,
            };
            return JsonError { kind: JsonErrorKind::Syntax { line, column }, pointer, message: message.to_owned() };
        }
        // Replaces serde's words for an object and an array by those of JSON.
        let words =
            [("invalid type: map,", "invalid type: object,"), ("invalid type: sequence,", "invalid type: array,")];
        let message = words
            .into_iter()
            .find_map(|(serde, json)| Some(format!("{json}{}", message.strip_prefix(serde)?)))
            .unwrap_or_else(|| message.to_owned());
        JsonError { kind: JsonErrorKind::Type, pointer, message }
    }

    pub(super) fn empty_body(params: &[Member]) -> Self {
        let message = format!("the body is empty, expected a JSON object with {}", TypedNames(params));
        JsonError { kind: JsonErrorKind::Syntax { line: 1, column: 0 }, pointer: String::new(), message }
    }

    pub(super) fn not_utf8(text: &[u8], error: Utf8Error) -> Self {
        let valid = text.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + valid.iter().rev().take_while(|byte| **byte != b'\n').count();
        let message = format!("JSON is UTF-8, and byte {} of the text is not", valid.len());
        JsonError { kind: JsonErrorKind::Syntax { line, column }, pointer: String::new(), message }
    }
}

impl From<ReadRefusal> for JsonErrorKind {
    fn from(refused: ReadRefusal) -> Self {
        match refused {
            ReadRefusal::Limit(limit) => JsonErrorKind::TooLarge { limit },
            ReadRefusal::NoRoom(no_room) => JsonErrorKind::NoRoom { for_good: no_room.is_for_good() },
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            JsonErrorKind::Syntax { line, column } => write!(f, "bad JSON in line {line}, column {column}")?,
            JsonErrorKind::Type => f.write_str("the JSON does not fit the WIT type")?,
            JsonErrorKind::TooLarge { .. } => f.write_str("the JSON is too large")?,
            JsonErrorKind::NoRoom { .. } => f.write_str("there is no room for the JSON")?,
        }
        if !self.pointer.is_empty() {
            write!(f, ", at `{}`", self.pointer)?;
        }
        write!(f, ": {}", self.message)
    }
}
