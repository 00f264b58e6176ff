//! Tests the whole chain: builds it, then calls it as its users do.

use std::env;
use std::process::Command;

const CHAIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../chain.toml");

/// Calls the chain. Returns its answer, or the error that chainhost prints.
fn call(input: &str) -> Result<String, String> {
    let chainhost = env::var_os("CHAINHOST").unwrap_or_else(|| "chainhost".into());
    let output = Command::new(&chainhost)
        .args(["call", "--build", CHAIN, input])
        .output()
        .unwrap_or_else(|error| {
            panic!(
                "cannot run {}: {error}; install chainhost, or set CHAINHOST to its path",
                chainhost.display()
            )
        });
    let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

#[test]
fn everyone_is_greeted_in_the_order_of_the_names() {
    let answer = call(r#"{"names": ["Ada", "Alan"]}"#).unwrap();
    assert_eq!(answer, r#"["Hello, Ada!","Hello, Alan!"]"#);
}

#[test]
fn nobody_is_greeted_without_a_name() {
    let error = call(r#"{"names": ["Ada", " "]}"#).unwrap_err();
    assert!(error.contains("the name is empty"), "{error}");
}
