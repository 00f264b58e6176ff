//! Fields of log events, in the one form that `docs/cli.md` describes.

use std::time::Duration;

/// Returns a duration for a field whose name ends in `_ms`. It is a `u64`, because tracing would write 128 bits as a
/// text in JSON.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Logs the [`CallError`](crate::error::CallError) `$error` at the level `$level`. The event has the fields of every
/// failed call, and those that are given here.
#[doc(hidden)]
#[macro_export]
macro_rules! log_call_error {
    ($level:ident, $error:expr, $message:literal $(, $name:ident = $value:expr)*) => {{
        let error: &$crate::error::CallError = $error;
        tracing::$level!(
            chainlet = %error.chainlet(),
            $($name = $value,)*
            kind = %error.kind(),
            path = error.path_text(),
            limit = error.limit().map(tracing::field::display),
            pointer = error.pointer(),
            error = error.message(),
            $message
        )
    }};
}

pub use crate::log_call_error;
