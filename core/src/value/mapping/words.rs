//! Types and names in the words of error messages.

use std::fmt;

use crate::value::ty::{DeclaredType, Member, Type};

/// The most names that a message lists.
const MOST_NAMES: usize = 20;
/// The most characters of a string in the input that a message repeats.
const LONGEST_TEXT: usize = 60;

/// The notation of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::value) enum Notation {
    Json,
    Cbor,
}

impl Notation {
    /// Returns the notation's word for values under keys.
    pub(super) fn object(self) -> &'static str {
        match self {
            Notation::Json => "object",
            Notation::Cbor => "map",
        }
    }

    /// Returns the same word with its article.
    pub(super) fn an_object(self) -> &'static str {
        match self {
            Notation::Json => "an object",
            Notation::Cbor => "a map",
        }
    }
}

/// A type in words: its WIT name, and its form in the notation.
pub(super) struct Words<'a>(pub &'a Type, pub Notation);

/// A type as WIT names it. Declared types appear by name, so every type is short enough for a message.
pub(super) struct Brief<'a>(pub &'a Type);

/// The names of `self.0`, in backticks.
pub(super) struct Names<'a>(pub &'a [Member]);

/// The names of `self.0`, in backticks, each with its type.
pub(in crate::value) struct TypedNames<'a>(pub &'a [Member]);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Words(ty, notation) = *self;
        let is_text = notation == Notation::Json;
        let integer = |f: &mut fmt::Formatter<'_>, min: i128, max: i128| {
            write!(f, "an integer from {min} to {max}{}", if is_text { ", in digits only" } else { "" })
        };
        let wide = if is_text { ", or the same in a string" } else { "" };
        let special = if is_text { ", \"NaN\", \"Infinity\" or \"-Infinity\"" } else { ", NaN or an infinity" };
        write!(f, "{} (", Brief(ty))?;
        match ty {
            Type::Bool => f.write_str("true or false")?,
            Type::S8 => integer(f, i8::MIN.into(), i8::MAX.into())?,
            Type::U8 => integer(f, u8::MIN.into(), u8::MAX.into())?,
            Type::S16 => integer(f, i16::MIN.into(), i16::MAX.into())?,
            Type::U16 => integer(f, u16::MIN.into(), u16::MAX.into())?,
            Type::S32 => integer(f, i32::MIN.into(), i32::MAX.into())?,
            Type::U32 => integer(f, u32::MIN.into(), u32::MAX.into())?,
            Type::S64 => integer(f, i64::MIN.into(), i64::MAX.into()).and_then(|()| f.write_str(wide))?,
            Type::U64 => integer(f, u64::MIN.into(), u64::MAX.into()).and_then(|()| f.write_str(wide))?,
            Type::F32 => write!(f, "a number up to ±{:e}{special}", f32::MAX)?,
            Type::F64 => write!(f, "a number up to ±{:e}{special}", f64::MAX)?,
            Type::Char => f.write_str("a string of one character")?,
            Type::String => f.write_str("a string")?,
            Type::List(inner) | Type::Stream(inner) if **inner == Type::U8 => {
                f.write_str(if is_text { "a base64 string" } else { "a byte string" })?
            }
            Type::List(_) | Type::Stream(_) => f.write_str("an array")?,
            Type::Future(inner) => write!(f, "{}", Brief(inner))?,
            Type::Tuple(types) => write!(f, "an array of {}", types.len())?,
            Type::Option(inner) if matches!(**inner, Type::Option(_)) => f.write_str("null or {\"some\": …}")?,
            Type::Option(inner) => write!(f, "null or {}", Brief(inner))?,
            Type::Result { .. } => f.write_str("{\"ok\": …} or {\"err\": …}")?,
            Type::Record(_) | Type::Map { .. } => f.write_str(notation.an_object())?,
            Type::Variant(declared) => write!(f, "one of {}", Cases(&declared.members))?,
            Type::Enum(declared) => write!(f, "a string, one of {}", Names(&declared.members))?,
            Type::Flags(declared) => write!(f, "an array of strings out of {}", Names(&declared.members))?,
            Type::Unsupported(_) => f.write_str("which cannot be carried")?,
        }
        f.write_str(")")
    }
}

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |side: &Option<_>| side.as_deref().map_or("_".to_owned(), |ty| Brief(ty).to_string());
        match self.0 {
            Type::List(inner) => write!(f, "list<{}>", Brief(inner)),
            Type::Option(inner) => write!(f, "option<{}>", Brief(inner)),
            Type::Stream(inner) => write!(f, "stream<{}>", Brief(inner)),
            Type::Future(inner) => write!(f, "future<{}>", Brief(inner)),
            Type::Map { key, value } => write!(f, "map<{}, {}>", Brief(key), Brief(value)),
            Type::Tuple(types) => {
                f.write_str("tuple<")?;
                listed(f, types, |f, ty| write!(f, "{}", Brief(ty)))?;
                f.write_str(">")
            }
            Type::Result { ok, err } => write!(f, "result<{}, {}>", side(ok), side(err)),
            Type::Record(declared) => named(f, "record", declared),
            Type::Variant(declared) => named(f, "variant", declared),
            Type::Enum(declared) => named(f, "enum", declared),
            Type::Flags(declared) => named(f, "flags", declared),
            scalar => write!(f, "{scalar}"),
        }
    }
}

fn named(f: &mut fmt::Formatter<'_>, keyword: &str, declared: &DeclaredType) -> fmt::Result {
    match &declared.name {
        Some(name) => write!(f, "{keyword} {name}"),
        None => f.write_str(keyword),
    }
}

/// Writes items with commas between them, at most [`MOST_NAMES`] of them.
fn listed<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    write: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().take(MOST_NAMES).enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        write(f, item)?;
    }
    match items.len().saturating_sub(MOST_NAMES) {
        0 => Ok(()),
        left => write!(f, " and {left} more"),
    }
}

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        listed(f, self.0, |f, member| write!(f, "`{}`", member.name.snake()))
    }
}

impl fmt::Display for TypedNames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        listed(f, self.0, |f, member| match &member.ty {
            Some(ty) => write!(f, "`{}` ({})", member.name.snake(), Brief(ty)),
            None => write!(f, "`{}`", member.name.snake()),
        })
    }
}

/// The cases of a variant as a text writes them: `"done"`, `{"failed": …}`.
struct Cases<'a>(&'a [Member]);

impl fmt::Display for Cases<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        listed(f, self.0, |f, case| match &case.ty {
            Some(_) => write!(f, "{{\"{}\": …}}", case.name.snake()),
            None => write!(f, "\"{}\"", case.name.snake()),
        })
    }
}

/// Returns the start of a text from the input: enough to recognise it, too little to flood an answer or a log.
pub(super) fn clip(text: &str) -> &str {
    let end = text.char_indices().nth(LONGEST_TEXT).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or_default()
}
