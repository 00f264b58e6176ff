//! Reads request bodies within limits.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chainhost_core::deadline::Deadline;
use chainhost_core::memory::MemoryBudget;
use chainhost_core::value::format::Format;
use http::{HeaderMap, Version, header};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::{timeout, timeout_at};

use super::problem::{Problem, ProblemKind};

/// The largest number of bytes that are still read of a rejected body.
const DISCARD_LIMIT: usize = 64 * 1024 * 1024;
/// The longest time for which a rejected body is still read.
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// The body of a request: hyper's or axum's.
pub(super) trait RequestBody:
    Body<Data = Bytes, Error: fmt::Display + Send + Into<axum::BoxError>> + Unpin + Send + 'static
{
}

impl<B> RequestBody for B where
    B: Body<Data = Bytes, Error: fmt::Display + Send + Into<axum::BoxError>> + Unpin + Send + 'static
{
}

/// The memory limits of bodies.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// The limit of one body, in bytes.
    one: usize,
    /// The limit of all together: bodies of requests until a guest has them, messages of WebSockets, and answers until
    /// their clients have taken them.
    all: MemoryBudget,
}

/// A body that was read completely. Its reservation of the limit of all bodies ends when the last part of its bytes is
/// dropped.
#[derive(Debug, Default)]
pub(super) struct WholeBody {
    pub bytes: Bytes,
    pub format: Format,
}

impl Limits {
    /// Limits one body to `one` bytes, and all together to `all` bytes of the host's budget.
    pub(super) fn new(one: usize, all: usize, host: &MemoryBudget) -> Self {
        Limits { one, all: host.part(all, "the limit to all requests and answers", "--bodies-limit") }
    }

    /// Returns the largest number of bytes of one body.
    pub(super) fn one(&self) -> usize {
        self.one
    }

    /// Returns the budget of all bodies.
    pub(super) fn all(&self) -> &MemoryBudget {
        &self.all
    }
}

/// Reads the whole body. `format` is the format that its headers name, or the problem that they name none that is
/// supported. Without a body, returns no bytes.
///
/// # Errors
/// Fails before it reads the body if the headers show that the body is of another kind or too long. Fails while it
/// reads if the body becomes too long or finds no room. Fails at `deadline` if the body is not complete by then.
pub(super) async fn read<B: RequestBody>(
    headers: &HeaderMap,
    version: Version,
    mut body: B,
    format: Result<Format, Problem>,
    limits: &Limits,
    deadline: &Deadline,
) -> Result<WholeBody, Problem> {
    if body.is_end_stream() || body.size_hint().exact() == Some(0) {
        // A browser lets a web page of another origin send a request without a body, or with some other types, without
        // asking the server. For the types that this server supports, the browser asks first, and this server allows
        // none.
        return match format {
            Ok(format) => Ok(WholeBody { format, ..WholeBody::default() }),
            Err(_) if headers.contains_key(header::ORIGIN) => Err(Problem::new(
                ProblemKind::MediaType,
                "a web page must send `Content-Type: application/json`, even without a body",
            )),
            Err(_) => Ok(WholeBody::default()),
        };
    }
    let format = format.and_then(|format| {
        acceptable(headers, body.size_hint().lower(), limits.one)?;
        Ok(format)
    });
    let refusal = match format {
        Ok(format) => match timeout_at(deadline.at, collect(&mut body, version, limits)).await {
            Ok(Ok(bytes)) => return Ok(WholeBody { format, bytes }),
            Ok(Err(refusal)) => refusal,
            Err(_) => {
                Problem::new(ProblemKind::SlowRequest, format!("the body was not here before the deadline: {deadline}"))
            }
        },
        Err(refusal) => refusal,
    };
    // A client that was too slow has had its time. The others may still be sending.
    if refusal.kind() != ProblemKind::SlowRequest {
        tokio::spawn(discard(body));
    }
    Err(refusal)
}

/// Returns true if a body that gives no more frames was reset without an error (RFC 9113, 8.1). Over HTTP/2,
/// `is_end_stream` is true once the regular end has come.
pub(super) fn is_reset<B: RequestBody>(body: &B, version: Version) -> bool {
    version == Version::HTTP_2 && !body.is_end_stream()
}

async fn collect<B: RequestBody>(body: &mut B, version: Version, limits: &Limits) -> Result<Bytes, Problem> {
    let mut whole = Bytes::new();
    let mut held = limits.all.nothing();
    let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    // Most bodies are one piece, which then needs no copy.
    let mut more = BytesMut::new();
    loop {
        let Some(frame) = body.frame().await else {
            match is_reset(body, version) {
                true => {
                    return Err(Problem::new(
                        ProblemKind::BadRequest,
                        "the body broke off: the client reset its stream",
                    ));
                }
                false => break,
            }
        };
        let frame =
            frame.map_err(|error| Problem::new(ProblemKind::BadRequest, format!("the body broke off: {error}")))?;
        let Ok(piece) = frame.into_data() else { continue };
        let before = whole.len() + more.len();
        if piece.len() > limits.one.saturating_sub(before) {
            return Err(too_large(limits.one));
        }
        held.grow(piece.len()).map_err(|no_room| match no_room.is_for_good() {
            true => Problem::new(ProblemKind::TooLarge, no_room.to_string()),
            false => Problem::new(ProblemKind::Overloaded, no_room.to_string()),
        })?;
        if before == 0 {
            whole = piece;
        } else {
            append(&mut more, &std::mem::take(&mut whole), length);
            append(&mut more, &piece, length);
        }
    }
    if !more.is_empty() {
        whole = more.freeze();
    }
    Ok(held.own(whole))
}

/// Adds a piece to a body. `length` is the length of the whole body, as its client says.
///
/// The last buffer is exactly as long as the body, so a large body is not held twice, and there are few buffers before
/// it. A client that announces much and sends little takes little memory: the buffer is at most four times as long as
/// the bytes that have come, and its unwritten part takes no memory.
fn append(body: &mut BytesMut, piece: &[u8], length: Option<usize>) {
    let needed = body.len() + piece.len();
    if needed > body.capacity() {
        let room = match length {
            Some(length) => needed.saturating_mul(4).min(length).max(needed),
            None => needed.saturating_mul(2),
        };
        let smaller = std::mem::replace(body, BytesMut::with_capacity(room));
        body.extend_from_slice(&smaller);
    }
    body.extend_from_slice(piece);
}

fn acceptable(headers: &HeaderMap, length: u64, limit: usize) -> Result<(), Problem> {
    encoded_as_it_is(headers)?;
    if usize::try_from(length).map_or(true, |length| length > limit) {
        return Err(too_large(limit));
    }
    Ok(())
}

/// Rejects a body with a content coding other than `identity`.
pub(super) fn encoded_as_it_is(headers: &HeaderMap) -> Result<(), Problem> {
    let coding = headers.get(header::CONTENT_ENCODING).map(|value| String::from_utf8_lossy(value.as_bytes()));
    if let Some(coding) = coding.filter(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(Problem::new(
            ProblemKind::MediaType,
            format!("the body is encoded as `{coding}`; send it as it is"),
        ));
    }
    Ok(())
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        ProblemKind::TooLarge,
        format!("the body is longer than this server's limit of {limit} bytes (--body-limit)"),
    )
}

/// Reads the rest of a body that nobody needs, for a while. Otherwise a client that writes its whole request before it
/// reads would find its connection or its HTTP/2 stream reset, and would never see the answer.
pub(super) async fn discard<B: RequestBody>(mut body: B) {
    let all = async {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > DISCARD_LIMIT {
                break;
            }
        }
    };
    // The answer is sent in any case, so it does not matter whether the body ended.
    let _ = timeout(DISCARD_TIME, all).await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chainhost_core::deadline::TimeLimit;
    use chainhost_core::value::Signature;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;
    use tokio::time::Instant;

    use super::super::format::RequestFormat;
    use super::*;

    fn json() -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_TYPE, "application/json".parse().unwrap())])
    }

    fn limits(one: usize, all: usize) -> Limits {
        Limits::new(one, all, &MemoryBudget::unlimited())
    }

    fn soon() -> Deadline {
        Deadline::after(Instant::now(), Duration::from_secs(1), TimeLimit::Server)
    }

    /// Returns the format that the headers name.
    fn format(headers: &HeaderMap) -> Result<Format, Problem> {
        match super::super::format::of_body(headers, || None::<Arc<Signature>>)? {
            RequestFormat::Whole(format) => Ok(format),
            RequestFormat::Stream(upload) => panic!("{upload:?} for nobody"),
        }
    }

    async fn read_all(headers: HeaderMap, body: impl RequestBody, limit: usize) -> Result<Bytes, ProblemKind> {
        let limits = limits(limit, 1024);
        let received = read(&headers, Version::HTTP_11, body, format(&headers), &limits, &soon()).await;
        received.map(|body| body.bytes).map_err(|problem| problem.kind())
    }

    fn in_pieces(pieces: &'static [&'static str]) -> impl RequestBody {
        let frames =
            pieces.iter().map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(piece.as_bytes()))));
        StreamBody::new(futures::stream::iter(frames))
    }

    #[test]
    fn a_body_gets_one_buffer_but_a_false_length_gets_little_memory() {
        let mut body = BytesMut::new();
        for _ in 0..6 {
            append(&mut body, &[7; 1000], Some(6000));
        }
        assert_eq!((body.len(), body.capacity()), (6000, 6000));
        let mut body = BytesMut::new();
        for sent in 1..100 {
            append(&mut body, &[7; 100], Some(usize::MAX));
            assert!(body.len() == sent * 100 && body.capacity() <= 4 * body.len());
        }
    }

    #[tokio::test]
    async fn a_request_without_a_body_needs_no_content_type() {
        assert_eq!(read_all(HeaderMap::new(), Full::<Bytes>::default(), 8).await, Ok(Bytes::new()));
    }

    #[tokio::test]
    async fn a_body_without_a_type_or_with_a_coding_is_rejected() {
        assert_eq!(read_all(HeaderMap::new(), Full::from("{}"), 8).await, Err(ProblemKind::MediaType));
        let mut compressed = json();
        compressed.insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        assert_eq!(read_all(compressed, Full::from("{}"), 8).await, Err(ProblemKind::MediaType));
    }

    #[tokio::test]
    async fn a_body_up_to_the_limit_is_read_and_a_longer_one_refused() {
        assert_eq!(read_all(json(), Full::from("12345678"), 8).await, Ok(Bytes::from("12345678")));
        assert_eq!(read_all(json(), Full::from("123456789"), 8).await, Err(ProblemKind::TooLarge));
        assert_eq!(read_all(json(), in_pieces(&["1234", "5678"]), 8).await, Ok(Bytes::from("12345678")));
        assert_eq!(read_all(json(), in_pieces(&["1234", "56789"]), 8).await, Err(ProblemKind::TooLarge));
    }

    #[tokio::test]
    async fn a_body_that_never_comes_is_refused_at_the_deadline() {
        let never = StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        let now = Deadline::after(Instant::now(), Duration::ZERO, TimeLimit::Header);
        let outcome = read(&json(), Version::HTTP_11, never, Ok(Format::Json), &limits(8, 1024), &now).await;
        let problem = outcome.unwrap_err();
        assert_eq!(problem.kind(), ProblemKind::SlowRequest);
        assert!(
            problem.detail().ends_with(": the header x-request-timeout of the request is 0s"),
            "{}",
            problem.detail()
        );
    }

    #[tokio::test]
    async fn all_bodies_share_one_limit_until_they_are_dropped() {
        let limits = limits(5000, 3000);
        let body = |length: usize| Full::from(vec![b' '; length]);
        let read = async |length| {
            let received = read(&json(), Version::HTTP_11, body(length), Ok(Format::Json), &limits, &soon()).await;
            received.map_err(|problem| problem.kind())
        };
        let (one, two) = (read(1500).await.unwrap(), read(1000).await.unwrap());
        assert_eq!(read(600).await.unwrap_err(), ProblemKind::Overloaded);
        drop(one);
        let three = read(2000).await.unwrap();
        assert_eq!((two.bytes.len(), three.bytes.len()), (1000, 2000));
        drop((two, three));
        assert_eq!(read(4000).await.unwrap_err(), ProblemKind::TooLarge);
        assert_eq!(limits.all.reserved(), 0);
    }

    #[tokio::test]
    async fn a_web_page_must_send_a_type_even_without_a_body() {
        let mut headers = HeaderMap::from_iter([(header::ORIGIN, "https://evil.example".parse().unwrap())]);
        assert_eq!(read_all(headers.clone(), Full::<Bytes>::default(), 8).await, Err(ProblemKind::MediaType));
        headers.insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
        assert_eq!(read_all(headers.clone(), Full::<Bytes>::default(), 8).await, Err(ProblemKind::MediaType));
        for kind in ["application/json", "application/cbor"] {
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
            assert_eq!(read_all(headers.clone(), Full::<Bytes>::default(), 8).await, Ok(Bytes::new()), "{kind}");
        }
    }
}
