//! Replaces hyper's own answers to malformed heads with problem documents.
//!
//! hyper answers such a request before our code sees it, with a status, no body and no request id, and it has no hook
//! for that. But as long as a connection has served no request, all bytes that are written to it are hyper's own, and a
//! problem document can be written in their place. Later, the bytes may belong to the body of an answer, which a guest
//! or a client chooses, so they are not changed: a malformed head after the first request gets hyper's bare status.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use chainhost_core::forward::{forward_read, forward_write_rest};
use http::{HeaderMap, StatusCode, header};
use tokio::io::{AsyncRead, AsyncWrite};

use super::problem::{Problem, ProblemKind};
use super::request_id::{self, RequestId};

/// A function that is called with the status of each rejection.
pub(super) type Count = Arc<dyn Fn(StatusCode) + Send + Sync>;

/// A connection on which hyper's own rejections become problem documents.
pub(super) struct Refusals<S> {
    stream: S,
    count: Count,
    /// True once the connection has served a request.
    served: Arc<AtomicBool>,
    /// The bytes that are still to be written in place of hyper's answer.
    own: Bytes,
    /// The length of hyper's answer. hyper is told that so many bytes are written.
    replaced: usize,
}

impl<S> Refusals<S> {
    /// Wraps `stream`. `served` becomes true with the first request that is served.
    pub(super) fn new(stream: S, count: Count, served: Arc<AtomicBool>) -> Self {
        Refusals { stream, count, served, own: Bytes::new(), replaced: 0 }
    }
}

/// Returns the status of `answer` if it is a rejection of hyper's own.
fn refused(answer: &[u8]) -> Option<StatusCode> {
    let code = answer.strip_prefix(b"HTTP/1.1 4")?.first_chunk::<2>()?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = answer.get(..end)?.to_ascii_lowercase();
    let header = request_id::HEADER;
    let name = header.as_str().as_bytes();
    // Our own answers have a request id; hyper's have none and no body.
    let has_id = head.windows(name.len()).any(|window| window == name);
    if has_id || end + 4 != answer.len() {
        return None;
    }
    StatusCode::from_bytes(&[b'4', code[0], code[1]]).ok()
}

/// Returns the answer that replaces a rejection with `status`.
fn answer(status: StatusCode) -> (StatusCode, Bytes) {
    let problem = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE | StatusCode::URI_TOO_LONG => {
            Problem::new(ProblemKind::HeadTooLarge, "the head of a request may have 64 KiB and 100 headers")
        }
        _ => Problem::new(ProblemKind::BadRequest, "the head of the request is no HTTP/1.1 (RFC 9112)"),
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
    /// Writes the replacement of hyper's answer `bytes`, if that is a rejection.
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
