//! A call over a WebSocket (RFC 6455): a stream that run-remote takes, and one that it returns, at once.
//!
//! | from the client | |
//! |---|---|
//! | text, `{"k": 3}` | the other parameters by name, first, where there are any |
//! | text, or binary for a `stream<u8>` | an item of JSON; bytes |
//! | text, `{"$end": null}` | the stream has ended |
//!
//! | from the server | |
//! |---|---|
//! | text, or binary for a `stream<u8>` | an item of JSON; bytes |
//! | text, `{"$end": …}` | what stands beside the stream in the answer, or null; then it closes with 1000 |
//! | text, `{"$error": …}` | a problem document; then it closes with a code that says whose fault it is |
//!
//! A message is taken when the guest has taken the one before: a slow guest slows the client, and the other way round.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, FromRequestParts, Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures::channel::mpsc;
use futures::stream::{self, SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use http::{HeaderMap, header};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_tungstenite::tungstenite;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::{Limits, NO_ROOM, UNIT};
use super::metrics::Connected;
use super::observe::Asked;
use super::problem::{Kind, Problem};
use super::run_remote::{deadline, failed, options};
use super::upload::stream_param;
use super::{Audience, Http};
use crate::chain;
use crate::chain::answer::{Streamed, stream_of};
use crate::chainlet::Chainlet;
use crate::error::{CallError, ErrorKind};
use crate::live::InVersion;
use crate::value::json::{self, Elements, JsonError};
use crate::value::stream::{Stream, StreamError};
use crate::value::ty::Member;
use crate::value::{List, Signature, Type, Value};

/// How often a client is asked whether it is still there.
const PING: Duration = Duration::from_secs(20);
/// How long a client may not be heard of while it is listened to.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a client may take to answer that the connection is closed.
const FAREWELL: Duration = Duration::from_secs(5);
/// By how many bytes a message may exceed the limit and still be read, so that its sender finds an answer and no reset.
const SLACK: usize = 1 << 20;
/// How long a message that says nothing holds up the next one.
const PACE: Duration = Duration::from_millis(10);
/// How many bytes are read, and gathered to be written, at once.
const BUFFER: usize = 16 * 1024;
/// What ends the client's stream.
const END: &str = r#"{"$end":null}"#;

/// What a connection that becomes a WebSocket keeps of its listener.
#[derive(Clone)]
pub(super) struct Place {
    /// The listener's tasks, which it waits for when it closes.
    pub tasks: TaskTracker,
    /// When it waits no longer.
    pub cut: CancellationToken,
    /// Its place among the listener's connections, and in the count of those that are open.
    pub _held: Arc<(OwnedSemaphorePermit, Connected)>,
}

/// Whether a function can be called over a WebSocket: it takes one stream, and returns one.
pub(super) fn fits(signature: &Signature) -> bool {
    let answer = match &signature.result {
        Some(Type::Result { ok, .. }) => ok.as_deref(),
        other => other.as_ref(),
    };
    stream_param(&signature.params).is_some() && answer.and_then(stream_of).is_some()
}

/// `GET /run_remote`.
pub(super) async fn call(State(http): State<Http>, Extension(asked): Extension<Asked>, request: Request) -> Response {
    match upgrade(http, &asked, request).await {
        Ok(response) => response,
        Err(problem) => {
            let is_method = problem.kind() == Kind::MethodNotAllowed;
            let mut response = problem.into_response(&asked.id);
            if is_method {
                response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("POST"));
            }
            response
        }
    }
}

async fn upgrade(http: Http, asked: &Asked, request: Request) -> Result<Response, Problem> {
    let (mut head, _) = request.into_parts();
    let version = http.0.chain.begin();
    let chainlet = version.chainlet(None).ok_or_else(|| Problem::new(Kind::NotFound, "the chain has no entrypoint"))?;
    let fits = fits(chainlet.signature());
    let upgrade = WebSocketUpgrade::from_request_parts(&mut head, &()).await.map_err(|rejection| {
        let hint = match fits {
            true => format!("; a WebSocket handshake is taken, too, and this is none: {rejection}"),
            false => String::new(),
        };
        Problem::new(Kind::MethodNotAllowed, format!("/run_remote takes POST, and not GET{hint}"))
    })?;
    if !fits {
        let detail = "this run-remote is no conversation: only one that takes a stream and returns one can be called over a WebSocket";
        return Err(Problem::new(Kind::MethodNotAllowed, detail));
    }
    from_here(&head.headers)?;
    let deadline = deadline(&http, &head.headers, asked)?;
    // Held from here on, so that a listener which closes in this very moment waits for the conversation.
    let place = head.extensions.remove::<Place>().map(|place| (place.tasks.token(), place));
    let limit = http.0.bodies.one();
    let asked = asked.clone();
    let failed = asked.id.clone();
    Ok(upgrade
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_message_size(limit.saturating_add(SLACK))
        .max_frame_size(limit.saturating_add(SLACK))
        .on_failed_upgrade(move |error| tracing::debug!(request = %failed, %error, "a WebSocket did not come to be"))
        .on_upgrade(move |socket| async move {
            let speaking = AtomicBool::new(false);
            let conversation = Conversation { http, asked, version, deadline, speaking }.hold(socket);
            match &place {
                Some((_, place)) => tokio::select! {
                    () = conversation => {}
                    () = place.cut.cancelled() => {}
                },
                None => conversation.await,
            }
            drop(place);
        }))
}

/// Refuses web pages of other origins. A browser lets any page open a WebSocket to anywhere, and only says which page it is.
fn from_here(headers: &HeaderMap) -> Result<(), Problem> {
    if !headers.contains_key(header::ORIGIN) {
        return Ok(());
    }
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    match (origin, text(header::HOST)) {
        (Some(origin), Some(host)) if origin.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(Problem::new(Kind::Forbidden, "a web page of another origin may not open a WebSocket here")),
    }
}

/// One call over a WebSocket.
struct Conversation {
    http: Http,
    asked: Asked,
    version: InVersion,
    deadline: Instant,
    /// The client is sent something, and may be slow to take it.
    speaking: AtomicBool,
}

/// How a conversation ends.
enum Farewell {
    /// All was said, with this beside the stream.
    End(Option<Vec<u8>>),
    Failure(CallError),
    /// The client has left.
    Gone,
}

type Heard = mpsc::Sender<Result<List, StreamError>>;
type Source = SplitStream<WebSocket>;

impl Conversation {
    async fn hold(self, socket: WebSocket) {
        let (sink, mut source) = socket.split();
        let mut mouth = Mouth { sink, speaking: &self.speaking };
        // The call has its deadline from the chain; this is for a client that takes nothing of its failure.
        let farewell = timeout_at(self.deadline + FAREWELL, self.talk(&mut mouth, &mut source)).await;
        let (text, code, reason) = match farewell.unwrap_or(Farewell::Gone) {
            Farewell::Gone => return,
            Farewell::End(rest) => {
                let rest = rest.unwrap_or_else(|| b"null".to_vec());
                ([&b"{\"$end\":"[..], &rest, b"}"].concat(), close_code::NORMAL, "")
            }
            Farewell::Failure(error) => {
                let code = code(error.kind());
                let problem = failed(&self.http, error, Audience::Public, &self.asked.id);
                let document = problem.document(&self.asked.id);
                ([&b"{\"$error\":"[..], &document, b"}"].concat(), code, problem.title())
            }
        };
        let Ok(text) = String::from_utf8(text) else { return };
        let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        let said = async { mouth.say(Message::text(text)).await && mouth.say(close).await };
        if timeout(SILENCE, said).await == Ok(true) {
            // Until the client has closed its side, too: what it has sent meanwhile would reset the connection otherwise.
            let closed = async { while let Some(Ok(_)) = source.next().await {} };
            let _ = timeout(FAREWELL, closed).await;
        }
    }

    async fn talk(&self, mouth: &mut Mouth<'_>, source: &mut Source) -> Farewell {
        let Some(chainlet) = self.version.chainlet(None) else { return Farewell::Gone };
        let params = &chainlet.signature().params;
        let Some((place, item)) = stream_param(params) else { return Farewell::Gone };
        let mut others = params.clone();
        others.remove(place);
        let ear = Ear {
            chainlet,
            item,
            ended: Arc::new(AtomicBool::new(false)),
            limits: &self.http.0.bodies,
            speaking: &self.speaking,
        };
        let mut values = match ear.others(source, &others, self.deadline).await {
            Ok(values) => values,
            Err(farewell) => return farewell,
        };
        let (heard, items) = mpsc::channel(0);
        values.insert(place, Value::Stream(Stream::new(items.chain(ear.last()))));

        let answer = async {
            let answer = chain::answer(chainlet, values, options(self.deadline, &self.asked)).await?;
            answer.streamed().map_err(|_| {
                let message = "an answer is no stream, which is a bug of chainhost";
                CallError::new(ErrorKind::Internal, chainlet.name(), message)
            })
        };
        let speaking = async {
            match mouth.wait_for(answer).await {
                Some(Ok(streamed)) => mouth.speak(streamed).await,
                Some(Err(error)) => Farewell::Failure(error),
                None => Farewell::Gone,
            }
        };
        let farewell = tokio::select! {
            biased;
            farewell = ear.listen(source, heard) => farewell,
            farewell = speaking => farewell,
        };
        match &farewell {
            Farewell::Failure(error) => self.version.count(&Err::<(), _>(error.clone())),
            Farewell::End(_) => self.version.count(&Ok::<_, CallError>(())),
            // Whether it would have gone well, nobody knows.
            Farewell::Gone => {}
        }
        farewell
    }
}

/// Says to the client what the guest does.
struct Mouth<'a> {
    sink: SplitSink<WebSocket, Message>,
    speaking: &'a AtomicBool,
}

impl Mouth<'_> {
    /// Sends a message; false where nobody takes it.
    async fn say(&mut self, message: Message) -> bool {
        self.speaking.store(true, Ordering::Relaxed);
        let said = self.sink.send(message).await;
        self.speaking.store(false, Ordering::Relaxed);
        said.is_ok()
    }

    /// What comes of `work`, with a ping from time to time meanwhile; `None` where the client has left.
    async fn wait_for<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            match timeout(PING, work.as_mut()).await {
                Ok(done) => return Some(done),
                Err(_) if self.say(Message::Ping(Bytes::new())).await => {}
                Err(_) => return None,
            }
        }
    }

    async fn speak(&mut self, mut streamed: Streamed) -> Farewell {
        let mut pinged = Instant::now();
        loop {
            let Some(next) = self.wait_for(streamed.next()).await else { return Farewell::Gone };
            match next {
                Some(Ok(batch)) => match self.batch(&streamed.item, &batch).await {
                    Ok(true) => {}
                    Ok(false) => return Farewell::Gone,
                    Err(error) => {
                        return Farewell::Failure(CallError::new(ErrorKind::Internal, &streamed.chainlet, error));
                    }
                },
                Some(Err(error)) => return Farewell::Failure(error),
                None => break,
            }
            // A guest that never pauses leaves no other time for it.
            if pinged.elapsed() >= PING {
                pinged = Instant::now();
                if !self.say(Message::Ping(Bytes::new())).await {
                    return Farewell::Gone;
                }
            }
        }
        match self.wait_for(streamed.end()).await {
            Some(Ok(rest)) => Farewell::End(rest),
            Some(Err(error)) => Farewell::Failure(error),
            None => Farewell::Gone,
        }
    }

    /// Sends a batch; false where nobody takes it.
    async fn batch(&mut self, item: &Type, batch: &List) -> Result<bool, json::MismatchError> {
        if let List::U8(bytes) = batch {
            return Ok(self.say(Message::Binary(bytes.clone())).await);
        }
        let elements = Elements::of(item, batch);
        for index in 0..elements.len() {
            let mut text = Vec::new();
            json::write_element(&elements, index, &mut text)?;
            let text = String::from_utf8(text).map_err(|_| json::MismatchError::new("text that is no UTF-8"))?;
            self.speaking.store(true, Ordering::Relaxed);
            if self.sink.feed(Message::text(text)).await.is_err() {
                return Ok(false);
            }
        }
        let flushed = self.sink.flush().await;
        self.speaking.store(false, Ordering::Relaxed);
        Ok(flushed.is_ok())
    }
}

/// Takes what a client says.
struct Ear<'a> {
    chainlet: &'a Chainlet,
    item: &'a Type,
    /// The client has said that its stream has ended.
    ended: Arc<AtomicBool>,
    limits: &'a Limits,
    speaking: &'a AtomicBool,
}

impl Ear<'_> {
    /// The parameters beside the stream, which come first.
    async fn others(&self, source: &mut Source, others: &[Member], deadline: Instant) -> Result<Vec<Value>, Farewell> {
        if others.is_empty() {
            return Ok(Vec::new());
        }
        let first = async {
            loop {
                match source.next().await {
                    Some(Ok(Message::Text(text))) if text.as_str().len() > self.limits.one() => {
                        return Err(Farewell::Failure(self.too_long()));
                    }
                    Some(Ok(Message::Text(text))) => return Ok(text),
                    Some(Ok(Message::Binary(_))) => {
                        let message = "the parameters come first, as an object in a text message";
                        return Err(Farewell::Failure(self.refuse(message)));
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => sleep(PACE).await,
                    other => return Err(self.farewell(source, other).await),
                }
            }
        };
        let late = |_| {
            let message = "the parameters were not here in time";
            Farewell::Failure(CallError::new(ErrorKind::Deadline, self.chainlet.name(), message))
        };
        let text = timeout_at(deadline, first).await.map_err(late)??;
        let values = json::params_within(others, text.as_bytes(), self.chainlet.value_limit());
        values.map_err(|error| Farewell::Failure(self.refuse_json(error)))
    }

    /// Hands on what the client says, as the guest takes it. It returns when the client has left, or says what cannot be taken.
    async fn listen(&self, source: &mut Source, heard: Heard) -> Farewell {
        let mut heard = Some(heard);
        loop {
            let message = match timeout(SILENCE, source.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(other) => return self.farewell(source, other).await,
                // It may be busy with what it is sent, which has a limit of its own.
                Err(_) if self.speaking.load(Ordering::Relaxed) => continue,
                Err(_) => return Farewell::Gone,
            };
            let length = match &message {
                Message::Text(text) => text.as_str().len(),
                Message::Binary(bytes) => bytes.len(),
                Message::Ping(_) | Message::Pong(_) | Message::Close(_) => 0,
            };
            if length > self.limits.one() {
                return Farewell::Failure(self.too_long());
            }
            let batch = match message {
                Message::Close(_) => return self.farewell(source, None).await,
                // Each is answered, so that a client could have the server do nothing else.
                Message::Ping(_) | Message::Pong(_) => {
                    sleep(PACE).await;
                    continue;
                }
                Message::Text(text) if is_end(&text) => {
                    self.ended.store(true, Ordering::SeqCst);
                    heard = None;
                    continue;
                }
                Message::Text(text) => self.item(&text),
                Message::Binary(bytes) if *self.item == Type::U8 => Ok(List::U8(bytes)),
                Message::Binary(_) => Err(self.refuse("items come as JSON, in text messages")),
            };
            // After the end, and when the guest takes no more, nothing is done with what is said.
            let Some(open) = &mut heard else {
                yield_now().await;
                continue;
            };
            let held = self.limits.hold(length.div_ceil(UNIT));
            let batch = match held {
                Some(_) => batch,
                None => Err(CallError::new(ErrorKind::Overloaded, self.chainlet.name(), NO_ROOM)),
            };
            let is_last = batch.is_err();
            if open.send(batch.map_err(StreamError::Call)).await.is_err() || is_last {
                heard = None;
            }
            drop(held);
        }
    }

    /// How a conversation ends in which the client says nothing more: it has closed its side, or broken off, or said too much.
    async fn farewell(&self, source: &mut Source, last: Option<Result<Message, axum::Error>>) -> Farewell {
        if let Some(Err(error)) = last {
            let inner = error.into_inner();
            if let Some(tungstenite::Error::Capacity(_)) = inner.downcast_ref() {
                return Farewell::Failure(self.too_long());
            }
            return Farewell::Gone;
        }
        // It is told that its farewell was heard when the next message is asked for.
        let _ = timeout(FAREWELL, source.next()).await;
        Farewell::Gone
    }

    /// What comes after all that was heard: nothing where the client has ended its stream, an error where it has just left.
    fn last(&self) -> impl futures::Stream<Item = Result<List, StreamError>> + Send + 'static {
        let (ended, chainlet) = (self.ended.clone(), self.chainlet.name().clone());
        stream::iter(std::iter::once_with(move || {
            let left = || CallError::new(ErrorKind::InvalidInput, &chainlet, "the client left in mid-stream");
            (!ended.load(Ordering::SeqCst)).then(|| Err(left().into()))
        }))
        .filter_map(std::future::ready)
    }

    fn item(&self, text: &str) -> Result<List, CallError> {
        if *self.item == Type::U8 {
            return Err(self.refuse("bytes come in binary messages"));
        }
        let value = json::value_within(self.item, text.as_bytes(), self.chainlet.value_limit());
        let value = value.map_err(|error| self.refuse_json(error))?;
        List::of(self.item, vec![value]).ok_or_else(|| self.refuse("an item is not of its type"))
    }

    fn too_long(&self) -> CallError {
        let limit = self.limits.one();
        let message = format_args!("a message is longer than this server's limit of {limit} bytes");
        CallError::new(ErrorKind::TooLarge, self.chainlet.name(), message)
    }

    fn refuse(&self, message: &str) -> CallError {
        CallError::new(ErrorKind::InvalidInput, self.chainlet.name(), message)
    }

    fn refuse_json(&self, error: JsonError) -> CallError {
        chain::invalid(self.chainlet, error)
    }
}

fn is_end(text: &str) -> bool {
    text.starts_with('{') && text.contains("$end") && text.split_whitespace().collect::<String>() == END
}

/// The code that a failure closes a conversation with (RFC 6455, 7.4.1).
fn code(kind: ErrorKind) -> u16 {
    match kind {
        ErrorKind::InvalidInput => close_code::INVALID,
        ErrorKind::TooLarge => close_code::SIZE,
        ErrorKind::Overloaded | ErrorKind::NotReady => close_code::AGAIN,
        ErrorKind::Stopping => close_code::AWAY,
        ErrorKind::AnswerTooLarge
        | ErrorKind::Chainlet
        | ErrorKind::Deadline
        | ErrorKind::Trap
        | ErrorKind::Internal => close_code::ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_page_may_only_come_from_the_server_itself() {
        let allowed = |origin: Option<&str>, host: &str| {
            let origin = origin.map(|origin| (header::ORIGIN, origin.parse().unwrap()));
            let headers = origin.into_iter().chain([(header::HOST, host.parse().unwrap())]).collect();
            from_here(&headers).is_ok()
        };
        assert!(allowed(None, "localhost:8080"));
        assert!(allowed(Some("http://localhost:8080"), "localhost:8080"));
        assert!(allowed(Some("https://Chain.example"), "chain.example"));
        for origin in ["http://evil.example", "null", "http://localhost", "http://localhost:8080.evil.example"] {
            assert!(!allowed(Some(origin), "localhost:8080"), "{origin}");
        }
    }

    #[test]
    fn the_end_of_a_stream_is_told_from_items() {
        assert!(is_end(END) && is_end("{ \"$end\": null }"));
        for item in ["", "null", "{}", r#"{"$end":1}"#, r#"{"end":null}"#, r#"" {\"$end\":null}""#] {
            assert!(!is_end(item), "{item}");
        }
    }
}
