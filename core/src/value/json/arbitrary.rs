//! Random types, and random values of a type, for property tests, and the type of standard errors.
//!
//! The tests of the crate `chainhost` include this file, too. So it uses only what is public.

// Both crates find it there.
#[path = "arbitrary/breaks.rs"]
pub(crate) mod breaks;

use std::sync::Arc;

use proptest::collection::{hash_set, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::error::DeclaredKind;
use crate::value::ty::{DeclaredType, Member, Name, Type};
use crate::value::{Flags, List, Value, entries};

/// The names of fields, cases and flags.
pub(crate) const NAMES: [&str; 10] =
    ["id", "top-k", "score", "a-b-c", "x1", "is-ok", "some", "ok", "HTTP-status", "longer-than-the-others"];

/// A type of a few levels, without unsupported parts.
pub(crate) fn any_type() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![
        4 => select(vec![
            Type::Bool,
            Type::S8,
            Type::U8,
            Type::S16,
            Type::U16,
            Type::S32,
            Type::U32,
            Type::S64,
            Type::U64,
            Type::F32,
            Type::F64,
            Type::Char,
            Type::String,
        ]),
        1 => declared(|| Just(None)).prop_map(Type::Enum),
        1 => declared(|| Just(None)).prop_map(Type::Flags),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let optional = proptest::option::of(inner.clone());
        let side = || optional.clone().prop_map(|ty| ty.map(Arc::new));
        let member = inner.clone();
        prop_oneof![
            inner.clone().prop_map(|ty| Type::List(Arc::new(ty))),
            inner.clone().prop_map(|ty| Type::Option(Arc::new(ty))),
            (any_key(), inner.clone()).prop_map(|(key, value)| Type::Map { key: key.into(), value: value.into() }),
            vec(inner, 1..4).prop_map(|types| Type::Tuple(types.into())),
            (side(), side()).prop_map(|(ok, err)| Type::Result { ok, err }),
            declared(move || member.clone().prop_map(Some).boxed()).prop_map(Type::Record),
            declared(move || optional.clone().boxed()).prop_map(Type::Variant),
        ]
    })
}

/// A type that a map's keys may have: a string half of the time.
fn any_key() -> impl Strategy<Value = Type> {
    let others = vec![
        Type::Bool,
        Type::S8,
        Type::U8,
        Type::S16,
        Type::U16,
        Type::S32,
        Type::U32,
        Type::S64,
        Type::U64,
        Type::Char,
    ];
    prop_oneof![1 => Just(Type::String), 1 => select(others)]
}

/// A list of records or tuples of plain data.
pub(crate) fn list_of_plain_data() -> impl Strategy<Value = Type> {
    let plain = select(vec![Type::Bool, Type::U8, Type::S16, Type::U32, Type::F32, Type::S64, Type::F64, Type::Char]);
    let plain = plain.boxed().prop_recursive(2, 8, 4, |inner| {
        let member = inner.clone();
        prop_oneof![
            vec(inner, 1..4).prop_map(|types| Type::Tuple(types.into())),
            declared(move || member.clone().prop_map(Some).boxed()).prop_map(Type::Record),
        ]
    });
    vec(plain, 1..4).prop_map(|types| Type::List(Arc::new(Type::Tuple(types.into()))))
}

/// Parameters, each with a type.
pub(crate) fn any_params() -> impl Strategy<Value = Vec<Member>> {
    subsequence(NAMES.to_vec(), 0..4).prop_flat_map(|names| {
        let count = names.len();
        vec(any_type(), count)
            .prop_map(move |types| names.iter().zip(types).map(|(name, ty)| member(name, Some(ty))).collect::<Vec<_>>())
    })
}

/// Makes a parameter, field, case or flag without docs.
pub(crate) fn member(name: &str, ty: Option<Type>) -> Member {
    Member { name: Name::new(name), ty, docs: None }
}

/// Makes the type of standard errors, as a component declares it.
pub(crate) fn standard_error() -> Type {
    let declared = |members| Arc::new(DeclaredType { name: None, docs: None, members });
    let kinds = DeclaredKind::ALL.iter().map(|kind| member(kind.name(), None)).collect();
    Type::Record(declared(vec![
        member("kind", Some(Type::Enum(declared(kinds)))),
        member("message", Some(Type::String)),
        member("details", Some(Type::Option(Arc::new(Type::String)))),
        member("repeatable", Some(Type::Bool)),
    ]))
}

fn declared<S: Strategy<Value = Option<Type>> + 'static>(
    ty: impl Fn() -> S,
) -> impl Strategy<Value = Arc<DeclaredType>> {
    let name = proptest::option::of(select(vec!["hit", "search-hit", "problem", "error"]));
    let members = vec((any::<bool>(), ty()), NAMES.len());
    (name, subsequence(NAMES.to_vec(), 1..NAMES.len()).prop_shuffle(), members).prop_map(|(name, names, members)| {
        let members = names.iter().zip(members).map(|(name, (has_docs, ty))| Member {
            docs: has_docs.then(|| format!("What {name} is.").into()),
            ..member(name, ty)
        });
        Arc::new(DeclaredType { name: name.map(Arc::from), docs: None, members: members.collect() })
    })
}

/// A value of type `ty`. Floats include the special ones.
pub(crate) fn value_of(ty: &Type) -> BoxedStrategy<Value> {
    match ty {
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::S8 => any::<i8>().prop_map(Value::S8).boxed(),
        Type::U8 => any::<u8>().prop_map(Value::U8).boxed(),
        Type::S16 => any::<i16>().prop_map(Value::S16).boxed(),
        Type::U16 => any::<u16>().prop_map(Value::U16).boxed(),
        Type::S32 => any::<i32>().prop_map(Value::S32).boxed(),
        Type::U32 => any::<u32>().prop_map(Value::U32).boxed(),
        Type::S64 => any::<i64>().prop_map(Value::S64).boxed(),
        Type::U64 => any::<u64>().prop_map(Value::U64).boxed(),
        Type::F32 => f32s().prop_map(Value::F32).boxed(),
        Type::F64 => f64s().prop_map(Value::F64).boxed(),
        Type::Char => any::<char>().prop_map(Value::Char).boxed(),
        Type::String => any::<String>().prop_map(Value::from).boxed(),
        Type::List(inner) => list_of(inner).prop_map(Value::List).boxed(),
        Type::Map { key, value } => vec((value_of(key), value_of(value)), 0..5)
            .prop_map(|entries| Value::Map(entries::last_of_each(entries)))
            .boxed(),
        Type::Tuple(types) => {
            types.iter().map(value_of).collect::<Vec<_>>().prop_map(|items| Value::Tuple(items.into())).boxed()
        }
        Type::Option(inner) => proptest::option::of(value_of(inner).prop_map(Box::new)).prop_map(Value::Option).boxed(),
        Type::Result { ok, err } => {
            let side = |ty: &Option<Arc<Type>>| payload_of(ty.as_deref());
            prop_oneof![side(ok).prop_map(Ok), side(err).prop_map(Err)].prop_map(Value::Result).boxed()
        }
        Type::Record(declared) => {
            let fields: Vec<_> =
                declared.members.iter().filter_map(|member| member.ty.as_ref()).map(value_of).collect();
            fields.prop_map(|fields| Value::Record(fields.into())).boxed()
        }
        Type::Variant(declared) => {
            let declared = declared.clone();
            (0..declared.members.len())
                .prop_flat_map(move |case| {
                    payload_of(declared.members[case].ty.as_ref())
                        .prop_map(move |payload| Value::Variant(case as u32, payload))
                })
                .boxed()
        }
        Type::Enum(declared) => (0..declared.members.len() as u32).prop_map(Value::Enum).boxed(),
        Type::Flags(declared) => {
            let count = declared.members.len();
            hash_set(0..count, 0..=count)
                .prop_map(move |set| {
                    let mut flags = Flags::none(count);
                    set.into_iter().for_each(|flag| flags.set(flag));
                    Value::Flags(flags)
                })
                .boxed()
        }
        Type::Stream(_) | Type::Future(_) | Type::Unsupported(_) => panic!("there is no random value of type {ty}"),
    }
}

fn payload_of(ty: Option<&Type>) -> BoxedStrategy<Option<Box<Value>>> {
    match ty {
        Some(ty) => value_of(ty).prop_map(|value| Some(Box::new(value))).boxed(),
        None => Just(None).boxed(),
    }
}

fn list_of(inner: &Type) -> BoxedStrategy<List> {
    const LENGTH: std::ops::Range<usize> = 0..5;
    match inner {
        Type::Bool => vec(any::<bool>(), LENGTH).prop_map(List::Bool).boxed(),
        Type::U8 => vec(any::<u8>(), LENGTH).prop_map(|items| List::U8(items.into())).boxed(),
        Type::S8 => vec(any::<i8>(), LENGTH).prop_map(List::S8).boxed(),
        Type::U16 => vec(any::<u16>(), LENGTH).prop_map(List::U16).boxed(),
        Type::S16 => vec(any::<i16>(), LENGTH).prop_map(List::S16).boxed(),
        Type::U32 => vec(any::<u32>(), LENGTH).prop_map(List::U32).boxed(),
        Type::S32 => vec(any::<i32>(), LENGTH).prop_map(List::S32).boxed(),
        Type::U64 => vec(any::<u64>(), LENGTH).prop_map(List::U64).boxed(),
        Type::S64 => vec(any::<i64>(), LENGTH).prop_map(List::S64).boxed(),
        Type::F32 => vec(f32s(), LENGTH).prop_map(List::F32).boxed(),
        Type::F64 => vec(f64s(), LENGTH).prop_map(List::F64).boxed(),
        Type::Char => vec(any::<char>(), LENGTH).prop_map(List::Char).boxed(),
        _ => {
            let inner = inner.clone();
            vec(value_of(&inner), LENGTH).prop_map(move |values| List::of(&inner, values).unwrap()).boxed()
        }
    }
}

/// Every f32, but only one NaN: JSON does not tell NaNs apart.
fn f32s() -> impl Strategy<Value = f32> {
    any::<u32>().prop_map(f32::from_bits).prop_map(|float| if float.is_nan() { f32::NAN } else { float })
}

/// Every f64, but only one NaN: JSON does not tell NaNs apart.
fn f64s() -> impl Strategy<Value = f64> {
    any::<u64>().prop_map(f64::from_bits).prop_map(|float| if float.is_nan() { f64::NAN } else { float })
}
