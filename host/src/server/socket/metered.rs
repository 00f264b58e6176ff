//! A connection that reserves memory for its unfinished message.
//!
//! The WebSocket library passes on a message only when it is complete. Until then, all its bytes are in memory, and the
//! client decides how many they are. So the bytes that were read since the last message are reserved.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use chainhost_core::forward::forward_write;
use chainhost_core::memory::Reservation;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The bytes of a message that are not reserved. The buffers of any connection hold about as many.
const FREE: usize = 64 * 1024;

/// A connection whose bytes are counted.
pub(super) struct Metered<S> {
    stream: S,
    meter: Arc<MessageMeter>,
}

/// The count of the bytes since the last message, and their reservation.
pub(super) struct MessageMeter {
    unfinished: Mutex<Unfinished>,
    /// True if arriving bytes are thrown away.
    discards: AtomicBool,
}

struct Unfinished {
    bytes: usize,
    reservation: Reservation,
}

impl<S> Metered<S> {
    /// Counts the bytes of `stream` in `reservation`.
    pub(super) fn new(stream: S, reservation: Reservation) -> (Self, Arc<MessageMeter>) {
        let unfinished = Mutex::new(Unfinished { bytes: 0, reservation });
        let meter = Arc::new(MessageMeter { unfinished, discards: AtomicBool::new(false) });
        (Metered { stream, meter: meter.clone() }, meter)
    }
}

impl MessageMeter {
    /// Starts a new message and frees the reservation: the last message is complete, and its receiver reserves it now.
    pub(super) fn finished(&self) {
        let mut unfinished = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        unfinished.bytes = 0;
        unfinished.reservation.shrink_to(0);
    }

    /// From now on, throws away all bytes that arrive.
    pub(super) fn discard(&self) {
        self.discards.store(true, Ordering::Relaxed);
        self.finished();
    }

    fn count(&self, bytes: usize) -> io::Result<()> {
        let mut unfinished = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        unfinished.bytes += bytes;
        let more = unfinished.bytes.saturating_sub(FREE).saturating_sub(unfinished.reservation.bytes());
        unfinished.reservation.grow(more).map_err(|no_room| io::Error::new(io::ErrorKind::OutOfMemory, no_room))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        loop {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
            let read = buffer.filled().len() - before;
            if read == 0 || !self.meter.discards.load(Ordering::Relaxed) {
                return Poll::Ready(self.meter.count(read));
            }
            buffer.set_filled(before);
        }
    }
}

forward_write!(impl[S: AsyncWrite + Unpin] Metered<S>);

#[cfg(test)]
mod tests {
    use chainhost_core::memory::MemoryBudget;
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn bytes_are_reserved_until_their_message_is_complete() {
        let budget = MemoryBudget::new(FREE);
        let long = vec![7; 4 * FREE];
        let (mut stream, meter) = Metered::new(&long[..], budget.nothing());
        let mut part = vec![0; 3 * FREE / 2];
        stream.read_exact(&mut part).await.unwrap();
        assert_eq!(budget.reserved(), FREE / 2);
        meter.finished();
        assert_eq!(budget.reserved(), 0);
        stream.read_exact(&mut part).await.unwrap();
        let refused = stream.read_exact(&mut part).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::OutOfMemory);
    }

    #[tokio::test]
    async fn discarded_bytes_are_not_reserved_and_their_end_is_seen() {
        let budget = MemoryBudget::new(FREE);
        let long = vec![7; 100 * FREE];
        let (mut stream, meter) = Metered::new(&long[..], budget.nothing());
        meter.discard();
        assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
        assert_eq!(budget.reserved(), 0);
    }
}
