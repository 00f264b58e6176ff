//! The body of a request.

use std::convert::Infallible;
use std::fmt::{self, Debug};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http_body::{Body, Frame, SizeHint};

/// What a request sends.
pub(super) enum RequestBody {
    Empty,
    Whole(Bytes),
    Stream(Pin<Box<dyn Stream<Item = Bytes>>>),
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
            RequestBody::Stream(stream) => match stream.as_mut().poll_next(cx) {
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
