//! The WIT types of values and of `run-remote`.

use std::fmt;
use std::sync::Arc;

use crate::error::declared::{STANDARD_ERROR, is_standard};

/// A WIT value type.
///
/// Equality is structural, as the component model has it: names of fields, cases and flags count, the name and the doc
/// comment of a declared type do not.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    /// `bool`
    Bool,
    /// `s8`
    S8,
    /// `u8`
    U8,
    /// `s16`
    S16,
    /// `u16`
    U16,
    /// `s32`
    S32,
    /// `u32`
    U32,
    /// `s64`
    S64,
    /// `u64`
    U64,
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// `char`
    Char,
    /// `string`
    String,
    /// `list<T>`
    List(Arc<Type>),
    /// `map<K, V>`
    Map {
        /// `K`: a type that [can be a key](Type::is_key).
        key: Arc<Type>,
        /// `V`
        value: Arc<Type>,
    },
    /// `tuple<…>`
    Tuple(Arc<[Type]>),
    /// `option<T>`
    Option(Arc<Type>),
    /// `result<T, E>`
    Result {
        /// `T`, if there is one.
        ok: Option<Arc<Type>>,
        /// `E`, if there is one.
        err: Option<Arc<Type>>,
    },
    /// `stream<T>`
    Stream(Arc<Type>),
    /// `future<T>`
    Future(Arc<Type>),
    /// `record`: every member has a type.
    Record(Arc<DeclaredType>),
    /// `variant`: a member has a type where the case has a payload.
    Variant(Arc<DeclaredType>),
    /// `enum`: no member has a type.
    Enum(Arc<DeclaredType>),
    /// `flags`: no member has a type.
    Flags(Arc<DeclaredType>),
    /// A type that a call cannot carry between two sandboxes (yet), as WIT writes it: a resource handle, a stream
    /// or future of nothing, an error context.
    Unsupported(Arc<str>),
}

/// A declared type: a record, a variant, an enum or flags.
#[derive(Debug, Clone)]
pub struct DeclaredType {
    /// The name that WIT gives the type, in kebab-case, where the component kept it.
    pub name: Option<Arc<str>>,
    /// Its doc comment, if the component has it.
    pub docs: Option<Arc<str>>,
    /// Its fields, cases or flags, in the order in which WIT declares them.
    pub members: Vec<Member>,
}

/// A field, a case, a flag, or a parameter.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name.
    pub name: Name,
    /// Its type; `None` for a flag, an enum's case, and a variant's case without payload.
    pub ty: Option<Type>,
    /// Its doc comment, where the component kept it.
    pub docs: Option<Arc<str>>,
}

/// A WIT name, in both spellings that JSON may use.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    kebab: Arc<str>,
    snake: Arc<str>,
}

impl Name {
    /// The name that WIT spells `kebab`.
    pub fn new(kebab: &str) -> Self {
        let snake = if kebab.contains('-') { kebab.replace('-', "_").into() } else { Arc::from(kebab) };
        Name { kebab: kebab.into(), snake }
    }

    /// As WIT spells it: `top-k`.
    pub fn kebab(&self) -> &str {
        &self.kebab
    }

    /// As JSON answers spell it: `top_k`.
    pub fn snake(&self) -> &str {
        &self.snake
    }

    /// Returns true if `text` is this name in either spelling.
    pub fn matches(&self, text: &str) -> bool {
        text == &*self.snake || text == &*self.kebab
    }
}

/// The signature of a `run-remote`.
///
/// Two signatures are equal when a call through one can be served by the other: the same asyncness, the same parameter
/// names and types in the same order, the same result.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    /// True if WIT declares it `async func`.
    pub is_async: bool,
    /// Its parameters; every one has a type.
    pub params: Vec<Member>,
    /// Its result, if it has one.
    pub result: Option<Type>,
    /// Its doc comment, where the component kept it.
    pub docs: Docs,
}

/// A doc comment, which two things that are otherwise the same need not share: any two compare equal.
#[derive(Debug, Clone, Default)]
pub struct Docs(pub Option<Arc<str>>);

impl PartialEq for Docs {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl PartialEq for DeclaredType {
    fn eq(&self, other: &Self) -> bool {
        self.members == other.members
    }
}

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.ty == other.ty
    }
}

/// Returns the type of the answer of a function that returns `result`; see [`Signature::answer`].
#[doc(hidden)]
pub fn answer_of(result: Option<&Type>) -> Option<&Type> {
    match result {
        Some(Type::Result { ok, .. }) => ok.as_deref(),
        other => other,
    }
}

impl Signature {
    /// Returns the type of the answer if the call succeeds: the `T` of a `result<T, E>`, or the type of any other result.
    pub fn answer(&self) -> Option<&Type> {
        answer_of(self.result.as_ref())
    }

    /// Returns true if it takes or returns a stream or a future.
    pub fn has_streams(&self) -> bool {
        self.params.iter().filter_map(|param| param.ty.as_ref()).chain(&self.result).any(Type::has_streams)
    }

    /// The first thing in the signature that a call cannot carry, as WIT writes it.
    pub fn unsupported(&self) -> Option<&str> {
        let types = self.params.iter().filter_map(|param| param.ty.as_ref()).chain(&self.result);
        types.into_iter().find_map(Type::unsupported)
    }
}

impl Type {
    /// Returns true if any part of the type is a stream or a future.
    pub fn has_streams(&self) -> bool {
        match self {
            Type::Stream(_) | Type::Future(_) => true,
            Type::List(inner) | Type::Option(inner) => inner.has_streams(),
            // A key is never a stream.
            Type::Map { value, .. } => value.has_streams(),
            Type::Tuple(types) => types.iter().any(Type::has_streams),
            Type::Result { ok, err } => [ok, err].into_iter().flatten().any(|ty| ty.has_streams()),
            Type::Record(declared) | Type::Variant(declared) => {
                declared.members.iter().filter_map(|member| member.ty.as_ref()).any(Type::has_streams)
            }
            _ => false,
        }
    }

    /// Returns true if a map's keys can be of the type. WIT allows strings, chars, bools and integers.
    pub fn is_key(&self) -> bool {
        let is_integer =
            matches!(self, Type::S8 | Type::U8 | Type::S16 | Type::U16 | Type::S32 | Type::U32 | Type::S64 | Type::U64);
        is_integer || matches!(self, Type::Bool | Type::Char | Type::String)
    }

    /// The first part of the type that a call cannot carry, as WIT writes it.
    pub fn unsupported(&self) -> Option<&str> {
        match self {
            Type::Unsupported(text) => Some(text),
            Type::List(inner) | Type::Option(inner) | Type::Stream(inner) | Type::Future(inner) => inner.unsupported(),
            Type::Map { key, value } => key.unsupported().or_else(|| value.unsupported()),
            Type::Tuple(types) => types.iter().find_map(Type::unsupported),
            Type::Result { ok, err } => [ok, err].into_iter().flatten().find_map(|ty| ty.unsupported()),
            Type::Record(declared) | Type::Variant(declared) => {
                declared.members.iter().filter_map(|member| member.ty.as_ref()).find_map(Type::unsupported)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Type {
    /// The type as WIT would write it in place, with declared types spelled out behind their names: two texts that look
    /// the same are the same type, and two types of one shape do not look the same. Only the standard error, which is
    /// long and known, is written by its name alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Bool => f.write_str("bool"),
            Type::S8 => f.write_str("s8"),
            Type::U8 => f.write_str("u8"),
            Type::S16 => f.write_str("s16"),
            Type::U16 => f.write_str("u16"),
            Type::S32 => f.write_str("s32"),
            Type::U32 => f.write_str("u32"),
            Type::S64 => f.write_str("s64"),
            Type::U64 => f.write_str("u64"),
            Type::F32 => f.write_str("f32"),
            Type::F64 => f.write_str("f64"),
            Type::Char => f.write_str("char"),
            Type::String => f.write_str("string"),
            Type::List(inner) => write!(f, "list<{inner}>"),
            Type::Option(inner) => write!(f, "option<{inner}>"),
            Type::Stream(inner) => write!(f, "stream<{inner}>"),
            Type::Future(inner) => write!(f, "future<{inner}>"),
            Type::Map { key, value } => write!(f, "map<{key}, {value}>"),
            Type::Tuple(types) => {
                f.write_str("tuple<")?;
                separated(f, types.iter(), |f, ty| write!(f, "{ty}"))?;
                f.write_str(">")
            }
            Type::Result { ok: None, err: None } => f.write_str("result"),
            Type::Result { ok: Some(ok), err: None } => write!(f, "result<{ok}>"),
            Type::Result { ok: None, err: Some(err) } => write!(f, "result<_, {err}>"),
            Type::Result { ok: Some(ok), err: Some(err) } => write!(f, "result<{ok}, {err}>"),
            Type::Record(_) if is_standard(self) => f.write_str(STANDARD_ERROR),
            Type::Record(declared) => declared.write(f, "record", |f, name, ty| write!(f, "{name}: {ty}")),
            Type::Variant(declared) => declared.write(f, "variant", |f, name, ty| write!(f, "{name}({ty})")),
            Type::Enum(declared) => declared.write(f, "enum", |_, _, _| Ok(())),
            Type::Flags(declared) => declared.write(f, "flags", |_, _, _| Ok(())),
            Type::Unsupported(text) => f.write_str(text),
        }
    }
}

impl DeclaredType {
    fn write(
        &self,
        f: &mut fmt::Formatter<'_>,
        keyword: &str,
        typed: impl Fn(&mut fmt::Formatter<'_>, &str, &Type) -> fmt::Result,
    ) -> fmt::Result {
        f.write_str(keyword)?;
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        f.write_str(" { ")?;
        separated(f, self.members.iter(), |f, member| match &member.ty {
            Some(ty) => typed(f, member.name.kebab(), ty),
            None => f.write_str(member.name.kebab()),
        })?;
        f.write_str(" }")
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_async {
            f.write_str("async ")?;
        }
        f.write_str("func(")?;
        separated(f, self.params.iter(), |f, param| match &param.ty {
            Some(ty) => write!(f, "{}: {ty}", param.name.kebab()),
            None => f.write_str(param.name.kebab()),
        })?;
        f.write_str(")")?;
        match &self.result {
            Some(result) => write!(f, " -> {result}"),
            None => Ok(()),
        }
    }
}

fn separated<T>(
    f: &mut fmt::Formatter<'_>,
    items: impl Iterator<Item = T>,
    write: impl Fn(&mut fmt::Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        write(f, item)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, fields: &[(&str, Type)]) -> Type {
        let members = fields
            .iter()
            .map(|(name, ty)| Member { name: Name::new(name), ty: Some(ty.clone()), docs: None })
            .collect();
        Type::Record(Arc::new(DeclaredType { name: Some(name.into()), docs: None, members }))
    }

    #[test]
    fn a_type_is_written_as_wit() {
        let hit = record("hit", &[("doc-id", Type::U32), ("score", Type::F32)]);
        let ty = Type::Result {
            ok: Some(Arc::new(Type::List(Arc::new(Type::Option(Arc::new(hit)))))),
            err: Some(Arc::new(Type::String)),
        };
        assert_eq!(ty.to_string(), "result<list<option<record hit { doc-id: u32, score: f32 }>>, string>");
    }

    #[test]
    fn types_of_one_shape_are_written_with_their_names() {
        let size = |name| record(name, &[("x", Type::U32)]);
        let a = Member { name: Name::new("a"), ty: None, docs: None };
        let nameless = Type::Enum(Arc::new(DeclaredType { name: None, docs: None, members: vec![a] }));
        let ty = Type::Tuple([size("point"), size("size"), nameless].into());
        assert_eq!(ty.to_string(), "tuple<record point { x: u32 }, record size { x: u32 }, enum { a }>");
    }

    #[test]
    fn the_standard_error_is_written_by_its_name() {
        let ty = Type::Result { ok: None, err: Some(Arc::new(crate::value::json::arbitrary::standard_error())) };
        assert_eq!(ty.to_string(), "result<_, chainlet:host/errors.error>");
    }

    #[test]
    fn maps_are_equal_by_key_and_value_and_written_as_wit() {
        let map = |key: Type, value: Type| Type::Map { key: key.into(), value: value.into() };
        let ty = map(Type::String, map(Type::U32, record("hit", &[("id", Type::U8)])));
        assert_eq!(ty.to_string(), "map<string, map<u32, record hit { id: u8 }>>");
        assert_eq!(ty, map(Type::String, map(Type::U32, record("match", &[("id", Type::U8)]))));
        assert_ne!(map(Type::String, Type::U8), map(Type::Char, Type::U8));
        assert_ne!(map(Type::String, Type::U8), map(Type::String, Type::S8));
        let pairs = Type::List(Arc::new(Type::Tuple([Type::String, Type::U8].into())));
        assert_ne!(map(Type::String, Type::U8), pairs, "the same memory is another type");
        assert!(map(Type::U8, Type::Stream(Type::U8.into())).has_streams());
        assert_eq!(map(Type::U8, Type::Unsupported("stream".into())).unsupported(), Some("stream"));
    }

    #[test]
    fn declared_types_are_equal_by_structure_and_not_by_name() {
        assert_eq!(record("hit", &[("id", Type::U32)]), record("match", &[("id", Type::U32)]));
        assert_ne!(record("hit", &[("id", Type::U32)]), record("hit", &[("key", Type::U32)]));
        assert_ne!(
            record("hit", &[("a", Type::U8), ("b", Type::U8)]),
            record("hit", &[("b", Type::U8), ("a", Type::U8)])
        );
    }

    #[test]
    fn what_a_call_cannot_carry_is_found_wherever_it_stands() {
        let ty = Type::List(Arc::new(record("r", &[("s", Type::Unsupported("stream<u8>".into()))])));
        assert_eq!(ty.unsupported(), Some("stream<u8>"));
        assert_eq!(record("r", &[("s", Type::String)]).unsupported(), None);
    }
}
