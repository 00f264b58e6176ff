use std::path::Path;

use proc_macro2::TokenStream;

use super::{check_types, shorten};
use crate::arguments::Arguments;
use crate::author::Author;
use crate::world::{Package, World};

/// The WIT of a world. The signature of its `run-remote`, in line 12, replaces the word `SIGNATURE`.
const WIT: &str = "package test:types;
interface people {
    record person { name: string }
}
world unit {
    use people.{person as guest};
    import greet: interface { run-remote: async func(name: string) -> string; }
    type count = u32;
    type names = list<string>;
    enum tone { warm, cool }
    variant oops { bad(string), worse }
    export run-remote: async func SIGNATURE;
}";

/// Returns the messages about `function` with the WIT `signature`, each with the source that it is about.
fn mistakes(signature: &str, function: &str) -> Vec<(String, String)> {
    let wit = WIT.replace("SIGNATURE", signature);
    let arguments: Arguments = syn::parse_str(&format!("inline = {wit:?}")).unwrap();
    let tokens: TokenStream = format!("impl Unit {{ async fn run_remote{function} {{}} }}").parse().unwrap();
    let author = Author::new(syn::parse2(tokens).unwrap()).unwrap();
    let world = World::find(Package::read(&arguments.source).unwrap(), "unit").unwrap();
    match check_types(&author, &world, world.run_remote().unwrap()) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.into_iter().map(|e| (e.to_string(), e.span().source_text().unwrap())).collect(),
    }
}

/// Returns the only message about a parameter `it` of type `wit` that the author takes as `rust`.
fn mistake(wit: &str, rust: &str) -> (String, String) {
    let mut found = mistakes(&format!("(it: {wit})"), &format!("(&self, it: {rust})"));
    assert_eq!(found.len(), 1, "{wit} as {rust}: {found:?}");
    found.remove(0)
}

#[test]
fn a_wrong_type_is_named_with_the_wits_type_and_line() {
    for (wit, rust, message, at) in [
        ("u32", "u64", "`it` is `u32` in inline.wit:12, and `u64` here", "u64"),
        ("s64", "u64", "`it` is `s64` (in Rust `i64`) in inline.wit:12, and `u64` here", "u64"),
        ("u32", "usize", "`it` is `u32` in inline.wit:12, and `usize` here", "usize"),
        ("string", "&str", "`it` is `string` (in Rust `String`) in inline.wit:12, and `&str` here", "&str"),
        (
            "list<u32>",
            "Vec<u64>",
            "`it` is `list<u32>` (in Rust `Vec<u32>`) in inline.wit:12, and `Vec<u64>` here",
            "u64",
        ),
        ("count", "u64", "`it` is `count` (in Rust `u32`) in inline.wit:12, and `u64` here", "u64"),
        ("guest", "String", "`it` is `guest` (in Rust `Guest`) in inline.wit:12, and `String` here", "String"),
    ] {
        let found = mistake(wit, rust);
        assert_eq!(found, (message.to_owned(), at.to_owned()));
    }
}

#[test]
fn the_error_points_at_the_innermost_wrong_type() {
    for (wit, rust, at) in [
        ("option<list<u8>>", "Option<Vec<i8>>", "i8"),
        ("option<string>", "String", "String"),
        ("tuple<u8, string>", "(u8, char)", "char"),
        ("tuple<u8, string>", "(u8, String, u8)", "(u8, String, u8)"),
        ("result<u32, string>", "Result<u32, u32>", "u32"),
        ("result<_, string>", "Result<bool, String>", "bool"),
        ("map<string, u32>", "BTreeMap<String, i32>", "i32"),
        ("map<string, u32>", "Vec<(String, u32)>", "Vec<(String, u32)>"),
        ("stream<u8>", "StreamReader<u16>", "u16"),
        ("stream<u8>", "Vec<u8>", "Vec<u8>"),
        ("future", "FutureReader<u8>", "u8"),
        ("list<u8, 4>", "[u16; 4]", "u16"),
        ("names", "Vec<u8>", "u8"),
        ("list<tone>", "Vec<Guest>", "Guest"),
        ("u32", "Tone", "Tone"),
        ("string", "Count", "Count"),
        ("list<u8>", "&[u8]", "&[u8]"),
        ("u8", "std::string::String", "std::string::String"),
    ] {
        let (message, found) = mistake(wit, rust);
        // If a type has several tokens, the parser of the tests gives only the span of the first.
        assert!(at.starts_with(&found), "{message}: {found}");
    }
}

#[test]
fn the_wits_types_and_possible_aliases_pass() {
    for (wit, rust) in [
        ("u32", "u32"),
        ("u32", "(u32)"),
        ("u32", "Count"),
        ("u32", "Number"),
        ("u32", "std::os::raw::c_uint"),
        ("u32", "<Unit as Counts>::Count"),
        ("u32", "my::String"),
        ("u32", "number!()"),
        ("count", "u32"),
        ("string", "std::string::String"),
        ("names", "Vec<String>"),
        ("names", "Names"),
        ("guest", "Guest"),
        ("guest", "Person"),
        ("guest", "wit::Guest"),
        ("list<guest>", "std::vec::Vec<wit::bindings::test::types::people::Person>"),
        ("tone", "my::Tone"),
        ("option<tuple<u8, tone>>", "Option<(u8, Mood)>"),
        ("map<string, u32>", "std::collections::BTreeMap<String, u32>"),
        ("map<string, u32>", "Counts"),
        ("stream<tone>", "chainlet::StreamReader<Tone>"),
        ("list<u8, 4>", "[u8; 4]"),
        ("tuple<u8>", "(u8,)"),
        ("result<u8>", "Result<u8, ()>"),
        ("result<u8, tone>", "my::Result<u8>"),
    ] {
        let found = mistakes(&format!("(it: {wit})"), &format!("(&self, it: {rust})"));
        assert!(found.is_empty(), "{wit} as {rust}: {found:?}");
    }
}

#[test]
fn an_answer_of_another_type_is_refused_and_errors_may_be_any() {
    let answer = |wit: &str, rust: &str| mistakes(&format!("() -> {wit}"), &format!("(&self) -> {rust}"));
    for (wit, rust, message) in [
        ("u32", "u64", "`run-remote` returns `u32` in inline.wit:12, and `u64` here"),
        (
            "result<u32, string>",
            "chainlet::Result<u64>",
            "`run-remote` returns `result<u32, string>` (in Rust `chainlet::Result<u32>`) in inline.wit:12, \
             and `chainlet::Result<u64>` here",
        ),
        (
            "result<u32, oops>",
            "u32",
            "`run-remote` returns `result<u32, oops>` (in Rust `Result<u32, Oops>`) in inline.wit:12, and `u32` here",
        ),
        (
            "string",
            "Result<String, String>",
            "`run-remote` returns `string` (in Rust `String`) in inline.wit:12, and `Result<String, String>` here; \
             to return errors, declare a `result<…>` there",
        ),
        (
            "result<_, string>",
            "()",
            "`run-remote` returns `result<_, string>` (in Rust `chainlet::Result<()>`) in inline.wit:12, and `()` here",
        ),
    ] {
        let found: Vec<_> = answer(wit, rust).into_iter().map(|(message, _)| message).collect();
        assert_eq!(found, [message], "{wit} as {rust}");
    }
    for (wit, rust) in [
        ("result<u32, string>", "chainlet::Result<u32>"),
        ("result<u32, string>", "Result<u32, Box<dyn Error>>"),
        ("result<u32, oops>", "anyhow::Result<u32>"),
        ("result<u32, oops>", "Outcome"),
        ("result", "fmt::Result"),
        ("u32", "impl Into<u32>"),
        ("u32", "!"),
    ] {
        assert!(answer(wit, rust).is_empty(), "{wit} as {rust}");
    }
}

#[test]
fn an_answer_on_only_one_side_is_refused() {
    let (message, at) = mistakes("() -> u32", "(&self)").remove(0);
    assert_eq!(message, "`run-remote` returns `u32` in inline.wit:12, and `()` here");
    assert_eq!(at, "run_remote");
    let (message, at) = mistakes("()", "(&self) -> u32").remove(0);
    assert_eq!(message, "`run-remote` returns nothing in inline.wit:12, and `u32` here");
    assert_eq!(at, "u32");
    assert!(mistakes("()", "(&self)").is_empty());
    assert!(mistakes("()", "(&self) -> ()").is_empty());
}

#[test]
fn all_wrong_types_are_reported_at_once() {
    let found = mistakes("(a: u8, b: u8, c: u8) -> u8", "(&self, a: u16, b: u8, c: char) -> bool");
    assert_eq!(found.iter().map(|(_, at)| at.as_str()).collect::<Vec<_>>(), ["u16", "char", "bool"]);
}

#[test]
fn a_parameter_on_a_line_of_its_own_has_that_line() {
    let (message, _) = mistakes("(\n  a: u8,\n  b: u8)", "(&self, a: u8, b: u16)").remove(0);
    assert_eq!(message, "`b` is `u8` in inline.wit:14, and `u16` here");
}

#[test]
fn a_file_is_named_relative_to_the_compilers_folder() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap();
    let file = |path: &str| format!("{}:3", root.join(path).display());
    let (source, wit) = (root.join("src"), root.join("wit"));
    assert_eq!(shorten(&file("wit/call.wit"), Some(&root), None), "wit/call.wit:3");
    assert_eq!(shorten(&file("wit/call.wit"), Some(&source), Some(&root)), "wit/call.wit:3");
    assert_eq!(shorten(&file("src/lib.rs"), Some(&wit), Some(&wit)), "../src/lib.rs:3");
    assert_eq!(shorten("inline.wit:3", Some(&root), Some(&root)), "inline.wit:3");
    assert_eq!(shorten("/no/such.wit:3", Some(&root), None), "/no/such.wit:3");
}
