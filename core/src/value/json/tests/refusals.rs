//! Texts that are rejected, with the pointer and the message of each rejection.

use super::*;

#[track_caller]
fn refused(ty: &Type, text: &str, pointer: &str, message: &str) {
    let error = value_from_slice(ty, text.as_bytes()).unwrap_err();
    assert_eq!((error.kind, error.pointer.as_str(), error.message.as_str()), (JsonErrorKind::Type, pointer, message));
}

#[test]
fn a_number_that_the_type_cannot_hold_is_refused() {
    let u8 = "an integer from 0 to 255, in digits only";
    refused(&Type::U8, "300", "", &format!("invalid value: integer `300`, expected u8 ({u8})"));
    refused(&Type::U8, "-1", "", &format!("invalid value: integer `-1`, expected u8 ({u8})"));
    refused(
        &list(Type::U16),
        "[1, 70000]",
        "/1",
        "invalid value: integer `70000`, expected u16 (an integer from 0 to 65535, in digits only)",
    );
    let u32 = "u32 (an integer from 0 to 4294967295, in digits only)";
    for (text, shown) in [("1.5", "1.5"), ("1.0", "1.0"), ("1e3", "1000.0"), ("-0", "-0.0")] {
        refused(&Type::U32, text, "", &format!("invalid value: floating point `{shown}`, expected {u32}"));
    }
    assert!(value_from_slice(&Type::U64, b"18446744073709551616").is_err());
    assert!(value_from_slice(&Type::F32, b"1e39").is_err());
    refused(&record(&[("x", Type::F64)]), r#"{"x": 1e999}"#, "/x", "the number is larger than an f64 can be");
}

#[test]
fn a_value_of_another_kind_is_refused() {
    refused(&Type::Bool, "1", "", "invalid value: integer `1`, expected bool (true or false)");
    refused(&Type::String, "null", "", "invalid type: null, expected string (a string)");
    refused(&Type::String, "5", "", "invalid type: integer `5`, expected string (a string)");
    refused(&Type::Char, r#""ab""#, "", r#"invalid value: string "ab", expected char (a string of one character)"#);
    refused(&Type::Char, r#""""#, "", r#"invalid value: string "", expected char (a string of one character)"#);
    refused(&list(Type::F32), "{}", "", "invalid type: object, expected list<f32> (an array)");
    refused(&list(Type::U8), "[1]", "", "invalid type: array, expected list<u8> (a base64 string)");
    refused(&option(Type::Bool), r#""x""#, "", r#"invalid value: string "x", expected bool (true or false)"#);
}

#[test]
fn bad_base64_is_refused_with_what_is_wrong() {
    let ty = list(Type::U8);
    let rule = "expected the standard alphabet (`+` and `/`) with `=` padding";
    refused(&ty, r#""ab-d""#, "", &format!("bad base64 for a list<u8>: '-' has no place at offset 2; {rule}"));
    for text in [r#""YQ""#, r#""YQ=""#, r#""YR==""#, r#""YQ==\n""#, r#""Y""#] {
        let error = value_from_slice(&ty, text.as_bytes()).unwrap_err();
        assert!(error.message.contains(rule), "{error}");
    }
}

#[test]
fn an_unknown_missing_or_repeated_field_is_refused() {
    let ty = list(record(&[("doc-id", Type::U32), ("score", Type::F32)]));
    refused(&ty, r#"[{"doc_id": 1, "scor": 1}]"#, "/0/scor", "unknown field `scor`, expected one of `doc_id`, `score`");
    refused(&ty, r#"[{"doc_id": 1}]"#, "/0", "missing field `score` (f32)");
    refused(&ty, "[{}]", "/0", "missing fields `doc_id` (u32), `score` (f32)");
    refused(&ty, r#"[{"doc_id": 1, "doc-id": 1}]"#, "/0/doc-id", "field `doc_id` is given twice");
    refused(&ty, r#"[{"a/b~": 1}]"#, "/0/a~1b~0", "unknown field `a/b~`, expected one of `doc_id`, `score`");
}

#[test]
fn a_map_is_refused_unless_it_is_an_object_with_each_key_once() {
    let ty = list(map(Type::String, Type::Bool));
    let words = "map<string, bool> (an object)";
    refused(&ty, "[[]]", "/0", &format!("invalid type: array, expected {words}"));
    refused(&ty, r#"["x"]"#, "/0", &format!(r#"invalid type: string "x", expected {words}"#));
    refused(&ty, r#"[{"a": 1}]"#, "/0/a", "invalid value: integer `1`, expected bool (true or false)");
    refused(&ty, r#"[{"a/b~": 1}]"#, "/0/a~1b~0", "invalid value: integer `1`, expected bool (true or false)");
    refused(&ty, r#"[{"a": true, "b": true, "a": true}]"#, "/0/a", "the key `a` is given twice");
    refused(&ty, r#"[{"b": true, "a": true, "\u0061": false}]"#, "/0/a", "the key `a` is given twice");
    let long = "x".repeat(1_000_000);
    let text = format!(r#"[{{"{long}": true, "{long}": true}}]"#);
    assert!(value_from_slice(&ty, text.as_bytes()).unwrap_err().to_string().len() < 1000);
}

#[test]
fn a_key_is_refused_unless_it_is_its_type_in_its_one_spelling() {
    let u8 = "u8 (an integer from 0 to 255, in digits only)";
    for key in ["256", "-1", "07", "+7", "1.0", "1e1", "", " 7", "x"] {
        let text = format!("{{\"{key}\": 0}}");
        refused(&map(Type::U8, Type::U8), &text, &format!("/{key}"), &format!("bad key `{key}`, expected {u8}"));
    }
    assert!(value_from_slice(&map(Type::S8, Type::U8), br#"{"-0": 0}"#).is_err());
    refused(&map(Type::Bool, Type::U8), r#"{"True": 0}"#, "/True", "bad key `True`, expected bool (true or false)");
    let char = "char (a string of one character)";
    refused(&map(Type::Char, Type::U8), r#"{"ab": 0}"#, "/ab", &format!("bad key `ab`, expected {char}"));
    refused(&map(Type::U8, Type::U8), r#"{"7": 0, "8": 0, "7": 0}"#, "/7", "the key `7` is given twice");
}

#[test]
fn a_pointer_spells_a_name_as_the_text_does() {
    let ty = record(&[("doc-id", Type::Bool)]);
    assert_eq!(value_from_slice(&ty, br#"{"doc-id": 1}"#).unwrap_err().pointer, "/doc-id");
    assert_eq!(value_from_slice(&ty, br#"{"doc_id": 1}"#).unwrap_err().pointer, "/doc_id");
}

#[test]
fn a_variant_is_refused_unless_it_is_one_known_case_in_its_form() {
    let ty = variant(&[("none-left", None), ("left", Some(Type::U32))]);
    let form = r#"variant hit (one of "none_left", {"left": …})"#;
    refused(&ty, r#""gone""#, "", "unknown case `gone`, expected one of `none_left`, `left`");
    refused(&ty, r#"{"gone": 1}"#, "/gone", "unknown case `gone`, expected one of `none_left`, `left`");
    refused(&ty, r#""left""#, "", r#"case `left` needs its payload, expected {"left": u32}"#);
    let bare = r#"a case without payload is written as the string "none_left""#;
    refused(&ty, r#"{"none-left": null}"#, "/none-left", bare);
    refused(&ty, "{}", "", &format!("an empty object, expected {form}"));
    refused(&ty, r#"{"left": 1, "left": 2}"#, "", &format!("more than one entry, expected {form}"));
    refused(&ty, "7", "", &format!("invalid type: integer `7`, expected {form}"));
}

#[test]
fn a_result_is_refused_unless_it_is_ok_or_err() {
    let ty = Type::Result { ok: None, err: Some(Arc::new(Type::U8)) };
    refused(&ty, r#"{"ok": 1}"#, "/ok", "expected null, for there is no type here");
    refused(
        &ty,
        r#"{"err": null}"#,
        "/err",
        "invalid type: null, expected u8 (an integer from 0 to 255, in digits only)",
    );
    refused(&ty, r#"{"Ok": null}"#, "/Ok", "unknown case `Ok`, expected one of `ok`, `err`");
}

#[test]
fn names_that_are_not_declared_are_refused() {
    let level = Type::Enum(names(&["low", "high"]));
    refused(&level, r#""LOW""#, "", "unknown case `LOW`, expected one of `low`, `high`");
    refused(
        &level,
        "0",
        "",
        "invalid type: integer `0`, expected the name of a case as a string, one of `low`, `high`",
    );
    let flags = Type::Flags(names(&["read", "write"]));
    refused(&flags, r#"["read", "exec"]"#, "/1", "unknown flag `exec`, expected one of `read`, `write`");
    refused(&flags, r#"["read", "read"]"#, "/1", "the flag is given twice");
    refused(
        &flags,
        r#""read""#,
        "",
        r#"invalid type: string "read", expected flags hit (an array of strings out of `read`, `write`)"#,
    );
}

#[test]
fn a_tuple_is_refused_unless_it_has_its_length() {
    let ty = Type::Tuple([Type::U8, Type::Bool].into());
    refused(&ty, "[1]", "", "invalid length 1, expected tuple<u8, bool> (an array of 2)");
    refused(&ty, "[1, true, 3]", "/2", "one element too many, expected tuple<u8, bool> (an array of 2)");
    refused(&ty, "[1, 2]", "/1", "invalid value: integer `2`, expected bool (true or false)");
}

#[test]
fn parameters_are_refused_as_such() {
    let params = [member("query", Some(Type::String)), member("top-k", Some(Type::U8))];
    let refused = |body: &str| params_from_slice(&params, body.as_bytes()).unwrap_err();
    let error = refused(r#"{"query": "x"}"#);
    assert_eq!((error.pointer.as_str(), error.message.as_str()), ("", "missing parameter `top_k` (u8)"));
    let error = refused(r#"{"k": "x"}"#);
    assert_eq!(
        error.to_string(),
        "the JSON does not fit the WIT type, at `/k`: unknown parameter `k`, expected one of `query`, `top_k`"
    );
    let error = refused(r#"["x", 1]"#);
    assert_eq!(
        error.message,
        "invalid type: array, expected an object keyed by parameter name: `query` (string), `top_k` (u8)"
    );
    let error = refused("");
    assert_eq!(error.message, "the body is empty, expected a JSON object with `query` (string), `top_k` (u8)");
    let error = params_from_slice(&[], br#"{"a": 1}"#).unwrap_err();
    assert_eq!(error.message, "unknown parameter `a`, expected none");
}

#[test]
fn broken_json_is_refused_with_its_line_and_column() {
    let ty = record(&[("a", list(Type::U8)), ("b", list(Type::U16))]);
    let error = value_from_slice(&ty, b"{\"b\":\n [1 2]}").unwrap_err();
    assert_eq!(error.to_string(), "bad JSON in line 2, column 5, at `/b/1`: expected `,` or `]`");
    for text in ["", "{", r#"{"b": [1"#, r#"{"a": "", "b": []} x"#, r#"{"b": [1,]}"#, "{'b': []}", " \u{feff}{}"] {
        let error = value_from_slice(&ty, text.as_bytes()).unwrap_err();
        assert!(matches!(error.kind, JsonErrorKind::Syntax { .. }), "{text}: {error}");
    }
    assert!(matches!(
        value_from_slice(&Type::String, br#""\ud800""#).unwrap_err().kind,
        JsonErrorKind::Syntax { line: 1, .. }
    ));
    let error = value_from_slice(&Type::String, b"\n\"a\xff\"").unwrap_err();
    assert_eq!(error.to_string(), "bad JSON in line 2, column 3: JSON is UTF-8, and byte 3 of the text is not");
}

#[test]
fn json_that_nests_too_deep_is_refused() {
    let mut ty = Type::U32;
    for _ in 0..1000 {
        ty = list(ty);
    }
    let error = value_from_slice(&ty, "[".repeat(100_000).as_bytes()).unwrap_err();
    assert_eq!(error.message, "it nests more than 127 levels deep");
    assert!(matches!(error.kind, JsonErrorKind::Syntax { line: 1, column: 128 }), "{error:?}");
}

#[test]
fn a_message_and_a_pointer_stay_short_whatever_the_input() {
    let long = "-".repeat(1_000_000);
    let many: Vec<String> = (0..1000).map(|index| format!("case-{index}")).collect();
    let level = Type::Enum(names(&many.iter().map(String::as_str).collect::<Vec<_>>()));
    let record = record(&[("a", Type::U8)]);
    let types = [Type::U8, Type::Char, list(Type::Bool), record, level, list(Type::U8), option(option(Type::U8))];
    for ty in types.into_iter().chain([map(Type::U8, Type::U8)]) {
        for text in [format!("\"{long}\""), format!("{{\"{long}\": 1}}"), format!("{{\"a\": \"{long}\"}}")] {
            let error = value_from_slice(&ty, text.as_bytes()).unwrap_err();
            assert!(error.to_string().len() < 1000, "{ty}: {}", error.to_string().len());
        }
    }
}

#[test]
fn a_type_that_cannot_be_carried_is_refused() {
    let error = value_from_slice(&Type::Unsupported("stream<u8>".into()), b"[]").unwrap_err();
    assert_eq!(error.message, "expected stream<u8> (which cannot be carried)");
}
