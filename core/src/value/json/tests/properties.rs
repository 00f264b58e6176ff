//! The mapping on random types and values.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value as Json;

use super::*;
use crate::value::json::arbitrary::breaks::{Break, find_breaks};
use crate::value::json::arbitrary::{NAMES, any_params, any_type, value_of};

fn typed_value() -> impl Strategy<Value = (Type, Value)> {
    any_type().prop_flat_map(|ty| value_of(&ty).prop_map(move |value| (ty.clone(), value)))
}

/// Returns values as text, in which a NaN equals itself and the two zeros differ.
fn exactly(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

/// Returns `text` with every WIT name in kebab-case.
fn in_kebab_case(text: &str) -> String {
    NAMES.iter().fold(text.to_owned(), |text, name| {
        text.replace(&format!("\"{}\"", name.replace('-', "_")), &format!("\"{name}\""))
    })
}

proptest! {
    #[test]
    fn a_value_comes_back_from_json_as_it_was((ty, value) in typed_value()) {
        let text = written(&ty, &value);
        prop_assert_eq!(exactly(&read(&ty, &text)), exactly(&value), "{}", text);
    }

    #[test]
    fn kebab_case_reads_as_snake_case_does((ty, value) in typed_value()) {
        let text = in_kebab_case(&written(&ty, &value));
        prop_assert_eq!(exactly(&read(&ty, &text)), exactly(&value), "{}", text);
    }

    #[test]
    fn indented_json_reads_as_compact_json_does((ty, value) in typed_value()) {
        let text = serde_json::to_string_pretty(&Typed { ty: &ty, value: &value }).unwrap();
        prop_assert_eq!(exactly(&read(&ty, &text)), exactly(&value), "{}", text);
    }

    #[test]
    fn a_broken_place_is_refused_at_its_pointer((ty, value) in typed_value(), place in any::<Index>()) {
        let mut json: Json = serde_json::from_str(&written(&ty, &value)).unwrap();
        let mut breaks = Vec::new();
        find_breaks(&ty, &json, String::new(), &mut breaks);
        if breaks.is_empty() {
            return Ok(());
        }
        let Break { at, with, pointer } = place.get(&breaks);
        *json.pointer_mut(at).unwrap() = with.clone();
        let error = value_from_slice(&ty, json.to_string().as_bytes()).unwrap_err();
        prop_assert_eq!((error.kind, &error.pointer), (JsonErrorKind::Type, pointer), "{}: {}", json, error);
    }

    #[test]
    fn any_bytes_are_read_or_refused(params in any_params(), ty in any_type(), bytes: Vec<u8>) {
        let _ = params_from_slice(&params, &bytes);
        let _ = value_from_slice(&ty, &bytes);
    }

    #[test]
    fn anything_like_json_is_read_or_refused(
        params in any_params(),
        ty in any_type(),
        text in r#"([\[\]{}:,"]|null|true|"top_k"|"ok"|"some"|"id"|-?[0-9]{1,3}(\.5)?(e[0-9]{1,3})?| ){0,24}"#,
    ) {
        let _ = params_from_slice(&params, text.as_bytes());
        let _ = value_from_slice(&ty, text.as_bytes());
    }

    #[test]
    fn a_text_cut_short_is_refused((ty, value) in typed_value(), at in any::<Index>()) {
        let text = written(&ty, &value);
        let cut = at.index(text.len());
        let is_number = text.starts_with(|first: char| first.is_ascii_digit() || first == '-');
        prop_assert!(is_number || value_from_slice(&ty, &text.as_bytes()[..cut]).is_err());
    }
}
