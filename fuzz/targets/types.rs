//! Types for the targets that read values.

use std::sync::Arc;

use chainhost::value::ty::{DeclaredType, Member, Name, Type};
use libfuzzer_sys::arbitrary::{Result, Unstructured};

const NAMES: [&str; 8] = ["id", "top-k", "a-b-c", "x1", "some", "ok", "err", "HTTP-status"];

/// The deepest nesting of types.
pub const DEPTH: u32 = 4;

/// Makes a type from `data`.
pub fn any_type(data: &mut Unstructured<'_>, depth: u32) -> Result<Type> {
    let leaves = 15;
    Ok(match data.int_in_range(0..=if depth == 0 { leaves - 1 } else { leaves + 6 })? {
        0 => Type::Bool,
        1 => Type::S8,
        2 => Type::U8,
        3 => Type::S16,
        4 => Type::U16,
        5 => Type::S32,
        6 => Type::U32,
        7 => Type::S64,
        8 => Type::U64,
        9 => Type::F32,
        10 => Type::F64,
        11 => Type::Char,
        12 => Type::String,
        13 => Type::Enum(declared(data, |_| Ok(None))?),
        14 => Type::Flags(declared(data, |_| Ok(None))?),
        15 => Type::List(Arc::new(any_type(data, depth - 1)?)),
        16 => Type::Option(Arc::new(any_type(data, depth - 1)?)),
        17 => {
            let count = data.int_in_range(1..=3)?;
            Type::Tuple((0..count).map(|_| any_type(data, depth - 1)).collect::<Result<Vec<_>>>()?.into())
        }
        18 => {
            let mut side = || data.ratio(1, 2)?.then(|| any_type(data, depth - 1).map(Arc::new)).transpose();
            Type::Result { ok: side()?, err: side()? }
        }
        19 => Type::Record(declared(data, |data| any_type(data, depth - 1).map(Some))?),
        20 => {
            let keys = [Type::String, Type::Bool, Type::Char, Type::S8, Type::U16, Type::S32, Type::U64];
            let key = data.choose(&keys)?.clone();
            Type::Map { key: Arc::new(key), value: Arc::new(any_type(data, depth - 1)?) }
        }
        _ => Type::Variant(declared(data, |data| data.ratio(1, 2)?.then(|| any_type(data, depth - 1)).transpose())?),
    })
}

fn declared(
    data: &mut Unstructured<'_>,
    mut ty: impl FnMut(&mut Unstructured<'_>) -> Result<Option<Type>>,
) -> Result<Arc<DeclaredType>> {
    let count = data.int_in_range(1..=NAMES.len())?;
    let members = NAMES.iter().take(count).map(|name| Ok(Member { name: Name::new(name), ty: ty(data)?, docs: None }));
    Ok(Arc::new(DeclaredType { name: None, docs: None, members: members.collect::<Result<_>>()? }))
}
