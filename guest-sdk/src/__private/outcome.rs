//! Converts the results of the author's `run_remote` for the host, and those of
//! dependencies for the author.

use crate::error::Error;
use crate::host::chainlet::host::errors;
use crate::{CallError, Failure};

/// Returns the sentence of any error.
pub fn message(error: impl Into<Error>) -> String {
    error.into().into_message()
}

/// Returns the sentence of an error that ends the running call, and tells the
/// host where the error began.
pub fn fail_with_message(error: impl Into<Error>) -> String {
    let error = error.into();
    error.announce();
    error.into_message()
}

/// Returns the host's standard error for an error that ends the running call,
/// and tells the host where the error began.
pub fn fail_with_error(error: impl Into<Error>) -> errors::Error {
    let error = error.into();
    error.announce();
    error.into()
}

/// An error of any type that ends the running call. If it is an [`Error`], the
/// host learns where it began. Two traits have a method `announce`, and the
/// compiler prefers the one that needs fewer borrows.
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
    /// The type of a success.
    type Ok;
    /// The type of an error.
    type Err;
    /// Returns the result itself.
    fn into_result(self) -> Result<Self::Ok, Self::Err>;
}

impl<T, E> IsResult for Result<T, E> {
    type Ok = T;
    type Err = E;

    fn into_result(self) -> Result<T, E> {
        self
    }
}

/// Returns the outcome of a call of `dependency`, whose WIT declares an error.
pub fn declared<R: IsResult>(
    outcome: Result<R, Failure>,
    dependency: &'static str,
) -> Result<R::Ok, CallError<R::Err>> {
    match outcome {
        Ok(answer) => answer.into_result().map_err(|error| CallError::Declared { error, dependency }),
        Err(failure) => Err(CallError::Failure(failure)),
    }
}
