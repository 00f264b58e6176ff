//! The error that any other turns into.

use std::fmt::{self, Debug, Display};

/// Why a chainlet could not do what it was asked: a sentence for its caller.
///
/// Everything that can be displayed turns into it with `?`: the errors of the
/// standard library and of other crates, text, and the errors that other
/// chainlets return. That is also why it is not itself `Display` or
/// [`std::error::Error`]: [`Error::message`] is its text.
///
/// ```
/// fn ratio(of: &str, to: &str) -> chainlet::Result<f64> {
///     let (of, to): (f64, f64) = (of.parse()?, to.parse()?);
///     if to == 0.0 {
///         return Err("there is no ratio to nothing".into());
///     }
///     Ok(of / to)
/// }
///
/// assert_eq!(ratio("1", "0").unwrap_err().message(), "there is no ratio to nothing");
/// assert_eq!(ratio("one", "2").unwrap_err().message(), "invalid float literal");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error(String);

/// A result whose error is [`Error`], unless another is named.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The sentence.
    pub fn message(&self) -> &str {
        &self.0
    }

    /// The sentence, taken out.
    pub fn into_message(self) -> String {
        self.0
    }
}

impl<E: Display> From<E> for Error {
    fn from(error: E) -> Self {
        // The alternate form makes errors that hold their causes, as anyhow's
        // do, write all of them on one line.
        Error(format!("{error:#}"))
    }
}

impl Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Adds to an error what was being done when it happened.
///
/// ```
/// use chainlet::Context;
///
/// let count: chainlet::Result<u32> = "many".parse::<u32>().context("reading the count");
/// assert_eq!(count.unwrap_err().message(), "reading the count: invalid digit found in string");
/// ```
pub trait Context<T> {
    /// Puts `what` and a colon in front of the error's sentence.
    fn context(self, what: impl Display) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl Display) -> Result<T> {
        self.map_err(|error| Error(format!("{what}: {}", error.into().0)))
    }
}
