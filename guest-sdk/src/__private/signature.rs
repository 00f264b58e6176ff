//! Lets the compiler compare the types of the author's `run_remote` with those of the WIT.
//!
//! A plain assignment would compare them as well, but the compiler would then tell the author to convert a value in
//! code that the macro wrote.

/// A type that an author may write for a parameter of the WIT's type `W`: only `W` itself.
#[diagnostic::on_unimplemented(
    message = "this parameter is `{W}` in the WIT, and `{Self}` here",
    label = "the WIT says `{W}`",
    note = "the parameters of `run_remote` have the types of `run-remote` in the WIT"
)]
pub trait Parameter<W> {
    /// Returns the value itself.
    fn from_wit(value: W) -> Self;
}

impl<T> Parameter<T> for T {
    fn from_wit(value: T) -> T {
        value
    }
}

/// Returns the host's value for a parameter, in the author's type.
pub fn parameter<A: Parameter<W>, W>(value: W) -> A {
    A::from_wit(value)
}

/// A type that an author may write for an answer of the WIT's type `W`: only `W` itself.
#[diagnostic::on_unimplemented(
    message = "`run-remote` returns `{W}` in the WIT, and `{Self}` here",
    label = "the WIT says `{W}`",
    note = "`run_remote` returns what `run-remote` returns in the WIT"
)]
pub trait Answer<W> {
    /// Returns the value itself.
    fn into_wit(self) -> W;
}

impl<T> Answer<T> for T {
    fn into_wit(self) -> T {
        self
    }
}

/// Returns the author's answer, in the WIT's type.
pub fn answer<W, A: Answer<W>>(value: A) -> W {
    value.into_wit()
}
