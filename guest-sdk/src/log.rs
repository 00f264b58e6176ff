//! Lines in the host's log that carry the id of the request by themselves.
//!
//! ```
//! # fn example(hits: usize, question: &str) {
//! chainlet::log::info!("found {hits} passages");
//! chainlet::log::warn!(question, hits; "the question has no good answer");
//! # }
//! # example(3, "why?");
//! ```
//!
//! Names before a semicolon are variables, or expressions under a name
//! (`left = time.as_millis()`), that stand beside the message as fields. The host
//! adds the chainlet, the replica and the request. What is printed to stdout or
//! stderr becomes lines of the log, too, but carries no request.
//!
//! Outside a host, in a unit test on the developer's machine, the lines go to
//! stderr.

pub use crate::host::chainlet::host::log::Level;
#[doc(inline)]
pub use crate::{
    __log_debug as debug, __log_error as error, __log_info as info, __log_trace as trace, __log_warn as warn,
};

/// Whether lines of this level are written. The macros of this module ask this
/// themselves.
pub fn is_enabled(level: Level) -> bool {
    #[cfg(target_arch = "wasm32")]
    return crate::host::chainlet::host::log::is_enabled(level);
    #[cfg(not(target_arch = "wasm32"))]
    return level >= Level::Info;
}

/// Writes a line, with named values beside it.
pub fn write(level: Level, message: &str, fields: &[(String, String)]) {
    #[cfg(target_arch = "wasm32")]
    crate::host::chainlet::host::log::write(level, message, fields);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?} {message} {fields:?}");
}

/// A line of the level that it is given; the macros with a level's name are made of it.
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

/// A line of the level [`Level::Trace`].
#[macro_export]
#[doc(hidden)]
macro_rules! __log_trace {
    ($($line:tt)+) => { $crate::__log!($crate::log::Level::Trace, $($line)+) };
}

/// A line of the level [`Level::Debug`].
#[macro_export]
#[doc(hidden)]
macro_rules! __log_debug {
    ($($line:tt)+) => { $crate::__log!($crate::log::Level::Debug, $($line)+) };
}

/// A line of the level [`Level::Info`].
#[macro_export]
#[doc(hidden)]
macro_rules! __log_info {
    ($($line:tt)+) => { $crate::__log!($crate::log::Level::Info, $($line)+) };
}

/// A line of the level [`Level::Warn`].
#[macro_export]
#[doc(hidden)]
macro_rules! __log_warn {
    ($($line:tt)+) => { $crate::__log!($crate::log::Level::Warn, $($line)+) };
}

/// A line of the level [`Level::Error`].
#[macro_export]
#[doc(hidden)]
macro_rules! __log_error {
    ($($line:tt)+) => { $crate::__log!($crate::log::Level::Error, $($line)+) };
}
