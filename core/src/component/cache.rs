//! Keeps compiled code on disk, so that a second start compiles nothing.
//!
//! An entry is machine code that will run in this process, so everything is checked before it is used: the folder and
//! the file must belong to this user and be writable by no one else, the entry must name the very component and engine
//! settings that are asked for, and its bytes must match its checksum. If any check fails, the entry does not count:
//! the component is compiled, and the entry is written anew.
//!
//! The code comes first in an entry, so that the file can be mapped: the system then reads the parts that are used, when
//! they are used, and processes share them.
//!
//! - [`folder`]: the entries of the folder, and the removal of entries.

pub(crate) mod folder;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use wasmtime::Engine;
use wasmtime::component::Component;

use self::folder::{CacheFolder, CacheLimits};
use super::compile::{self, CompileError};
use crate::config::ByteSize;
use crate::machine;

/// What comes after the code of each entry. The number changes with the layout.
const MAGIC: &[u8; 16] = b"chainhost-code 2";
/// What [`MAGIC`] begins with in each layout.
const ANY_LAYOUT: &[u8] = b"chainhost-code ";
const HASH: usize = 32;
/// The length of all that comes after the code: [`MAGIC`], the key and the checksum.
const TRAILER: usize = MAGIC.len() + 2 * HASH;
/// The most bytes of an entry. Code is a few times as long as its component.
const MOST: ByteSize = ByteSize::gib(4);

/// A folder of compiled components, as one host uses it.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: CacheFolder,
    limits: CacheLimits,
    /// One lock for each component that is being loaded, so that two chainlets of one component do not compile it
    /// twice.
    load_locks: Mutex<HashMap<blake3::Hash, Arc<Mutex<()>>>>,
}

/// The entries that the load of one chain uses.
#[derive(Debug, Default)]
pub(crate) struct Uses(Mutex<Used>);

#[derive(Debug, Default)]
struct Used {
    /// The names of the entries.
    names: HashSet<String>,
    /// True if one of them was written.
    wrote: bool,
}

impl Cache {
    /// Opens the cache in `folder`, which is made if it does not exist.
    ///
    /// # Errors
    ///
    /// Fails if the folder cannot be made, or if others than this user may write to it.
    pub(crate) fn open(folder: &Path, limits: CacheLimits) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
        only_ours(&fs::metadata(folder)?)?;
        Ok(Cache { folder: CacheFolder::new(folder), limits, load_locks: Mutex::default() })
    }

    /// Returns the folder in which this user's cache is by default; `None` if the system names no home for it.
    pub(crate) fn default_folder() -> Option<PathBuf> {
        use etcetera::BaseStrategy;
        let strategy = etcetera::choose_base_strategy().ok()?;
        Some(strategy.cache_dir().join("chainhost").join("code"))
    }

    /// Returns the compiled form of `wasm`: from the cache if it is there, or else from `compile`, whose result is put
    /// into the cache.
    ///
    /// # Errors
    ///
    /// Fails if `wasm` does not compile, or if the machine does not run compiled code. If the cache cannot be read or
    /// written, this costs only time, and is logged.
    pub(crate) fn get_or_compile(
        &self,
        engine: &Engine,
        wasm: &[u8],
        uses: &Uses,
        compile: impl FnOnce() -> Result<Vec<u8>, CompileError>,
    ) -> Result<Component, CompileError> {
        let key = key(engine, wasm);
        let lock = self.load_locks().entry(key).or_default().clone();
        let loaded = {
            let _turn = lock.lock().unwrap_or_else(PoisonError::into_inner);
            self.load(engine, &key, uses, compile)
        };
        let mut load_locks = self.load_locks();
        // Two references are this one and the map's, so nobody else waits for the turn.
        if Arc::strong_count(&lock) <= 2 {
            load_locks.remove(&key);
        }
        loaded
    }

    fn load_locks(&self) -> MutexGuard<'_, HashMap<blake3::Hash, Arc<Mutex<()>>>> {
        self.load_locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(
        &self,
        engine: &Engine,
        key: &blake3::Hash,
        uses: &Uses,
        compile: impl FnOnce() -> Result<Vec<u8>, CompileError>,
    ) -> Result<Component, CompileError> {
        let name = folder::name(key);
        let path = self.folder.path().join(&name);
        uses.note(name);
        match self.verified(&path, key).map(|entry| entry.map(|entry| entry.load(engine))) {
            Ok(Some(Ok(component))) => return Ok(component),
            // Compiling again would meet the same refusal of the system.
            Ok(Some(Err(error))) if machine::system_error(&error).is_some() => {
                return Err(CompileError::machine(&error));
            }
            Ok(Some(Err(error))) => {
                tracing::warn!(file = %path.display(), %error, "cached code is unusable: compiling again");
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(file = %path.display(), %error, "cached code is unusable: compiling again"),
        }
        let code = compile()?;
        self.put(&path, key, uses, &code);
        // The mapped file needs no memory of its own.
        if let Ok(Some(entry)) = self.verified(&path, key)
            && let Ok(component) = entry.load(engine)
        {
            return Ok(component);
        }
        compile::load(engine, &code)
    }

    /// Returns the functions that [`Cache::put_functions`] kept under `key`; `None` if there are none.
    pub(super) fn functions(&self, key: &blake3::Hash, uses: &Uses) -> Option<Vec<u8>> {
        let name = folder::name(key);
        let path = self.folder.path().join(&name);
        uses.note(name);
        let read = self.verified(&path, key).and_then(|entry| entry.map(VerifiedEntry::read).transpose());
        read.unwrap_or_else(|error| {
            tracing::warn!(file = %path.display(), %error, "cached functions are unusable: compiling them again");
            None
        })
    }

    /// Keeps compiled functions under `key`. A failure costs only time, and is logged.
    pub(super) fn put_functions(&self, key: &blake3::Hash, uses: &Uses, functions: &[u8]) {
        let path = self.folder.path().join(folder::name(key));
        self.put(&path, key, uses, functions);
    }

    fn put(&self, path: &Path, key: &blake3::Hash, uses: &Uses, bytes: &[u8]) {
        match self.write(path, key, bytes) {
            Ok(()) => uses.wrote(),
            Err(error) => {
                let help = machine::remedy(&error);
                tracing::warn!(file = %path.display(), %error, help, "compiled code could not be cached");
            }
        }
    }

    /// Removes entries beyond the limits, if the load that used `uses` has written any. A failure is logged.
    pub(crate) fn prune(&self, uses: &Uses) {
        let used = uses.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !used.wrote {
            return;
        }
        let folder = self.folder.path().display();
        match self.folder.prune(self.limits, &used.names, SystemTime::now()) {
            Ok(removed) if removed.entries == 0 => {}
            Ok(removed) => {
                let (entries, bytes) = (removed.entries, removed.bytes);
                tracing::debug!(%folder, entries, bytes, "old compiled code was removed");
            }
            Err(error) => tracing::warn!(%folder, %error, "old compiled code could not be removed"),
        }
    }

    /// Returns an entry that has passed all checks; `None` if there is no entry.
    fn verified(&self, path: &Path, key: &blake3::Hash) -> io::Result<Option<VerifiedEntry>> {
        // Before it is opened: to open a FIFO waits for its writer.
        match path.metadata() {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        let mut file = fs::File::open(path)?;
        let metadata = file.metadata()?;
        only_ours(&metadata)?;
        let foreign = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        if metadata.len() > MOST.as_bytes() {
            return Err(foreign("it is too long"));
        }
        let length = metadata.len().checked_sub(TRAILER as u64).ok_or_else(|| foreign("it is too short"))?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(Read::by_ref(&mut file).take(length))?;
        let mut trailer = [0; TRAILER];
        file.read_exact(&mut trailer)?;
        let Some(named) = trailer.strip_prefix(MAGIC) else {
            // Before layout 2, this came first.
            let mut beginning = [0; MAGIC.len()];
            file.rewind()?;
            file.read_exact(&mut beginning)?;
            return match trailer.starts_with(ANY_LAYOUT) || beginning.starts_with(ANY_LAYOUT) {
                true => Ok(None),
                false => Err(foreign("it is of no layout that is known")),
            };
        };
        let (named, checksum) = named.split_at_checked(HASH).ok_or_else(|| foreign("it is too short"))?;
        if named != key.as_bytes() {
            return Err(foreign("it is of another component"));
        }
        if checksum != hasher.finalize().as_bytes() {
            return Err(foreign("its checksum does not match"));
        }
        if let Err(error) = folder::mark_used(&file) {
            // The folder may be read-only. Then no entry is removed from it either.
            tracing::debug!(file = %path.display(), %error, "the use of cached code could not be noted");
        }
        Ok(Some(VerifiedEntry { path: path.to_owned(), file, length }))
    }

    /// Writes an entry whole or not at all, because other processes may be reading or writing it.
    fn write(&self, path: &Path, key: &blake3::Hash, code: &[u8]) -> io::Result<()> {
        check_file_limit(TRAILER.saturating_add(code.len()))?;
        let mut file = tempfile::Builder::new().prefix(folder::UNFINISHED).tempfile_in(self.folder.path())?;
        file.write_all(code)?;
        file.write_all(MAGIC)?;
        file.write_all(key.as_bytes())?;
        file.write_all(blake3::hash(code).as_bytes())?;
        file.persist(path)?;
        Ok(())
    }
}

impl Uses {
    fn note(&self, name: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).names.insert(name);
    }

    fn wrote(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).wrote = true;
    }
}

/// An entry from [`Cache::verified`], which has found that this user's chainhost wrote it for this key.
struct VerifiedEntry {
    path: PathBuf,
    file: fs::File,
    /// The length of what comes before the trailer.
    length: u64,
}

impl VerifiedEntry {
    /// Returns what was written.
    fn read(mut self) -> io::Result<Vec<u8>> {
        self.file.rewind()?;
        let mut bytes = Vec::new();
        self.file.take(self.length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Makes the code ready to run. Where the system maps no code from this folder, as on a file system without the
    /// permission to execute, reads it into memory.
    fn load(self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: `deserialize_file` needs the bytes that `serialize` wrote, unchanged for as long as the component lives.
        // A `VerifiedEntry` comes only from `Cache::verified`: it is a file in a folder to which only this user can write.
        // The file is named by the hash of this component and these engine settings, holds that hash, and has a matching
        // checksum. The cache writes no file a second time: it puts a new one in its place, or removes it, and a mapping
        // goes on with the old one. What follows the code is not looked at. wasmtime checks its own version and settings
        // once more. Only this user could forge all of that, and this user needs no forged cache to run code.
        let mapped = unsafe { Component::deserialize_file(engine, &self.path) };
        mapped.or_else(|_| {
            let code = self.read()?;
            // SAFETY: as above; the bytes are a copy.
            unsafe { Component::deserialize(engine, &code) }
        })
    }
}

fn key(engine: &Engine, wasm: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&crate::engine::compatibility(engine));
    hasher.update(wasm);
    hasher.finalize()
}

/// Returns the key of the functions that are compiled with the code section `code`.
pub(super) fn functions_key(engine: &Engine, code: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_derive_key("chainhost 2026-11 compiled functions of a code section");
    hasher.update(&crate::engine::compatibility(engine));
    hasher.update(code);
    hasher.finalize()
}

/// Rejects a length that exceeds this process's limit for files. Writing it would end a process that does not catch
/// SIGXFSZ.
#[cfg(unix)]
fn check_file_limit(bytes: usize) -> io::Result<()> {
    use rustix::process::{Resource, getrlimit};
    match getrlimit(Resource::Fsize).current {
        Some(limit) if u64::try_from(bytes).is_ok_and(|bytes| bytes > limit) => Err(rustix::io::Errno::FBIG.into()),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn check_file_limit(_: usize) -> io::Result<()> {
    Ok(())
}

/// Rejects a file or folder that someone else could have put there.
#[cfg(unix)]
fn only_ours(metadata: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let refuse = |what| Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return refuse("it belongs to another user");
    }
    if metadata.mode() & 0o022 != 0 {
        return refuse("others may write to it");
    }
    Ok(())
}

#[cfg(not(unix))]
fn only_ours(_: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    fn cache() -> (tempfile::TempDir, Cache, Engine, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("code"), CacheLimits::default()).unwrap();
        let (engine, _) = crate::engine::new(10, false).unwrap();
        get(&cache, &engine, COMPONENT);
        let path = cache.folder.path().join(folder::name(&key(&engine, COMPONENT)));
        (folder, cache, engine, path)
    }

    /// Loads `wasm` as a chain does whose only component it is.
    fn get(cache: &Cache, engine: &Engine, wasm: &[u8]) {
        let uses = Uses::default();
        cache.get_or_compile(engine, wasm, &uses, || Ok(engine.precompile_component(wasm).unwrap())).unwrap();
        cache.prune(&uses);
    }

    #[test]
    fn compiled_code_is_found_again() {
        let (_folder, cache, engine, path) = cache();
        assert!(cache.verified(&path, &key(&engine, COMPONENT)).unwrap().is_some());
    }

    #[test]
    fn an_entry_with_any_changed_byte_is_rejected_and_written_anew() {
        let (_folder, cache, engine, path) = cache();
        let good = fs::read(&path).unwrap();
        let trailer = good.len() - TRAILER;
        for position in [0, trailer - 1, trailer, trailer + MAGIC.len(), good.len() - 1] {
            let mut bad = good.clone();
            bad[position] ^= 1;
            fs::write(&path, &bad).unwrap();
            let entry = cache.verified(&path, &key(&engine, COMPONENT));
            assert!(!matches!(entry, Ok(Some(_))), "byte {position}");
            get(&cache, &engine, COMPONENT);
            assert!(cache.verified(&path, &key(&engine, COMPONENT)).unwrap().is_some(), "byte {position}");
        }
        fs::write(&path, &good[..TRAILER - 1]).unwrap();
        assert!(cache.verified(&path, &key(&engine, COMPONENT)).is_err());
    }

    #[test]
    fn an_entry_of_an_older_layout_does_not_count() {
        let (_folder, cache, engine, path) = cache();
        let older = [b"chainhost-code 1".as_slice(), &[0; 3 * TRAILER]].concat();
        fs::write(&path, older).unwrap();
        assert!(matches!(cache.verified(&path, &key(&engine, COMPONENT)), Ok(None)));
    }

    #[test]
    fn an_entry_of_another_component_under_this_name_is_rejected() {
        let (_folder, cache, engine, path) = cache();
        let other = blake3::hash(b"another component");
        cache.write(&path, &other, b"its code").unwrap();
        assert!(cache.verified(&path, &key(&engine, COMPONENT)).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn files_that_others_may_write_to_are_not_trusted() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, cache, engine, path) = cache();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(cache.verified(&path, &key(&engine, COMPONENT)).is_err());
        fs::set_permissions(cache.folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Cache::open(cache.folder.path(), CacheLimits::default()).is_err());
        assert!(cache.folder.contents().is_err());
        assert!(cache.folder.clear().is_err());
    }

    #[test]
    fn a_new_entry_removes_other_entries_but_none_of_its_chain() {
        const OTHER: &[u8] = b"\0asm\x0d\0\x01\0\0\x02\x01a";
        let (_folder, mut cache, engine, path) = cache();
        cache.limits.bytes = 1;
        let uses = Uses::default();
        for wasm in [COMPONENT, OTHER] {
            cache.get_or_compile(&engine, wasm, &uses, || Ok(engine.precompile_component(wasm).unwrap())).unwrap();
        }
        cache.prune(&uses);
        assert_eq!(cache.folder.contents().unwrap().entries, 2, "both are of the chain");
        get(&cache, &engine, COMPONENT);
        assert_eq!(cache.folder.contents().unwrap().entries, 2, "nothing was written, and nothing was looked at");
        fs::remove_file(&path).unwrap();
        get(&cache, &engine, COMPONENT);
        assert_eq!(cache.folder.contents().unwrap().entries, 1);
        assert!(path.exists());
    }

    #[test]
    fn no_turn_stays_once_its_component_is_loaded() {
        let (_folder, cache, ..) = cache();
        assert!(cache.load_locks().is_empty());
    }
}
