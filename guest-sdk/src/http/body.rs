//! The body of a request.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt::{self, Debug};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures::Stream;
use http_body::{Body, Frame, SizeHint};

/// The body of a request.
pub(super) enum RequestBody {
    Empty,
    Whole(Bytes),
    Stream(BodyStream),
}

/// A body that is produced while it is sent. A separate task reads it. That task would outlive a request that fails, so
/// the request holds a [`StopBody`] until the server answers.
#[derive(Clone)]
pub(super) struct BodyStream(Rc<RefCell<Source>>);

struct Source {
    /// True if nobody needs the rest.
    stopped: bool,
    /// The stream. `None` after it has ended or was stopped, and while it is polled.
    pieces: Option<Pin<Box<dyn Stream<Item = Bytes>>>>,
    /// Wakes the task that reads the body.
    reader: Option<Waker>,
}

impl BodyStream {
    pub(super) fn new(pieces: impl Stream<Item = Bytes> + 'static) -> Self {
        BodyStream(Rc::new(RefCell::new(Source { stopped: false, pieces: Some(Box::pin(pieces)), reader: None })))
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        // The stream is taken out while it is polled, because its code may drop the request and so stop the stream.
        let Some(mut pieces) = self.0.borrow_mut().pieces.take() else { return Poll::Ready(None) };
        let next = pieces.as_mut().poll_next(cx);
        let mut source = self.0.borrow_mut();
        if source.stopped || matches!(next, Poll::Ready(None)) {
            drop(source);
            return Poll::Ready(None);
        }
        source.pieces = Some(pieces);
        source.reader = Some(cx.waker().clone());
        next
    }
}

/// Drops the stream of a request's body when it is dropped, unless the request has been answered.
pub(super) struct StopBody(Option<BodyStream>);

impl StopBody {
    pub(super) fn of(body: &RequestBody) -> Self {
        match body {
            RequestBody::Stream(stream) => StopBody(Some(stream.clone())),
            RequestBody::Empty | RequestBody::Whole(_) => StopBody(None),
        }
    }

    /// Keeps the stream alive, because the server has answered and may read the rest of the body while it sends its
    /// answer.
    pub(super) fn answered(mut self) {
        self.0 = None;
    }
}

impl Drop for StopBody {
    fn drop(&mut self) {
        let Some(BodyStream(source)) = self.0.take() else { return };
        let (pieces, reader) = {
            let mut source = source.borrow_mut();
            source.stopped = true;
            (source.pieces.take(), source.reader.take())
        };
        drop(pieces);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

/// A piece of a body, as `wasip3` takes it.
pub(super) struct Piece(Bytes);

impl bytes::Buf for Piece {
    fn remaining(&self) -> usize {
        self.0.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.0
    }

    fn advance(&mut self, count: usize) {
        self.0.advance(count);
    }
}

impl From<Piece> for Vec<u8> {
    fn from(piece: Piece) -> Self {
        piece.0.into()
    }
}

impl Body for RequestBody {
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let piece = match &mut *self {
            RequestBody::Empty => None,
            RequestBody::Whole(bytes) => {
                let piece = std::mem::take(bytes);
                *self = RequestBody::Empty;
                Some(piece)
            }
            RequestBody::Stream(stream) => match stream.poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(piece) => piece,
            },
        };
        Poll::Ready(piece.map(|piece| Ok(Frame::data(Piece(piece)))))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            RequestBody::Stream(_) => SizeHint::default(),
        }
    }
}

impl Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestBody::Empty => f.write_str("Empty"),
            RequestBody::Whole(bytes) => write!(f, "{} bytes", bytes.len()),
            RequestBody::Stream(_) => f.write_str("Stream"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::StreamExt;
    use futures::stream;
    use futures::task::noop_waker_ref;

    use super::*;

    /// Returns a body that has given one piece and never gives the next, its `StopBody`, and a value that its stream
    /// owns.
    fn half_sent() -> (RequestBody, StopBody, Rc<()>) {
        let owned = Rc::new(());
        let kept = owned.clone();
        let pieces = stream::once(async { Bytes::from_static(b"one") }).chain(stream::once(async move {
            let _kept = kept;
            std::future::pending().await
        }));
        let mut body = RequestBody::Stream(BodyStream::new(pieces));
        let stop = StopBody::of(&body);
        let mut cx = Context::from_waker(noop_waker_ref());
        assert!(pin!(&mut body).poll_frame(&mut cx).is_ready());
        assert!(pin!(&mut body).poll_frame(&mut cx).is_pending());
        (body, stop, owned)
    }

    #[test]
    fn a_request_that_fails_drops_the_stream_of_its_body() {
        let (mut body, stop, owned) = half_sent();
        drop(stop);
        assert_eq!(Rc::strong_count(&owned), 1);
        let mut cx = Context::from_waker(noop_waker_ref());
        assert!(matches!(pin!(&mut body).poll_frame(&mut cx), Poll::Ready(None)));
    }

    #[test]
    fn a_request_that_is_answered_goes_on_with_its_body() {
        let (mut body, stop, owned) = half_sent();
        stop.answered();
        assert_eq!(Rc::strong_count(&owned), 2);
        let mut cx = Context::from_waker(noop_waker_ref());
        assert!(pin!(&mut body).poll_frame(&mut cx).is_pending());
    }
}
