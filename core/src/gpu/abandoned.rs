//! Counts abandoned devices: those that were given up while the GPU was at work for them. In this process nothing can
//! stop that work, so their memory is not free yet. A chainlet that has too many of them may not make more.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// The number of abandoned devices at which a chainlet gets no new device.
pub(super) const MOST: usize = 4;

/// The number of abandoned devices of one chainlet.
#[derive(Default)]
pub(super) struct Abandoned(watch::Sender<usize>);

/// One abandoned device, which counts until this is dropped.
pub(super) struct Counted(Arc<Abandoned>);

impl Abandoned {
    pub(super) fn count(self: &Arc<Self>) -> Counted {
        self.0.send_modify(|count| *count += 1);
        Counted(self.clone())
    }

    /// Waits until the chainlet has fewer than [`MOST`] abandoned devices, at most until `deadline`. Returns true if it
    /// has.
    pub(super) async fn have_room(&self, deadline: Instant) -> bool {
        let mut count = self.0.subscribe();
        // `wait_for` fails only if the sender is dropped, and `self` holds it.
        matches!(timeout_at(deadline, count.wait_for(|count| *count < MOST)).await, Ok(Ok(_)))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn there_is_room_again_when_one_device_is_gone() {
        let abandoned = Arc::new(Abandoned::default());
        let mut all: Vec<_> = (0..MOST).map(|_| abandoned.count()).collect();
        assert!(!abandoned.have_room(Instant::now()).await);
        let (room, ()) = futures::join!(abandoned.have_room(Instant::now() + Duration::from_secs(60)), async {
            tokio::task::yield_now().await;
            all.pop();
        });
        assert!(room);
    }
}
