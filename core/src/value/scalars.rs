//! The scalar types of WIT: bools, numbers and chars.

use super::Value;
use super::ty::Type;

/// A type of plain data that is not composed of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    Bool,
    S8,
    U8,
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
    F32,
    F64,
    Char,
}

impl Scalar {
    /// Returns `ty` as a scalar; `None` if it is not one.
    pub(crate) fn of(ty: &Type) -> Option<Self> {
        Some(match ty {
            Type::Bool => Scalar::Bool,
            Type::S8 => Scalar::S8,
            Type::U8 => Scalar::U8,
            Type::S16 => Scalar::S16,
            Type::U16 => Scalar::U16,
            Type::S32 => Scalar::S32,
            Type::U32 => Scalar::U32,
            Type::S64 => Scalar::S64,
            Type::U64 => Scalar::U64,
            Type::F32 => Scalar::F32,
            Type::F64 => Scalar::F64,
            Type::Char => Scalar::Char,
            _ => return None,
        })
    }

    /// Returns the size in bytes, which is also the alignment.
    pub(crate) fn size(self) -> usize {
        match self {
            Scalar::Bool | Scalar::S8 | Scalar::U8 => 1,
            Scalar::S16 | Scalar::U16 => 2,
            Scalar::S32 | Scalar::U32 | Scalar::F32 | Scalar::Char => 4,
            Scalar::S64 | Scalar::U64 | Scalar::F64 => 8,
        }
    }

    /// Reads the value at the beginning of `bytes`, which come from a [`Packed`].
    pub(crate) fn read(self, bytes: &[u8]) -> Option<Value> {
        fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
            bytes.first_chunk().copied()
        }
        Some(match self {
            Scalar::Bool => Value::Bool(*bytes.first()? != 0),
            Scalar::S8 => Value::S8(i8::from_le_bytes(array(bytes)?)),
            Scalar::U8 => Value::U8(*bytes.first()?),
            Scalar::S16 => Value::S16(i16::from_le_bytes(array(bytes)?)),
            Scalar::U16 => Value::U16(u16::from_le_bytes(array(bytes)?)),
            Scalar::S32 => Value::S32(i32::from_le_bytes(array(bytes)?)),
            Scalar::U32 => Value::U32(u32::from_le_bytes(array(bytes)?)),
            Scalar::S64 => Value::S64(i64::from_le_bytes(array(bytes)?)),
            Scalar::U64 => Value::U64(u64::from_le_bytes(array(bytes)?)),
            Scalar::F32 => Value::F32(f32::from_le_bytes(array(bytes)?)),
            Scalar::F64 => Value::F64(f64::from_le_bytes(array(bytes)?)),
            Scalar::Char => Value::Char(char::from_u32(u32::from_le_bytes(array(bytes)?))?),
        })
    }

    /// Writes `value` to the beginning of `bytes`. Returns false if the value is of another type.
    pub(crate) fn write(self, value: &Value, bytes: &mut [u8]) -> bool {
        fn put<const N: usize>(bytes: &mut [u8], value: [u8; N]) -> bool {
            bytes.first_chunk_mut().map(|target| *target = value).is_some()
        }
        match (self, value) {
            (Scalar::Bool, Value::Bool(value)) => put(bytes, [u8::from(*value)]),
            (Scalar::S8, Value::S8(value)) => put(bytes, value.to_le_bytes()),
            (Scalar::U8, Value::U8(value)) => put(bytes, value.to_le_bytes()),
            (Scalar::S16, Value::S16(value)) => put(bytes, value.to_le_bytes()),
            (Scalar::U16, Value::U16(value)) => put(bytes, value.to_le_bytes()),
            (Scalar::S32, Value::S32(value)) => put(bytes, value.to_le_bytes()),
            (Scalar::U32, Value::U32(value)) => put(bytes, value.to_le_bytes()),
            (Scalar::S64, Value::S64(value)) => put(bytes, value.to_le_bytes()),
            (Scalar::U64, Value::U64(value)) => put(bytes, value.to_le_bytes()),
            (Scalar::F32, Value::F32(value)) => put(bytes, value.to_le_bytes()),
            (Scalar::F64, Value::F64(value)) => put(bytes, value.to_le_bytes()),
            (Scalar::Char, Value::Char(value)) => put(bytes, u32::from(*value).to_le_bytes()),
            _ => false,
        }
    }
}
