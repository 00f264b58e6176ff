//! A small HTTP/1.1 client, with only the parts that questions to a chain need.

use std::fmt::Display;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::failure::Failure;

/// The longest time for an answer. It is longer than any answer takes, and
/// keeps a task from waiting forever.
const PATIENCE: Duration = Duration::from_secs(60);

/// The answer of a server.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status, such as 200.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Sends `GET http://ADDRESS/PATH`.
pub fn get(address: SocketAddr, path: &str) -> Result<Answer, Failure> {
    send(address, path, &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"))
}

/// Sends `POST http://ADDRESS/PATH` with a JSON text.
pub fn post(address: SocketAddr, path: &str, json: &str) -> Result<Answer, Failure> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        json.len()
    );
    send(address, path, &(head + json))
}

fn send(address: SocketAddr, path: &str, request: &str) -> Result<Answer, Failure> {
    let failed = |error: &dyn Display| {
        Failure::new(
            format_args!("http://{address}{path} gave no answer: {error}"),
            "look at the log of the chain above",
        )
    };
    let bytes = exchange(address, request.as_bytes()).map_err(|error| failed(&error))?;
    parse(&bytes).map_err(|error| failed(&error))
}

fn exchange(address: SocketAddr, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// Parses an answer that ends at the end of the connection.
fn parse(answer: &[u8]) -> Result<Answer, &'static str> {
    let text = std::str::from_utf8(answer).map_err(|_| "it is not UTF-8")?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("it ends within its head")?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let status = status.ok_or("it has no status")?;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        match name.to_ascii_lowercase().as_str() {
            "transfer-encoding" => return Err("it comes in chunks, which this client cannot read"),
            "content-length" if value.trim().parse() != Ok(body.len()) => return Err("it was cut short"),
            _ => {}
        }
    }
    Ok(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let answer = parse(b"HTTP/1.1 422 Unprocessable Content\r\nContent-Length: 4\r\n\r\nnull").unwrap();
        assert_eq!(answer, Answer { status: 422, body: "null".into() });
        assert_eq!(parse(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().status, 204);
    }

    #[test]
    fn an_incomplete_answer_is_refused() {
        assert!(parse(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nnull").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\ncontent-le").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n").is_err());
        assert!(parse(b"").is_err());
    }
}
