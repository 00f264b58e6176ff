//! The program, as its users meet it. It needs the components of examples/hello: `cargo xtask guests` builds them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "all of this is test code")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// The running program, which ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

impl Program {
    /// Starts the program with `chain`, and returns it with the address on which it listens.
    fn start(chain: &str) -> (Program, String) {
        let mut program = Command::new(env!("CARGO_BIN_EXE_embed"));
        let mut program = Program(program.args([chain, "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap());
        let mut line = String::new();
        BufReader::new(program.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").expect("run `cargo xtask guests` first");
        (program, address.to_owned())
    }
}

/// Sends `body` to the chain's own route.
fn run_remote(address: &str, body: &str) -> String {
    ask(
        address,
        &format!(
            "POST /greetings/run_remote HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ),
    )
}

#[test]
fn a_chain_answers_in_a_server_of_ones_own_by_rust_types_and_by_json() {
    let chain = concat!(env!("CARGO_MANIFEST_DIR"), "/../hello/chain.toml");
    let (_program, address) = Program::start(chain);
    let address = &address;

    let answer = ask(address, "GET /hello/Ada HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nHello, Ada!"), "{answer}");

    let answer = run_remote(address, r#"{"names":["Ada"]}"#);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("[\"Hello, Ada!\"]"), "{answer}");

    let answer = ask(address, "GET /greetings/readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_chainlet_uses_a_capability_of_this_program_with_its_settings() {
    let (_program, address) = Program::start(concat!(env!("CARGO_MANIFEST_DIR"), "/chain.toml"));
    let answer = run_remote(&address, r#"{"article":"apple","count":3}"#);
    assert!(answer.ends_with("\"3 x apple: 3.24\""), "120 cents less 10 percent, three times: {answer}");
    let answer = run_remote(&address, r#"{"article":"plum","count":1}"#);
    assert!(answer.starts_with("HTTP/1.1 422") && answer.contains("there is no article named plum"), "{answer}");
}

#[test]
fn wrong_settings_of_the_capability_are_named_with_their_place() {
    let folder = env!("CARGO_MANIFEST_DIR");
    let component = format!("{folder}/../../target/wasm32-wasip2/release/embed_quote.wasm");
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("chain.toml");
    for (settings, error) in [
        ("discount = 101", "chainlets.quote.capabilities.prices.discount: expected at most 100 percent, found 101"),
        (
            "discount = \"ten\"",
            "chainlets.quote.capabilities.prices.discount: invalid type: string \"ten\", expected u8",
        ),
        ("percent = 10", "unknown field `percent`, expected `discount`"),
    ] {
        let text = format!(
            "[chain]\nname = \"shop\"\n[chainlets.quote]\ncomponent = '{component}'\ncapabilities.prices = {{ {settings} }}\n"
        );
        std::fs::write(&file, text).unwrap();
        let finished = Command::new(env!("CARGO_BIN_EXE_embed")).arg(&file).arg("127.0.0.1:0").output().unwrap();
        let said = String::from_utf8_lossy(&finished.stderr);
        assert!(!finished.status.success() && said.contains(error), "{settings}: {said}");
    }
}
