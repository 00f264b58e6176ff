//! Replaces the crate of this name. That crate hands futures to the event loop
//! of a browser; this one hands them to the executor of the chainlet.

/// wgpu's backend for browsers awaits this type, in code that no chainlet runs.
pub use js_sys::futures::JsFuture;

/// Runs a future in the background of the call that is running now.
pub fn spawn_local(future: impl Future<Output = ()> + 'static) {
    wit_bindgen::rt::async_support::spawn_local(future);
}
