//! The types of the author's `run_remote`, compared with the WIT's by the compiler.
//!
//! A plain assignment would compare them as well, but the compiler would then tell the author to convert a value in code
//! that the macro wrote.

/// The type of a parameter whose WIT has the type `W`: `W` itself.
#[diagnostic::on_unimplemented(
    message = "this parameter is `{W}` in the WIT, and `{Self}` here",
    label = "the WIT says `{W}`",
    note = "the parameters of `run_remote` have the types of `run-remote` in the WIT"
)]
pub trait Parameter<W> {
    /// The value itself.
    fn from_wit(value: W) -> Self;
}

impl<T> Parameter<T> for T {
    fn from_wit(value: T) -> T {
        value
    }
}

/// What the host gave for a parameter, in the author's type.
pub fn parameter<A: Parameter<W>, W>(value: W) -> A {
    A::from_wit(value)
}

/// The type of an answer whose WIT has the type `W`: `W` itself.
#[diagnostic::on_unimplemented(
    message = "`run-remote` returns `{W}` in the WIT, and `{Self}` here",
    label = "the WIT says `{W}`",
    note = "`run_remote` returns what `run-remote` returns in the WIT"
)]
pub trait Answer<W> {
    /// The value itself.
    fn into_wit(self) -> W;
}

impl<T> Answer<T> for T {
    fn into_wit(self) -> T {
        self
    }
}

/// What the author returned, in the WIT's type.
pub fn answer<W, A: Answer<W>>(value: A) -> W {
    value.into_wit()
}
