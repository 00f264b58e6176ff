//! A client that shows each request and response unchanged. By default, each request has its own connection.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Version, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value as Json, json};
use tokio::net::TcpStream;

/// A listener of the program.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint(pub SocketAddr);

/// A response whose body was read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Builds `POST path` with a JSON body.
pub fn json_request(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(path)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body.into()))
        .unwrap()
}

impl Endpoint {
    /// Opens a connection for HTTP/1.1.
    pub async fn http1(self) -> hyper::Result<http1::SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(self.0).await.expect("the server takes connections");
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // The task ends with the sender, which also reports its failures.
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Opens a connection for HTTP/2, without asking first whether the server speaks it.
    pub async fn http2(self) -> hyper::Result<http2::SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(self.0).await.expect("the server takes connections");
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Sends a request over HTTP/1.1.
    pub async fn send(self, mut request: Request<Full<Bytes>>) -> Reply {
        request.headers_mut().insert(header::HOST, self.0.to_string().parse().unwrap());
        let mut sender = self.http1().await.unwrap();
        Reply::read(sender.send_request(request).await.unwrap()).await
    }

    /// Sends `GET path`.
    pub async fn get(self, path: &str) -> Reply {
        self.send(Request::get(path).body(Full::default()).unwrap()).await
    }

    /// Sends `POST path` with `body`.
    pub async fn post(self, path: &str, body: &Json) -> Reply {
        self.send(json_request(path, body.to_string())).await
    }

    /// Calls the entrypoint.
    pub async fn call(self, input: &Json) -> Reply {
        self.post("/run_remote", input).await
    }

    /// Calls the entrypoint with the parameter `what`.
    pub async fn tell(self, what: &str) -> Reply {
        self.call(&json!({ "what": what })).await
    }
}

impl Reply {
    /// Reads a response to its end.
    pub async fn read(response: http::Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: head.status, version: head.version, headers: head.headers, body }
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// Returns the JSON body of a successful response.
    #[track_caller]
    pub fn json(&self) -> Json {
        assert_eq!(self.status, 200, "{}", self.text());
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Returns the text in the JSON body of a successful response.
    #[track_caller]
    pub fn said(&self) -> String {
        match self.json() {
            Json::String(text) => text,
            other => panic!("the answer is no text: {other}"),
        }
    }

    /// Returns the problem document of a failed request, after checking that it has this status and kind.
    #[track_caller]
    pub fn problem(&self, status: u16, kind: &str) -> Json {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{text}");
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json", "{text}");
        let problem: Json = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["type"], format!("urn:chainhost:problem:{kind}"), "{text}");
        assert_eq!(problem["status"], status, "{text}");
        assert_eq!(problem["request_id"], self.headers["x-request-id"].to_str().unwrap(), "{text}");
        for member in ["title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "no {member}: {text}");
        }
        problem
    }
}
