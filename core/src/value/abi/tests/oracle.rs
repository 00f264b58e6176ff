//! Converts values to wasmtime's dynamic `Val` and back.

use wasmtime::component::Val;

use crate::value::ty::DeclaredType;
use crate::value::{Flags, List, Type, Value};

/// Returns `value`, which is of type `ty`, as the oracle's `Val`.
pub(super) fn val(ty: &Type, value: &Value) -> Val {
    let boxed = |ty: &Type, value: &Value| Some(Box::new(val(ty, value)));
    match (ty, value) {
        (_, Value::Bool(value)) => Val::Bool(*value),
        (_, Value::S8(value)) => Val::S8(*value),
        (_, Value::U8(value)) => Val::U8(*value),
        (_, Value::S16(value)) => Val::S16(*value),
        (_, Value::U16(value)) => Val::U16(*value),
        (_, Value::S32(value)) => Val::S32(*value),
        (_, Value::U32(value)) => Val::U32(*value),
        (_, Value::S64(value)) => Val::S64(*value),
        (_, Value::U64(value)) => Val::U64(*value),
        (_, Value::F32(value)) => Val::Float32(*value),
        (_, Value::F64(value)) => Val::Float64(*value),
        (_, Value::Char(value)) => Val::Char(*value),
        (_, Value::String(value)) => Val::String(value.to_string()),
        (Type::List(inner), Value::List(list)) => {
            Val::List(items(inner, list).iter().map(|item| val(inner, item)).collect())
        }
        (Type::Map { key: key_type, value: value_type }, Value::Map(entries)) => {
            Val::Map(entries.iter().map(|(key, value)| (val(key_type, key), val(value_type, value))).collect())
        }
        (Type::Tuple(types), Value::Tuple(items)) => {
            Val::Tuple(types.iter().zip(items).map(|(ty, item)| val(ty, item)).collect())
        }
        (Type::Record(declared), Value::Record(fields)) => Val::Record(
            declared
                .members
                .iter()
                .zip(fields)
                .map(|(member, field)| (member.name.kebab().to_string(), val(member.ty.as_ref().unwrap(), field)))
                .collect(),
        ),
        (Type::Variant(declared), Value::Variant(case, payload)) => {
            let member = &declared.members[*case as usize];
            let payload = payload.as_ref().and_then(|value| boxed(member.ty.as_ref().unwrap(), value));
            Val::Variant(member.name.kebab().to_string(), payload)
        }
        (Type::Enum(declared), Value::Enum(case)) => {
            Val::Enum(declared.members[*case as usize].name.kebab().to_string())
        }
        (Type::Option(inner), Value::Option(value)) => {
            Val::Option(value.as_ref().and_then(|value| boxed(inner, value)))
        }
        (Type::Result { ok, err }, Value::Result(value)) => Val::Result(match value {
            Ok(value) => Ok(value.as_ref().and_then(|value| boxed(ok.as_ref().unwrap(), value))),
            Err(value) => Err(value.as_ref().and_then(|value| boxed(err.as_ref().unwrap(), value))),
        }),
        (Type::Flags(declared), Value::Flags(flags)) => {
            let set = declared.members.iter().enumerate().filter(|(index, _)| flags.get(*index));
            Val::Flags(set.map(|(_, member)| member.name.kebab().to_string()).collect())
        }
        (ty, value) => panic!("{value:?} is no {ty}"),
    }
}

/// Returns what the oracle read for type `ty`, as a value.
pub(super) fn value(ty: &Type, val: &Val) -> Value {
    let boxed = |ty: &Type, val: &Val| Some(Box::new(value(ty, val)));
    match (ty, val) {
        (_, Val::Bool(val)) => Value::Bool(*val),
        (_, Val::S8(val)) => Value::S8(*val),
        (_, Val::U8(val)) => Value::U8(*val),
        (_, Val::S16(val)) => Value::S16(*val),
        (_, Val::U16(val)) => Value::U16(*val),
        (_, Val::S32(val)) => Value::S32(*val),
        (_, Val::U32(val)) => Value::U32(*val),
        (_, Val::S64(val)) => Value::S64(*val),
        (_, Val::U64(val)) => Value::U64(*val),
        (_, Val::Float32(val)) => Value::F32(*val),
        (_, Val::Float64(val)) => Value::F64(*val),
        (_, Val::Char(val)) => Value::Char(*val),
        (_, Val::String(val)) => Value::from(val.as_str()),
        (Type::List(inner), Val::List(vals)) => Value::List(list(inner, vals)),
        (Type::Map { key: key_type, value: value_type }, Val::Map(entries)) => {
            Value::Map(entries.iter().map(|(key, val)| (value(key_type, key), value(value_type, val))).collect())
        }
        (Type::Tuple(types), Val::Tuple(vals)) => {
            Value::Tuple(types.iter().zip(vals).map(|(ty, val)| value(ty, val)).collect())
        }
        (Type::Record(declared), Val::Record(fields)) => Value::Record(
            declared
                .members
                .iter()
                .zip(fields)
                .map(|(member, (_, val))| value(member.ty.as_ref().unwrap(), val))
                .collect(),
        ),
        (Type::Variant(declared), Val::Variant(name, payload)) => {
            let case = case(declared, name);
            let ty = declared.members[case].ty.as_ref();
            Value::Variant(case as u32, payload.as_ref().and_then(|val| boxed(ty.unwrap(), val)))
        }
        (Type::Enum(declared), Val::Enum(name)) => Value::Enum(case(declared, name) as u32),
        (Type::Option(inner), Val::Option(val)) => Value::Option(val.as_ref().and_then(|val| boxed(inner, val))),
        (Type::Result { ok, err }, Val::Result(val)) => Value::Result(match val {
            Ok(val) => Ok(val.as_ref().and_then(|val| boxed(ok.as_ref().unwrap(), val))),
            Err(val) => Err(val.as_ref().and_then(|val| boxed(err.as_ref().unwrap(), val))),
        }),
        (Type::Flags(declared), Val::Flags(names)) => {
            let mut flags = Flags::none(declared.members.len());
            names.iter().for_each(|name| flags.set(case(declared, name)));
            Value::Flags(flags)
        }
        (ty, val) => panic!("{val:?} is no {ty}"),
    }
}

fn case(declared: &DeclaredType, name: &str) -> usize {
    declared.members.iter().position(|member| member.name.kebab() == name).unwrap()
}

fn items(inner: &Type, list: &List) -> Vec<Value> {
    (0..list.len()).map(|index| list.get(inner, index).unwrap()).collect()
}

fn list(inner: &Type, vals: &[Val]) -> List {
    List::of(inner, vals.iter().map(|val| value(inner, val)).collect()).unwrap()
}
