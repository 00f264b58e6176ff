//! The error type of chainlets, into which `?` turns all others.

use std::fmt::{self, Debug, Display};
use std::time::Duration;

use crate::host::chainlet::host::errors;
pub use crate::host::chainlet::host::errors::ErrorKind;
use crate::{CallError, Failure, FailureKind, call};

/// The reason why a chainlet could not do its work: a sentence for the caller, and for programs a kind, details, and
/// whether another attempt may succeed.
///
/// `?` turns everything that implements `Display` into this type: text, and the errors of the standard library and of
/// other crates. The kind is then [`ErrorKind::Unprocessable`]. `?` also turns the failures of other chainlets and the
/// errors that they return into this type; the host then learns in which chainlet they began. To allow all this, the
/// type implements neither `Display` nor [`std::error::Error`]: [`Error::message`] returns its text.
///
/// ```
/// use chainlet::{Error, ErrorKind};
///
/// fn ratio(of: &str, to: &str) -> chainlet::Result<f64> {
///     let (of, to): (f64, f64) = (of.parse()?, to.parse()?);
///     if to == 0.0 {
///         return Err(Error::invalid("there is no ratio to nothing"));
///     }
///     Ok(of / to)
/// }
///
/// let error = ratio("1", "0").unwrap_err();
/// assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, "there is no ratio to nothing"));
/// assert_eq!(ratio("one", "2").unwrap_err().message(), "invalid float literal");
/// ```
///
/// If the world's error is a `string`, the caller gets only the message. With the host's standard error, the caller
/// gets everything:
///
/// ```wit
/// use chainlet:host/errors@0.1.0.{error};
/// export run-remote: async func(of: string, to: string) -> result<f64, error>;
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    kind: ErrorKind,
    message: String,
    details: Option<String>,
    repeatable: bool,
    retry_after: Option<Duration>,
    origin: Origin,
}

/// The origin of an error.
#[derive(Clone, PartialEq, Eq)]
enum Origin {
    /// It began in this chainlet.
    Here,
    /// It began as the failure of a call to a dependency.
    Failure(Failure),
    /// The dependency of this name returned it.
    Dependency(&'static str),
}

/// A result whose error is [`Error`] by default.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! kinds {
    ($($name:ident $kind:ident $text:literal,)*) => {
        $(
            #[doc = concat!("An error of the kind [`ErrorKind::", stringify!($kind), "`]: ", $text)]
            pub fn $name(message: impl Into<String>) -> Self {
                Error::new(ErrorKind::$kind, message)
            }
        )*
    };
}

impl Error {
    /// Makes an error of this kind. `message` explains it in a sentence.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let (details, repeatable, retry_after, origin) = (None, false, None, Origin::Here);
        Error(Box::new(Inner { kind, message: message.into(), details, repeatable, retry_after, origin }))
    }

    kinds! {
        invalid Invalid "the request is wrong, whatever the state of the chainlet. HTTP 400.",
        unauthenticated Unauthenticated "it is not known who asks. HTTP 401.",
        forbidden Forbidden "the caller may not have it. HTTP 403.",
        not_found NotFound "there is nothing of this name. HTTP 404.",
        conflict Conflict "the request conflicts with the present state. HTTP 409.",
        unprocessable Unprocessable "the request is well-formed, and cannot be served as it is. HTTP 422.",
        too_many TooMany "the caller has asked too often or for too much. HTTP 429.",
        internal Internal "the chainlet failed by a fault of its own. HTTP 500.",
        unimplemented Unimplemented "the chainlet does not do this. HTTP 501.",
        upstream Upstream "a service that the chainlet asked failed. HTTP 502.",
        unavailable Unavailable "the chainlet cannot serve now. HTTP 503.",
        timeout Timeout "something that the chainlet waited for did not come in time. HTTP 504.",
    }

    /// Returns the error with `details` for programs.
    #[must_use]
    pub fn with_details(mut self, details: serde_json::Value) -> Self {
        self.0.details = Some(details.to_string());
        self
    }

    /// Returns the error with `repeatable` set: true if the same call may succeed later, and a repetition does no harm.
    /// An edge with `attempts` repeats such a call.
    #[must_use]
    pub fn repeatable(mut self, repeatable: bool) -> Self {
        self.0.repeatable = repeatable;
        self
    }

    /// Returns the kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the sentence.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the sentence and drops the rest.
    pub fn into_message(self) -> String {
        self.0.message
    }

    /// Returns the details for programs; `None` if there are none, or if they are not JSON.
    pub fn details(&self) -> Option<serde_json::Value> {
        serde_json::from_str(self.0.details.as_deref()?).ok()
    }

    /// Returns true if the same call may succeed later, and a repetition does no harm.
    pub fn is_repeatable(&self) -> bool {
        self.0.repeatable
    }

    /// Returns the error with the time after which another attempt makes sense. [`retry`](crate::retry) in this
    /// chainlet uses it.
    #[must_use]
    pub fn retry_in(mut self, time: Option<Duration>) -> Self {
        self.0.retry_after = time;
        self
    }

    /// Returns the time after which another attempt makes sense, if it is known.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_after.or_else(|| self.failure()?.retry_delay())
    }

    /// Returns the failure of a dependency, if the error began as one.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.0.origin {
            Origin::Failure(failure) => Some(failure),
            Origin::Here | Origin::Dependency(_) => None,
        }
    }

    /// Tells the host where the error began, before the running call ends with it.
    pub(crate) fn announce(&self) {
        match &self.0.origin {
            Origin::Here => {}
            Origin::Failure(failure) => call::fail(failure),
            Origin::Dependency(name) => call::pass_on(name),
        }
    }
}

impl<E: Display> From<E> for Error {
    fn from(error: E) -> Self {
        // The alternate form writes an error with all its causes on one line, if its type can, as anyhow's does.
        Error::unprocessable(format!("{error:#}"))
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let kind = match failure.kind {
            FailureKind::InvalidInput | FailureKind::TooLarge => ErrorKind::Invalid,
            FailureKind::AnswerTooLarge | FailureKind::Trap | FailureKind::Internal => ErrorKind::Internal,
            FailureKind::Overloaded => ErrorKind::TooMany,
            FailureKind::NotReady | FailureKind::Stopping | FailureKind::Cancelled => ErrorKind::Unavailable,
            FailureKind::Deadline => ErrorKind::Timeout,
            FailureKind::Unreachable => ErrorKind::Upstream,
        };
        let mut error = Error::new(kind, failure.message.clone()).repeatable(failure.repeatable);
        error.0.origin = Origin::Failure(failure);
        error
    }
}

impl<E: Into<Error>> From<CallError<E>> for Error {
    fn from(error: CallError<E>) -> Self {
        match error {
            CallError::Failure(failure) => failure.into(),
            CallError::Declared { error, dependency } => {
                let mut error = error.into();
                error.0.origin = Origin::Dependency(dependency);
                error
            }
        }
    }
}

impl From<errors::Error> for Error {
    fn from(error: errors::Error) -> Self {
        let errors::Error { kind, message, details, repeatable } = error;
        Error(Box::new(Inner { kind, message, details, repeatable, retry_after: None, origin: Origin::Here }))
    }
}

impl From<Error> for errors::Error {
    fn from(error: Error) -> Self {
        let Inner { kind, message, details, repeatable, .. } = *error.0;
        errors::Error { kind, message, details, repeatable }
    }
}

impl Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

/// Adds to an error what the chainlet was doing when it happened.
///
/// ```
/// use chainlet::Context;
///
/// let count: chainlet::Result<u32> = "many".parse::<u32>().context("reading the count");
/// assert_eq!(count.unwrap_err().message(), "reading the count: invalid digit found in string");
/// ```
pub trait Context<T> {
    /// Puts `what` and a colon in front of the error's sentence. The rest of the error stays the same.
    fn context(self, what: impl Display) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl Display) -> Result<T> {
        self.map_err(|error| {
            let mut error = error.into();
            error.0.message = format!("{what}: {}", error.0.message);
            error
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> Failure {
        Failure {
            kind: FailureKind::Overloaded,
            message: "there is too much to do".to_owned(),
            chainlet: "model".to_owned(),
            path: Vec::new(),
            repeatable: true,
            retry_after: Some(1_000_000_000),
        }
    }

    #[test]
    fn context_keeps_the_failure_and_its_kind() {
        let error = Err::<(), _>(failure()).context("asking the model").unwrap_err();
        assert_eq!(error.message(), "asking the model: there is too much to do");
        assert_eq!((error.kind(), error.is_repeatable()), (ErrorKind::TooMany, true));
        assert_eq!(error.failure(), Some(&failure()));
    }

    #[test]
    fn an_error_of_a_dependency_keeps_its_kind_and_its_details() {
        let declared = errors::Error::from(
            Error::not_found("there is no such page").with_details(serde_json::json!({ "page": 7 })).repeatable(true),
        );
        let error = Error::from(CallError::Declared { error: declared, dependency: "book" });
        assert_eq!((error.kind(), error.message()), (ErrorKind::NotFound, "there is no such page"));
        assert_eq!(error.details(), Some(serde_json::json!({ "page": 7 })));
        assert!(error.is_repeatable() && error.0.origin == Origin::Dependency("book"));
    }

    #[test]
    fn a_text_is_unprocessable_and_began_here() {
        let error = Error::from("no");
        assert_eq!((error.kind(), error.is_repeatable()), (ErrorKind::Unprocessable, false));
        assert!(error.0.origin == Origin::Here && error.details().is_none());
    }
}
