//! The entries of a map. No two have the same key.
//!
//! Most guests write a map's keys in order, as Rust's `BTreeMap` does. Such entries are checked in one pass, without
//! memory. Other entries need a set of the keys.

use std::collections::HashSet;

use super::Value;

/// The memory that the set of keys needs for each entry, in bytes, about.
pub(super) const SEEN: usize = 2 * size_of::<Key<'static>>();

/// A key of a map, in a form that can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key<'a> {
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Char(char),
    Text(&'a str),
    /// A value of a type that is [not a key type](super::Type::is_key).
    Other,
}

impl<'a> Key<'a> {
    fn of(value: &'a Value) -> Self {
        match value {
            Value::Bool(value) => Key::Bool(*value),
            Value::S8(value) => Key::Signed((*value).into()),
            Value::S16(value) => Key::Signed((*value).into()),
            Value::S32(value) => Key::Signed((*value).into()),
            Value::S64(value) => Key::Signed(*value),
            Value::U8(value) => Key::Unsigned((*value).into()),
            Value::U16(value) => Key::Unsigned((*value).into()),
            Value::U32(value) => Key::Unsigned((*value).into()),
            Value::U64(value) => Key::Unsigned(*value),
            Value::Char(value) => Key::Char(*value),
            Value::String(value) => Key::Text(value),
            _ => Key::Other,
        }
    }
}

/// Returns true if each key is greater than the one before it. Then no two are the same.
pub(super) fn are_sorted(entries: &[(Value, Value)]) -> bool {
    entries.is_sorted_by(|(one, _), (next, _)| Key::of(one) < Key::of(next))
}

/// Returns the first key that an earlier entry has, too.
pub(super) fn repeated(entries: &[(Value, Value)]) -> Option<&Value> {
    if are_sorted(entries) {
        return None;
    }
    let mut seen = HashSet::with_capacity(entries.len());
    entries.iter().map(|(key, _)| key).find(|key| !seen.insert(Key::of(key)))
}

/// Keeps only the last of all entries with the same key. The entries that stay keep their order.
pub fn last_of_each(mut entries: Vec<(Value, Value)>) -> Vec<(Value, Value)> {
    let mut seen = HashSet::with_capacity(entries.len());
    let mut is_last: Vec<bool> = entries.iter().rev().map(|(key, _)| seen.insert(Key::of(key))).collect();
    drop(seen);
    entries.retain(|_| is_last.pop().unwrap_or(true));
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(keys: &[&str]) -> Vec<(Value, Value)> {
        keys.iter().zip(0..).map(|(key, index)| (Value::from(*key), Value::U8(index))).collect()
    }

    #[test]
    fn a_key_is_found_where_it_stands_again() {
        for keys in [&[][..], &["a"], &["a", "b", "c"], &["c", "a", "b"]] {
            assert_eq!(repeated(&entries(keys)), None, "{keys:?}");
        }
        assert_eq!(repeated(&entries(&["a", "a"])), Some(&"a".into()));
        assert_eq!(repeated(&entries(&["c", "b", "a", "b", "c"])), Some(&"b".into()));
    }

    #[test]
    fn the_last_entry_of_a_key_stays() {
        assert_eq!(last_of_each(entries(&["b", "a"])), entries(&["b", "a"]));
        let kept = [("a", 2), ("c", 3), ("b", 4)].map(|(key, index)| (Value::from(key), Value::U8(index)));
        assert_eq!(last_of_each(entries(&["b", "a", "a", "c", "b"])), kept);
    }

    #[test]
    fn keys_of_every_type_are_told_apart() {
        let pairs = [
            (Value::Bool(false), Value::Bool(true)),
            (Value::S8(-1), Value::S8(1)),
            (Value::S16(-1), Value::S16(1)),
            (Value::S32(-1), Value::S32(1)),
            (Value::S64(i64::MIN), Value::S64(i64::MAX)),
            (Value::U8(1), Value::U8(2)),
            (Value::U16(1), Value::U16(2)),
            (Value::U32(1), Value::U32(2)),
            (Value::U64(1), Value::U64(u64::MAX)),
            (Value::Char('a'), Value::Char('b')),
            (Value::from(""), Value::from("a")),
        ];
        for (less, more) in pairs {
            let entries = |one: &Value, other: &Value| [(one.clone(), Value::U8(0)), (other.clone(), Value::U8(1))];
            assert!(are_sorted(&entries(&less, &more)) && !are_sorted(&entries(&more, &less)), "{less:?}");
            assert_eq!(repeated(&entries(&more, &less)), None, "{less:?}");
            assert_eq!(repeated(&entries(&less, &less)), Some(&less));
        }
    }
}
