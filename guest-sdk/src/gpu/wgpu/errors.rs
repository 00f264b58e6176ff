//! Errors as in WebGPU: each goes to the innermost scope of its kind, or to a
//! handler.

use std::error::Error as _;
use std::fmt::{self, Debug, Display};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use wgpu::{Error, ErrorFilter, UncapturedErrorHandler};

use super::shared::lock;
use crate::gpu;

/// The scopes and the handler of a device.
#[derive(Default)]
pub struct Errors {
    scopes: Mutex<Vec<Scope>>,
    next: AtomicU32,
    handler: Mutex<Option<Arc<dyn UncapturedErrorHandler>>>,
}

/// An error scope. It keeps the first error of its kind.
struct Scope {
    index: u32,
    filter: ErrorFilter,
    error: Option<Error>,
}

impl Errors {
    pub fn push(&self, filter: ErrorFilter) -> u32 {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.scopes).push(Scope { index, filter, error: None });
        index
    }

    /// Ends a scope. It may not be the innermost one, because several calls of
    /// a chainlet use one device in turn.
    pub fn pop(&self, index: u32) -> Option<Error> {
        let mut scopes = lock(&self.scopes);
        let place = scopes.iter().position(|scope| scope.index == index)?;
        scopes.remove(place).error
    }

    pub fn handle_uncaptured(&self, handler: Arc<dyn UncapturedErrorHandler>) {
        *lock(&self.handler) = Some(handler);
    }

    pub fn raise(&self, error: Error) {
        let filter = match &error {
            Error::OutOfMemory { .. } => ErrorFilter::OutOfMemory,
            Error::Validation { .. } => ErrorFilter::Validation,
            Error::Internal { .. } => ErrorFilter::Internal,
        };
        if let Some(scope) = lock(&self.scopes).iter_mut().rev().find(|scope| scope.filter == filter) {
            scope.error.get_or_insert(error);
            return;
        }
        // Nothing is locked while the handler runs, because it may use the
        // device.
        let handler = lock(&self.handler).clone();
        match handler {
            Some(handler) => handler(error),
            #[expect(clippy::panic, reason = "this is what wgpu does with errors that nobody handles")]
            None => panic!("wgpu error: {error}"),
        }
    }
}

impl Debug for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Errors")
    }
}

/// An error, and the function and object that it is about.
#[derive(Debug)]
struct Failure {
    function: &'static str,
    label: String,
    cause: gpu::Error,
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "In {}", self.function)?;
        if !self.label.is_empty() {
            write!(f, ", label = '{}'", self.label)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// Returns the error in wgpu's form. Returns `None` for the loss of the device,
/// which wgpu reports in another way.
pub fn error_of(function: &'static str, label: &str, cause: gpu::Error) -> Option<Error> {
    let kind = cause.kind();
    let failure = Failure { function, label: label.to_owned(), cause };
    match kind {
        gpu::ErrorKind::Invalid | gpu::ErrorKind::Unsupported => {
            let description = description(&failure);
            Some(Error::Validation { source: Box::new(failure), description })
        }
        gpu::ErrorKind::Quota | gpu::ErrorKind::OutOfMemory => Some(Error::OutOfMemory { source: Box::new(failure) }),
        gpu::ErrorKind::Timeout | gpu::ErrorKind::DeviceLost => None,
    }
}

/// Returns the text that wgpu itself would write.
fn description(failure: &Failure) -> String {
    let cause = failure.source().map(ToString::to_string).unwrap_or_default();
    format!("Validation Error\n\nCaused by:\n  {failure}\n    {}\n", cause.trim_end().replace('\n', "\n    "))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn invalid(message: &str) -> Error {
        error_of("Device::create_buffer", "b", gpu::Error::invalid(message)).unwrap()
    }

    #[test]
    fn a_description_names_the_function() {
        let expected = "Validation Error\n\nCaused by:\n  In Device::create_buffer, label = 'b'\n    no\n    no\n";
        assert_eq!(invalid("no\nno").to_string(), expected);
    }

    #[test]
    fn the_innermost_scope_of_its_kind_keeps_the_first_error() {
        let errors = Errors::default();
        let outer = errors.push(ErrorFilter::Validation);
        let inner = errors.push(ErrorFilter::Validation);
        let memory = errors.push(ErrorFilter::OutOfMemory);
        errors.raise(invalid("first"));
        errors.raise(invalid("second"));
        errors.raise(error_of("f", "", gpu::Error::new(gpu::ErrorKind::Quota, "full")).unwrap());
        assert!(matches!(errors.pop(memory), Some(Error::OutOfMemory { .. })));
        assert!(errors.pop(inner).unwrap().to_string().contains("first"));
        assert!(errors.pop(outer).is_none());
        assert!(errors.pop(outer).is_none());
    }

    #[test]
    fn an_error_without_a_scope_goes_to_the_handler() {
        let (errors, count) = (Errors::default(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&count);
        errors.handle_uncaptured(Arc::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        }));
        let scope = errors.push(ErrorFilter::Internal);
        errors.raise(invalid("no"));
        assert!(errors.pop(scope).is_none());
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn the_loss_of_a_device_is_no_error() {
        assert!(error_of("f", "", gpu::Error::new(gpu::ErrorKind::Timeout, "late")).is_none());
    }
}
