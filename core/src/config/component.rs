//! The place that the component of a chainlet comes from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// The place that a component comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum ComponentSource {
    /// A file, relative to [`ChainSpec::base_dir`](super::ChainSpec::base_dir) unless it is absolute.
    File(PathBuf),
    /// The component itself, in memory.
    Bytes(Arc<[u8]>),
}

/// Shows the size of a component in memory rather than its bytes, because nobody wants to read a component in a log.
impl fmt::Debug for ComponentSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
        }
    }
}

/// Writes the path, or the number of bytes in memory, for people.
impl fmt::Display for ComponentSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Bytes(bytes) => write!(f, "<{} bytes in memory>", bytes.len()),
        }
    }
}

impl Serialize for ComponentSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<PathBuf> for ComponentSource {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&Path> for ComponentSource {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<&str> for ComponentSource {
    fn from(path: &str) -> Self {
        Self::File(PathBuf::from(path))
    }
}

impl From<String> for ComponentSource {
    fn from(path: String) -> Self {
        Self::File(PathBuf::from(path))
    }
}

impl From<Vec<u8>> for ComponentSource {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<Arc<[u8]>> for ComponentSource {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self::Bytes(bytes)
    }
}
