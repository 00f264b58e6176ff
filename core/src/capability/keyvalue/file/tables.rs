//! The tables of a file, and the transactions on them.

use std::ops::Bound;

use bytes::Bytes;
use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTable, Table, TableDefinition};

use super::super::error::Problem;
use super::super::limits::{Limits, MAX_PAGE_KEYS, cost, length};
use super::super::memory::after;
use super::super::store::KeyPage;
use super::database::Failure;

pub(super) const ENTRIES: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("entries");

/// The bytes of the quota that the entries use, written in the transaction that changes them.
pub(super) const USED: TableDefinition<'static, (), u64> = TableDefinition::new("used");

type Entries = ReadOnlyTable<&'static str, &'static [u8]>;

/// Opens the entries as they are now. Later writes do not change them.
pub(super) fn read(database: &Database) -> Result<Entries, Failure> {
    Ok(database.begin_read()?.open_table(ENTRIES)?)
}

pub(super) fn page(entries: &Entries, cursor: Option<&str>) -> Result<KeyPage, Failure> {
    let range = (after(cursor)?, Bound::Unbounded);
    let mut keys = Vec::new();
    for entry in entries.range::<&str>(range)? {
        if keys.len() == MAX_PAGE_KEYS {
            return Ok(KeyPage { cursor: keys.last().cloned(), keys });
        }
        keys.push(entry?.0.value().to_owned());
    }
    Ok(KeyPage { keys, cursor: None })
}

/// Copies a value out of the file.
pub(super) fn bytes_of(value: &[u8], limits: &Limits) -> Result<Bytes, Problem> {
    limits.check_stored(length(value))?;
    Ok(Bytes::copy_from_slice(value))
}

/// The tables within a write transaction.
pub(super) struct Tables<'t> {
    entries: Table<'t, &'static str, &'static [u8]>,
    used: u64,
    changed: bool,
}

/// Runs `work` in one write transaction, which changes all that `work` changes, or nothing if it fails or the quota
/// does not allow it.
pub(super) fn write<T>(
    database: &Database,
    limits: &Limits,
    work: impl FnOnce(&mut Tables<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let transaction = database.begin_write()?;
    let (result, changed) = {
        let mut used = transaction.open_table(USED)?;
        let before = used.get(())?.map_or(0, |used| used.value());
        let mut tables = Tables { entries: transaction.open_table(ENTRIES)?, used: before, changed: false };
        let result = work(&mut tables)?;
        limits.check_total(before, tables.used)?;
        if tables.used != before {
            used.insert((), tables.used)?;
        }
        (result, tables.changed)
    };
    // A commit waits for the disk.
    if changed {
        transaction.commit()?
    } else {
        transaction.abort()?
    }
    Ok(result)
}

impl Tables<'_> {
    /// Passes the value of `key` to `look`, without a copy of it.
    pub(super) fn with<T>(&self, key: &str, look: impl FnOnce(Option<&[u8]>) -> T) -> Result<T, Failure> {
        let value = self.entries.get(key)?;
        Ok(look(value.as_ref().map(|value| value.value())))
    }

    pub(super) fn put(&mut self, key: &str, value: &[u8]) -> Result<(), Failure> {
        let former = self.entries.insert(key, value)?.map_or(0, |former| cost(key, length(former.value())));
        self.used = self.used.saturating_sub(former).saturating_add(cost(key, length(value)));
        self.changed = true;
        Ok(())
    }

    pub(super) fn remove(&mut self, key: &str) -> Result<(), Failure> {
        if let Some(former) = self.entries.remove(key)? {
            self.used = self.used.saturating_sub(cost(key, length(former.value())));
            self.changed = true;
        }
        Ok(())
    }
}
