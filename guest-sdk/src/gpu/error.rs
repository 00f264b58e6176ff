//! The reasons why the GPU did not do something.

use crate::host::chainlet::host::gpu as host;

/// The reason why something could not be done on the GPU.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// The kind of an [`Error`]. Programs decide by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request breaks a rule of WebGPU or WGSL. It fails each time.
    Invalid,
    /// This host or this GPU does not offer it.
    Unsupported,
    /// The request would exceed the limits that chain.toml sets for this
    /// chainlet. It may succeed once other buffers are dropped.
    Quota,
    /// The GPU has no room for it.
    OutOfMemory,
    /// Something took longer than chain.toml allows. The device is lost as
    /// well.
    Timeout,
    /// The device is gone, with everything that was made from it.
    /// [`Gpu::open`](super::Gpu::open) may return a new one.
    DeviceLost,
}

impl Error {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into() }
    }

    /// Makes the error of a request that cannot be right.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Invalid, message)
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns what is wrong. If a shader is wrong, this includes the place in
    /// it.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl From<host::Error> for Error {
    fn from(error: host::Error) -> Self {
        let kind = match error.kind {
            host::ErrorKind::Invalid => ErrorKind::Invalid,
            host::ErrorKind::Unsupported => ErrorKind::Unsupported,
            host::ErrorKind::Quota => ErrorKind::Quota,
            host::ErrorKind::OutOfMemory => ErrorKind::OutOfMemory,
            host::ErrorKind::Timeout => ErrorKind::Timeout,
            host::ErrorKind::DeviceLost => ErrorKind::DeviceLost,
        };
        Error { kind, message: error.message }
    }
}
