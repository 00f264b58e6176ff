//! The reasons why a call of a dependency got no answer.

use std::fmt;
use std::time::Duration;

use crate::call;
pub use crate::host::chainlet::host::call::{Edge, Failure, FailureKind};

/// The reason why a call of a dependency got no answer, if the dependency's WIT declares an error.
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
///             // The dependency gave no answer, so ask the other one.
///             Err(CallError::Failure(_)) => Ok(fallback::run_remote(question).await?),
///             // The dependency answered, maybe with its own error.
///             answer => Ok(answer?),
///         }
///     }
/// }
/// # }
/// ```
///
/// `?` turns it into [`Error`](crate::Error), which remembers in which chainlet it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError<E> {
    /// The call failed: the dependency was overloaded, trapped, or took too long.
    Failure(Failure),
    /// The dependency answered with the error that its WIT declares.
    Declared {
        /// The error.
        error: E,
        /// The name of the dependency.
        dependency: &'static str,
    },
}

// The types are generated together with GPU types that cannot be compared, so they cannot derive `PartialEq`.
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
    /// Returns what went wrong, in a sentence.
    pub fn message(&self) -> String {
        match self {
            CallError::Failure(failure) => failure.message.clone(),
            CallError::Declared { error, .. } => error.to_string(),
        }
    }
}

impl<E> CallError<E> {
    /// Returns the failure, if it is one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            CallError::Failure(failure) => Some(failure),
            CallError::Declared { .. } => None,
        }
    }

    /// Returns the dependency's own error, if it is one.
    pub fn declared(&self) -> Option<&E> {
        match self {
            CallError::Failure(_) => None,
            CallError::Declared { error, .. } => Some(error),
        }
    }
}

/// Writes the kind as WIT names it, such as `not-ready`.
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
    /// Returns the time after which another attempt makes sense; `None` if it is not known whether one does.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.retry_after.map(Duration::from_nanos)
    }
}

/// Removes the failure from the result of a dependency's `run_remote`, for a chainlet whose own `run_remote` has no
/// type for errors.
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
    /// The dependency's own result, without the failure.
    type Answer;

    /// Returns the answer. If there is a failure, the running call fails with it: the host ends that call, and this
    /// function never returns.
    ///
    /// # Panics
    ///
    /// Panics if the dependency failed and no call is running, as in `init`. Use `?` there.
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

/// Fails the running call. The macro then drops this future with the call, so it waits forever.
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
