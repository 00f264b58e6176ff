//! Request bodies: what kind they are of, and reading them within limits.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use tokio::time::{Instant, timeout, timeout_at};

use super::problem::{Kind, Problem};

/// How much of a body that was refused is still read, in bytes.
const DISCARD_LIMIT: usize = 64 * 1024 * 1024;
/// How long a body that was refused is still read.
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// What a request's body can be: hyper's or axum's.
pub(super) trait RequestBody:
    Body<Data = Bytes, Error: fmt::Display + Send + Into<axum::BoxError>> + Unpin + Send + 'static
{
}

impl<B> RequestBody for B where
    B: Body<Data = Bytes, Error: fmt::Display + Send + Into<axum::BoxError>> + Unpin + Send + 'static
{
}

/// The whole body, which must be JSON by its headers; nothing where there is none.
///
/// # Errors
/// A body of another kind, or longer than `limit` bytes, is refused before it is read as far as that can be known; one
/// that is not there by `deadline` is refused then.
pub(super) async fn read<B: RequestBody>(
    headers: &HeaderMap,
    mut body: B,
    limit: usize,
    deadline: Instant,
) -> Result<Bytes, Problem> {
    if body.is_end_stream() || body.size_hint().exact() == Some(0) {
        return Ok(Bytes::new());
    }
    let refusal = match acceptable(headers, body.size_hint().lower(), limit) {
        Ok(()) => match timeout_at(deadline, Limited::new(&mut body, limit).collect()).await {
            Ok(Ok(body)) => return Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => too_large(limit),
            Ok(Err(error)) => Problem::new(Kind::BadRequest, format!("the body broke off: {error}")),
            Err(_) => Problem::new(Kind::SlowRequest, "the body was not here in time"),
        },
        Err(refusal) => refusal,
    };
    if refusal.kind() != Kind::SlowRequest {
        tokio::spawn(discard(body));
    }
    Err(refusal)
}

fn acceptable(headers: &HeaderMap, length: u64, limit: usize) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    if !headers.get(header::CONTENT_TYPE).is_some_and(|kind| is_json(kind.as_bytes())) {
        let found = text(header::CONTENT_TYPE)
            .map_or("the body has no Content-Type".into(), |kind| format!("the body is `{kind}`"));
        return Err(Problem::new(
            Kind::MediaType,
            format!("{found}; send JSON, with `Content-Type: application/json`"),
        ));
    }
    if let Some(coding) = text(header::CONTENT_ENCODING).filter(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(Problem::new(Kind::MediaType, format!("the body is encoded as `{coding}`; send it as it is")));
    }
    if usize::try_from(length).map_or(true, |length| length > limit) {
        return Err(too_large(limit));
    }
    Ok(())
}

fn too_large(limit: usize) -> Problem {
    Problem::new(Kind::TooLarge, format!("the body is longer than this server's limit of {limit} bytes"))
}

/// Whether a media type is `application/json` or one that is JSON by its suffix, such as `application/ld+json`.
fn is_json(media_type: &[u8]) -> bool {
    let essence = media_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case(b"application/json") {
        return true;
    }
    let ends_in_json = essence.len().checked_sub(b"+json".len()).and_then(|at| essence.get(at..));
    ends_in_json.is_some_and(|suffix| suffix.eq_ignore_ascii_case(b"+json")) && essence.contains(&b'/')
}

/// Reads what is left of a refused body for a while. A client that writes its whole request before it reads would
/// otherwise find its connection, or its HTTP/2 stream, reset, and never see why.
async fn discard<B: RequestBody>(mut body: B) {
    let all = async {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > DISCARD_LIMIT {
                break;
            }
        }
    };
    // Whether the client came to an end or not, its answer is on its way.
    let _ = timeout(DISCARD_TIME, all).await;
}

#[cfg(test)]
mod tests {
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;

    fn json() -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_TYPE, "application/json".parse().unwrap())])
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(1)
    }

    async fn read_all(headers: HeaderMap, body: impl RequestBody, limit: usize) -> Result<Bytes, Kind> {
        read(&headers, body, limit, soon()).await.map_err(|problem| problem.kind())
    }

    fn in_pieces(pieces: &'static [&'static str]) -> impl RequestBody {
        let frames =
            pieces.iter().map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(piece.as_bytes()))));
        StreamBody::new(futures::stream::iter(frames))
    }

    #[test]
    fn json_is_told_from_other_media_types() {
        for kind in ["application/json", "Application/JSON; charset=utf-8", "application/ld+json", " application/json "]
        {
            assert!(is_json(kind.as_bytes()), "{kind}");
        }
        for kind in
            ["", "json", "+json", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "text/json"]
        {
            assert!(!is_json(kind.as_bytes()), "{kind}");
        }
    }

    #[tokio::test]
    async fn a_request_without_a_body_needs_no_content_type() {
        assert_eq!(read_all(HeaderMap::new(), Full::<Bytes>::default(), 8).await, Ok(Bytes::new()));
    }

    #[tokio::test]
    async fn a_body_of_no_or_another_kind_is_refused() {
        assert_eq!(read_all(HeaderMap::new(), Full::from("{}"), 8).await, Err(Kind::MediaType));
        let mut compressed = json();
        compressed.insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        assert_eq!(read_all(compressed, Full::from("{}"), 8).await, Err(Kind::MediaType));
    }

    #[tokio::test]
    async fn a_body_up_to_the_limit_is_read_and_a_longer_one_refused() {
        assert_eq!(read_all(json(), Full::from("12345678"), 8).await, Ok(Bytes::from("12345678")));
        assert_eq!(read_all(json(), Full::from("123456789"), 8).await, Err(Kind::TooLarge));
        assert_eq!(read_all(json(), in_pieces(&["1234", "5678"]), 8).await, Ok(Bytes::from("12345678")));
        assert_eq!(read_all(json(), in_pieces(&["1234", "56789"]), 8).await, Err(Kind::TooLarge));
    }

    #[tokio::test]
    async fn a_body_that_never_comes_is_refused_at_the_deadline() {
        let never = StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        let outcome = read(&json(), never, 8, Instant::now()).await;
        assert_eq!(outcome.map_err(|problem| problem.kind()), Err(Kind::SlowRequest));
    }
}
