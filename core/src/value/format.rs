//! The formats that encode a call's parameters and its answer as bytes.

use bytes::Bytes;

use super::mapping::MismatchError;
use super::ty::{Member, Type, answer_of};
use super::{List, Value, cbor, json};
use crate::memory::{NoRoom, Reservation, Reserving};

/// A format of a call's parameters or of its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// JSON, by the rules of [`json`]. Parameters are an object keyed by name.
    #[default]
    Json,
    /// CBOR, by the rules of [`cbor`]. Parameters are a map keyed by name.
    Cbor,
    /// The bytes themselves, without a copy. Only for a function whose only parameter, or whose answer, is a
    /// `list<u8>`.
    Bytes,
}

/// The rejection of bytes as parameters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FormatError {
    /// The reason why they are rejected.
    pub kind: FormatErrorKind,
    /// The offending place, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// The reason, in words.
    pub message: String,
}

/// The reason why bytes are rejected as parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatErrorKind {
    /// The bytes are not of the format, or do not fit the types.
    Mismatch,
    /// The bytes may fit, but their values would take more memory than allowed.
    TooLarge,
    /// The bytes may fit, but the host has no room for their values.
    NoRoom {
        /// True if the host would have no room even if it held nothing else.
        for_good: bool,
    },
}

/// The reason why an answer could not be written.
#[derive(Debug, thiserror::Error)]
#[doc(hidden)]
pub enum WriteError {
    #[error(transparent)]
    Mismatch(#[from] MismatchError),
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 3] = [Format::Json, Format::Cbor, Format::Bytes];

    /// Returns the media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Cbor => "application/cbor",
            Format::Bytes => "application/octet-stream",
        }
    }

    /// Returns true if the format can encode the parameters `params`.
    pub fn fits_params(self, params: &[Member]) -> bool {
        match (self, params) {
            (Format::Json | Format::Cbor, _) => true,
            (Format::Bytes, [Member { ty: Some(ty), .. }]) => is_bytes(ty),
            (Format::Bytes, _) => false,
        }
    }

    /// Returns true if the format can encode the answer of a function that returns `result`. The answer of a `result<T, E>` is
    /// its `T`.
    pub fn fits_answer(self, result: Option<&Type>) -> bool {
        let answer = answer_of(result);
        match self {
            Format::Json | Format::Cbor => true,
            Format::Bytes => answer.is_some_and(is_bytes),
        }
    }

    /// Reads the values of `params`, in their order. They may take at most `limit` bytes.
    ///
    /// # Errors
    /// `input` is not of this format, does not fit the parameters, or its values would take more than `limit`.
    pub fn read(self, params: &[Member], input: &Bytes, limit: usize) -> Result<Vec<Value>, FormatError> {
        match self {
            Format::Json => Ok(json::params_within(params, input, limit)?),
            Format::Cbor => Ok(cbor::params_within(params, input, limit)?),
            Format::Bytes => read_bytes(params, input, limit),
        }
    }

    /// Like [`Format::read`], and adds the bytes that the values hold to `reservation`.
    ///
    /// # Errors
    /// The same, and if the host has no room for the values.
    pub(crate) fn read_reserving(
        self,
        params: &[Member],
        input: &Bytes,
        limit: usize,
        reservation: &mut Reservation,
    ) -> Result<Vec<Value>, FormatError> {
        match self {
            Format::Json => Ok(json::params_reserving(params, input, limit, reservation)?),
            Format::Cbor => Ok(cbor::params_reserving(params, input, limit, reservation)?),
            // Reserves nothing, because the values share the memory of the input.
            Format::Bytes => read_bytes(params, input, limit),
        }
    }

    /// Writes `value`, which is of type `ty`. Without a value it writes null.
    ///
    /// # Errors
    /// The value is not of that type, or the type cannot be written in this format.
    pub fn write(self, ty: Option<&Type>, value: Option<Value>) -> Result<Bytes, MismatchError> {
        match (self, ty, value) {
            (Format::Bytes, _, Some(Value::List(List::U8(bytes)))) => Ok(bytes),
            (Format::Bytes, _, _) => Err(MismatchError::new("expected list<u8>")),
            (Format::Json, Some(ty), Some(value)) => {
                let mut out = Vec::new();
                json::write(ty, &value, &mut out)?;
                Ok(out.into())
            }
            (Format::Cbor, Some(ty), Some(value)) => {
                let mut out = Vec::new();
                cbor::write(ty, &value, &mut out)?;
                Ok(out.into())
            }
            (Format::Json, _, _) => Ok(Bytes::from_static(b"null")),
            (Format::Cbor, _, _) => Ok(Bytes::from_static(&[0xf6])),
        }
    }

    /// Like [`Format::write`]. `reservation` holds the bytes of the value on entry, and those of the output on return.
    ///
    /// # Errors
    /// The same, and if the host has no room for the output.
    pub(crate) fn write_reserving(
        self,
        ty: Option<&Type>,
        value: Option<Value>,
        reservation: &mut Reservation,
    ) -> Result<Bytes, WriteError> {
        let write_to = match self {
            Format::Json => json::write_to,
            Format::Cbor => cbor::write_to,
            Format::Bytes => return Ok(self.write(ty, value)?),
        };
        let (Some(ty), Some(value)) = (ty, &value) else { return Ok(self.write(ty, value)?) };
        let before = reservation.bytes();
        let mut out = Reserving::new(reservation);
        let written = write_to(ty, value, &mut out);
        let out = out.finish();
        let bytes = match (out, written) {
            (Err(no_room), _) => return Err(no_room.into()),
            (Ok(_), Err(mismatch)) => return Err(mismatch.into()),
            (Ok(bytes), Ok(())) => bytes,
        };
        reservation.shrink_by(before);
        Ok(bytes.into())
    }
}

fn read_bytes(params: &[Member], input: &Bytes, limit: usize) -> Result<Vec<Value>, FormatError> {
    let refuse = |kind, message| Err(FormatError { kind, pointer: String::new(), message });
    if !Format::Bytes.fits_params(params) {
        let message = "the parameters are not one list<u8>, so that bytes alone are none of them";
        return refuse(FormatErrorKind::Mismatch, message.to_owned());
    }
    if input.len() > limit {
        let message = format!("its {} bytes are more than the limit of {limit} bytes", input.len());
        return refuse(FormatErrorKind::TooLarge, message);
    }
    Ok(vec![Value::List(List::U8(input.clone()))])
}

fn is_bytes(ty: &Type) -> bool {
    matches!(ty, Type::List(inner) if **inner == Type::U8)
}

impl From<json::JsonError> for FormatError {
    fn from(error: json::JsonError) -> Self {
        let kind = match error.kind {
            json::JsonErrorKind::Syntax { .. } | json::JsonErrorKind::Type => FormatErrorKind::Mismatch,
            json::JsonErrorKind::TooLarge { .. } => FormatErrorKind::TooLarge,
            json::JsonErrorKind::NoRoom { for_good } => FormatErrorKind::NoRoom { for_good },
        };
        let message = match error.kind {
            json::JsonErrorKind::Syntax { line, column } => {
                format!("bad JSON in line {line}, column {column}: {}", error.message)
            }
            _ => error.message,
        };
        FormatError { kind, pointer: error.pointer, message }
    }
}

impl From<cbor::CborError> for FormatError {
    fn from(error: cbor::CborError) -> Self {
        let kind = match error.kind {
            cbor::CborErrorKind::Syntax { .. } | cbor::CborErrorKind::Type => FormatErrorKind::Mismatch,
            cbor::CborErrorKind::TooLarge { .. } => FormatErrorKind::TooLarge,
            cbor::CborErrorKind::NoRoom { for_good } => FormatErrorKind::NoRoom { for_good },
        };
        let message = match error.kind {
            cbor::CborErrorKind::Syntax { offset } => format!("bad CBOR after {offset} bytes: {}", error.message),
            _ => error.message,
        };
        FormatError { kind, pointer: error.pointer, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryBudget;
    use crate::value::json::arbitrary::member;
    use crate::value::json::tests::list;

    fn data() -> Vec<Member> {
        vec![member("data", Some(list(Type::U8)))]
    }

    #[test]
    fn bytes_are_for_one_list_of_bytes_alone() {
        let other = [member("data", Some(list(Type::U8))), member("name", Some(Type::String))];
        assert!(Format::Bytes.fits_params(&data()));
        for params in [&other[..], &other[1..], &[]] {
            assert!(!Format::Bytes.fits_params(params) && Format::Cbor.fits_params(params));
            assert!(Format::Bytes.read(params, &Bytes::new(), 100).is_err());
        }
        let bytes = list(Type::U8);
        let result = |ok: Option<Type>| Type::Result { ok: ok.map(Into::into), err: Some(Type::String.into()) };
        assert!(Format::Bytes.fits_answer(Some(&bytes)) && Format::Bytes.fits_answer(Some(&result(Some(bytes)))));
        for answer in [None, Some(&list(Type::S8)), Some(&result(None)), Some(&Type::String)] {
            assert!(!Format::Bytes.fits_answer(answer) && Format::Json.fits_answer(answer));
        }
    }

    #[test]
    fn bytes_go_in_and_out_as_they_are() {
        let input = Bytes::from(vec![7; 1000]);
        let values = Format::Bytes.read(&data(), &input, 1000).unwrap();
        let [value] = <[Value; 1]>::try_from(values).unwrap();
        let output = Format::Bytes.write(Some(&list(Type::U8)), Some(value)).unwrap();
        assert_eq!((output.as_ptr(), output.len()), (input.as_ptr(), 1000));
        assert!(Format::Bytes.read(&data(), &input, 999).unwrap_err().kind == FormatErrorKind::TooLarge);
        assert!(Format::Bytes.write(Some(&Type::U8), Some(Value::U8(1))).is_err());
    }

    #[test]
    fn nothing_is_null() {
        assert_eq!(Format::Json.write(None, None).unwrap(), "null");
        assert_eq!(Format::Cbor.write(None, None).unwrap(), [0xf6][..]);
    }

    #[test]
    fn what_is_written_is_reserved_in_place_of_the_value() {
        let budget = MemoryBudget::new(10_000);
        let ty = list(Type::String);
        let value = || Value::List(List::Values((0..100).map(|_| Value::from("sixteen letters!")).collect()));
        let weight = value().weight();
        for format in [Format::Json, Format::Cbor] {
            let mut reservation = budget.reserve(weight).unwrap();
            let bytes = format.write_reserving(Some(&ty), Some(value()), &mut reservation).unwrap();
            assert_eq!(bytes, format.write(Some(&ty), Some(value())).unwrap());
            assert!(reservation.bytes() >= bytes.len() && reservation.bytes() <= 2 * bytes.len(), "{reservation:?}");
        }
        let many = || Value::List(List::Values((0..10_000).map(|_| Value::from("sixteen letters!")).collect()));
        let mut reservation = budget.reserve(9_000).unwrap();
        let refused = Format::Json.write_reserving(Some(&ty), Some(many()), &mut reservation);
        assert!(matches!(refused, Err(WriteError::NoRoom(_))));
        assert_eq!(reservation.bytes(), 9_000);
    }

    #[test]
    fn a_refusal_says_where_it_is_in_every_format() {
        let json = Format::Json.read(&data(), &Bytes::from_static(b"{\"data\":\n 7]"), 100).unwrap_err();
        assert_eq!((json.pointer.as_str(), json.kind), ("/data", FormatErrorKind::Mismatch));
        let cut = Format::Json.read(&data(), &Bytes::from_static(b"{\n"), 100).unwrap_err();
        assert!(cut.message.starts_with("bad JSON in line 2, column 0: "), "{cut}");
        let cut = Format::Cbor.read(&data(), &Bytes::from_static(b"\xa1\x64data"), 100).unwrap_err();
        assert_eq!(cut.to_string(), "bad CBOR after 6 bytes: it ends in the middle of a value");
        assert!(
            Format::Cbor.read(&data(), &Bytes::from_static(b"\xa1\x64data\x41a"), 1).unwrap_err().kind
                == FormatErrorKind::TooLarge
        );
    }
}
