//! Fields of log events, in the one form that `docs/cli.md` describes.

use std::time::Duration;

/// A duration for a field whose name ends in `_ms`. tracing has no number of 128 bits: its JSON would be a text.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Writes an event at the level `$level` that tells of the [`CallError`](crate::error::CallError) `$error`. Every
/// failed call has the same fields; those that are given here come among them.
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

pub(crate) use log_call_error;
