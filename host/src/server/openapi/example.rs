//! Examples of requests and answers, made from their types.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chainhost_core::value::ty::{Member, Type};
use serde_json::{Map, Value as Json, json};

/// The most values in an example. A larger example helps nobody, and nested types could make it endless.
const MOST: usize = 200;

/// Returns an example of a value of type `ty`, or `None` if it would be too large or JSON cannot carry `ty`.
pub(super) fn of(ty: &Type) -> Option<Json> {
    Examples { left: MOST }.of(ty)
}

/// Returns an example of an object keyed by the names of `members`: a record, or the parameters of a call.
pub(super) fn of_members(members: &[Member]) -> Option<Json> {
    Examples { left: MOST }.members(members)
}

/// Adds an example to the content of a request or an answer, if there is one.
pub(super) fn add(content: &mut Json, example: Option<Json>) {
    if let (Some(content), Some(example)) = (content.as_object_mut(), example) {
        content.insert("example".to_owned(), example);
    }
}

/// An example under construction.
struct Examples {
    /// The number of values that may still be added.
    left: usize,
}

impl Examples {
    fn of(&mut self, ty: &Type) -> Option<Json> {
        self.left = self.left.checked_sub(1)?;
        Some(match ty {
            Type::Bool => json!(true),
            Type::S8 | Type::U8 | Type::S16 | Type::U16 | Type::S32 | Type::U32 | Type::S64 | Type::U64 => json!(1),
            Type::F32 | Type::F64 => json!(0.5),
            Type::Char => json!("a"),
            Type::String => json!("text"),
            Type::List(inner) | Type::Stream(inner) if **inner == Type::U8 => json!(STANDARD.encode("bytes")),
            Type::List(inner) | Type::Stream(inner) => json!([self.of(inner)?]),
            Type::Future(inner) => self.of(inner)?,
            Type::Map { key, value } => entry(&key_text(key), self.of(value)?),
            Type::Tuple(types) => types.iter().map(|ty| self.of(ty)).collect::<Option<Vec<_>>>()?.into(),
            Type::Option(inner) if matches!(**inner, Type::Option(_)) => entry("some", self.of(inner)?),
            Type::Option(inner) => self.of(inner)?,
            Type::Result { ok, .. } => entry("ok", ok.as_deref().map_or(Some(Json::Null), |ty| self.of(ty))?),
            Type::Record(declared) => self.members(&declared.members)?,
            Type::Variant(declared) => {
                let case = declared.members.first()?;
                match &case.ty {
                    Some(ty) => entry(case.name.snake(), self.of(ty)?),
                    None => json!(case.name.snake()),
                }
            }
            Type::Enum(declared) => json!(declared.members.first()?.name.snake()),
            Type::Flags(declared) => declared.members.iter().take(1).map(|flag| flag.name.snake()).collect(),
            Type::Unsupported(_) => return None,
        })
    }

    fn members(&mut self, members: &[Member]) -> Option<Json> {
        let typed = members.iter().filter_map(|member| Some((member.name.snake().to_owned(), member.ty.as_ref()?)));
        let members: Option<Map<_, _>> = typed.map(|(name, ty)| Some((name, self.of(ty)?))).collect();
        Some(members?.into())
    }
}

/// Returns a map key of type `key`, as it is written in JSON.
fn key_text(key: &Type) -> String {
    match key {
        Type::Bool => "true",
        Type::Char => "a",
        Type::String => "key",
        _ => "1",
    }
    .to_owned()
}

fn entry(key: &str, value: Json) -> Json {
    Map::from_iter([(key.to_owned(), value)]).into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chainhost_core::value::json;
    use chainhost_core::value::ty::DeclaredType;
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::{any_params, any_type, member};

    #[test]
    fn an_example_shows_each_kind_of_type() {
        let declared = |members| Arc::new(DeclaredType { name: None, docs: None, members });
        let variant = Type::Variant(declared(vec![member("too-long", Some(Type::U32)), member("empty", None)]));
        let params = [
            member("top-k", Some(Type::Option(Type::U32.into()))),
            member("data", Some(Type::List(Type::U8.into()))),
            member("hits", Some(Type::List(variant.into()))),
            member("by-id", Some(Type::Map { key: Type::U64.into(), value: Type::F32.into() })),
            member("twice", Some(Type::Option(Type::Option(Type::Char.into()).into()))),
            member("done", Some(Type::Result { ok: None, err: Some(Type::String.into()) })),
        ];
        let expected = json!({
            "top_k": 1, "data": "Ynl0ZXM=", "hits": [{ "too_long": 1 }], "by_id": { "1": 0.5 },
            "twice": { "some": "a" }, "done": { "ok": null },
        });
        assert_eq!(of_members(&params), Some(expected));
    }

    #[test]
    fn an_example_that_would_be_too_large_is_left_out() {
        let mut ty = Type::Bool;
        for _ in 0..10 {
            ty = Type::Tuple([ty.clone(), ty].into());
        }
        assert_eq!(of(&ty), None);
        assert_eq!(of(&Type::Unsupported("stream".into())), None);
    }

    proptest! {
        #[test]
        fn an_example_can_be_read_as_a_value_of_its_type(params in any_params(), ty in any_type()) {
            if let Some(example) = of(&ty) {
                let read = json::value_from_slice(&ty, example.to_string().as_bytes());
                prop_assert!(read.is_ok(), "{example}: {read:?}");
            }
            if let Some(example) = of_members(&params) {
                let read = json::params_from_slice(&params, example.to_string().as_bytes());
                prop_assert!(read.is_ok(), "{example}: {read:?}");
            }
        }
    }
}
