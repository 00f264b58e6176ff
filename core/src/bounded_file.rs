//! Reads files that users name, which may be anything: a FIFO that nobody writes, a device without end, a file of terabytes.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;

use crate::config::ByteSize;

/// The most bytes of a text that people write: a chain.toml, secrets, keys, certificates.
pub const TEXT: ByteSize = ByteSize::mib(16);
/// The most bytes of a component.
pub const COMPONENT: ByteSize = ByteSize::mib(512);

/// Reads the file at `path`.
///
/// # Errors
/// Fails if it is no regular file, if it has more than `limit` bytes, or if it cannot be read.
pub fn read(path: &Path, limit: ByteSize) -> io::Result<Vec<u8>> {
    // Before it is opened: to open a FIFO waits for its writer.
    check(&path.metadata()?, limit)?;
    read_open(&File::open(path)?, limit)
}

/// Reads an open file. The errors are those of [`read`].
pub fn read_open(file: &File, limit: ByteSize) -> io::Result<Vec<u8>> {
    // Once more, because another file may have taken its place.
    check(&file.metadata()?, limit)?;
    let mut bytes = Vec::new();
    // A file may grow while it is read.
    file.take(limit.as_bytes().saturating_add(1)).read_to_end(&mut bytes)?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length > limit.as_bytes() { Err(too_large(length, limit)) } else { Ok(bytes) }
}

fn check(metadata: &Metadata, limit: ByteSize) -> io::Result<()> {
    if metadata.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    if !metadata.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a FIFO, a socket or a device, and no regular file",
        ));
    }
    if metadata.len() > limit.as_bytes() { Err(too_large(metadata.len(), limit)) } else { Ok(()) }
}

fn too_large(length: u64, limit: ByteSize) -> io::Error {
    let message = format!("it has {}, and may have at most {limit}", ByteSize::bytes(length));
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_at_most_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [7; 1024]).unwrap();
        assert_eq!(read(&path, ByteSize::kib(1)).unwrap().len(), 1024);
        let error = read(&path, ByteSize::bytes(1023)).unwrap_err().to_string();
        assert_eq!(error, "it has 1KiB, and may have at most 1023B");
    }

    #[cfg(unix)]
    #[test]
    fn a_fifo_and_a_device_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        for path in [fifo.as_path(), Path::new("/dev/zero")] {
            assert_eq!(read(path, TEXT).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{}", path.display());
        }
        assert_eq!(read(folder.path(), TEXT).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }
}
