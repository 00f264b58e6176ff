//! Turns: of the calls with the same key, one works and the others wait.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use futures::lock::{Mutex, OwnedMutexGuard};

type Locks = Rc<RefCell<HashMap<String, Arc<Mutex<()>>>>>;

/// The turns of all keys.
#[derive(Debug, Default)]
pub struct Turns(Locks);

/// The turn of one call. Dropping it gives the turn to the next call, even if this call did not finish.
#[derive(Debug)]
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
    /// Returns the key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.guard.take());
        let mut locks = self.locks.borrow_mut();
        // Each waiting call holds a clone of the lock. If there is none, the key is forgotten.
        if locks.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_call_waits_for_the_one_before_it_and_not_for_other_keys() {
        let turns = Turns::default();
        let first = turns.take("a").now_or_never().unwrap();
        let mut second = pin!(turns.take("a"));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(turns.take("b").now_or_never().is_some());
        drop(first);
        assert_eq!(second.now_or_never().unwrap().key(), "a");
    }

    #[test]
    fn a_waiting_call_that_leaves_holds_up_nobody() {
        let turns = Turns::default();
        let first = turns.take("a").now_or_never().unwrap();
        let mut second = Box::pin(turns.take("a"));
        let mut third = pin!(turns.take("a"));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        drop(first);
        drop(second);
        assert!(third.now_or_never().is_some());
    }

    #[test]
    fn a_key_without_calls_is_forgotten() {
        let turns = Turns::default();
        let first = turns.take("a").now_or_never().unwrap();
        assert!(turns.take("a").now_or_never().is_none());
        assert_eq!(turns.0.borrow().len(), 1);
        drop(first);
        assert_eq!(turns.0.borrow().len(), 0);
    }
}
