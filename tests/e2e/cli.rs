//! The commands: their output on stdout and stderr, and their exit codes.

use serde_json::Value as Json;

use crate::harness::{Chain, FAULTY, Finished, Process, RELAY, chainhost};

fn run(arguments: &[&str]) -> Finished {
    let mut command = chainhost();
    command.args(arguments);
    Process::start(command).finish()
}

#[test]
fn call_takes_its_input_from_the_command_line_or_from_stdin() {
    let chain = Chain::new(RELAY);
    let input = r#"{"what": "echo:x"}"#;
    let finished = chain.run(&["call", "chain.toml", input]);
    assert_eq!((finished.answer(), finished.stderr.as_str()), ("\"x\"\n", ""));
    let command = chain.command(&["call", "chain.toml", "-"]);
    assert_eq!(Process::start_with_input(command, input.as_bytes()).finish().answer(), "\"x\"\n");
}

#[test]
fn call_reaches_any_chainlet_by_name() {
    let chain = Chain::new(RELAY);
    let call = |name| chain.run(&["call", "chain.toml", "--chainlet", name, r#"{"what": "who"}"#]);
    assert_eq!(call("second").answer(), "\"test/second/0/development\"\n");
    call("secnd").refused(2, &["has no chainlet `secnd`", "did you mean `second`?"]);
}

#[test]
fn a_call_that_fails_ends_with_1_and_says_why() {
    let chain = Chain::new(RELAY);
    for (input, words) in [
        (r#"{"what": "err:no such thing"}"#, &["chainlet first", r#""no such thing""#][..]),
        (r#"{"what": "trap"}"#, &["chainlet first, called through relay → first (as next)", "unreachable"]),
        (r#"{"what": "panic:boom"}"#, &["chainlet first", "boom"]),
        (r#"{"what": 5}"#, &["chainlet relay", "(at /what)"]),
        (r#"{"what": "#, &["chainlet relay"]),
        ("", &["chainlet relay"]),
    ] {
        let Finished { code, stdout, stderr } = chain.run(&["call", "chain.toml", input]);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{input}: {stderr}");
        assert_eq!(stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{input}: {stderr}");
        for word in words {
            assert!(stderr.contains(word), "{input}: nothing says `{word}`:\n{stderr}");
        }
    }
    chain
        .run(&["call", "chain.toml", r#"{"what": "hold"}"#, "--timeout", "100ms"])
        .refused(1, &["no answer before the deadline: the timeout of the call is 100ms"]);
}

#[test]
fn output_of_guests_in_a_call_is_not_in_its_answer() {
    let finished = Chain::new(FAULTY).run(&["call", "chain.toml", r#"{"what": "print:1"}"#]);
    assert_eq!(finished.answer(), "\"did print:1\"\n");
    assert!(finished.stderr.contains("faulty[0] stdout: line 1"), "{}", finished.stderr);
}

/// Returns a chain whose component exists only after `command` has built it.
fn to_build(command: &str) -> Chain {
    let chain = Chain::new(&format!(
        "[chain]\nname = \"test\"\n[chainlets.faulty]\ncomponent = \"built.wasm\"\nbuild = \"{command}\"\n"
    ));
    std::fs::create_dir(chain.folder().join("source")).unwrap();
    std::fs::copy(crate::harness::component("guest_faulty"), chain.folder().join("source/faulty.wasm")).unwrap();
    chain
}

#[test]
fn build_runs_the_commands_and_checks_the_built_components() {
    let chain = to_build("echo copying; cp source/faulty.wasm built.wasm");
    chain.run(&["check", "chain.toml"]).refused(3, &["chainlets.faulty.component", "run `chainhost build` first"]);
    let finished = chain.run(&["build", "chain.toml"]);
    assert_eq!(finished.answer(), "", "the output of a build does not go to stdout");
    for part in ["[1/1] faulty: echo copying; cp", "copying\n", "[1/1] faulty: built in ", "fits together: 1 chainlet"]
    {
        assert!(finished.stderr.contains(part), "nothing says `{part}`:\n{}", finished.stderr);
    }
    assert_eq!(chain.run(&["call", "chain.toml", r#"{"what": "echo:x"}"#]).answer(), "\"x\"\n");
}

#[tokio::test]
async fn serve_and_call_build_first_if_they_are_asked_to() {
    let chain = to_build("cp source/faulty.wasm built.wasm");
    assert_eq!(chain.run(&["call", "--build", "chain.toml", r#"{"what": "echo:x"}"#]).answer(), "\"x\"\n");
    std::fs::remove_file(chain.folder().join("built.wasm")).unwrap();
    assert_eq!(chain.serve_with(&["--build"]).ask("echo:x").await, "x");
}

#[test]
fn a_build_runs_each_command_once_in_its_workdir_callees_first() {
    let chain = Chain::new(
        r#"
[chain]
name = "test"
[chainlets.relay]
component = "<guest_relay>"
build = "echo relay >> order"
depends = { next = "first", other = "second" }
[chainlets.first]
component = "<guest_faulty>"
build = { command = "echo both >> ../order", workdir = "sub" }
[chainlets.second]
component = "<guest_faulty>"
build = { command = "echo both >> ../order", workdir = "sub" }
"#,
    );
    chain.run(&["build", "chain.toml"]).refused(3, &["chainlets.first.build.workdir"]);
    std::fs::create_dir(chain.folder().join("sub")).unwrap();
    let order = || std::fs::read_to_string(chain.folder().join("order")).unwrap();
    chain.run(&["build", "chain.toml"]).answer();
    assert_eq!(order(), "both\nrelay\n");
    chain.run(&["build", "chain.toml", "relay"]).answer();
    assert_eq!(order(), "both\nrelay\nrelay\n");
    chain.run(&["build", "chain.toml", "relai"]).refused(2, &["did you mean `relay`?"]);
}

#[test]
fn a_build_that_fails_ends_with_4_and_shows_its_output() {
    let finished = to_build("echo this is why >&2; exit 9").run(&["build", "chain.toml"]);
    finished.refused(4, &["this is why\n", "the build command of faulty failed (exit status: 9)"]);
    to_build("no-such-command-anywhere").run(&["build", "chain.toml"]).refused(4, &["no-such-command-anywhere"]);
    let finished = to_build("true").run(&["serve", "chain.toml", "--build", "--listen", "127.0.0.1:0"]);
    finished.refused(4, &["built.wasm"]);
}

#[test]
fn a_package_that_makes_no_component_is_refused_despite_an_old_one() {
    let chain = Chain::new(
        r#"
[chain]
name = "test"
[chainlets.stale]
component = "target/wasm32-wasip2/debug/stale_one.wasm"
build = "cargo build --target wasm32-wasip2 --target-dir target"
"#,
    );
    let manifest = |library: &str| {
        let text = format!("[package]\nname = \"stale-one\"\nedition = \"2024\"\n{library}\n[workspace]\n");
        std::fs::write(chain.folder().join("Cargo.toml"), text).unwrap();
    };
    manifest("");
    std::fs::create_dir(chain.folder().join("src")).unwrap();
    std::fs::write(chain.folder().join("src/lib.rs"), "").unwrap();
    let key = ["add `crate-type = [\"cdylib\"]` to the section `[lib]`", "Cargo.toml"];
    let build = || chain.run(&["build", "chain.toml", "--no-check"]);
    build().refused(4, &[&key[..], &["there is no component at"]].concat());

    let component = chain.folder().join("target/wasm32-wasip2/debug/stale_one.wasm");
    std::fs::copy(crate::harness::component("guest_faulty"), component).unwrap();
    build().refused(4, &[&key[..], &["stale_one.wasm is of an earlier build"]].concat());

    manifest("[lib]\ncrate-type = [\"cdylib\"]");
    build().answer();
    build().answer();
}

#[test]
fn a_build_that_makes_no_chainlet_is_refused() {
    to_build("echo something else > built.wasm").run(&["build", "chain.toml"]).refused(3, &["not WebAssembly"]);
}

#[test]
fn help_has_examples_and_each_shell_has_completions() {
    let help = run(&["--help"]);
    for part in ["serve", "call", "check", "build", "new", "cache", "completions", "Exit codes:", "chainhost new hello"]
    {
        assert!(help.answer().contains(part), "the help does not say `{part}`:\n{}", help.stdout);
    }
    for command in ["serve", "call", "check", "build", "new", "cache", "completions"] {
        let help = run(&["help", command]);
        assert!(help.answer().contains("Examples:"), "{}", help.stdout);
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&["completions", shell]).answer().contains("chainhost"), "{shell}");
    }
    assert!(run(&["--version"]).answer().starts_with("chainhost "));
}

#[test]
fn a_wrong_command_line_ends_with_2_and_names_what_is_wrong() {
    for (arguments, word) in [
        (&["serv", "chain.toml"][..], "serv"),
        (&["serve"], "CHAIN.TOML"),
        (&["serve", "chain.toml", "--liste", "1"], "--listen"),
        (&["call", "chain.toml", "--timeout", "10"], "500ms"),
        (&["check", "chain.toml", "--environment", "a/b"], "--environment"),
    ] {
        run(arguments).refused(2, &[word]);
    }
    let finished = run(&[]);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""));
    assert!(finished.stderr.contains("Usage:"), "{}", finished.stderr);
}

#[test]
fn an_invalid_log_filter_is_refused() {
    let chain = Chain::new(FAULTY);
    let mut command = chain.command(&["check", "chain.toml"]);
    command.env("CHAINHOST_LOG", "chainhost=loud");
    Process::start(command).finish().refused(3, &["CHAINHOST_LOG is not a log filter"]);
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let chain = Chain::new(FAULTY);
    let mut child = chain.command(&["check", "chain.toml"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn check_says_what_each_chainlet_may_use() {
    let chain = Chain::new(&format!(
        "{RELAY}replicas = 3\nconcurrency = 4\nqueue = 5\nresources.memory = \"64MiB\"\nassets.secrets = [\"api_token\"]\n\
         assets.files = [{{ source = \".\", path = \"/data\" }}]\n[chainlets.third]\ncomponent = \"<guest_sync>\"\n"
    )
    .replace("name = \"test\"", "name = \"test\"\nentrypoint = \"relay\"")
    .replace("{ chainlet = \"first\" }", "{ chainlet = \"first\", timeout = \"2s\", attempts = 3, concurrency = 7 }"));
    let finished = chain.run(&["check", "chain.toml", "--without-secrets"]);
    let text = finished.answer();
    for part in [
        "chain test: 4 chainlets, 2 edges",
        "relay (entrypoint)\n├─ first (as next)\n└─ second (as other)\n",
        "third (not called from the entrypoint)",
        "first (as next), timeout 2s, 3 attempts, 7 calls at once",
        "3, each 4 calls at once; 5 may wait",
        "1, each 1 calls at once",
        "64MiB",
        "chainlet:host@0.1.0 (call",
        "api_token",
        ". at /data, read-only",
    ] {
        assert!(text.contains(part), "nothing says `{part}`:\n{text}");
    }
    let json: Json =
        serde_json::from_str(chain.run(&["check", "chain.toml", "--without-secrets", "--json"]).answer()).unwrap();
    let second = json["chainlets"].as_array().unwrap().iter().find(|chainlet| chainlet["name"] == "second").unwrap();
    assert_eq!((&second["concurrency"], &second["secrets"][0]), (&4.into(), &"api_token".into()));
}
