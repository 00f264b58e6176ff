//! Compiled code on disk, so that a second start compiles nothing.
//!
//! An entry is machine code that will run in this process, so what is read back is checked before it is used: the folder
//! and the file must belong to this user and be writable by no one else, the entry must name the very component and
//! engine settings that are asked for, and its bytes must match its checksum. Anything else counts as no entry: the
//! component is compiled and the entry written anew.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::Engine;
use wasmtime::component::Component;

/// Begins each entry; the number changes with the layout.
const MAGIC: &[u8; 16] = b"chainhost-code 1";
const HASH: usize = 32;
const HEADER: usize = MAGIC.len() + 2 * HASH;

/// A folder of compiled components.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    /// One turn a component, so that two chainlets of one component do not compile it twice.
    turns: Mutex<HashMap<blake3::Hash, Arc<Mutex<()>>>>,
}

impl Cache {
    /// The cache in `folder`, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// Where the folder can't be made, or others than this user may write to it.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
        only_ours(&fs::metadata(folder)?)?;
        Ok(Cache { folder: folder.to_path_buf(), turns: Mutex::default() })
    }

    /// The folder that this user's cache is in by default; `None` where the system names no home for it.
    pub(crate) fn default_folder() -> Option<PathBuf> {
        use etcetera::BaseStrategy;
        let strategy = etcetera::choose_base_strategy().ok()?;
        Some(strategy.cache_dir().join("chainhost").join("code"))
    }

    /// The compiled form of `wasm`: from the cache where it is there, else compiled and put there.
    ///
    /// # Errors
    ///
    /// Where `wasm` does not compile. That the cache can't be read or written is logged, and costs only time.
    pub(crate) fn get_or_compile(&self, engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Component> {
        let key = key(engine, wasm);
        let path = self.folder.join(format!("{}.bin", key.to_hex()));
        let turn = self.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        match self.read(&path, &key) {
            Ok(Some(entry)) => match deserialize(engine, &entry) {
                Ok(component) => return Ok(component),
                Err(error) => {
                    tracing::warn!(file = %path.display(), %error, "cached code is unusable: compiling again")
                }
            },
            Ok(None) => {}
            Err(error) => tracing::warn!(file = %path.display(), %error, "cached code is unusable: compiling again"),
        }
        let component = Component::from_binary(engine, wasm)?;
        if let Err(error) = self.write(&path, &key, &component.serialize()?) {
            tracing::warn!(file = %path.display(), %error, "compiled code could not be cached");
        }
        Ok(component)
    }

    /// The checked code of an entry; `None` where there is no entry.
    fn read(&self, path: &Path, key: &blake3::Hash) -> io::Result<Option<Checked>> {
        let mut file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        only_ours(&file.metadata()?)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
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
        Ok(Some(Checked(bytes)))
    }

    /// Writes an entry whole or not at all, as others may be reading or writing it.
    fn write(&self, path: &Path, key: &blake3::Hash, code: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(MAGIC)?;
        file.write_all(key.as_bytes())?;
        file.write_all(blake3::hash(code).as_bytes())?;
        file.write_all(code)?;
        file.persist(path)?;
        Ok(())
    }
}

/// Code that [`Cache::read`] has found to be what this user's chainhost wrote for this component and engine.
struct Checked(Vec<u8>);

fn key(engine: &Engine, wasm: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&crate::engine::compatibility(engine));
    hasher.update(wasm);
    hasher.finalize()
}

fn deserialize(engine: &Engine, code: &Checked) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` wants what `serialize` wrote, unchanged. `Checked` comes only from `Cache::read`: a file in
    // a folder that only this user can write to, named by and holding the hash of this component and these engine
    // settings, with a matching checksum. wasmtime checks its own version and settings once more. Whoever can forge all
    // of that is this user, and needs no forged cache to run code.
    unsafe { Component::deserialize(engine, &code.0) }
}

/// Refuses what someone else could have put there.
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
        let cache = Cache::open(&folder.path().join("code")).unwrap();
        let engine = crate::engine::new(10).unwrap();
        cache.get_or_compile(&engine, COMPONENT).unwrap();
        let path = cache.folder.join(format!("{}.bin", key(&engine, COMPONENT).to_hex()));
        (folder, cache, engine, path)
    }

    #[test]
    fn compiled_code_is_found_again() {
        let (_folder, cache, engine, path) = cache();
        assert!(cache.read(&path, &key(&engine, COMPONENT)).unwrap().is_some());
    }

    #[test]
    fn a_changed_byte_anywhere_makes_an_entry_unusable_and_it_is_written_anew() {
        let (_folder, cache, engine, path) = cache();
        let good = fs::read(&path).unwrap();
        for position in [0, MAGIC.len(), MAGIC.len() + HASH, HEADER, good.len() - 1] {
            let mut bad = good.clone();
            bad[position] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(cache.read(&path, &key(&engine, COMPONENT)).is_err(), "byte {position}");
            cache.get_or_compile(&engine, COMPONENT).unwrap();
            assert!(cache.read(&path, &key(&engine, COMPONENT)).unwrap().is_some(), "byte {position}");
        }
        fs::write(&path, &good[..HEADER - 1]).unwrap();
        assert!(cache.read(&path, &key(&engine, COMPONENT)).is_err());
    }

    #[test]
    fn an_entry_of_another_component_under_this_name_is_refused() {
        let (_folder, cache, engine, path) = cache();
        let other = blake3::hash(b"another component");
        cache.write(&path, &other, b"its code").unwrap();
        assert!(cache.read(&path, &key(&engine, COMPONENT)).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn what_others_may_write_to_is_not_trusted() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, cache, engine, path) = cache();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(cache.read(&path, &key(&engine, COMPONENT)).is_err());
        fs::set_permissions(&cache.folder, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Cache::open(&cache.folder).is_err());
    }
}
