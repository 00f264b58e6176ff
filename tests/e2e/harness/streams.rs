//! Requests and responses that are sent and read piece by piece.

use std::convert::Infallible;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value as Json;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Endpoint, LIMIT};

/// A response that is read piece by piece. Dropping it closes its connection.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    here: Vec<u8>,
    _connection: Connection,
}

/// The way in which a response ended.
#[derive(Debug, PartialEq)]
pub enum End {
    /// The response is complete.
    Whole,
    /// The response broke off.
    BrokenOff,
}

/// A request body that is sent piece by piece. Dropping it ends the body.
pub struct Upload(mpsc::Sender<Frame<Bytes>>);

/// A connection. Dropping it cuts the connection.
struct Connection(tokio::task::JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A server-sent event.
#[derive(Debug, PartialEq)]
pub struct Event {
    /// The default is `message`.
    pub name: String,
    pub data: Json,
}

impl Endpoint {
    /// Sends `request` over its own connection, and reads the head of the response.
    pub async fn open<B>(self, mut request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        request.headers_mut().insert(header::HOST, self.0.to_string().parse().unwrap());
        let stream = TcpStream::connect(self.0).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = Connection(tokio::spawn(async move { drop(connection.await) }));
        let response = timeout(LIMIT, sender.send_request(request)).await.unwrap().unwrap();
        let (head, body) = response.into_parts();
        Answer { status: head.status, headers: head.headers, body, here: Vec::new(), _connection: connection }
    }

    /// Calls the entrypoint with JSON, and accepts only a response of the type `accept`.
    pub async fn stream(self, accept: &str, body: &Json) -> Answer {
        let mut request = super::json_request("/run_remote", body.to_string());
        request.headers_mut().insert(header::ACCEPT, accept.parse().unwrap());
        self.open(request).await
    }

    /// Calls the entrypoint with a body of the type `kind`, which is sent piece by piece.
    pub async fn upload(self, kind: &str) -> (Upload, impl Future<Output = Answer>) {
        let (sender, receiver) = mpsc::channel(0);
        let body = StreamBody::new(receiver.map(Ok::<_, Infallible>));
        let request = Request::post("/run_remote").header(header::CONTENT_TYPE, kind).body(body).unwrap();
        (Upload(sender), self.open(request))
    }
}

impl Upload {
    /// Sends a piece. Returns false if nobody takes it.
    pub async fn send(&mut self, piece: impl Into<Bytes>) -> bool {
        timeout(LIMIT, self.0.send(Frame::data(piece.into()))).await.unwrap().is_ok()
    }
}

impl Answer {
    /// Returns the next piece as soon as it comes, or an error at the end of the response.
    pub async fn piece(&mut self) -> Result<Bytes, End> {
        loop {
            match timeout(LIMIT, self.body.frame()).await.expect("the answer goes on or ends") {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(data);
                    }
                }
                Some(Err(_)) => return Err(End::BrokenOff),
                None => return Err(End::Whole),
            }
        }
    }

    /// Returns the next line, as JSON.
    pub async fn line(&mut self) -> Result<Json, End> {
        let line = self.until(b"\n").await?;
        Ok(serde_json::from_slice(&line).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&line))))
    }

    /// Returns the next event.
    pub async fn event(&mut self) -> Result<Event, End> {
        loop {
            let event = String::from_utf8(self.until(b"\n\n").await?).unwrap();
            let mut name = "message".to_owned();
            let mut data = None;
            for line in event.lines() {
                match line.split_once(": ") {
                    Some(("event", value)) => name = value.to_owned(),
                    Some(("data", value)) => data = Some(serde_json::from_str(value).unwrap()),
                    // A comment.
                    Some(("", _)) | None => {}
                    Some(other) => panic!("{other:?} in an event"),
                }
            }
            if let Some(data) = data {
                return Ok(Event { name, data });
            }
        }
    }

    /// Returns all remaining lines.
    pub async fn lines(&mut self) -> Vec<Json> {
        let mut lines = Vec::new();
        loop {
            match self.line().await {
                Ok(line) => lines.push(line),
                Err(end) => {
                    assert_eq!((end, self.here.len()), (End::Whole, 0));
                    return lines;
                }
            }
        }
    }

    /// Returns all remaining bytes, and how the response ended.
    pub async fn rest(&mut self) -> (Vec<u8>, End) {
        loop {
            match self.piece().await {
                Ok(piece) => self.here.extend_from_slice(&piece),
                Err(end) => return (std::mem::take(&mut self.here), end),
            }
        }
    }

    async fn until(&mut self, mark: &[u8]) -> Result<Vec<u8>, End> {
        loop {
            if let Some(at) = self.here.windows(mark.len()).position(|window| window == mark) {
                let rest = self.here.split_off(at + mark.len());
                let mut part = std::mem::replace(&mut self.here, rest);
                part.truncate(at);
                return Ok(part);
            }
            let piece = self.piece().await?;
            self.here.extend_from_slice(&piece);
        }
    }
}
