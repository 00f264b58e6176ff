//! The Python SDK: that of the checkout in which this program was built, or else the copy in the program.

use std::io;
use std::path::{Path, PathBuf};

use include_dir::{Dir, DirEntry, include_dir};

use crate::cli::Failure;

/// The sources of the SDK in the checkout.
const BESIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-sdk/python/src");

/// The same sources, for a program that is used elsewhere.
static INSIDE: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/python");

/// Returns the folder in which Python finds the package `chainlet`. It may be written to `cache`.
pub(super) fn folder(cache: &Path) -> Result<PathBuf, Failure> {
    let beside = Path::new(BESIDE);
    if beside.join("chainlet/__init__.py").is_file() {
        return Ok(beside.to_owned());
    }
    unpacked(cache)
        .map_err(|error| Failure::system(format_args!("the SDK cannot be written to {}", cache.display()), &error))
}

/// Writes the copy in the program to a folder in `cache` that is named by its content.
fn unpacked(cache: &Path) -> io::Result<PathBuf> {
    let mut files = Vec::new();
    collect(&INSIDE, &mut files);
    let mut hasher = blake3::Hasher::new();
    for (path, bytes) in &files {
        hasher.update(path.as_os_str().as_encoded_bytes()).update(bytes);
    }
    let folder = cache.join(format!("sdk-{}", hasher.finalize().to_hex().chars().take(16).collect::<String>()));
    if folder.is_dir() {
        return Ok(folder);
    }
    std::fs::create_dir_all(cache)?;
    let partial = tempfile::Builder::new().prefix("sdk-").tempdir_in(cache)?;
    for (path, bytes) in files {
        let path = partial.path().join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, bytes)?;
    }
    match std::fs::rename(partial.path(), &folder) {
        // Another process was faster.
        Err(_) if folder.is_dir() => Ok(folder),
        renamed => renamed.map(|()| folder),
    }
}

fn collect(folder: &Dir<'static>, files: &mut Vec<(&'static Path, &'static [u8])>) {
    for entry in folder.entries() {
        match entry {
            // Python writes this folder where it runs.
            DirEntry::Dir(inner) if inner.path().ends_with("__pycache__") => {}
            DirEntry::Dir(inner) => collect(inner, files),
            DirEntry::File(file) => files.push((file.path(), file.contents())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_in_the_program_is_written_once() {
        let cache = tempfile::tempdir().unwrap();
        let folder = unpacked(cache.path()).unwrap();
        let module = folder.join("chainlet/__init__.py");
        let original = Path::new(BESIDE).join("chainlet/__init__.py");
        assert_eq!(std::fs::read(&module).unwrap(), std::fs::read(original).unwrap());
        std::fs::write(&module, "changed").unwrap();
        assert_eq!(unpacked(cache.path()).unwrap(), folder);
        assert_eq!(std::fs::read_to_string(module).unwrap(), "changed");
        assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 1);
    }
}
