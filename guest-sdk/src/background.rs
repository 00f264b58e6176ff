//! Work that continues after the answer.

/// Runs `work` beside the call. The work continues after the answer until it ends.
///
/// ```no_run
/// # mod visits {
/// # async fn count(name: String) {}
/// #[derive(Default)]
/// struct Visits;
///
/// #[chainlet::chainlet(inline = "
///     package example:visits;
///     world visits { export run-remote: async func(name: string) -> string; }
/// ")]
/// impl Visits {
///     async fn run_remote(&self, name: String) -> String {
///         let greeting = format!("Hello, {name}!");
///         // The client does not wait for this.
///         chainlet::spawn(count(name));
///         greeting
///     }
/// }
/// # }
/// ```
///
/// The work holds the call's place in the replica until it ends, so running calls and such work together are limited by
/// the replica's `concurrency`. The work continues if the call is cancelled. A replica that stops or is replaced waits
/// for it, for at most the chainlet's `grace`. The work belongs to no call, so it has no deadline: set one with
/// [`time::timeout`](crate::time::timeout). If it panics, the replica ends with every call in it.
///
/// Outside a host, this does nothing.
pub fn spawn(work: impl Future<Output = ()> + 'static) {
    #[cfg(target_arch = "wasm32")]
    {
        use std::task::{Context, Waker};

        let mut place = Box::pin(crate::host::chainlet::host::call::keep_place());
        // This first poll takes the place now, because the call may be over before the work is first polled. The future
        // never completes, so no waker is needed.
        let _ = place.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        wit_bindgen::rt::async_support::spawn_local(async move {
            // Without this yield, work that panics when it is first polled would lose the answer, which may be given in
            // the same poll.
            wit_bindgen::yield_async().await;
            work.await;
            drop(place);
        });
    }
    #[cfg(not(target_arch = "wasm32"))]
    drop(work);
}
