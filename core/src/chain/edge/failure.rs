//! Failures as guests see them: the record `failure` of `chainlet:host/call`, as a value and by its shape. A guest gets
//! one from an import whose type is a `result` around the callee's.

use crate::error::{CallError, EdgeName, ErrorKind};
use crate::value::ty::{DeclaredType, Member};
use crate::value::{List, Type, Value};

/// The kinds of failures in the order in which WIT declares them; [`ErrorKind::name`] gives the names.
pub(crate) const KINDS: [ErrorKind; 11] = [
    ErrorKind::InvalidInput,
    ErrorKind::TooLarge,
    ErrorKind::AnswerTooLarge,
    ErrorKind::Overloaded,
    ErrorKind::NotReady,
    ErrorKind::Deadline,
    ErrorKind::Trap,
    ErrorKind::Stopping,
    ErrorKind::Unreachable,
    ErrorKind::Cancelled,
    ErrorKind::Internal,
];

const EDGE: [&str; 3] = ["caller", "dependency", "callee"];
const FAILURE: [&str; 6] = ["kind", "message", "chainlet", "path", "repeatable", "retry-after"];

/// Returns the value that tells a guest of `error`, the failure of a call that it made.
pub(super) fn value(error: &CallError) -> Value {
    let kind = KINDS.iter().position(|kind| *kind == error.kind()).unwrap_or(KINDS.len() - 1);
    let edge = |edge: &EdgeName| {
        Value::Record([edge.from.as_str().into(), edge.dependency.as_str().into(), edge.to.as_str().into()].into())
    };
    let fields = [
        Value::Enum(u32::try_from(kind).unwrap_or_default()),
        Value::String(error.public_message().into()),
        Value::from(error.chainlet().as_str()),
        Value::List(List::Values(error.path().map(edge).collect())),
        Value::Bool(is_repeatable(error)),
        Value::Option(retry_after(error).map(|time| Box::new(Value::U64(time)))),
    ];
    Value::Record(fields.into())
}

/// Returns true if a guest that gets `error` from a dependency may repeat the call without doing anything twice.
pub(crate) fn is_repeatable(error: &CallError) -> bool {
    // Skips one edge, the first, because it is the guest's own.
    error.has_not_begun(1)
}

/// Returns the time in nanoseconds after which another attempt makes sense.
pub(crate) fn retry_after(error: &CallError) -> Option<u64> {
    error.retry_after().map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// Returns true if `ty` has the shape of a failure.
pub(crate) fn is_failure(ty: &Type) -> bool {
    let Type::Record(failure) = ty else { return false };
    let [kind, message, chainlet, path, repeatable, retry_after] = failure.members.as_slice() else { return false };
    let kinds =
        matches!(&kind.ty, Some(Type::Enum(kinds)) if names(&kinds.members).eq(KINDS.iter().map(|kind| kind.name())));
    let path = match &path.ty {
        Some(Type::List(edge)) => matches!(&**edge, Type::Record(edge) if is_edge(edge)),
        _ => false,
    };
    let retry_after = matches!(&retry_after.ty, Some(Type::Option(time)) if **time == Type::U64);
    names(&failure.members).eq(FAILURE)
        && kinds
        && path
        && retry_after
        && [message, chainlet].iter().all(|member| member.ty == Some(Type::String))
        && repeatable.ty == Some(Type::Bool)
}

fn is_edge(edge: &DeclaredType) -> bool {
    names(&edge.members).eq(EDGE) && edge.members.iter().all(|member| member.ty == Some(Type::String))
}

fn names(members: &[Member]) -> impl Iterator<Item = &str> {
    members.iter().map(|member| member.name.kebab())
}

#[cfg(test)]
pub(in super::super) mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::value::json::arbitrary::member;

    fn declared(members: Vec<Member>) -> Arc<DeclaredType> {
        Arc::new(DeclaredType { name: None, docs: None, members })
    }

    /// Returns the type of a failure, as a component imports it.
    pub(in super::super::super) fn failure() -> Type {
        let edge = EDGE.iter().map(|name| member(name, Some(Type::String))).collect();
        let types = [
            Type::Enum(declared(KINDS.iter().map(|kind| member(kind.name(), None)).collect())),
            Type::String,
            Type::String,
            Type::List(Arc::new(Type::Record(declared(edge)))),
            Type::Bool,
            Type::Option(Arc::new(Type::U64)),
        ];
        let fields = FAILURE.iter().zip(types).map(|(name, ty)| member(name, Some(ty))).collect();
        Type::Record(declared(fields))
    }

    #[test]
    fn the_names_are_those_of_the_wit() {
        let wit = include_str!("../../../../wit/call.wit");
        let members = |head: &str| -> Vec<&str> {
            let (_, body) = wit.split_once(head).unwrap();
            let (body, _) = body.split_once('}').unwrap();
            let lines = body.lines().map(str::trim).filter(|line| !line.starts_with("///"));
            lines.filter_map(|line| line.split([':', ',']).next()).filter(|name| !name.is_empty()).collect()
        };
        assert_eq!(members("enum failure-kind {"), KINDS.map(ErrorKind::name));
        assert_eq!(members("record edge {"), EDGE);
        assert_eq!(members("record failure {"), FAILURE);
        assert!(is_failure(&failure()) && !is_failure(&Type::String));
    }

    #[test]
    fn a_guest_learns_what_it_can_act_on_and_not_what_another_guest_said() {
        let edge =
            EdgeName { from: "a".parse().unwrap(), dependency: "model".parse().unwrap(), to: "b".parse().unwrap() };
        let through =
            |kind| CallError::new(kind, &edge.to, "the password is swordfish").through(&Arc::new(edge.clone()));
        let trap = through(ErrorKind::Trap);
        let Value::Record(fields) = value(&trap) else { panic!("a failure is a record") };
        assert_eq!(fields[1], Value::from("the chainlet `b` trapped"));
        assert_eq!((&fields[4], &fields[5]), (&Value::Bool(false), &Value::Option(None)));
        let path = Value::Record([Value::from("a"), Value::from("model"), Value::from("b")].into());
        assert_eq!(fields[3], Value::List(List::Values(vec![path])));
        let overloaded = through(ErrorKind::Overloaded);
        assert!(is_repeatable(&overloaded));
        assert_eq!(retry_after(&overloaded), Some(u64::try_from(Duration::from_secs(1).as_nanos()).unwrap()));
        assert!(!is_repeatable(&overloaded.through(&Arc::new(edge.clone()))), "a call further down had begun");
    }
}
