//! The folder of compiled components: its entries, and the removal of entries when it grows too large or they grow too
//! old.
//!
//! Several processes use one folder, and none waits for another. A process reads an entry whole before it uses it, and
//! an entry appears whole under its name. So an entry may be removed at any time: the next process that needs it
//! compiles its component again.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Cache, only_ours};

/// The end of an entry's name. The rest of the name is the hash of the entry's component and engine, in hexadecimal
/// digits.
const ENTRY: &str = ".bin";
/// The beginning of the name of an unfinished entry.
pub(super) const UNFINISHED: &str = ".tmp";
/// The time without a change after which an unfinished entry is removed: the process that wrote it must have ended.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

/// The limits of how much compiled code a folder keeps.
///
/// They are enforced after the load of a chain if a component of it was not in the folder. First, entries that were not
/// used for [`CacheLimits::age`] are removed. Then the least recently used entries are removed, until the others have
/// no more than [`CacheLimits::bytes`]. The entries of the chain itself stay, even if they alone have more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheLimits {
    /// The most bytes that all entries have together, 2 GiB by default.
    pub bytes: u64,
    /// The time for which an entry stays after its last use, 30 days by default.
    pub age: Duration,
}

impl Default for CacheLimits {
    fn default() -> Self {
        CacheLimits { bytes: 2 << 30, age: Duration::from_secs(30 * 24 * 60 * 60) }
    }
}

/// A folder of compiled components, to look at and to clear.
///
/// ```no_run
/// # use chainhost_core as chainhost;
/// # use chainhost::component::CacheFolder;
/// # fn example() -> std::io::Result<()> {
/// if let Some(folder) = CacheFolder::of_this_user() {
///     println!("{} has {} entries", folder.path().display(), folder.contents()?.entries);
///     folder.clear()?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct CacheFolder(PathBuf);

/// A summary of entries of a [`CacheFolder`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheContents {
    /// The number of entries.
    pub entries: u64,
    /// The number of bytes that they have together.
    pub bytes: u64,
    /// The last use of the entry that was not used for the longest time; `None` if there are no entries.
    pub oldest_use: Option<SystemTime>,
}

/// A file that the cache wrote.
struct File {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
    /// True if it is an entry; false if it is an unfinished one.
    is_entry: bool,
}

impl CacheFolder {
    /// Returns the folder at `path`, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        CacheFolder(path.into())
    }

    /// Returns the folder that hosts use by default; `None` if the system names no home for it.
    pub fn of_this_user() -> Option<Self> {
        Cache::default_folder().map(CacheFolder)
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Counts the entries in it.
    ///
    /// # Errors
    ///
    /// Fails if the folder cannot be read, or if others than this user may write to it, because hosts use no such
    /// folder.
    pub fn contents(&self) -> io::Result<CacheContents> {
        let mut contents = CacheContents::default();
        for file in self.files()?.iter().filter(|file| file.is_entry) {
            contents.add(file);
        }
        Ok(contents)
    }

    /// Removes every entry, and returns what it removed. This does not disturb running processes: they have read the
    /// entries that they use.
    ///
    /// # Errors
    ///
    /// Fails if the folder or an entry cannot be read or removed, or if others than this user may write to the folder,
    /// because hosts use no such folder.
    pub fn clear(&self) -> io::Result<CacheContents> {
        let now = SystemTime::now();
        let mut removed = CacheContents::default();
        for file in self.files()? {
            if !file.is_entry {
                if file.is_abandoned(now) {
                    file.remove()?;
                }
            } else if file.remove()? {
                removed.add(&file);
            }
        }
        Ok(removed)
    }

    /// Removes the entries that exceed `limits` at the time `now`, but none whose name is in `keep`. Returns what it
    /// removed.
    pub(super) fn prune(
        &self,
        limits: CacheLimits,
        keep: &HashSet<String>,
        now: SystemTime,
    ) -> io::Result<CacheContents> {
        let mut files = self.files()?;
        files.sort_by_key(|file| file.used);
        let mut removed = CacheContents::default();
        let mut bytes: u64 = files.iter().filter(|file| file.is_entry).map(|file| file.bytes).sum();
        for file in files {
            if !file.is_entry {
                if file.is_abandoned(now) {
                    file.remove()?;
                }
                continue;
            }
            let is_too_old = file.unused_for(now) > limits.age;
            if (is_too_old || bytes > limits.bytes) && !keep.contains(file.name()) {
                bytes = bytes.saturating_sub(file.bytes);
                if file.remove()? {
                    removed.add(&file);
                }
            }
        }
        Ok(removed)
    }

    /// Returns the files that the cache wrote. Files with other names belong to somebody else, and are left alone.
    fn files(&self) -> io::Result<Vec<File>> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        only_ours(&fs::metadata(&self.0)?)?;
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| is_entry(name) || name.starts_with(UNFINISHED)) else {
                continue;
            };
            match entry.metadata() {
                Ok(metadata) if metadata.is_file() => files.push(File {
                    path: entry.path(),
                    bytes: metadata.len(),
                    used: used(&metadata)?,
                    is_entry: is_entry(name),
                }),
                Ok(_) => {}
                // Another process has removed it since the folder was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }
}

impl CacheContents {
    fn add(&mut self, file: &File) {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(file.bytes);
        self.oldest_use = Some(self.oldest_use.map_or(file.used, |oldest| oldest.min(file.used)));
    }
}

impl File {
    fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Returns the time for which it was not used. The time is zero if a clock was set back, so that the last use is in
    /// the future.
    fn unused_for(&self, now: SystemTime) -> Duration {
        now.duration_since(self.used).unwrap_or_default()
    }

    fn is_abandoned(&self, now: SystemTime) -> bool {
        !self.is_entry && self.unused_for(now) > ABANDONED
    }

    /// Removes it. Returns false if another process has removed it.
    fn remove(&self) -> io::Result<bool> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Returns the name of the entry with this key.
pub(super) fn name(key: &blake3::Hash) -> String {
    format!("{}{ENTRY}", key.to_hex())
}

fn is_entry(name: &str) -> bool {
    name.strip_suffix(ENTRY).is_some_and(|key| blake3::Hash::from_hex(key).is_ok())
}

/// Returns the time of a file's last use. [`mark_used`] sets the time of its last access, because many file systems do
/// not.
fn used(metadata: &Metadata) -> io::Result<SystemTime> {
    let written = metadata.modified()?;
    Ok(metadata.accessed().map_or(written, |accessed| accessed.max(written)))
}

/// Notes that an entry is used now.
pub(super) fn mark_used(file: &fs::File) -> io::Result<()> {
    file.set_times(fs::FileTimes::new().set_accessed(SystemTime::now()))
}

#[cfg(test)]
mod tests;
