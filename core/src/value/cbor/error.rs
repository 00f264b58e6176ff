//! Errors in CBOR.

use std::convert::Infallible;
use std::fmt;

use cbor4ii::core::error::DecodeError as Fault;
use cbor4ii::serde::DecodeError;

use crate::value::mapping::{ReadRefusal, Reading, TypedNames};
use crate::value::ty::Member;

/// The rejection of some CBOR.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct CborError {
    /// The kind of mistake: the input is no CBOR at all, does not fit the type, or is too large.
    pub kind: CborErrorKind,
    /// The offending place, as the JSON pointer (RFC 6901) of the same place in JSON; empty for the whole. A missing
    /// field is reported at the map that lacks it, an unknown or repeated field at itself.
    pub pointer: String,
    /// The content found there, and the content expected.
    pub message: String,
}

/// The reason why CBOR was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CborErrorKind {
    /// The input is not CBOR, or has a part that is not accepted.
    Syntax {
        /// The number of bytes read before the error.
        offset: usize,
    },
    /// The input is CBOR, but does not fit the WIT type.
    Type,
    /// The input may fit, but its values would take more bytes than allowed.
    TooLarge {
        /// The allowed number of bytes.
        limit: usize,
    },
    /// The input may fit, but the host has no room for its values.
    NoRoom {
        /// True if the host would have no room even if it held nothing else.
        for_good: bool,
    },
}

impl CborError {
    pub(super) fn new(error: DecodeError<Infallible>, offset: usize, reading: &Reading) -> Self {
        let (kind, message) = match error {
            DecodeError::Custom(message) => match reading.refused() {
                Some(ReadRefusal::Limit(limit)) => (CborErrorKind::TooLarge { limit }, message.into()),
                Some(ReadRefusal::NoRoom(no_room)) => {
                    (CborErrorKind::NoRoom { for_good: no_room.is_for_good() }, message.into())
                }
                None => (CborErrorKind::Type, in_words_of_cbor(&message)),
            },
            DecodeError::Core(fault) => (CborErrorKind::Syntax { offset }, in_words(&fault)),
        };
        CborError { kind, pointer: reading.pointer(), message }
    }

    pub(super) fn empty_body(params: &[Member]) -> Self {
        let message = format!("the body is empty, expected a CBOR map with {}", TypedNames(params));
        CborError { kind: CborErrorKind::Syntax { offset: 0 }, pointer: String::new(), message }
    }

    pub(super) fn trailing(offset: usize) -> Self {
        let message = "there are more bytes after the end of the value".to_owned();
        CborError { kind: CborErrorKind::Syntax { offset }, pointer: String::new(), message }
    }
}

/// Replaces serde's words for a map, an array, a byte string and null by those of CBOR.
fn in_words_of_cbor(message: &str) -> String {
    let words = [
        ("invalid type: sequence,", "invalid type: array,"),
        ("invalid type: byte array,", "invalid type: byte string,"),
        ("invalid type: string ", "invalid type: text string "),
        ("invalid type: Option value,", "invalid type: null,"),
    ];
    words
        .into_iter()
        .find_map(|(serde, cbor)| Some(format!("{cbor}{}", message.strip_prefix(serde)?)))
        .unwrap_or_else(|| message.to_owned())
}

fn in_words(fault: &Fault<Infallible>) -> String {
    match fault {
        Fault::Read(never) => match *never {},
        Fault::Eof { .. } => "it ends in the middle of a value".to_owned(),
        Fault::RequireUtf8 { .. } => "a text string is not UTF-8".to_owned(),
        Fault::DepthOverflow { .. } => "it nests too deep: 127 levels are taken".to_owned(),
        Fault::Mismatch { found, .. } | Fault::Unsupported { found, .. } => match found {
            0xff => "a break stands where nothing of indefinite length can end".to_owned(),
            0xc0..=0xdb => format!("a tag (byte {found:#04x}) stands where none is taken"),
            _ => format!("the byte {found:#04x} begins nothing that is taken here"),
        },
        Fault::RequireLength { .. } | Fault::LengthOverflow { .. } | Fault::CastOverflow { .. } => {
            "a length is none that can be here".to_owned()
        }
        fault => format!("it cannot be read: {fault}"),
    }
}

impl fmt::Display for CborError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            CborErrorKind::Syntax { offset } => write!(f, "bad CBOR after {offset} bytes")?,
            CborErrorKind::Type => f.write_str("the CBOR does not fit the WIT type")?,
            CborErrorKind::TooLarge { .. } => f.write_str("the CBOR is too large")?,
            CborErrorKind::NoRoom { .. } => f.write_str("there is no room for the CBOR")?,
        }
        if !self.pointer.is_empty() {
            write!(f, ", at `{}`", self.pointer)?;
        }
        write!(f, ": {}", self.message)
    }
}
