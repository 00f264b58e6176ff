//! What hyper answers by itself to a head that it does not take, in our words.
//!
//! hyper answers such a request before anybody sees it: a status without a body, and without a request id. There is no hook for
//! that. But as long as no request of a connection has been served, all that is written to it is hyper's own, and a problem
//! document can be written in its place. Later, the bytes may be those of an answer's body, which a guest or a client chooses, so
//! they are left as they are: a malformed head after a first request gets hyper's bare status.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{HeaderMap, StatusCode, header};
use tokio::io::{AsyncRead, AsyncWrite};

use super::problem::{Kind, Problem};
use super::request_id::{self, RequestId};
use crate::forward::{forward_read, forward_write_rest};

/// Told of the status of each refusal.
pub(super) type Count = Arc<dyn Fn(StatusCode) + Send + Sync>;

/// A connection whose refusals by hyper are problem documents.
pub(super) struct Refusals<S> {
    stream: S,
    count: Count,
    /// A request has been served.
    served: Arc<AtomicBool>,
    /// What is still to be written in place of hyper's answer.
    own: Bytes,
    /// How many bytes that answer has.
    replaced: usize,
}

impl<S> Refusals<S> {
    /// `served` becomes true with the first request that is served.
    pub(super) fn new(stream: S, count: Count, served: Arc<AtomicBool>) -> Self {
        Refusals { stream, count, served, own: Bytes::new(), replaced: 0 }
    }
}

/// The status of `answer`, where that is a refusal of hyper's own.
fn refused(answer: &[u8]) -> Option<StatusCode> {
    let code = answer.strip_prefix(b"HTTP/1.1 4")?.first_chunk::<2>()?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = answer.get(..end)?.to_ascii_lowercase();
    let header = request_id::HEADER;
    let name = header.as_str().as_bytes();
    let has_id = head.windows(name.len()).any(|window| window == name);
    if has_id || end + 4 != answer.len() {
        return None;
    }
    StatusCode::from_bytes(&[b'4', code[0], code[1]]).ok()
}

/// What is answered in place of a refusal with `status`.
fn answer(status: StatusCode) -> (StatusCode, Bytes) {
    let problem = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE | StatusCode::URI_TOO_LONG => {
            Problem::new(Kind::HeadTooLarge, "the head of a request may have 64 KiB and 100 headers")
        }
        _ => Problem::new(Kind::BadRequest, "the head of the request is no HTTP/1.1 (RFC 9112)"),
    };
    let id = RequestId::of(&HeaderMap::new());
    let status = problem.status();
    let body = problem.document(&id);
    let response = problem.into_response(&id);
    let mut text =
        format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default()).into_bytes();
    let length = body.len().to_string();
    let id_header = request_id::HEADER;
    let own = [
        (header::CONNECTION.as_str(), b"close".as_slice()),
        (header::CONTENT_LENGTH.as_str(), length.as_bytes()),
        (id_header.as_str(), id.text.as_bytes()),
    ];
    let all = response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).chain(own);
    for (name, value) in all {
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(&body);
    (status, text.into())
}

impl<S: AsyncWrite + Unpin> Refusals<S> {
    /// Writes what takes the place of hyper's answer `bytes`, if it is a refusal.
    fn poll_own(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<Option<usize>>> {
        if self.own.is_empty()
            && !self.served.load(Ordering::Relaxed)
            && let Some(status) = refused(bytes)
        {
            let (status, own) = answer(status);
            (self.count)(status);
            (self.own, self.replaced) = (own, bytes.len());
        }
        if self.own.is_empty() {
            return Poll::Ready(Ok(None));
        }
        while !self.own.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.own))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.own.advance(written);
        }
        Poll::Ready(Ok(Some(self.replaced)))
    }
}

forward_read!(impl[S: AsyncRead + Unpin] Refusals<S>);

impl<S: AsyncWrite + Unpin> AsyncWrite for Refusals<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match ready!(self.poll_own(cx, bytes))? {
            Some(replaced) => Poll::Ready(Ok(replaced)),
            None => Pin::new(&mut self.stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = parts.iter().find(|part| !part.is_empty()).map(|part| &**part).unwrap_or_default();
        match ready!(self.poll_own(cx, first))? {
            Some(replaced) => Poll::Ready(Ok(replaced)),
            None => Pin::new(&mut self.stream).poll_write_vectored(cx, parts),
        }
    }

    forward_write_rest!();
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn written(parts: &[&[u8]], served: bool) -> (String, Vec<StatusCode>) {
        let counted = Arc::new(Mutex::new(Vec::new()));
        let count: Count = {
            let counted = counted.clone();
            Arc::new(move |status| counted.lock().unwrap().push(status))
        };
        let mut stream = Refusals::new(io::Cursor::new(Vec::new()), count, Arc::new(AtomicBool::new(served)));
        for part in parts {
            stream.write_all(part).await.unwrap();
        }
        let text = String::from_utf8(stream.stream.into_inner()).unwrap();
        let counted = counted.lock().unwrap().clone();
        (text, counted)
    }

    #[tokio::test]
    async fn an_answer_of_hyper_becomes_a_problem_with_an_id() {
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let (text, counted) = written(&[bare], false).await;
        assert!(text.starts_with("HTTP/1.1 431 ") && text.contains("x-request-id: "), "{text}");
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{text}");
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["type"], "urn:chainhost:problem:head-too-large");
        assert_eq!(counted, [StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE]);
    }

    #[tokio::test]
    async fn any_other_bytes_are_written_as_they_are() {
        for text in [
            "HTTP/1.1 400 Bad Request\r\nX-Request-Id: 7\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 400 of a body",
            "HTTP/1.1 404 Not Found\r\n\r\nmore",
        ] {
            assert_eq!(written(&[text.as_bytes()], false).await, (text.to_owned(), Vec::new()));
        }
    }

    #[tokio::test]
    async fn the_bytes_of_a_body_are_never_taken_for_a_refusal() {
        let body = "HTTP/1.1 400 Bad Request\r\n\r\n";
        assert_eq!(written(&[body.as_bytes()], true).await, (body.to_owned(), Vec::new()));
    }
}
