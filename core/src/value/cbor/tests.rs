//! Tests of the values that CBOR reads as, and of inputs that it rejects: examples, and random types and values.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::value::json::arbitrary::{any_params, any_type, member, value_of};
use crate::value::json::tests::{declared, list, map, names, option, record, some, variant};
use crate::value::{Flags, List};

fn bytes(hex: &str) -> Bytes {
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn read(ty: &Type, hex: &str) -> Result<Value, CborError> {
    value_within(ty, &bytes(hex), usize::MAX)
}

fn written(ty: &Type, value: &Value) -> Bytes {
    let mut out = Vec::new();
    write(ty, value, &mut out).unwrap();
    out.into()
}

/// Asserts that `hex` reads as `value` and that `value` is written as `hex`.
#[track_caller]
fn both_ways(ty: &Type, hex: &str, value: Value) {
    assert_eq!(read(ty, hex).unwrap(), value);
    assert_eq!(written(ty, &value), bytes(hex));
}

#[track_caller]
fn refused(ty: &Type, hex: &str, kind: CborErrorKind, pointer: &str, message: &str) {
    let error = read(ty, hex).unwrap_err();
    assert_eq!((error.kind, error.pointer.as_str(), error.message.as_str()), (kind, pointer, message));
}

#[test]
fn scalars_have_the_kind_of_their_own() {
    both_ways(&Type::Bool, "f5", Value::Bool(true));
    both_ways(&Type::U8, "18ff", Value::U8(255));
    both_ways(&Type::S8, "387f", Value::S8(-128));
    both_ways(&Type::U64, "1bffffffffffffffff", Value::U64(u64::MAX));
    both_ways(&Type::S64, "3b7fffffffffffffff", Value::S64(i64::MIN));
    both_ways(&Type::F32, "fa3fc00000", Value::F32(1.5));
    both_ways(&Type::F64, "fb3ff8000000000000", Value::F64(1.5));
    both_ways(&Type::Char, "64f09fa680", Value::Char('🦀'));
    both_ways(&Type::String, "6568656c6c6f", "hello".into());
    both_ways(&list(Type::U8), "43000102", Value::List(List::U8(Bytes::from_static(&[0, 1, 2]))));
    both_ways(&list(Type::U16), "830001190100", Value::List(List::U16(vec![0, 1, 256])));
}

#[test]
fn a_float_may_have_any_width_or_be_an_integer() {
    for (hex, value) in [
        ("f93e00", 1.5),
        ("fa3fc00000", 1.5),
        ("fb3ff8000000000000", 1.5),
        ("03", 3.0),
        ("22", -3.0),
        ("3bffffffffffffffff", -18_446_744_073_709_551_616.0),
        ("f97c00", f64::INFINITY),
        ("faff800000", f64::NEG_INFINITY),
    ] {
        assert_eq!(read(&Type::F64, hex).unwrap(), Value::F64(value), "{hex}");
        assert_eq!(read(&Type::F32, hex).unwrap(), Value::F32(value as f32), "{hex}");
    }
    for ty in [Type::F32, Type::F64] {
        assert!(matches!(read(&ty, "f97e00"), Ok(Value::F32(nan)) if nan.is_nan()) || ty == Type::F64);
        assert!(matches!(read(&ty, "f97e00"), Ok(Value::F64(nan)) if nan.is_nan()) || ty == Type::F32);
    }
    both_ways(&Type::F32, "fa7f800000", Value::F32(f32::INFINITY));
    refused(
        &Type::F32,
        "fb48078287f49c4a1d",
        CborErrorKind::Type,
        "",
        "invalid value: floating point `1000000000000000000000000000000000000000.0`, expected f32 (a number up to ±3.4028235e38, NaN or an infinity)",
    );
}

#[test]
fn everything_else_is_as_in_json() {
    let shape = variant(&[("empty", None), ("circle", Some(Type::U8))]);
    both_ways(&shape, "65656d707479", Value::Variant(0, None));
    both_ways(&shape, "a166636972636c6507", Value::Variant(1, Some(Box::new(Value::U8(7)))));
    both_ways(&option(Type::U8), "f6", Value::Option(None));
    both_ways(&option(Type::U8), "07", some(Value::U8(7)));
    both_ways(&option(option(Type::U8)), "f6", Value::Option(None));
    both_ways(&option(option(Type::U8)), "a164736f6d65f6", some(Value::Option(None)));
    let result = Type::Result { ok: None, err: Some(Type::U8.into()) };
    both_ways(&result, "a1626f6bf6", Value::Result(Ok(None)));
    both_ways(&result, "a16365727207", Value::Result(Err(Some(Box::new(Value::U8(7))))));
    let mut flags = Flags::none(2);
    flags.set(1);
    both_ways(&Type::Flags(names(&["a", "b"])), "816162", Value::Flags(flags));
    let hit = record(&[("doc-id", Type::U8), ("note", option(Type::String))]);
    let value = Value::Record([Value::U8(1), Value::Option(None)].into());
    both_ways(&hit, "a266646f635f696401646e6f7465f6", value.clone());
    assert_eq!(read(&hit, "a166646f632d696401").unwrap(), value, "a missing option, and a name in kebab-case");
}

#[test]
fn a_map_has_keys_of_their_own_type() {
    let ty = map(Type::String, Type::U8);
    both_ways(&ty, "a2616201616102", Value::Map(vec![("b".into(), Value::U8(1)), ("a".into(), Value::U8(2))]));
    assert_eq!(read(&ty, "bf616107ff").unwrap(), Value::Map(vec![("a".into(), Value::U8(7))]));
    let keys = |keys: &[Value]| Value::Map(keys.iter().map(|key| (key.clone(), Value::U8(0))).collect());
    both_ways(&map(Type::U64, Type::U8), "a21bffffffffffffffff000100", keys(&[Value::U64(u64::MAX), Value::U64(1)]));
    both_ways(&map(Type::S8, Type::U8), "a12000", keys(&[Value::S8(-1)]));
    both_ways(&map(Type::Bool, Type::U8), "a2f500f400", keys(&[Value::Bool(true), Value::Bool(false)]));
    both_ways(&map(Type::Char, Type::U8), "a162c39f00", keys(&[Value::Char('ß')]));
    let fits = CborErrorKind::Type;
    refused(&ty, "a2616101616102", fits, "/a", "the key `a` is given twice");
    refused(&ty, "a10100", fits, "", "invalid type: integer `1`, expected string (a string)");
    refused(&ty, "80", fits, "", "invalid type: array, expected map<string, u8> (a map)");
    refused(&ty, "a1616120", fits, "/a", "invalid value: integer `-1`, expected u8 (an integer from 0 to 255)");
    refused(&map(Type::U8, Type::U8), "a201000100", fits, "/1", "the key `1` is given twice");
    let u8 = "u8 (an integer from 0 to 255)";
    refused(&map(Type::U8, Type::U8), "a1613100", fits, "", &format!("invalid value: string \"1\", expected {u8}"));
    assert!(read(&ty, "bbffffffffffffffff616107").is_err(), "a length that lies");
}

#[test]
fn lengths_may_be_indefinite() {
    assert_eq!(read(&list(Type::U16), "9f0102ff").unwrap(), Value::List(List::U16(vec![1, 2])));
    assert_eq!(read(&Type::String, "7f6161626263ff").unwrap(), "abc".into());
    assert_eq!(read(&list(Type::U8), "5f4101420203ff").unwrap(), Value::List(List::U8(vec![1, 2, 3].into())));
    assert_eq!(read(&record(&[("a", Type::U8)]), "bf616107ff").unwrap(), Value::Record([Value::U8(7)].into()));
}

#[test]
fn a_large_byte_string_shares_the_memory_of_the_body() {
    let mut body = bytes("a1646461746159ffff").to_vec();
    body.resize(body.len() + 0xffff, 7);
    let body = Bytes::from(body);
    let values = params_within(&[member("data", Some(list(Type::U8)))], &body, 100_000).unwrap();
    let [Value::List(List::U8(data))] = &*values else { panic!("{values:?}") };
    assert_eq!((data.len(), data.as_ptr()), (0xffff, body[9..].as_ptr()));
}

#[test]
fn what_does_not_fit_is_refused_with_its_place() {
    let hits = list(record(&[("id", Type::U8), ("data", list(Type::U8))]));
    let ty = CborErrorKind::Type;
    let u8 = "u8 (an integer from 0 to 255)";
    refused(&hits, "81a16269641903e8", ty, "/0/id", &format!("invalid value: integer `1000`, expected {u8}"));
    refused(&hits, "81a1626964f93c00", ty, "/0/id", &format!("invalid value: floating point `1.0`, expected {u8}"));
    refused(&hits, "81a16269646137", ty, "/0/id", &format!("invalid value: string \"7\", expected {u8}"));
    refused(
        &hits,
        "81a1646461746163414142",
        ty,
        "/0/data",
        "invalid type: text string \"AAB\", expected list<u8> (a byte string)",
    );
    refused(&hits, "81a16464617461810a", ty, "/0/data", "invalid type: array, expected list<u8> (a byte string)");
    refused(
        &hits,
        "81a10107",
        ty,
        "/0",
        "invalid type: integer `1`, expected the name of a field as a string, one of `id`, `data`",
    );
    refused(&hits, "81a0", ty, "/0", "missing fields `id` (u8), `data` (list<u8>)");
    refused(&hits, "8143616263", ty, "/0", "invalid type: byte string, expected record hit (a map)");
    refused(&hits, "f6", ty, "", "invalid type: null, expected list<record hit> (an array)");
    refused(&Type::U64, "61f5", CborErrorKind::Syntax { offset: 2 }, "", "a text string is not UTF-8");
    refused(
        &Type::U64,
        "623130",
        ty,
        "",
        "invalid value: string \"10\", expected u64 (an integer from 0 to 18446744073709551615)",
    );
    refused(
        &Type::U64,
        "c249010000000000000000",
        ty,
        "",
        "invalid value: integer `18446744073709551616` of more than 64 bits, expected u64 (an integer from 0 to 18446744073709551615)",
    );
    let error = params_within(&[], &bytes("a1616107"), 100).unwrap_err();
    assert_eq!(error.message, "unknown parameter `a`, expected none");
    let params = [member("query", Some(Type::String))];
    let error = params_within(&params, &Bytes::new(), 100).unwrap_err();
    assert_eq!(error.message, "the body is empty, expected a CBOR map with `query` (string)");
    let error = params_within(&params, &bytes("80"), 100).unwrap_err();
    assert_eq!(error.message, "invalid type: array, expected a map keyed by parameter name: `query` (string)");
    assert_eq!(params_within(&[], &Bytes::new(), 0).unwrap(), []);
}

#[test]
fn what_is_no_cbor_is_refused_with_how_far_it_was_read() {
    let hits = list(record(&[("id", Type::U8), ("data", list(Type::U8))]));
    for (hex, offset, pointer, message) in [
        ("", 0, "", "it ends in the middle of a value"),
        ("81a1", 2, "/0", "it ends in the middle of a value"),
        ("80f6", 1, "", "there are more bytes after the end of the value"),
        ("81a1626964c107", 5, "/0/id", "a tag (byte 0xc1) stands where none is taken"),
        ("d9d9f780", 0, "", "a tag (byte 0xd9) stands where none is taken"),
        ("81ff", 1, "/0", "a break stands where nothing of indefinite length can end"),
        ("811c", 2, "/0", "the byte 0x1c begins nothing that is taken here"),
        ("81a162c328", 5, "/0", "a text string is not UTF-8"),
    ] {
        let error = read(&hits, hex).unwrap_err();
        assert_eq!((error.kind, error.pointer.as_str()), (CborErrorKind::Syntax { offset }, pointer), "{hex}: {error}");
        assert_eq!(error.message, message, "{hex}");
    }
    assert_eq!(
        read(&hits, "81a1626964c107").unwrap_err().to_string(),
        "bad CBOR after 5 bytes, at `/0/id`: a tag (byte 0xc1) stands where none is taken"
    );
}

#[test]
fn a_length_that_lies_costs_nothing() {
    for hex in [
        "5bffffffffffffffff00",
        "7bffffffffffffffff61",
        "9bffffffffffffffff07",
        "9b7fffffffffffffff07",
        "5f5b7fffffffffffffff00",
    ] {
        for ty in [list(Type::U8), list(Type::F64), list(list(Type::U8)), Type::String] {
            assert!(read(&ty, hex).is_err(), "{hex} for {ty}");
        }
    }
    let error = params_within(&[], &bytes("bbffffffffffffffff6161"), usize::MAX).unwrap_err();
    assert_eq!(error.message, "unknown parameter `a`, expected none");
}

#[test]
fn cbor_that_nests_too_deep_is_refused() {
    let nested = |depth: usize, leaf: Type, wrap: fn(Type) -> Type| (0..depth).fold(leaf, |ty, _| wrap(ty));
    let arrays = |depth: usize| "81".repeat(depth - 1) + "80";
    assert!(read(&nested(127, Type::U32, list), &arrays(127)).is_ok());
    assert!(read(&nested(127, Type::U32, |ty| list(option(ty))), &arrays(127)).is_ok());
    let deep = nested(1000, Type::U32, list);
    for open in ["81", "9f"] {
        let error = read(&deep, &open.repeat(100_000)).unwrap_err();
        assert_eq!(error.message, "it nests too deep: 127 levels are taken");
        assert!(matches!(error.kind, CborErrorKind::Syntax { .. }));
    }
    // Skipped values nest as well.
    for open in ["81", "9f", "a10a", "c1"] {
        let hex = format!("8107{}", open.repeat(100_000));
        assert!(read(&Type::Tuple([].into()), &hex).is_err());
        assert!(read(&Type::Result { ok: None, err: None }, &format!("a1626f6b{}", open.repeat(100_000))).is_err());
    }
}

/// Returns values as text, in which a NaN equals itself and the two zeros differ.
fn exactly(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

fn typed_value() -> impl Strategy<Value = (Type, Value)> {
    any_type().prop_flat_map(|ty| value_of(&ty).prop_map(move |value| (ty.clone(), value)))
}

/// Returns a record type with the fields `params`. A body of parameters is such a record, too.
fn record_of(params: &[Member]) -> Type {
    Type::Record(declared(&params.iter().map(|param| (param.name.snake(), param.ty.clone())).collect::<Vec<_>>()))
}

proptest! {
    #[test]
    fn a_value_comes_back_from_cbor_as_it_was((ty, value) in typed_value()) {
        let bytes = written(&ty, &value);
        prop_assert_eq!(exactly(&value_within(&ty, &bytes, usize::MAX).unwrap()), exactly(&value), "{:x?}", bytes);
    }

    #[test]
    fn cbor_cut_short_is_refused((ty, value) in typed_value(), at in any::<Index>()) {
        let bytes = written(&ty, &value);
        let cut = at.index(bytes.len());
        prop_assert!(value_within(&ty, &bytes.slice(..cut), usize::MAX).is_err());
    }

    #[test]
    fn a_byte_that_changed_is_read_or_refused((ty, value) in typed_value(), at in any::<Index>(), byte: u8) {
        let mut bytes = written(&ty, &value).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = value_within(&ty, &bytes.into(), usize::MAX);
    }

    #[test]
    fn any_bytes_are_read_or_refused(params in any_params(), ty in any_type(), bytes: Vec<u8>) {
        let bytes = Bytes::from(bytes);
        let _ = params_within(&params, &bytes, usize::MAX);
        let _ = value_within(&ty, &bytes, usize::MAX);
        let _ = value_within(&record_of(&params), &bytes, usize::MAX);
    }
}
