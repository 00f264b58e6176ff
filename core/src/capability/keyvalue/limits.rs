//! The limits of stores and the rules that all kinds of stores share.

use super::error::Problem;

/// The most bytes that a key may have. A key has at least one byte.
pub const MAX_KEY_BYTES: usize = 1024;

/// The most keys that one batch may have.
pub const MAX_BATCH_KEYS: usize = 1000;

/// The most bytes that the values of one batch may have together, unless a single value may have more.
pub const MAX_BATCH_BYTES: u64 = 16 << 20;

/// The most keys that one page of a list of keys may have.
pub const MAX_PAGE_KEYS: usize = 1000;

/// The bytes that each entry costs in addition to its key and its value: about the memory that a map needs for a small
/// entry.
pub const ENTRY_OVERHEAD: u64 = 128;

/// The least `value_limit`: the length of the longest number that `increment` can write.
pub(crate) const MIN_VALUE_LIMIT: u64 = 20;

/// The limits of one store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The most bytes that all entries may have together.
    pub(crate) total: u64,
    /// The most bytes that one value may have.
    pub(crate) value: u64,
}

impl Limits {
    pub(crate) fn check_key(key: &str) -> Result<(), Problem> {
        match key.len() {
            0 => Err(Problem::EmptyKey),
            1..=MAX_KEY_BYTES => Ok(()),
            length => Err(Problem::KeyTooLong { length }),
        }
    }

    pub(crate) fn check_keys<'a>(keys: impl ExactSizeIterator<Item = &'a str>) -> Result<(), Problem> {
        if keys.len() > MAX_BATCH_KEYS {
            return Err(Problem::TooManyKeys { keys: keys.len() });
        }
        for key in keys {
            Self::check_key(key)?;
        }
        Ok(())
    }

    pub(crate) fn check_value(&self, value: &[u8]) -> Result<(), Problem> {
        let bytes = length(value);
        if bytes > self.value { Err(Problem::ValueTooLarge { bytes, limit: self.value }) } else { Ok(()) }
    }

    /// The most bytes that the values of one batch may have together.
    pub(crate) fn batch(&self) -> u64 {
        MAX_BATCH_BYTES.max(self.value)
    }

    /// Checks a value that is in the store. It can be too large if another program wrote it, or if the limit was higher
    /// before.
    pub(crate) fn check_stored(&self, bytes: u64) -> Result<(), Problem> {
        if bytes > self.value { Err(Problem::StoredTooLarge { bytes, limit: self.value }) } else { Ok(()) }
    }

    /// Checks a change of the bytes in use. A store over its limit, because the limit was higher before, still accepts
    /// changes that do not add to it.
    pub(crate) fn check_total(&self, before: u64, after: u64) -> Result<(), Problem> {
        if after > self.total && after > before {
            return Err(Problem::Full { used: before, needed: after - before, limit: self.total });
        }
        Ok(())
    }
}

/// The sum of the values of one batch, which ends the batch when it is too large.
pub(crate) struct BatchBytes {
    sum: u64,
    limit: u64,
}

impl BatchBytes {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { sum: 0, limit: limits.batch() }
    }

    pub(crate) fn add(&mut self, bytes: u64) -> Result<(), Problem> {
        self.sum = self.sum.saturating_add(bytes);
        if self.sum > self.limit { Err(Problem::BatchTooLarge { limit: self.limit }) } else { Ok(()) }
    }
}

/// Returns the bytes of the quota that an entry uses.
pub(crate) fn cost(key: &str, value_bytes: u64) -> u64 {
    length(key.as_bytes()).saturating_add(value_bytes).saturating_add(ENTRY_OVERHEAD)
}

pub(crate) fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Adds `delta` to the number that `value` is the text of. An absent value counts as 0.
///
/// As in Redis, only the shortest text of a number is one: `"7"`, but not `"07"`, `"+7"` or `" 7"`.
pub(crate) fn add(value: Option<&[u8]>, delta: i64) -> Result<i64, Problem> {
    let number = match value {
        None => 0,
        Some(text) => parse(text).ok_or(Problem::NotANumber)?,
    };
    number.checked_add(delta).ok_or(Problem::Overflow)
}

fn parse(text: &[u8]) -> Option<i64> {
    let text = str::from_utf8(text).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
