//! Tests of the texts that the mapping accepts and rejects, and of its messages: by example here, by random types and values in
//! [`properties`].

mod properties;
mod refusals;

use std::sync::Arc;

use super::arbitrary::member;
use super::*;
use crate::value::ty::DeclaredType;
use crate::value::{Flags, List};

pub(in crate::value) fn declared(members: &[(&str, Option<Type>)]) -> Arc<DeclaredType> {
    let members = members.iter().map(|(name, ty)| member(name, ty.clone())).collect();
    Arc::new(DeclaredType { name: Some("hit".into()), docs: None, members })
}

pub(in crate::value) fn record(fields: &[(&str, Type)]) -> Type {
    Type::Record(declared(&fields.iter().map(|(name, ty)| (*name, Some(ty.clone()))).collect::<Vec<_>>()))
}

pub(in crate::value) fn variant(cases: &[(&str, Option<Type>)]) -> Type {
    Type::Variant(declared(cases))
}

pub(in crate::value) fn names(names: &[&str]) -> Arc<DeclaredType> {
    declared(&names.iter().map(|name| (*name, None)).collect::<Vec<_>>())
}

pub(in crate::value) fn list(ty: Type) -> Type {
    Type::List(Arc::new(ty))
}

pub(in crate::value) fn map(key: Type, value: Type) -> Type {
    Type::Map { key: Arc::new(key), value: Arc::new(value) }
}

pub(in crate::value) fn option(ty: Type) -> Type {
    Type::Option(Arc::new(ty))
}

pub(in crate::value) fn some(value: Value) -> Value {
    Value::Option(Some(Box::new(value)))
}

fn read(ty: &Type, text: &str) -> Value {
    value_from_slice(ty, text.as_bytes()).unwrap()
}

fn written(ty: &Type, value: &Value) -> String {
    let mut out = Vec::new();
    write(ty, value, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Asserts that `text` reads as `value` and that `value` is written as `text`.
#[track_caller]
fn both_ways(ty: &Type, text: &str, value: Value) {
    assert_eq!(read(ty, text), value);
    assert_eq!(written(ty, &value), text);
}

#[test]
fn scalars_are_themselves() {
    both_ways(&Type::Bool, "true", Value::Bool(true));
    both_ways(&Type::U8, "255", Value::U8(255));
    both_ways(&Type::S8, "-128", Value::S8(-128));
    both_ways(&Type::S32, "-5", Value::S32(-5));
    both_ways(&Type::U64, "18446744073709551615", Value::U64(u64::MAX));
    both_ways(&Type::S64, "-9223372036854775808", Value::S64(i64::MIN));
    both_ways(&Type::Char, r#""🦀""#, Value::Char('🦀'));
    both_ways(&Type::String, r#""a\"b\n""#, Value::from("a\"b\n"));
}

#[test]
fn integers_of_64_bits_may_come_as_decimal_strings() {
    assert_eq!(read(&Type::U64, r#""18446744073709551615""#), Value::U64(u64::MAX));
    assert_eq!(read(&Type::S64, r#""-9007199254740993""#), Value::S64(-9_007_199_254_740_993));
    assert_eq!(read(&list(Type::S64), r#"["-1", 2]"#), Value::List(List::S64(vec![-1, 2])));
    for text in [r#""+5""#, r#""05""#, r#"" 5""#, r#""5.0""#, r#""""#, r#""-""#, r#""-0""#, r#""0x5""#] {
        assert!(value_from_slice(&Type::S64, text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn floats_keep_their_shortest_digits() {
    both_ways(&Type::F32, "0.1", Value::F32(0.1));
    both_ways(&Type::F64, "0.1", Value::F64(0.1));
    both_ways(&Type::F64, "-0.0", Value::F64(-0.0));
    both_ways(&Type::F32, "3.4028235e+38", Value::F32(f32::MAX));
    assert_eq!(read(&Type::F32, "3"), Value::F32(3.0));
    assert_eq!(read(&Type::F64, "-3"), Value::F64(-3.0));
    assert_eq!(read(&Type::F64, "1e3"), Value::F64(1000.0));
}

#[test]
fn floats_that_are_no_numbers_are_strings() {
    let ty = list(Type::F32);
    both_ways(&ty, r#"["Infinity","-Infinity"]"#, Value::List(List::F32(vec![f32::INFINITY, f32::NEG_INFINITY])));
    assert!(matches!(read(&Type::F64, r#""NaN""#), Value::F64(float) if float.is_nan()));
    assert_eq!(written(&Type::F64, &Value::F64(-f64::NAN)), r#""NaN""#);
}

#[test]
fn a_list_of_u8_is_base64() {
    both_ways(&list(Type::U8), r#""+/8BAA==""#, Value::List(List::U8(vec![0xfb, 0xff, 1, 0].into())));
    both_ways(&list(Type::U8), r#""""#, Value::List(List::U8(Vec::new().into())));
    assert_eq!(read(&list(Type::U8), r#""+\/8B""#), Value::List(List::U8(vec![0xfb, 0xff, 1].into())));
}

#[test]
fn other_lists_and_tuples_are_arrays() {
    both_ways(&list(Type::Bool), "[true,false]", Value::List(List::Bool(vec![true, false])));
    both_ways(&list(Type::Char), r#"["a","ß"]"#, Value::List(List::Char(vec!['a', 'ß'])));
    both_ways(&list(Type::F32), "[]", Value::List(List::F32(vec![])));
    both_ways(&list(Type::String), r#"["a"]"#, Value::List(List::Values(vec!["a".into()])));
    let pair = Type::Tuple([Type::U8, Type::String].into());
    both_ways(&pair, r#"[1,"x"]"#, Value::Tuple([Value::U8(1), "x".into()].into()));
}

#[test]
fn a_map_is_an_object_with_any_keys_in_the_order_of_its_entries() {
    let ty = map(Type::String, list(Type::U8));
    both_ways(&ty, "{}", Value::Map(vec![]));
    let bytes = |byte: u8| Value::List(List::U8(vec![byte].into()));
    let entries = [("top-k", 1), ("top_k", 2), ("", 3), ("a\"/~ß", 4)].map(|(key, byte)| (key.into(), bytes(byte)));
    both_ways(&ty, r#"{"top-k":"AQ==","top_k":"Ag==","":"Aw==","a\"/~ß":"BA=="}"#, Value::Map(entries.into()));
    let ty = option(map(Type::String, map(Type::String, option(Type::Bool))));
    let inner = Value::Map(vec![("b".into(), Value::Option(None)), ("a".into(), some(Value::Bool(true)))]);
    both_ways(&ty, r#"{"x":{"b":null,"a":true}}"#, some(Value::Map(vec![("x".into(), inner)])));
}

#[test]
fn a_key_that_is_no_string_is_written_as_one() {
    let keys = |keys: Vec<Value>| Value::Map(keys.into_iter().map(|key| (key, Value::U8(0))).collect());
    let cases = [
        (Type::Bool, r#"{"true":0,"false":0}"#, keys(vec![Value::Bool(true), Value::Bool(false)])),
        (Type::S8, r#"{"-128":0,"0":0}"#, keys(vec![Value::S8(-128), Value::S8(0)])),
        (Type::U8, r#"{"255":0,"7":0}"#, keys(vec![Value::U8(255), Value::U8(7)])),
        (Type::S16, r#"{"-32768":0}"#, keys(vec![Value::S16(i16::MIN)])),
        (Type::U16, r#"{"65535":0}"#, keys(vec![Value::U16(u16::MAX)])),
        (Type::S32, r#"{"-1":0}"#, keys(vec![Value::S32(-1)])),
        (Type::U32, r#"{"4294967295":0}"#, keys(vec![Value::U32(u32::MAX)])),
        (Type::S64, r#"{"-9223372036854775808":0}"#, keys(vec![Value::S64(i64::MIN)])),
        (Type::U64, r#"{"18446744073709551615":0}"#, keys(vec![Value::U64(u64::MAX)])),
        (Type::Char, r#"{"ß":0,"🦀":0}"#, keys(vec![Value::Char('ß'), Value::Char('🦀')])),
    ];
    for (key, text, value) in cases {
        both_ways(&map(key, Type::U8), text, value);
    }
}

#[test]
fn a_record_is_an_object_in_snake_case_and_read_in_either_case_and_any_order() {
    let ty = record(&[("doc-id", Type::U32), ("score", Type::F32)]);
    let value = Value::Record([Value::U32(7), Value::F32(0.5)].into());
    both_ways(&ty, r#"{"doc_id":7,"score":0.5}"#, value.clone());
    assert_eq!(read(&ty, r#"{"score":0.5,"doc-id":7}"#), value);
}

#[test]
fn a_missing_or_null_option_is_none() {
    let ty = record(&[("note", option(Type::String)), ("n", Type::U8)]);
    let none = Value::Record([Value::Option(None), Value::U8(1)].into());
    both_ways(&ty, r#"{"note":null,"n":1}"#, none.clone());
    assert_eq!(read(&ty, r#"{"n":1}"#), none);
    both_ways(&ty, r#"{"note":"x","n":1}"#, Value::Record([some("x".into()), Value::U8(1)].into()));
}

#[test]
fn an_option_of_an_option_tells_its_two_nones_apart() {
    let ty = option(option(option(Type::U8)));
    both_ways(&ty, "null", Value::Option(None));
    both_ways(&ty, r#"{"some":null}"#, some(Value::Option(None)));
    both_ways(&ty, r#"{"some":{"some":null}}"#, some(some(Value::Option(None))));
    both_ways(&ty, r#"{"some":{"some":5}}"#, some(some(some(Value::U8(5)))));
    assert_eq!(
        read(&record(&[("x", ty)]), "{}"),
        Value::Record([Value::Option(None)].into()),
        "missing is the outer none"
    );
}

#[test]
fn a_variant_is_its_case_with_or_without_payload() {
    let ty = variant(&[("not-found", None), ("too-long", Some(Type::U32)), ("maybe", Some(option(Type::U8)))]);
    both_ways(&ty, r#""not_found""#, Value::Variant(0, None));
    both_ways(&ty, r#"{"too_long":9}"#, Value::Variant(1, Some(Box::new(Value::U32(9)))));
    both_ways(&ty, r#"{"maybe":null}"#, Value::Variant(2, Some(Box::new(Value::Option(None)))));
    assert_eq!(read(&ty, r#""not-found""#), Value::Variant(0, None));
    assert_eq!(read(&ty, r#"{"too-long":9}"#), Value::Variant(1, Some(Box::new(Value::U32(9)))));
}

#[test]
fn enums_and_flags_are_names() {
    both_ways(&Type::Enum(names(&["low", "very-high"])), r#""very_high""#, Value::Enum(1));
    let mut flags = Flags::none(40);
    flags.set(1);
    flags.set(39);
    let many: Vec<String> = (0..40).map(|index| format!("flag-{index}")).collect();
    let ty = Type::Flags(names(&many.iter().map(String::as_str).collect::<Vec<_>>()));
    both_ways(&ty, r#"["flag_1","flag_39"]"#, Value::Flags(flags));
    both_ways(&ty, "[]", Value::Flags(Flags::none(40)));
}

#[test]
fn a_result_is_ok_or_err_with_null_for_nothing() {
    let ty = Type::Result { ok: None, err: Some(Arc::new(Type::String)) };
    both_ways(&ty, r#"{"ok":null}"#, Value::Result(Ok(None)));
    both_ways(&ty, r#"{"err":"no"}"#, Value::Result(Err(Some(Box::new("no".into())))));
}

#[test]
fn parameters_come_in_their_order_whatever_the_order_of_the_keys() {
    let params = [member("query", Some(Type::String)), member("top-k", Some(option(Type::U8)))];
    let values = params_from_slice(&params, br#" {"top-k": 3, "query": "x"} "#).unwrap();
    assert_eq!(values, ["x".into(), some(Value::U8(3))]);
    assert_eq!(params_from_slice(&params, br#"{"query": "x"}"#).unwrap(), ["x".into(), Value::Option(None)]);
}

#[test]
fn a_text_may_begin_with_a_byte_order_mark_and_have_white_space_around_it() {
    for text in ["7", " 7\r\n", "\u{feff}7", "\u{feff}\t7 \n"] {
        assert_eq!(read(&Type::U8, text), Value::U8(7), "{text:?}");
    }
    for text in ["\u{feff}\u{feff}7", " \u{feff}7", "7\u{feff}", "\u{a0}7", "\u{c}7"] {
        assert!(value_from_slice(&Type::U8, text.as_bytes()).is_err(), "{text:?}");
    }
}

#[test]
fn without_parameters_an_empty_body_and_an_empty_object_are_the_same() {
    for body in ["", " \n", "{}", " { } ", "\u{feff}", "\u{feff}{}"] {
        assert_eq!(params_from_slice(&[], body.as_bytes()).unwrap(), []);
    }
}

#[test]
fn a_value_of_another_type_is_not_written_and_leaves_nothing_behind() {
    let ty = record(&[("a", Type::U8), ("b", list(Type::U32))]);
    let wrong = Value::Record([Value::U8(1), Value::List(List::Values(vec![]))].into());
    let mut out = b"before".to_vec();
    let error = write(&ty, &wrong, &mut out).unwrap_err();
    assert_eq!(out, b"before");
    assert!(error.to_string().contains("expected list<u32>, found a list of 0"), "{error}");
    assert!(write(&Type::Enum(names(&["a"])), &Value::Enum(1), &mut out).is_err());
    assert!(write(&variant(&[("a", None)]), &Value::Variant(0, Some(Box::new(Value::U8(1)))), &mut out).is_err());
}
