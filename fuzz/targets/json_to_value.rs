//! Any text as JSON for any type: it is read or refused, and what is read is written as JSON that is read as the same.
#![no_main]

use std::sync::Arc;

use chainhost::value::json;
use chainhost::value::ty::{Declared, Member, Name, Type};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 8] = ["id", "top-k", "a-b-c", "x1", "some", "ok", "err", "HTTP-status"];

/// How deep types nest at most.
const DEPTH: u32 = 4;

fuzz_target!(|data: &[u8]| {
    let mut data = Unstructured::new(data);
    let Ok(ty) = any_type(&mut data, DEPTH) else { return };
    let text = data.take_rest();
    match json::value_from_slice(&ty, text) {
        Ok(value) => {
            let (mut first, mut second) = (Vec::new(), Vec::new());
            assert!(json::write(&ty, &value, &mut first).is_ok(), "{ty}: {value:?} cannot be written");
            match json::value_from_slice(&ty, &first) {
                Ok(again) => {
                    assert!(json::write(&ty, &again, &mut second).is_ok(), "{ty}: {again:?} cannot be written")
                }
                Err(error) => unreadable(&ty, &first, &error),
            }
            // As text, for NaN is not equal to itself.
            assert_eq!(first, second, "{ty}");
        }
        Err(error) => {
            assert!(!error.message.is_empty(), "{ty}: a refusal without a reason");
            assert!(error.pointer.is_empty() || error.pointer.starts_with('/'), "{ty}: {error}");
        }
    }
    let params = [Member { name: Name::new("input"), ty: Some(ty), docs: None }];
    // Whether it is read or refused is decided by the same code; it must only come to an end.
    let _ = json::params_from_slice(&params, text);
});

#[expect(clippy::panic, reason = "that is how a fuzz target tells what it found")]
fn unreadable(ty: &Type, text: &[u8], error: &json::JsonError) -> ! {
    panic!("{ty}: {} was written, and is not read: {error}", String::from_utf8_lossy(text))
}

fn any_type(data: &mut Unstructured<'_>, depth: u32) -> Result<Type> {
    let leaves = 15;
    Ok(match data.int_in_range(0..=if depth == 0 { leaves - 1 } else { leaves + 5 })? {
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
        _ => Type::Variant(declared(data, |data| data.ratio(1, 2)?.then(|| any_type(data, depth - 1)).transpose())?),
    })
}

fn declared(
    data: &mut Unstructured<'_>,
    mut ty: impl FnMut(&mut Unstructured<'_>) -> Result<Option<Type>>,
) -> Result<Arc<Declared>> {
    let count = data.int_in_range(1..=NAMES.len())?;
    let members = NAMES.iter().take(count).map(|name| Ok(Member { name: Name::new(name), ty: ty(data)?, docs: None }));
    Ok(Arc::new(Declared { name: None, docs: None, members: members.collect::<Result<_>>()? }))
}
