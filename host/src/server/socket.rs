//! Serves a call over a WebSocket (RFC 6455). `run-remote` takes one stream and returns one, both at the same time.
//!
//! | from the client | |
//! |---|---|
//! | text, `{"k": 3}` | the other parameters by name, in the first message, if there are any |
//! | text, or binary for a `stream<u8>` | an item of JSON; bytes |
//! | text, `{"$end": null}` | the stream has ended |
//!
//! | from the server | |
//! |---|---|
//! | text, or binary for a `stream<u8>` | an item of JSON; bytes |
//! | text, `{"$end": …}` | the rest of the answer beside its stream, or null; then the server closes with 1000 |
//! | text, `{"$error": …}` | a problem document; then the server closes with a code that tells whose fault it is |
//!
//! The server takes a message only after the guest has taken the one before. So a slow guest slows the client, and a
//! slow client slows the guest.

mod ear;
mod handshake;
mod metered;
mod mouth;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::extract::{Extension, Request, State};
use axum::response::Response;
use chainhost_core::chain;
use chainhost_core::chain::CallOptions;
use chainhost_core::chain::answer::stream_of;
use chainhost_core::chainlet::callee::Callee;
use chainhost_core::deadline::Deadline;
use chainhost_core::error::{CallError, ErrorKind};
use chainhost_core::live::InVersion;
use chainhost_core::value::stream::{Stream, StreamError};
use chainhost_core::value::{List, Signature, Value};
use futures::StreamExt;
use futures::channel::mpsc;
use futures::stream::SplitStream;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::ear::Ear;
pub(super) use self::handshake::VERSION;
use self::handshake::{Handshake, HandshakeFault};
use self::metered::{MessageMeter, Metered};
use self::mouth::Mouth;
use super::methods::Methods;
use super::metrics::OpenConnection;
use super::observe::RequestContext;
use super::origin::{self, Trusted};
use super::problem::{Problem, ProblemKind};
use super::run_remote::{deadline, failed, options};
use super::upload::stream_param;
use super::{Audience, Http};

/// The time between two pings, which ask the client whether it is still there.
const PING: Duration = Duration::from_secs(20);
/// The longest time without any message from a client that the server listens to.
const SILENCE: Duration = Duration::from_secs(60);
/// The longest time for a client's answer to the closing of the connection.
const FAREWELL: Duration = Duration::from_secs(5);
/// The number of bytes by which a message may exceed the limit and still be read, so that its sender gets an answer
/// instead of a reset.
const SLACK: usize = 1 << 20;
/// The number of bytes that are read at once, and that are collected before they are written.
const BUFFER: usize = 16 * 1024;

/// The parts of the listener that a connection keeps after it becomes a WebSocket.
#[derive(Clone)]
pub(super) struct ListenerHold {
    /// The tasks of the listener. When it closes, it waits for them.
    pub tasks: TaskTracker,
    /// Cancelled when the listener waits no longer.
    pub cut: CancellationToken,
    /// The connection's place in the listener, and its part in the count of open connections.
    pub _held: Arc<(OwnedSemaphorePermit, Option<OpenConnection>)>,
}

/// Returns true if a function can be called over a WebSocket: it takes one stream and returns one.
pub(super) fn fits(signature: &Signature) -> bool {
    let answer = signature.answer();
    stream_param(&signature.params).is_some() && answer.and_then(stream_of).is_some()
}

/// Serves `GET /run_remote`, and `HEAD`, because the router treats both alike.
pub(super) async fn call(
    State(http): State<Http>,
    Extension(context): Extension<RequestContext>,
    request: Request,
) -> Response {
    let methods = Methods::of_entrypoint(&http, request.version());
    let serves_it = methods == Methods::ActOrConverse && request.method() == Method::GET;
    if !serves_it && !handshake::is_asked(request.headers()) {
        return methods.answer_other(&context, &request);
    }
    match upgrade(http, &context, request).await {
        Ok(response) => response,
        Err(problem) => {
            let kind = problem.kind();
            let mut response = problem.into_response(&context.id);
            match kind {
                ProblemKind::MethodNotAllowed => {
                    response.headers_mut().insert(header::ALLOW, methods.allow());
                }
                // The header `Upgrade` belongs to this connection alone (RFC 9110, 7.8).
                ProblemKind::UpgradeRequired => {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                }
                _ => {}
            }
            response
        }
    }
}

async fn upgrade(http: Http, context: &RequestContext, request: Request) -> Result<Response, Problem> {
    let (mut head, _) = request.into_parts();
    let version = http.0.chain.begin();
    let chainlet =
        version.callee(None).ok_or_else(|| Problem::new(ProblemKind::NotFound, "the chain has no entrypoint"))?;
    if !fits(chainlet.signature()) {
        let detail = "this run-remote is no conversation: only one that takes a stream and returns one can be called over a WebSocket";
        return Err(Problem::new(ProblemKind::MethodNotAllowed, detail));
    }
    let Handshake { connection, answer } = handshake::accept(&mut head).map_err(|fault| match fault {
        HandshakeFault::NotAsked => {
            let detail =
                "a GET of /run_remote must be a WebSocket handshake (RFC 6455); a call without a WebSocket is a POST";
            Problem::new(ProblemKind::UpgradeRequired, detail)
        }
        HandshakeFault::Version => {
            Problem::new(ProblemKind::UpgradeRequired, "a WebSocket here is of version 13 (RFC 6455)")
        }
        HandshakeFault::Malformed(detail) => Problem::new(ProblemKind::BadRequest, detail),
    })?;
    from_here(&head.headers, &http.0.trusted)?;
    let deadline = deadline(&http, &head.headers, context)?;
    // Takes the token before the spawn, so that a listener that closes at this moment waits for the conversation.
    let place = head.extensions.remove::<ListenerHold>().map(|place| (place.tasks.token(), place));
    let context = context.clone();
    let options = options(&deadline, &context, &head.headers);
    tokio::spawn(async move {
        let connection = match connection.await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::debug!(request = %context.id, %error, "a connection did not become a WebSocket");
                return;
            }
        };
        let limit = http.0.bodies.one().saturating_add(SLACK);
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_message_size(Some(limit))
            .max_frame_size(Some(limit));
        let (connection, meter) = Metered::new(TokioIo::new(connection), http.0.bodies.all().nothing());
        let socket = WebSocketStream::from_raw_socket(connection, Role::Server, Some(config)).await;
        let speaking = AtomicBool::new(false);
        let conversation = Conversation { http, context, version, deadline, options, meter, speaking }.hold(socket);
        match &place {
            Some((_, place)) => tokio::select! {
                () = conversation => {}
                () = place.cut.cancelled() => {}
            },
            None => conversation.await,
        }
        drop(place);
    });
    Ok(handshake::switching(&answer))
}

/// Rejects web pages of other origins. A browser lets any page open a WebSocket to any server, and only names the
/// page's origin.
fn from_here(headers: &HeaderMap, trusted: &Trusted) -> Result<(), Problem> {
    let Some(origin) = origin::origin(headers) else { return Ok(()) };
    if trusted.allows(&origin) || origin::host(headers).is_some_and(|host| origin.is_of(host)) {
        return Ok(());
    }
    let detail = "a web page of another origin may not open a WebSocket here; --allowed-origin names those that may";
    Err(Problem::new(ProblemKind::Forbidden, detail))
}

/// One call over a WebSocket.
struct Conversation {
    http: Http,
    context: RequestContext,
    version: InVersion,
    deadline: Deadline,
    options: CallOptions,
    /// Counts the bytes of a message that is not complete yet.
    meter: Arc<MessageMeter>,
    /// True while the server sends something, which the client may be slow to take.
    speaking: AtomicBool,
}

/// The end of a conversation.
enum Farewell {
    /// Both streams have ended. This is the JSON of the rest of the answer.
    End(Option<Vec<u8>>),
    Failure(CallError),
    /// The client has broken the protocol, as this code says.
    Broken(CloseCode, &'static str),
    /// The client has left.
    Gone,
}

type WebSocket = WebSocketStream<Metered<TokioIo<Upgraded>>>;
type Heard = mpsc::Sender<Result<List, StreamError>>;
type ClientMessages = SplitStream<WebSocket>;

impl Conversation {
    async fn hold(self, socket: WebSocket) {
        let (sink, mut source) = socket.split();
        let mut mouth = Mouth { sink, speaking: &self.speaking, bodies: self.http.0.bodies.all().clone() };
        // The chain already ends the call at its deadline. This limit is for a client that does not take the failure.
        let farewell = timeout_at(self.deadline.at + FAREWELL, self.talk(&mut mouth, &mut source)).await;
        let (text, code, reason): (_, _, &str) = match farewell.unwrap_or(Farewell::Gone) {
            Farewell::Gone => return,
            Farewell::End(rest) => {
                let rest = rest.unwrap_or_else(|| b"null".to_vec());
                self.context.end.set(StatusCode::SWITCHING_PROTOCOLS);
                (Some([&b"{\"$end\":"[..], &rest, b"}"].concat()), CloseCode::Normal, "")
            }
            Farewell::Failure(error) => {
                let code = code(error.kind());
                let problem = failed(&self.http, error, Audience::Public, &self.context.id);
                self.context.end.set(problem.status());
                let document = problem.document(&self.context.id);
                (Some([&b"{\"$error\":"[..], &document, b"}"].concat()), code, problem.title())
            }
            Farewell::Broken(code, reason) => {
                self.context.end.set(StatusCode::BAD_REQUEST);
                (None, code, reason)
            }
        };
        // From here on, nobody needs the rest of the client's messages.
        self.meter.discard();
        let text = text.and_then(|text| String::from_utf8(text).ok());
        let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        let said = async {
            let heard = match text {
                Some(text) => mouth.say(Message::text(text)).await,
                None => true,
            };
            heard && mouth.say(close).await
        };
        if timeout(SILENCE, said).await == Ok(true) {
            // Reads until the client has closed its side, too. Otherwise unread messages would reset the connection,
            // and the client could lose the last messages.
            let closed = async { while let Some(Ok(_)) = source.next().await {} };
            let _ = timeout(FAREWELL, closed).await;
        }
    }

    async fn talk(&self, mouth: &mut Mouth<'_>, source: &mut ClientMessages) -> Farewell {
        let Some(chainlet) = self.version.callee(None) else { return Farewell::Gone };
        let params = &chainlet.signature().params;
        let Some((place, item)) = stream_param(params) else { return Farewell::Gone };
        let mut others = params.clone();
        others.remove(place);
        let ear = Ear {
            chainlet,
            item,
            ended: Arc::new(AtomicBool::new(false)),
            limits: &self.http.0.bodies,
            meter: &self.meter,
            speaking: &self.speaking,
        };
        let mut values = match ear.others(source, &others, &self.deadline).await {
            Ok(values) => values,
            Err(farewell) => return farewell,
        };
        let (heard, items) = mpsc::channel(0);
        values.list.insert(place, Value::Stream(Stream::new(items.chain(ear.last()))));

        let answer = async {
            let answer = chain::answer(chainlet, values, self.options.clone()).await?;
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
            // Not counted, because nobody knows how the call would have ended.
            Farewell::Broken(..) | Farewell::Gone => {}
        }
        farewell
    }
}

/// Returns the code that closes a conversation after a failure (RFC 6455, 7.4.1).
fn code(kind: ErrorKind) -> CloseCode {
    match kind {
        ErrorKind::InvalidInput => CloseCode::Invalid,
        ErrorKind::TooLarge => CloseCode::Size,
        ErrorKind::Overloaded | ErrorKind::NotReady | ErrorKind::Unreachable => CloseCode::Again,
        ErrorKind::Stopping => CloseCode::Away,
        _ => CloseCode::Error,
    }
}
