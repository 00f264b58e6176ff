//! Golden files: `tests/config/bad/*.toml` beside the message that each must give, and `tests/config/good/*.toml`
//! beside the spec into which each is read. `UPDATE_GOLDEN=1 cargo test --locked -p chainhost-core -p chainhost --lib config` writes them anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::Value;

use super::ChainSpec;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the chain.toml files in one of the two folders, with their texts.
fn examples(folder: &str) -> BTreeMap<PathBuf, String> {
    let folder = repository().join("tests/config").join(folder);
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.filter(|file| file.extension().is_some_and(|extension| extension == "toml"));
    texts.map(|file| (file.clone(), fs::read_to_string(file).unwrap())).collect()
}

fn parse(file: &Path, text: &str) -> Result<ChainSpec, super::ConfigErrors> {
    ChainSpec::from_toml(text, Path::new(file.file_name().unwrap()))
}

/// Compares `actual` with the file at `path`, and returns the difference. With `UPDATE_GOLDEN`, writes the file first.
fn compare(path: &Path, actual: &str) -> Option<String> {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, actual).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    (expected != actual).then(|| format!("{}: expected\n{expected}\nfound\n{actual}", path.display()))
}

#[test]
fn every_bad_file_gives_its_message() {
    let examples = examples("bad");
    assert!(examples.len() >= 25, "only {} files were found", examples.len());
    let mut differences = Vec::new();
    for (file, text) in examples {
        match parse(&file, &text) {
            Ok(_) => differences.push(format!("{} was accepted", file.display())),
            Err(errors) => differences.extend(compare(&file.with_extension("err"), &format!("{errors}\n"))),
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn every_good_file_is_read_as_its_spec() {
    let mut differences = Vec::new();
    for (file, text) in examples("good") {
        match parse(&file, &text) {
            Ok(spec) => {
                let json = serde_json::to_string_pretty(&spec).unwrap();
                differences.extend(compare(&file.with_extension("json"), &format!("{json}\n")));
            }
            Err(errors) => differences.push(format!("{} was refused:\n{errors}", file.display())),
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn the_committed_schema_is_that_of_the_types() {
    let schema = ChainSpec::json_schema();
    let path = repository().join("docs/chain.schema.json");
    // Compared as JSON, because the order of its keys depends on the features that other crates turn on.
    let committed = || fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    if committed().as_ref() != Some(&schema) {
        compare(&path, &format!("{}\n", serde_json::to_string_pretty(&schema).unwrap()));
    }
    assert_eq!(committed(), Some(schema), "run with UPDATE_GOLDEN=1 to write docs/chain.schema.json anew");
}

#[test]
fn the_reference_shows_a_valid_chain_and_names_every_key() {
    let reference = fs::read_to_string(repository().join("docs/chain-toml.md")).unwrap();
    let (_, example) = reference.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    ChainSpec::from_toml(example, Path::new("chain-toml.md")).unwrap();
    let schema = ChainSpec::json_schema();
    for definition in schema["definitions"].as_object().unwrap().values() {
        for key in definition["properties"].as_object().into_iter().flat_map(|properties| properties.keys()) {
            assert!(reference.contains(&format!("| `{key}` |")), "docs/chain-toml.md does not describe {key}");
        }
    }
}

#[test]
fn one_good_file_has_every_key() {
    let text = fs::read_to_string(repository().join("tests/config/good/every-key.toml")).unwrap();
    let schema = ChainSpec::json_schema();
    for definition in schema["definitions"].as_object().unwrap().values() {
        for key in definition["properties"].as_object().into_iter().flat_map(|properties| properties.keys()) {
            let is_there =
                [format!("{key} = "), format!(".{key}]"), format!(".{key}.")].iter().any(|form| text.contains(form));
            // A store in Redis has either `url` or `url_secret`.
            assert!(is_there || key == "url", "every-key.toml lacks {key}");
        }
    }
}

#[test]
fn every_error_has_a_place_and_a_remedy() {
    for (file, text) in examples("bad") {
        for error in &parse(&file, &text).unwrap_err() {
            assert!(error.location().line().is_some(), "no line in {}:\n{error}", file.display());
            assert!(!error.help().is_empty() && !error.message().is_empty(), "{}:\n{error}", file.display());
        }
    }
}

/// The parser and the schema come from the same `table!`, except where a type reads a table by itself. This test finds
/// a key that only one of the two knows.
#[test]
fn the_schema_knows_the_same_keys_as_the_parser() {
    let tables = [
        ("", ""),
        ("[chain]", "/properties/chain"),
        ("[gpu]", "/properties/gpu"),
        ("[stores.a]", "/properties/stores/*"),
        ("[chainlets.a]", "/properties/chainlets/*"),
        ("[chainlets.a.build]", "/properties/chainlets/*/properties/build"),
        ("[chainlets.a.replicas]", "/properties/chainlets/*/properties/replicas"),
        ("[chainlets.a.health]", "/properties/chainlets/*/properties/health"),
        ("[chainlets.a.resources]", "/properties/chainlets/*/properties/resources"),
        ("[chainlets.a.resources.gpu]", "/properties/chainlets/*/properties/resources/properties/gpu"),
        ("[chainlets.a.assets]", "/properties/chainlets/*/properties/assets"),
        ("[chainlets.a.network]", "/properties/chainlets/*/properties/network"),
        ("[[chainlets.a.assets.files]]", "/properties/chainlets/*/properties/assets/properties/files/items"),
        ("[chainlets.a.depends.b]", "/properties/chainlets/*/properties/depends/*"),
    ];
    let schema = ChainSpec::json_schema();
    for (header, pointer) in tables {
        let errors = ChainSpec::from_toml(&format!("{header}\nxxxxxxxxxx = 1\n"), Path::new("f")).unwrap_err();
        let unknown = errors.iter().find(|error| error.message().starts_with("unknown key xxxxxxxxxx")).unwrap();
        let (_, known) = unknown.message().split_once("expected one of: ").unwrap();
        let known: BTreeSet<&str> = known.split(", ").collect();
        let in_schema = step(&schema, &schema, &pointer.split('/').skip(1).collect::<Vec<_>>());
        let in_schema = in_schema.as_ref().and_then(|table| table["properties"].as_object()).unwrap();
        assert_eq!(known, in_schema.keys().map(String::as_str).collect(), "the keys of {header:?} differ");
    }
}

/// Walks from `schema` along `steps`, through references and alternatives, to the first table. `*` is any key that the
/// user chooses.
fn step(root: &Value, schema: &Value, steps: &[&str]) -> Option<Value> {
    if let Some(reference) = schema["$ref"].as_str() {
        return step(root, root.pointer(reference.trim_start_matches('#'))?, steps);
    }
    for alternatives in ["anyOf", "allOf"] {
        let mut alternatives = schema[alternatives].as_array().into_iter().flatten();
        if let Some(found) = alternatives.find_map(|alternative| step(root, alternative, steps)) {
            return Some(found);
        }
    }
    let Some((first, rest)) = steps.split_first() else {
        return schema["properties"].is_object().then(|| schema.clone());
    };
    let next = match (*first, &schema["patternProperties"]) {
        ("*", Value::Object(patterns)) => patterns.values().next(),
        ("*", _) => schema.get("additionalProperties"),
        ("properties", _) => return step(root, schema["properties"].get(rest.first()?)?, rest.get(1..)?),
        _ => schema.get(*first),
    };
    step(root, next?, rest)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parsing_arbitrary_text_never_panics(text in any::<String>()) {
        check_anything(&text);
    }

    #[test]
    fn parsing_text_made_of_pieces_of_toml_never_panics(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40),
    ) {
        check_anything(&pieces.concat());
    }

    #[test]
    fn parsing_a_damaged_file_never_panics(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        removed in 0usize..40,
        inserted in prop::collection::vec(prop::sample::select(PIECES), 0..3),
    ) {
        let files: Vec<String> = examples("good").into_values().chain(examples("bad").into_values()).collect();
        let mut chars: Vec<char> = which.get(&files).chars().collect();
        let start = at.index(chars.len() + 1);
        let end = (start + removed).min(chars.len());
        chars.splice(start..end, inserted.concat().chars());
        check_anything(&chars.into_iter().collect::<String>());
    }
}

const PIECES: &[&str] = &[
    "[chain]",
    "[chainlets.a]",
    "[chainlets.\"\"]",
    "[[chainlets.a.assets.files]]",
    "[chainlets.b.depends]",
    "\n",
    "\r\n",
    " ",
    "\t",
    "name",
    "component",
    "replicas",
    "resources.memory",
    "resources.gpu",
    "[gpu]",
    "isolation",
    "adapter",
    "resources.value_limit",
    "config",
    "entrypoint",
    "depends.a",
    "build",
    "=",
    " = ",
    "\"a\"",
    "\"\"",
    "'''x\ny'''",
    "\"2GiB\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ".",
    "1",
    "-1",
    "0.5",
    "nan",
    "1e999",
    "99999999999999999999",
    "0xff",
    "true",
    "1979-05-27",
    "#",
    "é",
    "\u{1F600}",
    "\u{feff}",
    "\u{0}",
    "\u{1b}",
];

/// Checks that `text`, whatever it is, gives a valid spec, or errors that can be shown and whose places are in the
/// text.
fn check_anything(text: &str) {
    match ChainSpec::from_toml(text, Path::new("chain.toml")) {
        Ok(spec) => {
            spec.validate().unwrap();
            serde_json::to_string(&spec).unwrap();
        }
        Err(errors) => {
            assert!(errors.iter().count() > 0);
            for error in &errors {
                let line = error.location().line().unwrap();
                assert!((1..=text.matches('\n').count() + 1).contains(&line), "line {line} of {text:?}");
                assert!(error.to_string().starts_with(&format!("chain.toml:{line}:")));
            }
        }
    }
}

#[test]
fn a_file_full_of_mistakes_gives_a_bounded_number_of_errors() {
    let text: String = (0..20_000).map(|number| format!("key{number} = 1\n")).collect();
    let errors = ChainSpec::from_toml(&text, Path::new("chain.toml")).unwrap_err();
    assert_eq!(errors.iter().count(), super::reader::MOST_REPORTED);
}

#[test]
fn settings_that_nest_too_deep_are_rejected() {
    let deep = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!("[chain]\nname = \"c\"\n[chainlets.a]\ncomponent = \"a.wasm\"\nconfig.x = {open}{close}\n")
    };
    assert!(ChainSpec::from_toml(&deep(60), Path::new("f")).is_ok());
    let errors = ChainSpec::from_toml(&deep(70), Path::new("f")).unwrap_err();
    assert!(errors.to_string().contains("nest more than 64 deep"), "{errors}");
}

#[test]
fn tables_that_nest_as_deep_as_toml_allows_do_not_exhaust_the_stack() {
    let keys = vec!["a"; 79].join(".");
    let value = (0..78).fold("1".to_owned(), |inner, _| format!("{{ {keys} = {inner} }}"));
    let text = format!("[chain]\nname = \"c\"\n[chainlets.a]\ncomponent = \"a.wasm\"\nconfig.x = {value}\n");
    assert!(ChainSpec::from_toml(&text, Path::new("f")).is_err());
    assert!(ChainSpec::from_toml(&format!("{text}\nbroken"), Path::new("f")).is_err());
}
