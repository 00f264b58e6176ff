//! A connection whose unfinished message is counted.
//!
//! A message is only seen when it is here as a whole. Until then, all that has come of it is in memory, which a client decides
//! the length of: so what is read since the last message is reserved.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::forward::forward_write;
use crate::memory::Reservation;

/// So much of a message is not counted, which is about what the buffers of any connection hold.
const FREE: usize = 64 * 1024;

/// A connection that is counted.
pub(super) struct Metered<S> {
    stream: S,
    meter: Arc<Meter>,
}

/// What is counted.
pub(super) struct Meter {
    unfinished: Mutex<Unfinished>,
    discards: AtomicBool,
}

struct Unfinished {
    bytes: usize,
    reservation: Reservation,
}

impl<S> Metered<S> {
    /// What comes over `stream` is counted in `reservation`.
    pub(super) fn new(stream: S, reservation: Reservation) -> (Self, Arc<Meter>) {
        let unfinished = Mutex::new(Unfinished { bytes: 0, reservation });
        let meter = Arc::new(Meter { unfinished, discards: AtomicBool::new(false) });
        (Metered { stream, meter: meter.clone() }, meter)
    }
}

impl Meter {
    /// A message is here as a whole. Whoever has it counts it from now on.
    pub(super) fn finished(&self) {
        let mut unfinished = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        unfinished.bytes = 0;
        unfinished.reservation.shrink_to(0);
    }

    /// From now on, what comes is thrown away.
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
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::memory::MemoryBudget;

    #[tokio::test]
    async fn what_comes_of_a_message_is_reserved_until_it_is_here() {
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
    async fn what_is_thrown_away_takes_no_room_and_its_end_is_seen() {
        let budget = MemoryBudget::new(FREE);
        let long = vec![7; 100 * FREE];
        let (mut stream, meter) = Metered::new(&long[..], budget.nothing());
        meter.discard();
        assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
        assert_eq!(budget.reserved(), 0);
    }
}
