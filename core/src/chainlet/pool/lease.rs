//! The place of a call in a replica.

use std::sync::Arc;

use super::Pool;
use crate::chainlet::replica::Replica;

/// The right to one call in one replica. Dropping it frees the place.
pub(crate) struct Lease {
    pool: Arc<Pool>,
    replica: Arc<Replica>,
    loss: Option<LeaseLoss>,
    unawaited: bool,
}

/// The way in which a call lost its place while the guest still holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::chainlet) enum LeaseLoss {
    /// A dependency failed, so the guest waits for an answer that never comes.
    Unanswered,
    /// The guest did not end its call in time. The place stays taken until the replica's end.
    Overran,
}

impl Lease {
    /// Makes the lease of a place in `replica` that `pool` has counted already.
    pub(super) fn new(pool: Arc<Pool>, replica: Arc<Replica>) -> Self {
        Lease { pool, replica, loss: None, unawaited: false }
    }

    pub(in crate::chainlet) fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }

    /// Notes that nobody waits for the call any more. The guest holds the place until it lets go.
    pub(in crate::chainlet) fn unawaited(&mut self) {
        if std::mem::replace(&mut self.unawaited, true) {
            return;
        }
        if let Some(entry) = self.pool.lock().entry(&self.replica) {
            entry.unawaited += 1;
        }
        self.pool.ended.notify_waiters();
    }

    /// Gives up the place although the guest still holds it.
    pub(in crate::chainlet) fn lose(mut self, loss: LeaseLoss) {
        self.loss = Some(loss);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.release(&self.replica, self.loss, self.unawaited);
    }
}
