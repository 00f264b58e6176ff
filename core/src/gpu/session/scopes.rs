//! Turns wgpu's errors into results.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::FutureExt;
use wgpu::ErrorFilter;

use crate::gpu::protocol::{GpuFailure, GpuFailureKind, Result};
use crate::guest_words::{SENTENCE, clip};

/// The longest message, in bytes. A shader's error quotes the lines around it.
const MESSAGE: usize = 8 * SENTENCE;

/// Does `work`, and returns the first error that it caused.
///
/// Scopes belong to the thread, so `work` must not pass its work to another thread. They find all errors that wgpu
/// knows when a function returns, which are all errors on a native device.
pub(super) fn scoped<T>(device: &wgpu::Device, work: impl FnOnce() -> T) -> Result<T> {
    let scopes = [ErrorFilter::Internal, ErrorFilter::OutOfMemory, ErrorFilter::Validation]
        .map(|filter| device.push_error_scope(filter));
    let done = caught(work);
    // The scopes are a stack, so the last one is popped first.
    let errors: Vec<_> = scopes.into_iter().rev().filter_map(|scope| scope.pop().now_or_never().flatten()).collect();
    let done = done?;
    match errors.into_iter().next() {
        None => Ok(done),
        Some(error) => Err(failure(&error)),
    }
}

/// Unmaps `buffer`. If the buffer is already destroyed, that is no error.
pub(super) fn unmap(device: &wgpu::Device, buffer: &wgpu::Buffer) {
    if let Err(failure) = scoped(device, || buffer.unmap()) {
        tracing::debug!(error = %failure, "a buffer is not there to be unmapped");
    }
}

/// Does `work` and catches its panic. A panic is a bug of wgpu or of a driver, and must end no more than the guest that
/// met it.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| GpuFailure::panicked())
}

/// Returns `error` in the form in which guests get it.
fn failure(error: &wgpu::Error) -> GpuFailure {
    let (kind, text) = match error {
        wgpu::Error::OutOfMemory { .. } => {
            (GpuFailureKind::OutOfMemory, "the GPU has no memory left for it".to_owned())
        }
        wgpu::Error::Validation { source, description } => {
            (GpuFailureKind::Invalid, words(source.as_ref(), description))
        }
        wgpu::Error::Internal { source, description } => {
            (GpuFailureKind::Unsupported, words(source.as_ref(), description))
        }
    };
    // wgpu reports the use of a lost device as a validation error.
    let kind = if text.contains("evice is lost") || text.contains("device is invalid") {
        GpuFailureKind::DeviceLost
    } else {
        kind
    };
    GpuFailure::new(kind, clip(text, MESSAGE))
}

/// Returns the messages of an error and its causes, joined by colons.
fn words(error: &(dyn std::error::Error + 'static), description: &str) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    if text.trim().is_empty() { description.to_owned() } else { text }
}
