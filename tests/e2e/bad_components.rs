//! Files that are no chainlets, and chainlets that do not start.

use crate::harness::{Chain, FAULTY, RELAY};

/// Returns a chain of one chainlet, whose component is `a.wasm`.
fn chain() -> Chain {
    Chain::new("[chain]\nname = \"c\"\n[chainlets.a]\ncomponent = \"a.wasm\"\n")
}

/// The place of the mistake, which every message names.
const PLACE: &str = "error: chain.toml:4:13: chainlets.a.component: ";

#[track_caller]
fn refused(component: impl AsRef<[u8]>, words: &[&str]) {
    let chain = chain();
    chain.write("a.wasm", component);
    for command in [&["check", "chain.toml"][..], &["serve", "chain.toml", "--listen", "127.0.0.1:0"]] {
        let finished = chain.run(command);
        finished.refused(3, words);
        finished.refused(3, &[PLACE, "\nhelp: "]);
    }
}

#[test]
fn a_core_module_is_refused_and_called_a_core_module() {
    refused(wat::parse_str("(module)").unwrap(), &["core WebAssembly module, not a component", "wasm32-wasip2"]);
}

#[test]
fn a_file_that_is_not_webassembly_is_refused() {
    refused("not wasm at all", &["not WebAssembly"]);
    refused("", &["not WebAssembly (0 bytes"]);
    refused(b"\0asm\x0d\0\x01\0 and then nothing that makes sense", &["does not compile"]);
}

#[test]
fn a_component_that_was_cut_off_is_refused() {
    let whole = std::fs::read(crate::harness::component("guest_sync")).unwrap();
    refused(&whole[..whole.len() / 2], &["does not compile"]);
}

#[test]
fn a_component_without_run_remote_is_refused() {
    refused(wat::parse_str("(component)").unwrap(), &["exports no function `run-remote`"]);
}

#[test]
fn a_component_of_few_bytes_whose_types_have_many_parts_is_refused() {
    let mut types = String::from("(type $t0 (tuple u8 u8))");
    for depth in 1..=15 {
        types.push_str(&format!("(type $t{depth} (tuple $t{0} $t{0}))", depth - 1));
    }
    let component = format!(
        r#"(component {types} (type $f (func (param "a" $t15)))
            (core module $m
                (memory (export "mem") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 8)
                (func (export "run") (param i32)))
            (core instance $i (instantiate $m))
            (func (export "run-remote") (type $f)
                (canon lift (core func $i "run") (memory $i "mem") (realloc (func $i "realloc")))))"#
    );
    refused(wat::parse_str(component).unwrap(), &["have more than 20000 parts", "fewer nested types"]);
}

#[test]
fn a_component_that_is_too_long_or_no_regular_file_is_refused_unread() {
    let chain = chain();
    let path = chain.folder().join("a.wasm");
    std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    chain.run(&["check", "chain.toml"]).refused(3, &[PLACE, "it has 1024GiB, and may have at most 512MiB"]);
    std::fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    chain.run(&["check", "chain.toml"]).refused(3, &[PLACE, "found a FIFO, a socket or a device", "regular file"]);
}

#[test]
fn an_import_of_an_unknown_interface_is_refused_and_named() {
    let run_remote = r#"
      (core module $m (func (export "run")))
      (core instance $i (instantiate $m))
      (func (export "run-remote") (canon lift (core func $i "run"))))"#;
    let component = |import: &str| wat::parse_str(format!("(component {import} {run_remote}")).unwrap();
    refused(
        component(r#"(import "some:package/interface" (instance (export "do-it" (func))))"#),
        &["imports `some:package/interface` with its function `do-it`"],
    );
    refused(component(r#"(import "do-it" (func))"#), &["imports `do-it`"]);
    refused(
        component(r#"(import "wasi:nothing/of-the-kind@0.2.0" (instance (export "do-it" (func))))"#),
        &["wasi:nothing/of-the-kind"],
    );
}

#[test]
fn a_signature_with_resources_is_refused_and_shown() {
    let component = r#"
(component
  (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type (sub resource)))))
  (alias export $poll "pollable" (type $pollable))
  (core module $m (func (export "run") (param i32)))
  (core instance $i (instantiate $m))
  (func (export "run-remote") (param "p" (own $pollable)) (canon lift (core func $i "run"))))
"#;
    refused(wat::parse_str(component).unwrap(), &["resource", "func(p: "]);
}

#[test]
fn a_map_with_keys_that_wit_forbids_is_refused_with_the_allowed_ones() {
    let component = r#"
(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "run") (param i32 i32)))
  (core instance $i (instantiate $m))
  (func (export "run-remote") (param "p" (list (map f32 u8)))
    (canon lift (core func $i "run") (memory $i "memory") (realloc (func $i "realloc")))))
"#;
    let words = ["a call cannot carry `map<f32, u8>`", "the keys of a map are strings, chars, bools or integers"];
    refused(wat::parse_str(component).unwrap(), &words);
}

#[test]
fn an_init_that_fails_stops_the_start_with_its_reason() {
    for (init, words) in [
        ("trap", "`init` trapped: the guest ran an `unreachable` instruction"),
        ("exit:1", "exited with status 1"),
        ("err:no licence", "`init` failed: no licence"),
        ("hoard", "refused memory beyond its limit"),
    ] {
        let chain = Chain::new(&format!("{FAULTY}resources.memory = \"32MiB\"\nconfig = {{ init = \"{init}\" }}\n"));
        let serve = chain.run(&["serve", "chain.toml", "--listen", "127.0.0.1:0"]);
        serve.refused(6, &["the chain does not start: ", "faulty", words]);
        chain.run(&["call", "chain.toml", r#"{"what": "calls"}"#]).refused(6, &[words]);
        assert!(chain.run(&["check", "chain.toml"]).answer().contains("faulty"), "a check runs no guest");
    }
}

#[test]
fn an_init_that_panics_stops_the_start_with_its_message() {
    let chain = Chain::new(&format!("{FAULTY}config = {{ init = \"panic:no model\" }}\n"));
    let finished = chain.run(&["serve", "chain.toml", "--listen", "127.0.0.1:0"]);
    let error = finished.stderr.lines().find(|line| line.starts_with("error: ")).unwrap();
    assert_eq!(finished.code, Some(6), "{error}");
    assert!(error.contains("chainlet faulty: `init` trapped") && error.contains("/ no model"), "{error}");
    assert!(!error.contains("BACKTRACE"), "a guest has no RUST_BACKTRACE, so it must not name it: {error}");
}

#[test]
fn an_init_that_fails_in_a_dependency_stops_the_whole_chain() {
    let chain = Chain::new(&format!("{RELAY}config = {{ init = \"err:not today\" }}\n"));
    chain.run(&["serve", "chain.toml", "--listen", "127.0.0.1:0"]).refused(6, &["second", "not today"]);
}

#[test]
fn a_component_that_needs_more_memory_than_it_may_have_does_not_start() {
    let chain = Chain::new(&format!("{FAULTY}resources.memory = \"64KiB\"\n"));
    chain
        .run(&["serve", "chain.toml", "--listen", "127.0.0.1:0"])
        .refused(3, &["chain.toml:", "resources.memory", "begins with 1088KiB"]);
    chain.run(&["check", "chain.toml"]).refused(3, &["resources.memory"]);
}

#[test]
fn more_replicas_than_the_host_has_room_for_are_refused_by_check() {
    let chain = Chain::new(&format!("{FAULTY}replicas = 1001\n"));
    chain.run(&["check", "chain.toml"]).refused(3, &["chainlets.faulty.replicas", "room for 1000", "--max-replicas"]);
}
