//! Serves clients that close their side of a connection while they wait for the answer to their last request (RFC 9112,
//! 9.6).
//!
//! If the input of a connection ends, hyper concludes that the client has left, and drops the call. That is right for a
//! connection that would be kept. But a client that says `Connection: close` sends no further request, so it may close
//! its side and still read. For such a request [`HalfClosed`] hides the end of the input from hyper. The call then ends
//! with its answer, with a write that fails, or at its deadline.
//!
//! The end must be hidden only after the whole body of the request. hyper reads on in two cases: to get more of a body,
//! and after the body, to see whether the client leaves. The connection cannot distinguish the two, but the body can:
//! its reader waits only in the first case. So a [`LastBody`] that has to wait makes the end visible again.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use chainhost_core::forward::forward_write;
use http::{HeaderMap, Request, Version, header};
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::list_header::has_token;

/// The end of the input of one connection. Clones are handles of the same end.
#[derive(Clone, Default)]
pub(super) struct EndOfInput(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// True once the client has announced that it sends no further request.
    is_announced: bool,
    phase: Phase,
    /// The task that reads the connection.
    connection: Option<Waker>,
    /// The task that waits for more of the last request's body.
    body: Option<Waker>,
}

#[derive(Default, PartialEq, Eq)]
enum Phase {
    /// The end was not read yet, or hyper may see it.
    #[default]
    Open,
    /// The end was read and is hidden from hyper.
    Hidden,
    /// The end is inside a body, so hyper must see it.
    Shown,
}

impl EndOfInput {
    /// Watches the body of a request that announces the end, and notes the announcement.
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

    /// Answers a read at the end of the input: it is ready unless the end is hidden.
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

    /// Makes the reader of a body wait. Returns false if the end has come meanwhile.
    fn wait(&self, cx: &mut Context<'_>) -> bool {
        self.with(|state| {
            let waits = state.phase != Phase::Hidden;
            state.body = waits.then(|| cx.waker().clone());
            waits
        })
    }

    /// Shows the end to hyper, and wakes the task that reads the connection.
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

/// Returns true if a request with this head is the last one that its client sends over HTTP/1. A request to upgrade is
/// not the last one, because its connection goes on in another protocol.
fn announces_end(version: Version, headers: &HeaderMap) -> bool {
    let closes = || has_token(headers, header::CONNECTION, "close");
    !headers.contains_key(header::UPGRADE)
        && match version {
            Version::HTTP_11 => closes(),
            Version::HTTP_10 => closes() || !has_token(headers, header::CONNECTION, "keep-alive"),
            _ => false,
        }
}

/// A connection that hides the end of its input after its last request.
pub(super) struct HalfClosed<S> {
    stream: S,
    end: EndOfInput,
    /// True once the end was read.
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
            // A read that adds nothing to a buffer with room is the end of the input (`AsyncRead`).
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
            // Reads the flag before it polls the body. If the end was hidden by then, the body already has all that
            // hyper has read.
            let is_hidden = self.end.as_ref().is_some_and(EndOfInput::is_hidden);
            let next = Pin::new(&mut self.body).poll_frame(cx);
            match &self.end {
                Some(end) if next.is_pending() => {
                    if is_hidden {
                        // hyper finds the end and makes an error of it, which wakes this task.
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
    fn version_and_headers_tell_whether_a_request_is_the_last_one() {
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
    async fn hyper_sees_the_end_unless_it_was_announced() {
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
    async fn hyper_sees_the_end_if_the_body_waits_for_more() {
        let end = EndOfInput::default();
        let mut stream = HalfClosed::new(&b""[..], end.clone());
        let (mut sender, parts) = mpsc::channel::<Bytes>(1);
        let body = StreamBody::new(parts.map(|part| Ok::<_, Infallible>(Frame::data(part))));
        let mut body = end.watch(last().map(|()| body)).into_body();

        // Like hyper: sends what it has, and reads on.
        assert!(body.frame().now_or_never().is_none());
        sender.try_send("part".into()).unwrap();
        assert!(stream.read(&mut [0]).now_or_never().is_none());
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "part");
        assert!(stream.read(&mut [0]).now_or_never().is_none(), "the body may have ended");
        assert!(body.frame().now_or_never().is_none());
        assert_eq!(stream.read(&mut [0]).now_or_never().unwrap().unwrap(), 0);
    }

    #[tokio::test]
    async fn the_end_is_hidden_after_a_complete_body() {
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
