//! Why a call of a dependency gave no answer.

use std::fmt;
use std::time::Duration;

use crate::call;
pub use crate::host::chainlet::host::call::{Edge, Failure, FailureKind};

/// Why a call of a dependency gave no answer, where the dependency's WIT
/// declares an error.
///
/// ```
/// # mod answer {
/// use chainlet::CallError;
///
/// #[derive(Default)]
/// struct Answer;
///
/// #[chainlet::chainlet(inline = "
///     package example:answers;
///
///     world answer {
///         import primary: interface {
///             run-remote: async func(question: string) -> result<string, string>;
///         }
///         import fallback: interface {
///             run-remote: async func(question: string) -> result<string, string>;
///         }
///         export run-remote: async func(question: string) -> result<string, string>;
///     }
/// ")]
/// impl Answer {
///     async fn run_remote(&self, question: String) -> chainlet::Result<String> {
///         match primary::run_remote(question.clone()).await {
///             // There is no answer, so another may have one.
///             Err(CallError::Failure(_)) => Ok(fallback::run_remote(question).await?),
///             // There is an answer, or an error of the dependency's own.
///             answer => Ok(answer?),
///         }
///     }
/// }
/// # }
/// ```
///
/// It turns into [`Error`](crate::Error) with `?`, which remembers where it
/// began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError<E> {
    /// The call failed: the dependency was overloaded, trapped, took too long.
    Failure(Failure),
    /// The dependency answered with the error that its WIT declares.
    Declared {
        /// The error.
        error: E,
        /// The name of the dependency.
        dependency: &'static str,
    },
}

// The types are generated, together with some of the GPU's that cannot be compared.
impl PartialEq for Failure {
    fn eq(&self, other: &Self) -> bool {
        let parts = |failure: &Failure| (failure.kind, failure.repeatable, failure.retry_after);
        parts(self) == parts(other)
            && self.message == other.message
            && self.chainlet == other.chainlet
            && self.path == other.path
    }
}

impl Eq for Failure {}

impl PartialEq for Edge {
    fn eq(&self, other: &Self) -> bool {
        self.caller == other.caller && self.dependency == other.dependency && self.callee == other.callee
    }
}

impl Eq for Edge {}

impl<E: std::fmt::Display> CallError<E> {
    /// What went wrong, in a sentence.
    pub fn message(&self) -> String {
        match self {
            CallError::Failure(failure) => failure.message.clone(),
            CallError::Declared { error, .. } => error.to_string(),
        }
    }
}

impl<E> CallError<E> {
    /// The failure, where it is one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            CallError::Failure(failure) => Some(failure),
            CallError::Declared { .. } => None,
        }
    }

    /// The dependency's own error, where it is one.
    pub fn declared(&self) -> Option<&E> {
        match self {
            CallError::Failure(_) => None,
            CallError::Declared { error, .. } => Some(error),
        }
    }
}

/// As WIT names it, such as `not-ready`.
impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FailureKind::InvalidInput => "invalid-input",
            FailureKind::TooLarge => "too-large",
            FailureKind::AnswerTooLarge => "answer-too-large",
            FailureKind::Overloaded => "overloaded",
            FailureKind::NotReady => "not-ready",
            FailureKind::Deadline => "deadline",
            FailureKind::Trap => "trap",
            FailureKind::Stopping => "stopping",
            FailureKind::Unreachable => "unreachable",
            FailureKind::Cancelled => "cancelled",
            FailureKind::Internal => "internal",
        })
    }
}

impl Failure {
    /// In how long another attempt makes sense; `None` where nothing says that
    /// one does.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.retry_after.map(Duration::from_nanos)
    }
}

/// Takes the failure out of what a dependency returned, for a `run_remote` whose
/// own type has no place for it.
///
/// ```
/// # mod shout {
/// use chainlet::OrFail;
///
/// #[derive(Default)]
/// struct Shout;
///
/// #[chainlet::chainlet(inline = "
///     package example:shouts;
///
///     world shout {
///         import echo: interface {
///             run-remote: async func(text: string) -> string;
///         }
///         export run-remote: async func(text: string) -> string;
///     }
/// ")]
/// impl Shout {
///     async fn run_remote(&self, text: String) -> String {
///         echo::run_remote(text).await.or_fail().await.to_uppercase()
///     }
/// }
/// # }
/// ```
pub trait OrFail {
    /// What the dependency returned, without the failure.
    type Answer;

    /// The answer. A failure becomes that of the running call, which the host
    /// ends with it, so that this never returns.
    ///
    /// # Panics
    ///
    /// If the dependency failed and no call is running, as in `init`. Use `?`
    /// there.
    fn or_fail(self) -> impl Future<Output = Self::Answer>;
}

impl<T> OrFail for Result<T, Failure> {
    type Answer = T;

    async fn or_fail(self) -> T {
        match self {
            Ok(answer) => answer,
            Err(failure) => end(&failure).await,
        }
    }
}

impl<T, E> OrFail for Result<T, CallError<E>> {
    type Answer = Result<T, E>;

    async fn or_fail(self) -> Result<T, E> {
        match self {
            Ok(answer) => Ok(answer),
            Err(CallError::Declared { error, .. }) => Err(error),
            Err(CallError::Failure(failure)) => end(&failure).await,
        }
    }
}

/// Fails the running call, and waits to be dropped with it.
async fn end<T>(failure: &Failure) -> T {
    call::fail(failure);
    if !call::is_cancelled() {
        #[expect(clippy::panic, reason = "there is no call that could fail")]
        {
            panic!("a dependency failed, and no call is running that could fail with it: {}", failure.message);
        }
    }
    std::future::pending().await
}
