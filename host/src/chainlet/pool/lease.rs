//! A call's place in a replica.

use std::sync::Arc;

use super::Pool;
use crate::chainlet::replica::Replica;

/// The right to one call in one replica; dropping it frees the slot.
pub(crate) struct Lease {
    pool: Arc<Pool>,
    replica: Arc<Replica>,
    loss: Option<Loss>,
    unawaited: bool,
}

/// How a slot came to be lost while the guest still holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::chainlet) enum Loss {
    /// A dependency failed, so the guest waits for an answer that never comes.
    Unanswered,
    /// The guest did not end its call in time, and keeps its slot until the replica's end.
    Overran,
}

impl Lease {
    /// A slot of `pool` in `replica`, which is counted already.
    pub(super) fn new(pool: Arc<Pool>, replica: Arc<Replica>) -> Self {
        Lease { pool, replica, loss: None, unawaited: false }
    }

    pub(in crate::chainlet) fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }

    /// Nobody waits for the call any more; the guest holds the slot until it has let go.
    pub(in crate::chainlet) fn unawaited(&mut self) {
        if std::mem::replace(&mut self.unawaited, true) {
            return;
        }
        if let Some(entry) = self.pool.lock().entry(&self.replica) {
            entry.unawaited += 1;
        }
        self.pool.ended.notify_waiters();
    }

    /// Gives up the slot although the guest still holds it.
    pub(in crate::chainlet) fn lose(mut self, loss: Loss) {
        self.loss = Some(loss);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.release(&self.replica, self.loss, self.unawaited);
    }
}
