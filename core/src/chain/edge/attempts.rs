//! Repeating failed calls: which failures are repeated, and after which pause.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Sleep, sleep};
use tower::retry::Policy;

use super::EdgeCall;
use crate::backoff::Backoff;
use crate::chainlet::call::CallAnswer;
use crate::config::{DependencySpec, RetryKind};
use crate::error::declared::is_standard;
use crate::error::{CallError, DeclaredError, ErrorKind};
use crate::value::{Signature, Type, Value};

/// The pauses before the second attempt and all later ones. Each is shortened at random.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(1));

/// The policy that repeats one call.
///
/// It does not use tower's pauses. tower copies its source of jitter with the policy, so all callers of an edge would
/// pause for the same time and come back together.
#[derive(Debug, Clone)]
pub(super) struct Attempts {
    /// The number of attempts left, including the one under way.
    left: u32,
    idempotent: bool,
    /// The kinds of failure that are repeated besides.
    retry_on: Arc<[RetryKind]>,
    /// The type of the callee's errors, if it is the standard one.
    standard: Option<Arc<Type>>,
    pauses: Backoff,
}

impl Attempts {
    pub(super) fn new(policy: &DependencySpec, callee: &Signature) -> Self {
        let standard = match &callee.result {
            Some(Type::Result { err: Some(err), .. }) if is_standard(err) => Some(err.clone()),
            _ => None,
        };
        Attempts {
            left: policy.attempts,
            idempotent: policy.idempotent,
            retry_on: policy.retry_on.as_slice().into(),
            standard,
            pauses: PAUSES,
        }
    }

    /// Returns true if a call that failed with `error` may be repeated.
    fn may_repeat(&self, error: &CallError) -> bool {
        error.has_not_begun(0)
            || self.idempotent
                && matches!(
                    error.kind(),
                    ErrorKind::Overloaded
                        | ErrorKind::NotReady
                        | ErrorKind::Trap
                        | ErrorKind::Unreachable
                        | ErrorKind::Internal
                )
            || self.retry_on.iter().any(|kind| kind.is_failure(error.kind()))
    }

    /// Returns true if a call that the callee answered with `error` may be repeated: either the error itself or the edge says
    /// so for errors of its kind. If the callee passed the error on, the error only speaks of the call that the callee
    /// made. Before that call the callee may have done things that must not be done twice, so such a call is repeated
    /// only if the edge is idempotent or lists the error's kind.
    fn may_repeat_declared(&self, error: &Value, is_passed_on: bool) -> bool {
        let declared = self.standard.as_ref().and_then(|ty| DeclaredError::read(ty, error));
        declared.is_some_and(|declared| {
            declared.repeatable && (self.idempotent || !is_passed_on)
                || self.retry_on.iter().any(|kind| kind.is_declared(declared.kind))
        })
    }
}

/// Returns true if a guest has taken a stream among the parameters. That stream cannot go to another guest.
fn is_spent(call: &EdgeCall) -> bool {
    let mut spent = false;
    call.params.iter().for_each(|param| param.for_each_stream(&mut |stream| spent |= stream.is_taken()));
    spent
}

impl Policy<EdgeCall, CallAnswer, CallError> for Attempts {
    type Future = Sleep;

    fn retry(&mut self, call: &mut EdgeCall, result: &mut Result<CallAnswer, CallError>) -> Option<Sleep> {
        if self.left <= 1 {
            return None;
        }
        let may_repeat = match result {
            Err(error) => self.may_repeat(error),
            Ok(CallAnswer { value: Some(Value::Result(Err(Some(error)))), origin, .. }) => {
                self.may_repeat_declared(error, origin.is_some())
            }
            Ok(_) => false,
        };
        if !may_repeat || is_spent(call) {
            return None;
        }
        self.left -= 1;
        Some(sleep(self.pauses.shortened_pause()))
    }

    fn clone_request(&mut self, call: &EdgeCall) -> Option<EdgeCall> {
        (self.left > 1).then(|| call.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::declared::tests::error as declared;
    use crate::error::{DeclaredKind, EdgeName};
    use crate::value::json::arbitrary::standard_error;
    use crate::value::ty::Docs;

    const KINDS: [ErrorKind; 10] = [
        ErrorKind::InvalidInput,
        ErrorKind::Chainlet,
        ErrorKind::Overloaded,
        ErrorKind::NotReady,
        ErrorKind::Deadline,
        ErrorKind::Trap,
        ErrorKind::Stopping,
        ErrorKind::Unreachable,
        ErrorKind::Cancelled,
        ErrorKind::Internal,
    ];

    fn callee() -> Signature {
        let result = Type::Result { ok: None, err: Some(Arc::new(standard_error())) };
        Signature { is_async: true, params: Vec::new(), result: Some(result), docs: Docs::default() }
    }

    fn attempts(idempotent: bool) -> Attempts {
        Attempts::new(&DependencySpec { attempts: 3, idempotent, ..DependencySpec::default() }, &callee())
    }

    fn attempts_on(kinds: &[RetryKind]) -> Attempts {
        let policy = DependencySpec { attempts: 3, retry_on: kinds.to_vec(), ..DependencySpec::default() };
        Attempts::new(&policy, &callee())
    }

    fn error(kind: ErrorKind) -> CallError {
        CallError::new(kind, &"b".parse().unwrap(), "for a test")
    }

    fn repeated(attempts: &Attempts) -> Vec<ErrorKind> {
        KINDS.into_iter().filter(|kind| attempts.may_repeat(&error(*kind))).collect()
    }

    #[test]
    fn only_a_call_that_has_not_begun_is_repeated_unless_the_edge_is_idempotent() {
        use ErrorKind::{Deadline, Internal, NotReady, Overloaded, Trap, Unreachable};
        assert_eq!(repeated(&attempts(false)), [Overloaded, NotReady, Unreachable]);
        assert_eq!(repeated(&attempts(true)), [Overloaded, NotReady, Trap, Unreachable, Internal]);
        assert_eq!(repeated(&attempts_on(&[RetryKind::Deadline])), [Overloaded, NotReady, Deadline, Unreachable]);
    }

    #[test]
    fn a_declared_error_is_repeated_if_it_or_the_edge_says_so() {
        let unavailable = DeclaredKind::Unavailable as u32;
        assert!(attempts(false).may_repeat_declared(&declared(unavailable, true), false));
        assert!(!attempts(true).may_repeat_declared(&declared(unavailable, false), false));
        assert!(attempts_on(&[RetryKind::Unavailable]).may_repeat_declared(&declared(unavailable, false), false));
        assert!(!attempts_on(&[RetryKind::Timeout]).may_repeat_declared(&declared(unavailable, false), false));
        let other = Signature { result: Some(Type::String), ..callee() };
        let attempts = Attempts::new(&DependencySpec::default(), &other);
        assert!(!attempts.may_repeat_declared(&declared(unavailable, true), false), "it is of another type");
        assert!(!self::attempts(false).may_repeat_declared(&declared(unavailable, true), true));
        assert!(self::attempts(true).may_repeat_declared(&declared(unavailable, true), true));
    }

    #[test]
    fn a_refusal_further_down_the_chain_says_that_the_call_has_begun() {
        let edge = EdgeName { from: "b".parse().unwrap(), dependency: "c".parse().unwrap(), to: "c".parse().unwrap() };
        let error = error(ErrorKind::Overloaded).through(&Arc::new(edge));
        assert!(!attempts(false).may_repeat(&error));
        assert!(attempts(true).may_repeat(&error));
    }
}
