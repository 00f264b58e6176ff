//! Tests the program from outside. It needs the components of examples/hello; `cargo xtask guests` builds them.
#![allow(clippy::unwrap_used, reason = "all of this is test code")]

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

#[test]
fn an_embedded_chain_answers_with_rust_types_and_json() {
    let chain = concat!(env!("CARGO_MANIFEST_DIR"), "/../hello/chain.toml");
    let mut program = Command::new(env!("CARGO_BIN_EXE_embed"));
    let mut program = Program(program.args([chain, "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(program.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").expect("run `cargo xtask guests` first");

    let answer = ask(address, "GET /hello/Ada HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nHello, Ada!"), "{answer}");

    let body = r#"{"names":["Ada"]}"#;
    let request = format!(
        "POST /greetings/run_remote HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = ask(address, &request);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("[\"Hello, Ada!\"]"), "{answer}");

    let answer = ask(address, "GET /greetings/readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
