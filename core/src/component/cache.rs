//! Keeps compiled code on disk, so that a second start compiles nothing.
//!
//! An entry is machine code that will run in this process, so everything is checked before it is used: the folder and
//! the file must belong to this user and be writable by no one else, the entry must name the very component and engine
//! settings that are asked for, and its bytes must match its checksum. If any check fails, the entry does not count:
//! the component is compiled, and the entry is written anew.
//!
//! - [`folder`]: the entries of the folder, and the removal of entries.

pub(crate) mod folder;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use wasmtime::Engine;
use wasmtime::component::Component;

use self::folder::{CacheFolder, CacheLimits};
use super::compile::{self, CompileError};
use crate::bounded_file;
use crate::config::ByteSize;
use crate::machine;

/// The beginning of each entry. The number changes with the layout.
const MAGIC: &[u8; 16] = b"chainhost-code 1";
const HASH: usize = 32;
const HEADER: usize = MAGIC.len() + 2 * HASH;
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
        match self.read(&path, key).map(|entry| entry.map(|code| deserialize(engine, &code))) {
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
        compile::load(engine, &code)
    }

    /// Returns the functions that [`Cache::put_functions`] kept under `key`; `None` if there are none.
    pub(super) fn functions(&self, key: &blake3::Hash, uses: &Uses) -> Option<Vec<u8>> {
        let name = folder::name(key);
        let path = self.folder.path().join(&name);
        uses.note(name);
        self.read(&path, key).map(|entry| entry.map(|VerifiedCode(functions)| functions)).unwrap_or_else(|error| {
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

    /// Returns the checked code of an entry; `None` if there is no entry.
    fn read(&self, path: &Path, key: &blake3::Hash) -> io::Result<Option<VerifiedCode>> {
        // Before it is opened: to open a FIFO waits for its writer.
        match path.metadata() {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        let file = fs::File::open(path)?;
        only_ours(&file.metadata()?)?;
        let mut bytes = bounded_file::read_open(&file, MOST)?;
        let foreign = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let (header, code) = bytes.split_at_checked(HEADER).ok_or_else(|| foreign("it is too short"))?;
        let header = header.strip_prefix(MAGIC).ok_or_else(|| foreign("it is of another layout"))?;
        let (named, checksum) = header.split_at_checked(HASH).ok_or_else(|| foreign("it is too short"))?;
        if named != key.as_bytes() {
            return Err(foreign("it is of another component"));
        }
        if checksum != blake3::hash(code).as_bytes() {
            return Err(foreign("its checksum does not match"));
        }
        bytes.drain(..HEADER);
        if let Err(error) = folder::mark_used(&file) {
            // The folder may be read-only. Then no entry is removed from it either.
            tracing::debug!(file = %path.display(), %error, "the use of cached code could not be noted");
        }
        Ok(Some(VerifiedCode(bytes)))
    }

    /// Writes an entry whole or not at all, because other processes may be reading or writing it.
    fn write(&self, path: &Path, key: &blake3::Hash, code: &[u8]) -> io::Result<()> {
        check_file_limit(HEADER.saturating_add(code.len()))?;
        let mut file = tempfile::Builder::new().prefix(folder::UNFINISHED).tempfile_in(self.folder.path())?;
        file.write_all(MAGIC)?;
        file.write_all(key.as_bytes())?;
        file.write_all(blake3::hash(code).as_bytes())?;
        file.write_all(code)?;
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

/// Code from [`Cache::read`], which has found that this user's chainhost wrote it for this component and engine.
struct VerifiedCode(Vec<u8>);

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

fn deserialize(engine: &Engine, code: &VerifiedCode) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` needs the bytes that `serialize` wrote, unchanged. `VerifiedCode` comes only from `Cache::read`:
    // it is a file in a folder to which only this user can write. The file is named by the hash of this component and
    // these engine settings, holds that hash, and has a matching checksum. wasmtime checks its own version and settings
    // once more. Only this user could forge all of that, and this user needs no forged cache to run code.
    unsafe { Component::deserialize(engine, &code.0) }
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
        assert!(cache.read(&path, &key(&engine, COMPONENT)).unwrap().is_some());
    }

    #[test]
    fn an_entry_with_any_changed_byte_is_rejected_and_written_anew() {
        let (_folder, cache, engine, path) = cache();
        let good = fs::read(&path).unwrap();
        for position in [0, MAGIC.len(), MAGIC.len() + HASH, HEADER, good.len() - 1] {
            let mut bad = good.clone();
            bad[position] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(cache.read(&path, &key(&engine, COMPONENT)).is_err(), "byte {position}");
            get(&cache, &engine, COMPONENT);
            assert!(cache.read(&path, &key(&engine, COMPONENT)).unwrap().is_some(), "byte {position}");
        }
        fs::write(&path, &good[..HEADER - 1]).unwrap();
        assert!(cache.read(&path, &key(&engine, COMPONENT)).is_err());
    }

    #[test]
    fn an_entry_of_another_component_under_this_name_is_rejected() {
        let (_folder, cache, engine, path) = cache();
        let other = blake3::hash(b"another component");
        cache.write(&path, &other, b"its code").unwrap();
        assert!(cache.read(&path, &key(&engine, COMPONENT)).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn files_that_others_may_write_to_are_not_trusted() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, cache, engine, path) = cache();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(cache.read(&path, &key(&engine, COMPONENT)).is_err());
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
