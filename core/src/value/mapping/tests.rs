//! The memory that the values of a text may take.

use bytes::Bytes;
use proptest::prelude::*;

use crate::value::cbor::{self, CborErrorKind};
use crate::value::json::arbitrary::{any_params, member, value_of};
use crate::value::json::tests::{declared, list, map, names, option, variant};
use crate::value::json::{self, JsonErrorKind};
use crate::value::ty::{Member, Type};
use crate::value::{List, Value};

/// The bytes that the values of a few KiB of text may take in these tests.
const LITTLE: usize = 24 * 1024;

/// Asserts that a list of `ty`, of some KiB of `element`, is read without a limit and rejected with a small one, as
/// JSON and as CBOR.
#[track_caller]
fn is_bounded(ty: Type, element: &str) {
    let count = 6 * 1024 / (element.len() + 1);
    let text = format!("{{\"input\":[{}]}}", vec![element; count].join(","));
    let params = [member("input", Some(list(ty)))];
    let values = json::params_from_slice(&params, text.as_bytes()).unwrap();
    let refusal = json::params_within(&params, text.as_bytes(), LITTLE).unwrap_err();
    assert_eq!(refusal.kind, JsonErrorKind::TooLarge { limit: LITTLE }, "{element}: {refusal}");
    assert_eq!(refusal.message, format!("its values take more than the limit of {LITTLE} bytes"));
    assert!(refusal.pointer.starts_with("/input"), "{refusal}");

    let bytes = as_cbor(&params, &values);
    assert_eq!(cbor::params_within(&params, &bytes, usize::MAX).unwrap(), values);
    let refusal = cbor::params_within(&params, &bytes, LITTLE).unwrap_err();
    assert_eq!(refusal.kind, CborErrorKind::TooLarge { limit: LITTLE }, "{element}: {refusal}");
}

/// Returns a body of CBOR.
fn as_cbor(params: &[Member], values: &[Value]) -> Bytes {
    let params = params.iter().map(|param| (param.name.snake(), param.ty.clone())).collect::<Vec<_>>();
    let mut out = Vec::new();
    cbor::write(&Type::Record(declared(&params)), &Value::Record(values.into()), &mut out).unwrap();
    out.into()
}

#[test]
fn a_few_bytes_of_every_kind_cannot_become_many_of_values() {
    let many: Vec<String> = (0..100).map(|index| format!("field-{index}")).collect();
    let fields: Vec<_> = many.iter().map(|name| (name.as_str(), Some(option(Type::U8)))).collect();
    let flags = Type::Flags(names(&many.iter().map(String::as_str).collect::<Vec<_>>()));
    is_bounded(Type::Record(declared(&fields)), "{}");
    is_bounded(Type::Tuple(vec![option(Type::U8); 10].into()), "[null,null,null,null,null,null,null,null,null,null]");
    is_bounded(option(Type::String), "null");
    is_bounded(option(Type::U8), "7");
    is_bounded(option(option(Type::U8)), r#"{"some":7}"#);
    is_bounded(Type::Result { ok: None, err: Some(Type::U8.into()) }, r#"{"err":7}"#);
    is_bounded(variant(&[("a", None), ("b", Some(Type::U8))]), r#"{"b":7}"#);
    is_bounded(map(Type::String, Type::U8), r#"{"a":7}"#);
    is_bounded(map(Type::String, Type::U8), "{}");
    is_bounded(map(Type::U8, map(Type::Bool, Type::U8)), r#"{"1":{}}"#);
    is_bounded(Type::Enum(names(&["a", "b"])), r#""a""#);
    is_bounded(flags, "[]");
    is_bounded(Type::String, r#""""#);
    is_bounded(list(Type::U8), r#""""#);
    is_bounded(list(Type::Bool), "[]");
    is_bounded(list(list(Type::F64)), "[[7]]");
    is_bounded(Type::F64, "7");
}

#[test]
fn what_is_as_large_as_its_text_is_limited_too() {
    for (ty, text) in [
        (Type::String, format!("{{\"input\":\"{}\"}}", "x".repeat(LITTLE))),
        (list(Type::U8), format!("{{\"input\":\"{}\"}}", "AAAA".repeat(LITTLE / 3))),
        (list(Type::Bool), format!("{{\"input\":[{}true]}}", "true,".repeat(LITTLE))),
    ] {
        let params = [member("input", Some(ty))];
        let values = json::params_within(&params, text.as_bytes(), 2 * LITTLE + CHUNK).unwrap();
        let refusal = json::params_within(&params, text.as_bytes(), LITTLE).unwrap_err();
        assert_eq!(refusal.kind, JsonErrorKind::TooLarge { limit: LITTLE });
        let refusal = cbor::params_within(&params, &as_cbor(&params, &values), LITTLE).unwrap_err();
        assert_eq!(refusal.kind, CborErrorKind::TooLarge { limit: LITTLE });
    }
}

/// The bytes that a list may pay in advance.
const CHUNK: usize = 64 * 1024;

#[test]
fn a_list_is_refused_long_before_its_text_has_been_read() {
    let text = format!("{{\"input\":[{}0.5]}}", "0.5,".repeat(1_000_000));
    let params = [member("input", Some(list(Type::F64)))];
    let refusal = json::params_within(&params, text.as_bytes(), 800_000).unwrap_err();
    let index: usize = refusal.pointer.strip_prefix("/input").unwrap().trim_start_matches('/').parse().unwrap_or(0);
    assert!(index <= 100_000, "{refusal}");
    let values = json::params_within(&params, text.as_bytes(), 8_000_000 + 2 * CHUNK).unwrap();
    assert!(matches!(&*values, [Value::List(List::F64(items))] if items.len() == 1_000_001));
}

fn body() -> impl Strategy<Value = (Vec<Member>, Vec<Value>)> {
    any_params().prop_flat_map(|params| {
        let values: Vec<_> = params.iter().map(|param| value_of(param.ty.as_ref().unwrap())).collect();
        (Just(params), values)
    })
}

proptest! {
    #[test]
    fn nothing_is_made_that_weighs_more_than_was_paid_for((params, values) in body()) {
        let weight: usize = values.iter().map(Value::weight).sum();
        prop_assume!(weight > 0);
        let bytes = as_cbor(&params, &values);
        let refusal = cbor::params_within(&params, &bytes, weight - 1).unwrap_err();
        prop_assert_eq!(refusal.kind, CborErrorKind::TooLarge { limit: weight - 1 }, "{}", refusal);
    }
}
