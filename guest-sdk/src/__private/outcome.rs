//! What `run_remote` returned, on its way to the host, and what dependencies
//! returned, on its way to the author.

use crate::error::Error;
use crate::host::chainlet::host::errors;
use crate::{CallError, Failure};

/// The sentence of any error.
pub fn message(error: impl Into<Error>) -> String {
    error.into().into_message()
}

/// As [`message`], for an error that ends the running call.
pub fn fail_with_message(error: impl Into<Error>) -> String {
    let error = error.into();
    error.announce();
    error.into_message()
}

/// The host's standard error, for an error that ends the running call.
pub fn fail_with_error(error: impl Into<Error>) -> errors::Error {
    let error = error.into();
    error.announce();
    error.into()
}

/// An error that ends the running call, of whatever type. The host is told
/// where it began if it is an [`Error`]: the methods of the two traits differ
/// in how often the compiler has to borrow, and it prefers the first.
#[derive(Debug)]
pub struct Announced<'a, E>(pub &'a E);

/// See [`Announced`].
pub trait AnnounceError {
    /// Tells the host where the error began.
    fn announce(&self);
}

/// See [`Announced`].
pub trait AnnounceAny {
    /// Does nothing: the error begins in this chainlet.
    fn announce(&self);
}

impl AnnounceError for Announced<'_, Error> {
    fn announce(&self) {
        self.0.announce();
    }
}

impl<E> AnnounceAny for &Announced<'_, E> {
    fn announce(&self) {}
}

/// A `Result`, so that generated code can name its two types.
pub trait IsResult {
    /// What it is where all went well.
    type Ok;
    /// What it is otherwise.
    type Err;
    /// The result itself.
    fn into_result(self) -> Result<Self::Ok, Self::Err>;
}

impl<T, E> IsResult for Result<T, E> {
    type Ok = T;
    type Err = E;

    fn into_result(self) -> Result<T, E> {
        self
    }
}

/// What a call of `dependency` came to, whose WIT declares an error.
pub fn declared<R: IsResult>(
    outcome: Result<R, Failure>,
    dependency: &'static str,
) -> Result<R::Ok, CallError<R::Err>> {
    match outcome {
        Ok(answer) => answer.into_result().map_err(|error| CallError::Declared { error, dependency }),
        Err(failure) => Err(CallError::Failure(failure)),
    }
}
