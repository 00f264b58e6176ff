//! Devices that were let go while the GPU was at work for them, which nothing can stop in this process: what they hold is
//! not free, and who made them may not make more without end.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// How many devices of a chainlet may be at work that was given up.
pub(super) const MOST: usize = 4;

/// Those of one chainlet.
#[derive(Default)]
pub(super) struct Abandoned(watch::Sender<usize>);

/// One of them, until it is gone.
pub(super) struct Counted(Arc<Abandoned>);

impl Abandoned {
    pub(super) fn count(self: &Arc<Self>) -> Counted {
        self.0.send_modify(|count| *count += 1);
        Counted(self.clone())
    }

    /// Waits until there may be one more, until `deadline` at most. Returns whether there may.
    pub(super) async fn have_room(&self, deadline: Instant) -> bool {
        let mut count = self.0.subscribe();
        // The sender is this, so it is there.
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
    async fn there_is_room_again_when_one_is_gone() {
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
