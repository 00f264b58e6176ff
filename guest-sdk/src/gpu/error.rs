//! Why the GPU did not do something.

use crate::host::chainlet::host::gpu as host;

/// Why something could not be done on the GPU.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// What kind of failure an [`Error`] is, by which a program decides what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked for breaks a rule of WebGPU or WGSL. It fails each time.
    Invalid,
    /// This host, or this GPU, does not offer it.
    Unsupported,
    /// It would go beyond what chain.toml lets this chainlet have. It may
    /// succeed once other buffers are dropped.
    Quota,
    /// The GPU has no room for it.
    OutOfMemory,
    /// Something took longer than chain.toml allows. The device is lost with it.
    Timeout,
    /// The device is gone, with everything that was made from it.
    /// [`Gpu::open`](super::Gpu::open) may get another.
    DeviceLost,
}

impl Error {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into() }
    }

    /// What was asked for cannot be right.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Invalid, message)
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What is wrong, with the place in the shader where it is one.
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
