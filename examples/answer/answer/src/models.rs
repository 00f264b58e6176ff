//! A text by the primary model, or by the fallback.

use chainlet::{FutureReader, Result, StreamReader};

use crate::error;
use crate::wit::bindings::chainlet::host::call;
use crate::wit::{Error, ErrorKind, Failure, FailureKind, Finish, fallback, primary};

/// A text whose first token is here.
pub struct Written {
    /// The dependency that writes it.
    pub model: &'static str,
    pub tokens: StreamReader<String>,
    /// How the text ends.
    pub end: FutureReader<Result<Finish, Error>>,
}

/// What a model returns.
type Answered = Result<Result<(StreamReader<String>, FutureReader<Result<Finish, Error>>), Error>, Failure>;

/// Asks the primary model. If it cannot answer now, asks the fallback.
pub async fn ask(system: &str, prompt: &str) -> Result<Written, Error> {
    let reason = match written("primary", primary::run_remote(system.to_owned(), prompt.to_owned()).await) {
        Err(reason) if may_fall_back(&reason) => reason,
        answered => return answered,
    };
    println!("the fallback answers: {}", reason.message);
    written("fallback", fallback::run_remote(system.to_owned(), prompt.to_owned()).await)
}

/// The text, or what went wrong. If that is what this call returns in the end, the host reports it as the model's.
fn written(model: &'static str, answered: Answered) -> Result<Written, Error> {
    let answered = answered.map_err(|failure| failed(model, failure))?;
    let (tokens, end) = answered.inspect_err(|_| call::pass_on(model))?;
    Ok(Written { model, tokens, end })
}

/// Whether another model may succeed: this one is overloaded, slow or not reached. A refused key is no such reason,
/// because somebody has to correct it.
fn may_fall_back(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::TooMany | ErrorKind::Unavailable | ErrorKind::Timeout)
}

/// A failure of the call itself, as an error.
fn failed(model: &str, failure: Failure) -> Error {
    let kind = match failure.kind {
        FailureKind::Overloaded => ErrorKind::TooMany,
        FailureKind::Deadline => ErrorKind::Timeout,
        FailureKind::NotReady | FailureKind::Unreachable | FailureKind::Trap => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    };
    error(kind, format!("{model} failed: {}", failure.message))
}
