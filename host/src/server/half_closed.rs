//! Clients that close their side of a connection while they wait for the answer to their last request (RFC 9112, 9.6).
//!
//! hyper takes the end of what a client sends as a sign that the client has left, and drops the call. That is right for
//! a connection that would be kept. But a client that says `Connection: close` sends no further request, so it may close
//! its side and still read. For such a request [`HalfClosed`] hides the end from hyper. The call then ends with its
//! answer, with a write that fails, or with its deadline.
//!
//! The end must be hidden only after the whole body of the request. hyper reads on in two cases: to get more of a body,
//! and after the body, to see whether the client leaves. The connection cannot tell the two apart, but the body can: only
//! in the first case does its reader wait. So a [`LastBody`] that has to wait has the end shown.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use http::{HeaderMap, Request, Version, header};
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::list_header::has_token;
use crate::forward::forward_write;

/// The end of what the client of one connection sends. Clones are handles of the same one.
#[derive(Clone, Default)]
pub(super) struct EndOfInput(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The client has announced that it sends no further request.
    is_announced: bool,
    phase: Phase,
    /// The task that reads the connection.
    connection: Option<Waker>,
    /// The task that waits for more of the last request's body.
    body: Option<Waker>,
}

#[derive(Default, PartialEq, Eq)]
enum Phase {
    /// The end was not read yet, or may be seen.
    #[default]
    Open,
    /// The end was read and is hidden.
    Hidden,
    /// The end is inside a body, so it must be seen.
    Shown,
}

impl EndOfInput {
    /// Takes note of a request that announces the end, and watches its body.
    pub(super) fn watch<B>(&self, request: Request<B>) -> Request<LastBody<B>> {
        let is_last = announces_end(request.version(), request.headers());
        if is_last {
            self.with(|state| state.is_announced = true);
        }
        request.map(|body| LastBody { body, end: is_last.then(|| self.clone()) })
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Answers a read at the end: it is ready unless the end is hidden.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waiting = self.with(|state| {
            if !state.is_announced || state.phase == Phase::Shown {
                return Err(());
            }
            state.phase = Phase::Hidden;
            state.connection = Some(cx.waker().clone());
            Ok(state.body.take())
        });
        match waiting {
            Err(()) => Poll::Ready(Ok(())),
            Ok(waiting) => {
                if let Some(body) = waiting {
                    body.wake();
                }
                Poll::Pending
            }
        }
    }

    fn is_hidden(&self) -> bool {
        self.with(|state| state.phase == Phase::Hidden)
    }

    /// Has the reader of a body wait; false if the end has come meanwhile.
    fn wait(&self, cx: &mut Context<'_>) -> bool {
        self.with(|state| {
            let waits = state.phase != Phase::Hidden;
            state.body = waits.then(|| cx.waker().clone());
            waits
        })
    }

    fn show(&self) {
        let connection = self.with(|state| {
            state.phase = Phase::Shown;
            state.connection.take()
        });
        if let Some(connection) = connection {
            connection.wake();
        }
    }
}

/// Whether a request with this head is the last one that its client sends over HTTP/1. A request to upgrade is not, as its
/// connection goes on in another protocol.
fn announces_end(version: Version, headers: &HeaderMap) -> bool {
    let closes = || has_token(headers, header::CONNECTION, "close");
    !headers.contains_key(header::UPGRADE)
        && match version {
            Version::HTTP_11 => closes(),
            Version::HTTP_10 => closes() || !has_token(headers, header::CONNECTION, "keep-alive"),
            _ => false,
        }
}

/// A connection whose end is hidden after its last request.
pub(super) struct HalfClosed<S> {
    stream: S,
    end: EndOfInput,
    /// The end was read.
    has_ended: bool,
}

impl<S> HalfClosed<S> {
    pub(super) fn new(stream: S, end: EndOfInput) -> Self {
        HalfClosed { stream, end, has_ended: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HalfClosed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.has_ended {
            let before = buffer.remaining();
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
            self.has_ended = before > 0 && buffer.remaining() == before;
        }
        if self.has_ended { self.end.poll(cx) } else { Poll::Ready(Ok(())) }
    }
}

forward_write!(impl[S: AsyncWrite + Unpin] HalfClosed<S>);

/// The body of a request, which may be the last one of its connection.
pub(super) struct LastBody<B> {
    body: B,
    /// `None` unless the request is the last one.
    end: Option<EndOfInput>,
}

impl<B: Body + Unpin> Body for LastBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        loop {
            // Asked before the body is polled: if the end is hidden by now, all that hyper has read is in the body.
            let is_hidden = self.end.as_ref().is_some_and(EndOfInput::is_hidden);
            let next = Pin::new(&mut self.body).poll_frame(cx);
            match &self.end {
                Some(end) if next.is_pending() => {
                    if is_hidden {
                        // hyper finds the end, and makes an error of it, which wakes this task.
                        end.show();
                        return Poll::Pending;
                    }
                    if end.wait(cx) {
                        return Poll::Pending;
                    }
                }
                _ => return next,
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use futures::channel::mpsc;
    use futures::{FutureExt, StreamExt};
    use http_body_util::{BodyExt, StreamBody};
    use tokio::io::AsyncReadExt;

    use super::*;

    fn request(version: Version, headers: &[(&'static str, &str)]) -> Request<()> {
        let mut request = Request::new(());
        *request.version_mut() = version;
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        request
    }

    fn last() -> Request<()> {
        request(Version::HTTP_11, &[("connection", "close")])
    }

    #[test]
    fn a_last_request_says_so_by_its_version_or_its_headers() {
        let announces = |version, headers: &[_]| announces_end(version, request(version, headers).headers());
        assert!(announces(Version::HTTP_11, &[("connection", "x, Close")]));
        assert!(announces(Version::HTTP_10, &[]));
        assert!(announces(Version::HTTP_10, &[("connection", "close, keep-alive")]));
        assert!(!announces(Version::HTTP_10, &[("connection", "Keep-Alive")]));
        assert!(!announces(Version::HTTP_11, &[]));
        assert!(!announces(Version::HTTP_11, &[("connection", "close, upgrade"), ("upgrade", "websocket")]));
        assert!(!announces(Version::HTTP_2, &[("connection", "close")]));
    }

    #[tokio::test]
    async fn the_end_is_seen_unless_it_was_announced() {
        let end = EndOfInput::default();
        let mut stream = HalfClosed::new(&b"ab"[..], end.clone());
        let mut part = [0; 2];
        assert_eq!(stream.read(&mut part).await.unwrap(), 2);
        assert_eq!(stream.read(&mut part).now_or_never().unwrap().unwrap(), 0);
        let _ = end.watch(request(Version::HTTP_11, &[]));
        assert_eq!(stream.read(&mut part).now_or_never().unwrap().unwrap(), 0);
        let _ = end.watch(last());
        assert!(stream.read(&mut part).now_or_never().is_none());
    }

    #[tokio::test]
    async fn the_end_is_seen_when_the_body_waits_for_more() {
        let end = EndOfInput::default();
        let mut stream = HalfClosed::new(&b""[..], end.clone());
        let (mut sender, parts) = mpsc::channel::<Bytes>(1);
        let body = StreamBody::new(parts.map(|part| Ok::<_, Infallible>(Frame::data(part))));
        let mut body = end.watch(last().map(|()| body)).into_body();

        // As hyper does: it sends what it has, and reads on.
        assert!(body.frame().now_or_never().is_none());
        sender.try_send("part".into()).unwrap();
        assert!(stream.read(&mut [0]).now_or_never().is_none());
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "part");
        assert!(stream.read(&mut [0]).now_or_never().is_none(), "the body may have ended");
        assert!(body.frame().now_or_never().is_none());
        assert_eq!(stream.read(&mut [0]).now_or_never().unwrap().unwrap(), 0);
    }

    #[tokio::test]
    async fn the_end_is_hidden_after_a_whole_body() {
        let end = EndOfInput::default();
        let mut stream = HalfClosed::new(&b""[..], end.clone());
        let (sender, parts) = mpsc::channel::<Bytes>(1);
        let body = StreamBody::new(parts.map(|part| Ok::<_, Infallible>(Frame::data(part))));
        let mut body = end.watch(last().map(|()| body)).into_body();
        assert!(body.frame().now_or_never().is_none());
        drop(sender);
        assert!(stream.read(&mut [0]).now_or_never().is_none());
        assert!(body.frame().await.is_none());
        assert!(stream.read(&mut [0]).now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken_when_the_end_comes() {
        let end = EndOfInput::default();
        let mut stream = HalfClosed::new(&b""[..], end.clone());
        let (_sender, parts) = mpsc::channel::<Bytes>(1);
        let body = StreamBody::new(parts.map(|part| Ok::<_, Infallible>(Frame::data(part))));
        let mut body = end.watch(last().map(|()| body)).into_body();
        let waiting = tokio::spawn(async move { body.frame().await.is_none() });
        tokio::task::yield_now().await;
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "it is seen, as the body is not whole");
        waiting.abort();
    }
}
