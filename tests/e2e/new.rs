//! `chainhost new`: a first chain, from its files to its answer.

use std::path::Path;
use std::process::Command;

use crate::harness::{Chain, Process, chainhost, kept, repository};

/// Writes the chain `demo` into the folder `into`, and returns its folder.
fn new(into: &Path) -> std::path::PathBuf {
    let mut command = chainhost();
    command.args(["new", "demo", "--sdk"]).arg(repository().join("guest-sdk")).current_dir(into);
    let finished = Process::start(command).finish();
    for step in ["chainhost build", "chainhost call", "chainhost serve", "cargo test"] {
        assert!(finished.answer().contains(step), "{}", finished.stdout);
    }
    into.join("demo")
}

#[tokio::test]
async fn a_new_chain_builds_answers_serves_and_passes_its_own_test() {
    let folder = tempfile::tempdir().unwrap();
    let demo = new(folder.path());
    // The next run of this test reuses the files of the build.
    std::os::unix::fs::symlink(kept("new"), demo.join("target")).unwrap();

    let run = |arguments: &[&str]| {
        let mut command = chainhost();
        command.args(arguments).current_dir(&demo);
        Process::start(command).finish()
    };
    let built = run(&["build", "chain.toml"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    let called = run(&["call", "chain.toml", r#"{"names": ["Ada", "Alan"]}"#]);
    assert_eq!(called.answer(), "[\"Hello, Ada!\",\"Hello, Alan!\"]\n");

    let unused = Chain::new("");
    let mut command = unused.serve_command(&[]);
    command.current_dir(&demo);
    let served = crate::harness::Served::start(command);
    let reply = served.public.call(&serde_json::json!({ "names": ["Ada"] })).await;
    assert_eq!(reply.json(), serde_json::json!(["Hello, Ada!"]));

    let mut test = Command::new(env!("CARGO"));
    test.arg("test").current_dir(&demo).env("CHAINHOST", env!("CARGO_BIN_EXE_chainhost"));
    test.env("XDG_CACHE_HOME", kept("cache")).env_remove("CARGO_TARGET_DIR");
    let tested = Process::start(test).finish();
    assert_eq!(tested.code, Some(0), "{}\n{}", tested.stdout, tested.stderr);
    assert!(tested.stdout.contains("test result: ok. 2 passed"), "{}", tested.stdout);
}

#[test]
fn new_overwrites_nothing_and_says_what_is_wrong_with_a_name() {
    let chain = Chain::new("");
    new(chain.folder());
    chain.run(&["new", "demo"]).refused(2, &["demo is there already and not empty"]);
    chain.run(&["new", "chain.toml"]).refused(2, &["chain.toml"]);
    chain.run(&["new", "MyChain"]).refused(2, &["try `my-chain`"]);
    chain.run(&["new", "other", "--sdk", "demo"]).refused(2, &["demo is not the crate `chainlet`"]);
    assert!(!chain.folder().join("other").exists(), "a refusal leaves nothing behind");
}
