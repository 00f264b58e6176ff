//! The parameters of a call on their way to a replica.

use std::fmt;

use bytes::Bytes;

use super::Chainlet;
use super::callee::Callee;
use crate::config::ChainletName;
use crate::error::{CallError, ErrorKind};
use crate::memory::{MEMORY_LIMIT, Reservation};
use crate::value::Value;
use crate::value::format::{Format, FormatError, FormatErrorKind};

/// The longest body, in bytes, that is read at once, on the thread of its task; that takes some ten microseconds. A
/// longer body is read on a thread for long work, because a few bytes of text can become a thousand times as many bytes
/// of values.
pub const READ_AT_ONCE: usize = 4 * 1024;

/// The parameters of a call.
#[derive(Debug)]
pub enum Params {
    /// The values.
    Values(Values),
    /// The bytes that the sender wrote. They are read only after the call has a place, so that waiting calls hold no
    /// more than these bytes.
    Encoded {
        /// The format of the bytes.
        format: Format,
        bytes: Bytes,
    },
}

/// Parameters as values.
#[derive(Debug, Default)]
pub struct Values {
    pub list: Vec<Value>,
    /// The part of the host's budget that the values hold. It is `None` if an embedder made the values or the caller
    /// counts them. It is freed when the guest has the values in its own memory.
    pub reservation: Option<Reservation>,
}

impl From<Values> for Params {
    fn from(values: Values) -> Self {
        Params::Values(values)
    }
}

impl From<Vec<Value>> for Params {
    fn from(list: Vec<Value>) -> Self {
        Params::Values(Values { list, reservation: None })
    }
}

impl Params {
    /// Returns the values for a call of `chainlet`.
    ///
    /// # Errors
    /// Fails if they do not fit its parameters, if they exceed the limit for values, or if the host has no room for
    /// them.
    pub(super) async fn read(self, chainlet: &Chainlet) -> Result<Values, CallError> {
        let (format, bytes) = match self {
            Params::Values(values) => return Ok(values),
            Params::Encoded { format, bytes } => (format, bytes),
        };
        let mut reservation = chainlet.memory().beside(bytes.len());
        let (signature, limit) = (chainlet.signature().clone(), chainlet.value_limit());
        let length = bytes.len();
        let read = move || {
            let list = format.read_reserving(&signature.params, &bytes, limit, &mut reservation)?;
            Ok(Values { list, reservation: Some(reservation) })
        };
        let values = if length <= READ_AT_ONCE { read() } else { chainlet.offload.run(read).await };
        values.map_err(|error: FormatError| invalid(chainlet, error))
    }
}

/// Makes the failure of a call of `chainlet` whose input does not fit.
pub fn invalid(chainlet: &Chainlet, error: impl Into<FormatError>) -> CallError {
    let FormatError { kind, pointer, message } = error.into();
    let name = chainlet.name();
    match kind {
        FormatErrorKind::TooLarge => {
            let message =
                format!("the input is too large: {message}, the resources.value_limit of the chainlet {name}");
            rejected(name, kind, pointer, message)
        }
        _ => rejected(name, kind, pointer, message),
    }
}

/// Makes the failure of a call of the chainlet `name` whose input is rejected at `pointer`.
pub fn rejected(name: &ChainletName, kind: FormatErrorKind, pointer: String, message: impl fmt::Display) -> CallError {
    let new = |kind| CallError::new(kind, name, message).at(pointer);
    match kind {
        FormatErrorKind::Mismatch => new(ErrorKind::InvalidInput),
        FormatErrorKind::TooLarge => new(ErrorKind::TooLarge).limited_by_key("resources.value_limit"),
        FormatErrorKind::NoRoom { for_good: false } => new(ErrorKind::Overloaded).limited_by(MEMORY_LIMIT),
        FormatErrorKind::NoRoom { for_good: true } => new(ErrorKind::TooLarge).limited_by(MEMORY_LIMIT),
    }
}
