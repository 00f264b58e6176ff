//! The last answers.

use std::collections::{HashMap, VecDeque};

/// Keeps a number of values. A new value replaces the oldest.
#[derive(Debug)]
pub struct Cache<T> {
    most: usize,
    values: HashMap<String, T>,
    /// The keys, oldest first.
    order: VecDeque<String>,
}

impl<T> Cache<T> {
    /// Makes a cache of at most `most` values.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, values: HashMap::new(), order: VecDeque::new() }
    }

    /// Returns the value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&T> {
        self.values.get(key)
    }

    /// Keeps `value`.
    pub fn insert(&mut self, key: &str, value: T) {
        if self.most == 0 {
            return;
        }
        if self.values.insert(key.to_owned(), value).is_some() {
            return;
        }
        self.order.push_back(key.to_owned());
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_value_goes_first() {
        let mut cache = Cache::new(2);
        for (key, value) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            cache.insert(key, value);
        }
        assert_eq!((cache.get("a"), cache.get("b"), cache.get("c")), (None, Some(&2), Some(&4)));
    }

    #[test]
    fn a_cache_of_no_values_keeps_none() {
        let mut cache = Cache::new(0);
        cache.insert("a", 1);
        assert_eq!(cache.get("a"), None);
    }
}
