//! Turns: of the calls with one key, one works and the others wait.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use futures::lock::{Mutex, OwnedMutexGuard};

type Locks = Rc<RefCell<HashMap<String, Arc<Mutex<()>>>>>;

/// The turns of all keys.
#[derive(Default)]
pub struct Turns(Locks);

/// The turn of one call. When it is dropped, the next call has its turn: also if this one did not come to an end.
pub struct Turn {
    key: String,
    guard: Option<OwnedMutexGuard<()>>,
    locks: Locks,
}

impl Turns {
    /// Waits for the turn of a call with `key`.
    pub async fn take(&self, key: &str) -> Turn {
        let lock = self.0.borrow_mut().entry(key.to_owned()).or_default().clone();
        let mut turn = Turn { key: key.to_owned(), guard: None, locks: self.0.clone() };
        turn.guard = Some(lock.lock_owned().await);
        turn
    }
}

impl Turn {
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.guard.take());
        let mut locks = self.locks.borrow_mut();
        // The calls that wait have a clone of the lock. Without any, the key is forgotten.
        if locks.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.key);
        }
    }
}
