//! Functions and types for the code that the macro writes. Authors do not use
//! them.

mod blank;
mod outcome;
mod serve;
mod signature;

use std::cell::OnceCell;
use std::thread::LocalKey;

pub use wit_bindgen;

pub use self::outcome::{
    AnnounceAny, AnnounceError, Announced, IsResult, declared, fail_with_error, fail_with_message, message,
};
pub use self::serve::{serve, until_cancelled};
pub use self::signature::{Answer, Parameter, answer, parameter};

/// The host's interfaces whose types every chainlet shares.
pub mod host {
    pub use crate::host::chainlet::host::{call, errors};
}

/// A cell for the value that `init` made. An instance has one thread, so a
/// thread-local belongs to one instance and needs no lock.
pub type State<T> = OnceCell<&'static T>;

/// Returns the value that `init` made.
///
/// # Panics
/// Panics if `init` has not run, which is an error of the host.
pub fn state<T>(key: &'static LocalKey<State<T>>) -> &'static T {
    match key.with(|cell| cell.get().copied()) {
        Some(state) => state,
        #[expect(clippy::panic, reason = "there is no one to return this error to")]
        None => panic!("the host called this chainlet before `init` succeeded"),
    }
}

/// Returns the state of a chainlet without `init`, and makes it on the first
/// use.
pub fn state_or_default<T: Default>(key: &'static LocalKey<State<T>>) -> &'static T {
    key.with(|cell| *cell.get_or_init(|| Box::leak(Box::default())))
}

/// Keeps the value that `init` made, for as long as the instance lives.
pub fn set_state<T>(key: &'static LocalKey<State<T>>, state: T) -> Result<(), String> {
    key.with(|cell| cell.set(Box::leak(Box::new(state))))
        .map_err(|_| "the host called `init` twice in one instance".to_owned())
}
