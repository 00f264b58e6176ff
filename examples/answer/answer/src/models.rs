//! The text of an answer, written by the primary model or by the fallback.

use chainlet::{CallError, ErrorKind, FutureReader, Result, StreamReader, log};

use crate::wit::{self, Finish, fallback, primary};

/// A text whose first token has come.
pub struct Written {
    /// The dependency that writes it.
    pub model: &'static str,
    pub tokens: StreamReader<String>,
    /// The reason why the text ends, or the error that cut it off.
    pub end: FutureReader<Result<Finish, wit::Error>>,
}

/// Asks the primary model. If it cannot answer now, asks the fallback.
pub async fn ask(system: &str, prompt: &str) -> Result<Written> {
    let reason = match primary::run_remote(system.to_owned(), prompt.to_owned()).await {
        Ok((tokens, end)) => return Ok(Written { model: "primary", tokens, end }),
        // There is no answer at all: the model's chainlet is overloaded, has trapped, or took too long.
        Err(CallError::Failure(failure)) => failure.message,
        Err(CallError::Declared { error, .. }) if may_fall_back(error.kind) => error.message,
        Err(error) => return Err(error.into()),
    };
    log::info!("the fallback answers: {reason}");
    let (tokens, end) = fallback::run_remote(system.to_owned(), prompt.to_owned()).await?;
    Ok(Written { model: "fallback", tokens, end })
}

/// Returns true if another model may succeed: this one is overloaded, slow or cannot be reached. A rejected key is no
/// such reason, because somebody has to correct it.
fn may_fall_back(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::TooMany | ErrorKind::Unavailable | ErrorKind::Timeout)
}
