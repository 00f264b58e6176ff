//! Tests the program as a browser would use it. It needs the components of the chain; `cargo xtask guests` builds them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "all of this is test code")]

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value as Json;

/// The running program, which ends with the test.
struct Program {
    child: Child,
    address: String,
}

impl Program {
    fn start() -> Self {
        let chain = concat!(env!("CARGO_MANIFEST_DIR"), "/../chain.toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_stream-page"));
        let mut child = command.args([chain, "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").expect("run `cargo xtask guests` first");
        Program { child, address: address.to_owned() }
    }

    fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    /// Sends the same request as the page.
    fn ask(&self, body: &str) -> BufReader<TcpStream> {
        BufReader::new(self.send(&format!(
            "POST /chat/run_remote HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\n\
             accept: text/event-stream\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the next event of an answer: its name and its data.
fn event(answer: &mut impl BufRead) -> (String, Json) {
    let mut name = "message".to_owned();
    loop {
        let mut line = String::new();
        assert_ne!(answer.read_line(&mut line).unwrap(), 0, "the answer ended without an end");
        if let Some(event) = line.trim_end().strip_prefix("event: ") {
            name = event.to_owned();
        } else if let Some(data) = line.strip_prefix("data: ") {
            return (name, serde_json::from_str(data).unwrap());
        }
    }
}

#[test]
fn one_server_sends_the_page_and_its_events() {
    let program = Program::start();
    let mut page = String::new();
    program.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").read_to_string(&mut page).unwrap();
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("content-type: text/html"), "{page}");
    assert!(page.contains("fetch(\"chat/run_remote\""), "{page}");

    let mut answer = program.ask(r#"{"prompt": "It is a truth", "max_words": 5}"#);
    let mut words = Vec::new();
    let usage = loop {
        match event(&mut answer) {
            (name, Json::String(word)) if name == "message" => words.push(word),
            (name, usage) => {
                assert_eq!(name, "end", "{usage}");
                break usage;
            }
        }
    };
    assert_eq!((words.len(), &words[0][..]), (5, " universally"), "{words:?}");
    assert_eq!(usage["words"], 5);
}

#[test]
fn a_rejected_prompt_is_a_problem_that_the_page_can_show() {
    let program = Program::start();
    let mut answer = String::new();
    program.ask(r#"{"prompt": " "}"#).read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 422") && answer.contains(r#""error":"empty_prompt""#), "{answer}");
}
