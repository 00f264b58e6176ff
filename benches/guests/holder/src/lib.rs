//! Holds each call until nobody wants its answer any more, and then drops the value that it holds for the call.

use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Default)]
struct Holder {
    dropped: AtomicU32,
}

/// A value that a call holds until it is dropped.
struct Held<'a>(&'a Holder);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

#[chainlet::chainlet(path = "../wit")]
impl Holder {
    async fn run_remote(&self, text: String) -> String {
        if text == "dropped" {
            return self.dropped.load(Ordering::Relaxed).to_string();
        }
        let _held = Held(self);
        std::future::pending().await
    }
}
