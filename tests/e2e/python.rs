//! Chainlets in Python: from a class to an answer, and what the user is told on the way.

use serde_json::json;

use crate::harness::{Chain, Process, Served, chainhost, eventually};

/// Two chainlets with the class `Greeter` of the file `greet.py`.
const TOML: &str = r#"
[chain]
name = "greet"

[chainlets.greeter]
python = "greet.py:Greeter"
"#;

/// Writes [`TOML`] with `source` as its file.
fn chain(source: &str) -> Chain {
    let chain = Chain::new(TOML);
    chain.write("greet.py", source);
    chain
}

#[tokio::test]
async fn a_new_chain_in_python_builds_answers_and_serves_an_edit() {
    let folder = tempfile::tempdir().unwrap();
    let run_in = |folder: &std::path::Path, arguments: &[&str]| {
        let mut command = chainhost();
        command.args(arguments).current_dir(folder);
        Process::start(command).finish()
    };
    let made = run_in(folder.path(), &["new", "demo", "--lang", "python"]);
    for step in ["chainhost build", "chainhost call", "chainhost serve --watch --build"] {
        assert!(made.answer().contains(step), "{}", made.stdout);
    }
    let demo = folder.path().join("demo");
    let run = |arguments: &[&str]| run_in(&demo, arguments);
    run(&["check", "chain.toml"]).refused(3, &["cannot find the component file", "run `chainhost build` first"]);
    let built = run(&["build", "chain.toml"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    let called = run(&["call", "chain.toml", r#"{"names": ["Ada", "Alan"]}"#]);
    assert_eq!(called.answer(), "[\"Hello, Ada!\",\"Hello, Alan!\"]\n");
    let failed = run(&["call", "chain.toml", r#"{"names": [""]}"#]);
    failed.refused(1, &["chainlet say-hello, called through hello-all → say-hello: there is no one to greet"]);
    // What the class declares is in force, and chain.toml need not repeat it.
    let checked = run(&["check", "chain.toml"]);
    assert!(checked.answer().contains("timeout 10s") && checked.stdout.contains("64MiB"), "{}", checked.stdout);

    // Another signature is another interface.
    let source = std::fs::read_to_string(demo.join("chain.py")).unwrap();
    let wit = std::fs::read_to_string(demo.join("wit/chain.wit")).unwrap();
    std::fs::write(demo.join("chain.py"), source.replace("names: list[str]", "names: list[str], loud: bool = False"))
        .unwrap();
    run(&["build", "chain.toml", "--check"]).refused(3, &["wit/chain.wit is not the interface of the source any more"]);
    assert_eq!(std::fs::read_to_string(demo.join("wit/chain.wit")).unwrap(), wit, "a check writes nothing");
    std::fs::write(demo.join("chain.py"), &source).unwrap();

    let mut command = Chain::new("").serve_command(&["--watch", "--build"]);
    command.current_dir(&demo);
    let served = Served::start(command);
    let greet = async || served.public.call(&json!({ "names": ["Ada"] })).await.json();
    assert_eq!(greet().await, json!(["Hello, Ada!"]));
    std::fs::write(demo.join("chain.py"), source.replace("{name}!", "{name}?")).unwrap();
    eventually("the edit is served", async || (greet().await == json!(["Hello, Ada?"])).then_some(())).await;
    // A mistake changes nothing but the log.
    std::fs::write(demo.join("chain.py"), source.replace("async def run_remote", "async de run_remote")).unwrap();
    served.until_log("chain.py:15: invalid syntax").await;
    assert_eq!(greet().await, json!(["Hello, Ada?"]));
    std::fs::write(demo.join("chain.py"), source.replace("{name}!", "{name}.")).unwrap();
    eventually("the correction is served", async || (greet().await == json!(["Hello, Ada."])).then_some(())).await;
}

#[test]
fn a_mistake_in_a_source_is_told_with_its_file_and_line() {
    let class = |body: &str| format!("from chainlet import Chainlet\n\n\nclass Greeter(Chainlet):\n{body}");
    let cases = [
        ("def f(:\n".to_owned(), 4, "greet.py:1: invalid syntax"),
        (
            class("    async def run_remote(self, name) -> str:\n        return name\n"),
            4,
            "greet.py:5: the parameter `name` has no type",
        ),
        (class("    async def run_remote(self, name: range) -> str:\n        return ''\n"), 4, "greet.py:5: "),
        ("import numpy\n".to_owned(), 4, "greet.py:1: the package numpy is native code"),
        ("import socket, no_such_package\n".to_owned(), 4, "greet.py:1: "),
        (class("    async def run_remote(self) -> str:\n        import ssl\n"), 4, "greet.py:6: "),
        ("import os\nos.environ['NO_SUCH_VARIABLE']\n".to_owned(), 4, "greet.py:2: "),
        ("from chainlet import Chainlet\n".to_owned(), 4, "greet.py"),
        (
            class("    async def run_remote(self) -> str:\n        return ''\n").replace("Greeter", "Other"),
            3,
            "chain.toml:6:10: chainlets.greeter.python: greet.py has no chainlet of the class Greeter that its entrypoint reaches",
        ),
    ];
    for (source, code, message) in cases {
        let chain = chain(&source);
        let refused = chain.run(&["build", "chain.toml"]);
        refused.refused(code, &[message, "help: "]);
        assert!(!chain.folder().join("build/greeter.wasm").exists());
    }
    let missing = chain("");
    std::fs::remove_file(missing.folder().join("greet.py")).unwrap();
    missing.run(&["build", "chain.toml"]).refused(4, &["there is no file greet.py"]);
}

#[test]
fn a_dependency_without_a_chainlet_is_named_with_the_lines_to_add() {
    let chain = chain(
        "from chainlet import Chainlet, depends\n\nclass Words(Chainlet):\n    async def run_remote(self) -> str:\n        \
         return ''\n\nclass Greeter(Chainlet):\n    def __init__(self, words: Words = depends(Words)):\n        pass\n    \
         async def run_remote(self) -> str:\n        return ''\n",
    );
    chain
        .run(&["build", "chain.toml"])
        .refused(3, &["Greeter depends on Words", "[chainlets.words]\npython = \"greet.py:Words\""]);
}

#[test]
fn packages_are_pinned_and_of_pure_python() {
    let chain = chain("import numpy\n");
    let refused = |words: &[&str]| chain.run(&["build", "chain.toml"]).refused(4, words);
    chain.write("pyproject.toml", "[project]\ndependencies = [\"chainlet\", \"httpx\"]\n");
    refused(&["pyproject.toml depends on httpx, and there is no uv.lock or requirements.txt"]);
    chain.write("requirements.txt", "httpx\n");
    refused(&["requirements.txt: httpx has no version"]);
    chain.write("requirements.txt", "numpy==2.2.0\n");
    refused(&["numpy==2.2.0 has no wheel of pure Python"]);
}

#[test]
fn a_python_that_is_missing_is_named() {
    let chain = chain("");
    let mut command = chain.command(&["build", "chain.toml"]);
    command.env("CHAINHOST_PYTHON", "no-such-python");
    let finished = Process::start(command).finish();
    finished.refused(4, &["no-such-python cannot be run", "install Python 3.10 or later"]);
}

#[test]
fn a_source_and_a_build_command_exclude_each_other() {
    let chain = Chain::new(&format!("{TOML}build = \"make\"\n"));
    chain
        .run(&["check", "chain.toml"])
        .refused(3, &["chain.toml:7:9: chainlets.greeter.build: expected no build command"]);
    let chain = Chain::new(&TOML.replace("greet.py:Greeter", "greet.py"));
    chain
        .run(&["check", "chain.toml"])
        .refused(3, &["expected a file of Python and a class in it, found \"greet.py\""]);
}
