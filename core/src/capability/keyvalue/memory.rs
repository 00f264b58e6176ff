//! A store in the memory of the host.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::error::Problem;
use super::limits::{BatchBytes, Limits, MAX_KEY_BYTES, MAX_PAGE_KEYS, add, cost, length};
use super::store::{KeyPage, Swap};

/// A map behind a lock. Each operation holds the lock once and copies no value under it, so all operations are atomic
/// and short.
pub(crate) struct MemoryStore {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<Box<str>, Bytes>,
    /// The bytes of the quota that `entries` uses.
    used: u64,
}

impl MemoryStore {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Bytes> {
        self.state().entries.get(key).cloned()
    }

    pub(crate) fn set(&self, key: &str, value: Vec<u8>) -> Result<(), Problem> {
        let value = exact(value);
        self.state().put(&self.limits, key, value)
    }

    pub(crate) fn delete(&self, key: &str) {
        self.state().remove(key);
    }

    pub(crate) fn exists(&self, key: &str) -> bool {
        self.state().entries.contains_key(key)
    }

    pub(crate) fn keys(&self, cursor: Option<&str>) -> Result<KeyPage, Problem> {
        let start = after(cursor)?;
        let state = self.state();
        let mut following = state.entries.range::<str, _>((start, Bound::Unbounded)).map(|(key, _)| &**key);
        let keys: Vec<String> = following.by_ref().take(MAX_PAGE_KEYS).map(str::to_owned).collect();
        let cursor = following.next().and_then(|_| keys.last().cloned());
        Ok(KeyPage { keys, cursor })
    }

    pub(crate) fn increment(&self, key: &str, delta: i64) -> Result<i64, Problem> {
        let mut state = self.state();
        let sum = add(state.entries.get(key).map(|value| &value[..]), delta)?;
        state.put(&self.limits, key, exact(sum.to_string().into_bytes()))?;
        Ok(sum)
    }

    pub(crate) fn compare_and_swap(&self, key: &str, expected: Option<&[u8]>, value: Vec<u8>) -> Result<Swap, Problem> {
        let value = exact(value);
        let mut state = self.state();
        let current = state.entries.get(key);
        if current.map(|value| &value[..]) != expected {
            return Ok(Swap::Stale(current.cloned()));
        }
        state.put(&self.limits, key, value)?;
        Ok(Swap::Done)
    }

    pub(crate) fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, Problem> {
        let state = self.state();
        let mut sum = BatchBytes::new(&self.limits);
        keys.iter()
            .map(|key| {
                let value = state.entries.get(key.as_str());
                sum.add(value.map_or(0, |value| length(value)))?;
                Ok(value.cloned())
            })
            .collect()
    }

    /// Sets all keys, or none if the store has no room for all. The last value of a key that is there twice wins.
    pub(crate) fn set_many(&self, entries: Vec<(String, Vec<u8>)>) -> Result<(), Problem> {
        let entries: BTreeMap<String, Bytes> = entries.into_iter().map(|(key, value)| (key, exact(value))).collect();
        let mut state = self.state();
        let mut used = state.used;
        for (key, value) in &entries {
            used = used.saturating_sub(state.cost_of(key)).saturating_add(cost(key, length(value)));
        }
        self.limits.check_total(state.used, used)?;
        state.used = used;
        for (key, value) in entries {
            state.entries.insert(key.into_boxed_str(), value);
        }
        Ok(())
    }

    pub(crate) fn delete_many(&self, keys: &[String]) {
        let mut state = self.state();
        for key in keys {
            state.remove(key);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, limits: &Limits, key: &str, value: Bytes) -> Result<(), Problem> {
        let used = self.used.saturating_sub(self.cost_of(key)).saturating_add(cost(key, length(&value)));
        limits.check_total(self.used, used)?;
        self.used = used;
        match self.entries.get_mut(key) {
            Some(slot) => *slot = value,
            None => {
                self.entries.insert(key.into(), value);
            }
        }
        Ok(())
    }

    fn remove(&mut self, key: &str) {
        if let Some(value) = self.entries.remove(key) {
            self.used = self.used.saturating_sub(cost(key, length(&value)));
        }
    }

    fn cost_of(&self, key: &str) -> u64 {
        self.entries.get(key).map_or(0, |value| cost(key, length(value)))
    }
}

/// Drops spare capacity, which the quota does not count.
fn exact(value: Vec<u8>) -> Bytes {
    Bytes::from(value.into_boxed_slice())
}

/// Returns the start of the page that follows `cursor`, the last key of the page before.
pub(crate) fn after(cursor: Option<&str>) -> Result<Bound<&str>, Problem> {
    match cursor {
        None => Ok(Bound::Unbounded),
        Some(cursor) if cursor.len() > MAX_KEY_BYTES => Err(Problem::BadCursor),
        Some(cursor) => Ok(Bound::Excluded(cursor)),
    }
}
