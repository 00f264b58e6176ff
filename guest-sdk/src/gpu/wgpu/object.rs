//! Objects that may be invalid.

use std::sync::Arc;

use crate::gpu::Error;

/// An object of the host, or an invalid one. Making the invalid one failed,
/// which was reported as an error. Using it is another error.
#[derive(Debug)]
pub struct Object<H> {
    kind: &'static str,
    label: String,
    handle: Option<Arc<H>>,
}

impl<H> Object<H> {
    pub fn new(kind: &'static str, label: Option<&str>, handle: Option<H>) -> Self {
        Object { kind, label: label.unwrap_or_default().to_owned(), handle: handle.map(Arc::new) }
    }

    pub fn invalid(kind: &'static str) -> Self {
        Object::new(kind, None, None)
    }

    /// The object, if it is valid.
    pub fn get(&self) -> Result<&Arc<H>, Error> {
        self.handle.as_ref().ok_or_else(|| invalid(self.kind, &self.label))
    }
}

/// Makes the error that an object is invalid.
pub fn invalid(kind: &str, label: &str) -> Error {
    Error::invalid(format!("{kind} with '{label}' label is invalid"))
}

/// Returns an object of this backend. Fails for one of another backend, which
/// wgpu allows code to mix in.
pub fn ours<T>(object: Option<&T>) -> Result<&T, Error> {
    object.ok_or_else(|| Error::invalid("an object of another backend cannot be used with a chainlet's GPU"))
}
