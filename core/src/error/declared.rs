//! The standard error that a chainlet may declare: `chainlet:host/errors.error`.
//!
//! A component's types have no names of interfaces in them, so the host knows the type by its shape: a record with the
//! same fields in the same order, whose `kind` is an enum with the same cases.

use crate::guest_words::{SENTENCE, clip};
use crate::value::{Type, Value};

/// The name of the standard error type, as WIT refers to it from another package.
pub(crate) const STANDARD_ERROR: &str = "chainlet:host/errors.error";

/// A kind of declared error, in the terms that HTTP and gRPC share. `wit/errors.wit` describes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeclaredKind {
    /// The request is wrong.
    Invalid,
    /// The caller is not known.
    Unauthenticated,
    /// The caller may not have it.
    Forbidden,
    /// There is nothing of this name.
    NotFound,
    /// The request conflicts with the present state.
    Conflict,
    /// The request is well-formed, and cannot be served as it is.
    Unprocessable,
    /// The caller has asked too often or for too much.
    TooMany,
    /// The chainlet failed by a fault of its own.
    Internal,
    /// The chainlet does not do this.
    Unimplemented,
    /// A service that the chainlet asked failed.
    Upstream,
    /// The chainlet cannot serve now.
    Unavailable,
    /// Something that the chainlet waited for did not come in time.
    Timeout,
}

impl DeclaredKind {
    /// All kinds, in the order in which WIT declares them.
    pub const ALL: [DeclaredKind; 12] = [
        DeclaredKind::Invalid,
        DeclaredKind::Unauthenticated,
        DeclaredKind::Forbidden,
        DeclaredKind::NotFound,
        DeclaredKind::Conflict,
        DeclaredKind::Unprocessable,
        DeclaredKind::TooMany,
        DeclaredKind::Internal,
        DeclaredKind::Unimplemented,
        DeclaredKind::Upstream,
        DeclaredKind::Unavailable,
        DeclaredKind::Timeout,
    ];

    /// The kind's name, as WIT spells it.
    pub const fn name(self) -> &'static str {
        match self {
            DeclaredKind::Invalid => "invalid",
            DeclaredKind::Unauthenticated => "unauthenticated",
            DeclaredKind::Forbidden => "forbidden",
            DeclaredKind::NotFound => "not-found",
            DeclaredKind::Conflict => "conflict",
            DeclaredKind::Unprocessable => "unprocessable",
            DeclaredKind::TooMany => "too-many",
            DeclaredKind::Internal => "internal",
            DeclaredKind::Unimplemented => "unimplemented",
            DeclaredKind::Upstream => "upstream",
            DeclaredKind::Unavailable => "unavailable",
            DeclaredKind::Timeout => "timeout",
        }
    }

    /// Returns true if the chainlet or a service behind it is at fault, rather than the caller.
    pub const fn is_fault(self) -> bool {
        matches!(
            self,
            DeclaredKind::Internal | DeclaredKind::Upstream | DeclaredKind::Unavailable | DeclaredKind::Timeout
        )
    }
}

/// The parts of a standard error that the host acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredError {
    /// Its kind.
    pub kind: DeclaredKind,
    /// The sentence in it, as far as 2 KiB: a guest may say as much as its memory holds.
    pub message: String,
    /// True if the same call may be made again.
    pub repeatable: bool,
}

impl DeclaredError {
    /// Reads `value`, an error of type `ty`; `None` where that is not the standard error type.
    pub(crate) fn read(ty: &Type, value: &Value) -> Option<Self> {
        if !is_standard(ty) {
            return None;
        }
        let Value::Record(fields) = value else { return None };
        let [Value::Enum(kind), Value::String(message), _, Value::Bool(repeatable)] = &**fields else { return None };
        let kind = *DeclaredKind::ALL.get(usize::try_from(*kind).ok()?)?;
        Some(DeclaredError { kind, message: clip(message.to_string(), SENTENCE), repeatable: *repeatable })
    }
}

/// Returns true if `ty` has the shape of the standard error type.
#[doc(hidden)]
pub fn is_standard(ty: &Type) -> bool {
    let Type::Record(record) = ty else { return false };
    let [kind, message, details, repeatable] = record.members.as_slice() else { return false };
    let names = [kind, message, details, repeatable].map(|member| member.name.kebab());
    let (Some(Type::Enum(kinds)), Some(Type::String), Some(Type::Option(details)), Some(Type::Bool)) =
        (&kind.ty, &message.ty, &details.ty, &repeatable.ty)
    else {
        return false;
    };
    names == ["kind", "message", "details", "repeatable"]
        && **details == Type::String
        && kinds.members.iter().map(|member| member.name.kebab()).eq(DeclaredKind::ALL.iter().map(|kind| kind.name()))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::value::json::arbitrary::standard_error;

    /// A standard error.
    pub(crate) fn error(kind: u32, repeatable: bool) -> Value {
        let fields = [Value::Enum(kind), Value::from("gone"), Value::Option(None), Value::Bool(repeatable)];
        Value::Record(fields.into())
    }

    #[test]
    fn the_standard_error_is_known_by_its_shape() {
        let declared = DeclaredError::read(&standard_error(), &error(3, true)).unwrap();
        assert_eq!((declared.kind, declared.message.as_str()), (DeclaredKind::NotFound, "gone"));
        assert!(declared.repeatable && !declared.kind.is_fault());
        assert_eq!(DeclaredError::read(&Type::String, &Value::from("gone")), None);
        let Type::Record(record) = standard_error() else { panic!("it is a record") };
        let mut fewer = (*record).clone();
        fewer.members.pop();
        assert!(!is_standard(&Type::Record(Arc::new(fewer))));
    }

    #[test]
    fn a_sentence_that_is_too_long_is_cut() {
        let long = Value::from("x".repeat(2 * SENTENCE).as_str());
        let error = Value::Record([Value::Enum(0), long, Value::Option(None), Value::Bool(false)].into());
        let message = DeclaredError::read(&standard_error(), &error).unwrap().message;
        assert_eq!((message.len(), message.ends_with('…')), (SENTENCE + '…'.len_utf8(), true));
    }

    #[test]
    fn the_kinds_are_those_of_the_wit() {
        let wit = include_str!("../../../wit/errors.wit");
        let (_, cases) = wit.split_once("enum error-kind {").unwrap();
        let (cases, _) = cases.split_once('}').unwrap();
        let lines = cases.lines().map(str::trim).filter(|line| !line.starts_with("///"));
        let names = lines.filter_map(|line| line.strip_suffix(','));
        assert!(names.eq(DeclaredKind::ALL.iter().map(|kind| kind.name())));
    }
}
