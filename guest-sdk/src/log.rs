//! Writes lines to the host's log. The host adds the id of the request to each.
//!
//! ```
//! # fn example(hits: usize, question: &str) {
//! chainlet::log::info!("found {hits} passages");
//! chainlet::log::warn!(question, hits; "the question has no good answer");
//! # }
//! # example(3, "why?");
//! ```
//!
//! Names before a semicolon become fields beside the message. Each is a variable, or a name with an expression (`left =
//! time.as_millis()`). The host adds the chainlet, the replica and the request. Output to stdout or stderr also becomes
//! lines of the log, but without the request.
//!
//! Outside a host, such as in a unit test on the developer's machine, the lines go to stderr.

pub use crate::host::chainlet::host::log::Level;
#[doc(inline)]
pub use crate::{
    __log_debug as debug, __log_error as error, __log_info as info, __log_trace as trace, __log_warn as warn,
};

/// Returns true if the host writes lines of this level. The macros of this module check it before they make a line.
pub fn is_enabled(level: Level) -> bool {
    #[cfg(target_arch = "wasm32")]
    return crate::host::chainlet::host::log::is_enabled(level);
    #[cfg(not(target_arch = "wasm32"))]
    return level >= Level::Info;
}

/// Writes a line with named values beside the message.
pub fn write(level: Level, message: &str, fields: &[(String, String)]) {
    #[cfg(target_arch = "wasm32")]
    crate::host::chainlet::host::log::write(level, message, fields);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?} {message} {fields:?}");
}

/// Writes a line of the given level. The macros that are named after a level call this one.
#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:expr, $($name:ident $(= $value:expr)?),+ ; $($message:tt)+) => {
        if $crate::log::is_enabled($level) {
            let fields = [$((
                ::std::string::String::from(stringify!($name)),
                ::std::string::ToString::to_string(&$crate::__log!(@value $name $($value)?)),
            )),+];
            $crate::log::write($level, &::std::format!($($message)+), &fields);
        }
    };
    ($level:expr, $($message:tt)+) => {
        if $crate::log::is_enabled($level) {
            $crate::log::write($level, &::std::format!($($message)+), &[]);
        }
    };
    (@value $name:ident $value:expr) => { $value };
    (@value $name:ident) => { $name };
}

/// Writes a line of the level [`Level::Trace`].
#[macro_export]
#[doc(hidden)]
macro_rules! __log_trace {
    ($($line:tt)+) => { $crate::__log!($crate::log::Level::Trace, $($line)+) };
}

/// Writes a line of the level [`Level::Debug`].
#[macro_export]
#[doc(hidden)]
macro_rules! __log_debug {
    ($($line:tt)+) => { $crate::__log!($crate::log::Level::Debug, $($line)+) };
}

/// Writes a line of the level [`Level::Info`].
#[macro_export]
#[doc(hidden)]
macro_rules! __log_info {
    ($($line:tt)+) => { $crate::__log!($crate::log::Level::Info, $($line)+) };
}

/// Writes a line of the level [`Level::Warn`].
#[macro_export]
#[doc(hidden)]
macro_rules! __log_warn {
    ($($line:tt)+) => { $crate::__log!($crate::log::Level::Warn, $($line)+) };
}

/// Writes a line of the level [`Level::Error`].
#[macro_export]
#[doc(hidden)]
macro_rules! __log_error {
    ($($line:tt)+) => { $crate::__log!($crate::log::Level::Error, $($line)+) };
}
