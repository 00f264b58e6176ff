//! The declared errors with which a chainlet answers. Each error is counted by its kind and logged once, in the
//! chainlet in which it began.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::call::CallContext;
use crate::config::ChainletName;
use crate::error::{DeclaredError, DeclaredKind};
use crate::log_rate::LogRate;
use crate::value::{Type, Value};

/// The name for errors of another type than the standard one.
const OTHER: &str = "other";

/// The counts of all chainlets of a host. They go on when a chain is loaded anew.
#[derive(Debug, Clone, Default)]
pub(crate) struct ErrorCounts(Arc<Mutex<OfAll>>);

/// The counts by the name of the chain and of the chainlet.
type OfAll = HashMap<(String, ChainletName), Arc<Errors>>;

impl ErrorCounts {
    /// Returns the counts of `chainlet` in the chain called `chain`.
    pub(crate) fn of(&self, chain: &str, chainlet: &ChainletName) -> Arc<Errors> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.entry((chain.to_owned(), chainlet.clone())).or_insert_with(|| Arc::new(Errors::new())).clone()
    }
}

/// The counts of one chainlet's errors.
#[derive(Debug)]
pub struct Errors {
    by_kind: [AtomicU64; DeclaredKind::ALL.len()],
    other: AtomicU64,
    log_rate: LogRate,
}

impl Errors {
    pub(crate) fn new() -> Self {
        Errors { by_kind: Default::default(), other: AtomicU64::new(0), log_rate: LogRate::default() }
    }

    /// Counts and logs `error`, of type `ty`, with which a call of `chainlet` ended.
    pub(crate) fn note(
        &self,
        chainlet: &ChainletName,
        ty: Option<&Type>,
        error: Option<&Value>,
        context: &CallContext,
    ) {
        let declared = ty.zip(error).and_then(|(ty, error)| DeclaredError::read(ty, error));
        let count = declared.as_ref().and_then(|declared| self.by_kind.get(declared.kind as usize));
        count.unwrap_or(&self.other).fetch_add(1, Ordering::Relaxed);
        let request = context.request.as_deref().map(tracing::field::display);
        context.span.in_scope(|| match declared {
            Some(DeclaredError { kind, message, .. }) if kind.is_fault() => {
                if let Some(left_out) = self.log_rate.admit() {
                    let suppressed = (left_out > 0).then_some(left_out);
                    tracing::warn!(request, %chainlet, kind = %kind.name(), error = message, suppressed,
                        "a chainlet answered with an error");
                }
            }
            Some(DeclaredError { kind, message, .. }) => {
                tracing::debug!(request, %chainlet, kind = %kind.name(), error = message,
                    "a chainlet answered with an error");
            }
            None => tracing::debug!(request, %chainlet, "a chainlet answered with an error of its own type"),
        });
    }

    /// Returns the number of errors of each kind that occurred.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let kinds = DeclaredKind::ALL.iter().map(|kind| kind.name()).chain([OTHER]);
        let counts = self.by_kind.iter().chain([&self.other]).map(|count| count.load(Ordering::Relaxed));
        kinds.zip(counts).filter(|(_, count)| *count > 0)
    }
}
