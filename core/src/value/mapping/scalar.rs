//! Bools, numbers and chars.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, Unexpected, Visitor};

use super::words::{Notation, Words, clip};
use crate::value::ty::Type;

/// A type of plain data. Each method converts one kind of input to the type; `None` rejects it.
pub(super) trait ReadScalar: Sized {
    /// The WIT type.
    const TYPE: Type;

    /// `true` or `false`.
    fn from_bool(_: bool) -> Option<Self> {
        None
    }

    /// An integer without a sign.
    fn from_unsigned(_: u64) -> Option<Self> {
        None
    }

    /// An integer with a sign.
    fn from_signed(_: i64) -> Option<Self> {
        None
    }

    /// A number that was written in digits, with a fraction or an exponent or too large for 64 bits.
    fn from_float(_: f64) -> Option<Self> {
        None
    }

    /// A float from a binary notation.
    fn from_binary(_: f64) -> Option<Self> {
        None
    }

    /// A string.
    fn from_text(_: &str) -> Option<Self> {
        None
    }
}

impl ReadScalar for bool {
    const TYPE: Type = Type::Bool;

    fn from_bool(value: bool) -> Option<Self> {
        Some(value)
    }
}

impl ReadScalar for char {
    const TYPE: Type = Type::Char;

    fn from_text(text: &str) -> Option<Self> {
        let mut chars = text.chars();
        chars.next().filter(|_| chars.as_str().is_empty())
    }
}

macro_rules! integers {
    ($($integer:ident $ty:ident $text:expr,)*) => {$(
        impl ReadScalar for $integer {
            const TYPE: Type = Type::$ty;

            fn from_unsigned(value: u64) -> Option<Self> {
                value.try_into().ok()
            }

            fn from_signed(value: i64) -> Option<Self> {
                value.try_into().ok()
            }

            fn from_text(text: &str) -> Option<Self> {
                ($text)(text)
            }
        }
    )*};
}

integers! {
    i8 S8 |_| None,
    u8 U8 |_| None,
    i16 S16 |_| None,
    u16 U16 |_| None,
    i32 S32 |_| None,
    u32 U32 |_| None,
    i64 S64 |text| canonical(text)?.parse().ok(),
    u64 U64 |text| canonical(text)?.parse().ok(),
}

/// Returns `text` if it is an integer as JSON writes one: without a plus and without a leading zero.
pub(super) fn canonical(text: &str) -> Option<&str> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (text == "0" || !digits.starts_with(['0', '+'])).then_some(text)
}

macro_rules! floats {
    ($($float:ident $ty:ident $nearest:expr, $even:expr,)*) => {$(
        impl ReadScalar for $float {
            const TYPE: Type = Type::$ty;

            fn from_unsigned(value: u64) -> Option<Self> {
                Some(value as $float)
            }

            fn from_signed(value: i64) -> Option<Self> {
                Some(value as $float)
            }

            fn from_float(value: f64) -> Option<Self> {
                Some($nearest(value)).filter(|float: &$float| float.is_finite())
            }

            fn from_binary(value: f64) -> Option<Self> {
                Some($even(value)).filter(|float: &$float| float.is_finite() || !value.is_finite())
            }

            fn from_text(text: &str) -> Option<Self> {
                match text {
                    "NaN" => Some($float::NAN),
                    "Infinity" => Some($float::INFINITY),
                    "-Infinity" => Some($float::NEG_INFINITY),
                    _ => None,
                }
            }
        }
    )*};
}

floats! {
    f32 F32 nearest_f32, |value| value as f32,
    f64 F64 |value| value, |value| value,
}

/// Returns the f32 nearest to a text that reads as the f64 `value`.
///
/// Rounding twice, from the text to f64 to f32, is wrong if the text lies next to the middle of two f32 and `value`
/// exactly on it. Then the text means the one of the two whose shortest digits read as `value`. Among all f32 in their
/// shortest digits, only one needs this: 7.038531e-26.
fn nearest_f32(value: f64) -> f32 {
    // The middle of two f32 uses at most 25 of an f64's 53 bits.
    const BEYOND_THE_MIDDLE: u64 = (1 << 28) - 1;
    let even = value as f32;
    let left = value - f64::from(even);
    if value.to_bits() & BEYOND_THE_MIDDLE != 0 || left == 0.0 {
        return even;
    }
    let other = if left > 0.0 { even.next_up() } else { even.next_down() };
    let is_written_as_value = |float: f32| float.to_string().parse() == Ok(value);
    if is_written_as_value(other) && !is_written_as_value(even) { other } else { even }
}

/// Reads a `T`.
pub(super) struct ScalarSeed<T>(PhantomData<T>);

impl<T> ScalarSeed<T> {
    pub(super) const fn new() -> Self {
        ScalarSeed(PhantomData)
    }
}

impl<T> Clone for ScalarSeed<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ScalarSeed<T> {}

impl<'de, T: ReadScalar> DeserializeSeed<'de> for ScalarSeed<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        let notation = if deserializer.is_human_readable() { Notation::Json } else { Notation::Cbor };
        deserializer.deserialize_any(ScalarVisitor { notation, of: PhantomData })
    }
}

struct ScalarVisitor<T> {
    notation: Notation,
    of: PhantomData<T>,
}

impl<T: ReadScalar> Visitor<'_> for ScalarVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Words(&T::TYPE, self.notation))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        T::from_bool(value).ok_or_else(|| E::invalid_type(Unexpected::Bool(value), &self))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        T::from_unsigned(value).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        T::from_signed(value).ok_or_else(|| E::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        let found = match self.notation {
            Notation::Json => T::from_float(value),
            Notation::Cbor => T::from_binary(value),
        };
        found.ok_or_else(|| E::invalid_value(Unexpected::Float(value), &self))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<T, E> {
        T::from_binary(value as f64).ok_or_else(|| {
            E::invalid_value(Unexpected::Other(&format!("integer `{value}` of more than 64 bits")), &self)
        })
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<T, E> {
        T::from_binary(value as f64).ok_or_else(|| {
            E::invalid_value(Unexpected::Other(&format!("integer `{value}` of more than 64 bits")), &self)
        })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        // A binary notation has numbers of every kind, so it needs none in a string.
        let may_be_text = self.notation == Notation::Json || matches!(T::TYPE, Type::Char);
        let found = may_be_text.then(|| T::from_text(text)).flatten();
        found.ok_or_else(|| E::invalid_value(Unexpected::Str(clip(text)), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_f32_whose_digits_lie_next_to_the_middle_of_two_f32_is_read_as_itself() {
        for float in [7.038531e-26_f32, -7.038531e-26] {
            let as_f64: f64 = float.to_string().parse().unwrap();
            assert_ne!(as_f64 as f32, float, "rounding twice goes wrong here");
            assert_eq!(nearest_f32(as_f64), float);
        }
    }

    #[test]
    fn other_floats_round_to_the_nearest_and_a_middle_to_the_even_one() {
        for value in [0.0, -0.0, 0.1, 1.0, 16_777_217.0, 16_777_219.0, 1e-46, 7e-46, 3.4028235e38, 1e300, -1e300] {
            assert_eq!(nearest_f32(value).to_bits(), (value as f32).to_bits(), "{value}");
        }
    }
}
