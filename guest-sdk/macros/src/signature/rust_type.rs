//! The types of the WIT, in the form that the bindings have in Rust.

#![expect(clippy::indexing_slicing, reason = "ids index the `Resolve` that they come from")]

use std::fmt;

use heck::ToUpperCamelCase as _;
use wit_bindgen_core::wit_parser::{Resolve, Type, TypeDefKind, TypeId};

/// A Rust type that stands for a type of the WIT.
#[derive(Debug, Clone)]
pub enum RustType {
    /// A type without arguments that every Rust file knows.
    Plain(&'static str),
    /// A generic type with its arguments.
    Generic(&'static str, Vec<RustType>),
    /// A tuple.
    Tuple(Vec<RustType>),
    /// A list of a fixed length, with the type of its elements.
    Array(Box<RustType>),
    /// A record, variant, enum or flags of the WIT: its definition, and the name under which it was found.
    Named(TypeId, String),
    /// A type that is not compared.
    Unknown,
}

impl RustType {
    /// The type of an absent value: `()`.
    pub const UNIT: RustType = RustType::Tuple(Vec::new());

    /// Returns the Rust type of `ty`.
    pub fn of(resolve: &Resolve, ty: Type) -> Self {
        match ty {
            Type::Bool => RustType::Plain("bool"),
            Type::U8 => RustType::Plain("u8"),
            Type::U16 => RustType::Plain("u16"),
            Type::U32 => RustType::Plain("u32"),
            Type::U64 => RustType::Plain("u64"),
            Type::S8 => RustType::Plain("i8"),
            Type::S16 => RustType::Plain("i16"),
            Type::S32 => RustType::Plain("i32"),
            Type::S64 => RustType::Plain("i64"),
            Type::F32 => RustType::Plain("f32"),
            Type::F64 => RustType::Plain("f64"),
            Type::Char => RustType::Plain("char"),
            Type::String => RustType::Plain("String"),
            Type::ErrorContext => RustType::Unknown,
            Type::Id(id) => Self::defined(resolve, id),
        }
    }

    fn defined(resolve: &Resolve, id: TypeId) -> Self {
        let of = |ty: &Type| Self::of(resolve, *ty);
        let or_unit = |ty: &Option<Type>| ty.as_ref().map_or(RustType::UNIT, of);
        let definition = &resolve.types[id];
        let name = || definition.name.as_deref().unwrap_or_default().to_upper_camel_case();
        match &definition.kind {
            // An alias has its own name for the same type.
            TypeDefKind::Type(original) => match of(original) {
                RustType::Named(id, _) => RustType::Named(id, name()),
                other => other,
            },
            TypeDefKind::Record(_) | TypeDefKind::Variant(_) | TypeDefKind::Enum(_) | TypeDefKind::Flags(_) => {
                RustType::Named(id, name())
            }
            TypeDefKind::List(ty) => RustType::Generic("Vec", vec![of(ty)]),
            TypeDefKind::Option(ty) => RustType::Generic("Option", vec![of(ty)]),
            TypeDefKind::Result(result) => RustType::Generic("Result", vec![or_unit(&result.ok), or_unit(&result.err)]),
            TypeDefKind::Map(key, value) => RustType::Generic("BTreeMap", vec![of(key), of(value)]),
            TypeDefKind::Stream(ty) => RustType::Generic("StreamReader", vec![or_unit(ty)]),
            TypeDefKind::Future(ty) => RustType::Generic("FutureReader", vec![or_unit(ty)]),
            TypeDefKind::Tuple(tuple) => RustType::Tuple(tuple.types.iter().map(of).collect()),
            TypeDefKind::FixedLengthList(ty, _) => RustType::Array(Box::new(of(ty))),
            TypeDefKind::Resource | TypeDefKind::Handle(_) | TypeDefKind::Unknown => RustType::Unknown,
        }
    }

    /// Returns true if both may be the same type.
    pub fn may_be(&self, other: &RustType) -> bool {
        let all = |these: &[RustType], others: &[RustType]| {
            these.len() == others.len() && these.iter().zip(others).all(|(one, other)| one.may_be(other))
        };
        match (self, other) {
            (RustType::Unknown, _) | (_, RustType::Unknown) => true,
            (RustType::Plain(one), RustType::Plain(other)) => one == other,
            (RustType::Generic(one, these), RustType::Generic(other, others)) => one == other && all(these, others),
            (RustType::Tuple(these), RustType::Tuple(others)) => all(these, others),
            (RustType::Array(one), RustType::Array(other)) => one.may_be(other),
            (RustType::Named(one, _), RustType::Named(other, _)) => one == other,
            _ => false,
        }
    }
}

impl fmt::Display for RustType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |types: &[RustType]| types.iter().map(RustType::to_string).collect::<Vec<_>>().join(", ");
        match self {
            RustType::Plain(name) => out.write_str(name),
            RustType::Generic(name, arguments) => write!(out, "{name}<{}>", list(arguments)),
            RustType::Tuple(types) if types.len() == 1 => write!(out, "({},)", list(types)),
            RustType::Tuple(types) => write!(out, "({})", list(types)),
            RustType::Array(element) => write!(out, "[{element}; _]"),
            RustType::Named(_, name) => out.write_str(name),
            RustType::Unknown => out.write_str("_"),
        }
    }
}
