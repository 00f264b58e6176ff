//! What a chain calls: a chainlet, wherever it runs.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::call::{CallContext, Outcome};
use super::params::Params;
use super::pool::Status;
use crate::config::ChainletName;
use crate::value::Signature;

/// A chainlet as its callers see it.
///
/// A callee decides itself which calls wait and which it refuses, so it always takes them. It keeps no deadlines: those are
/// its callers' ([`within`](crate::chain::deadline::within)), who drop the call's future. A callee then tells its guest
/// that nobody waits any more.
pub(crate) trait Callee: Send + Sync {
    /// Its name in the chain.
    fn name(&self) -> &ChainletName;

    /// The type of its `run-remote`.
    fn signature(&self) -> &Arc<Signature>;

    /// How many bytes the values of one call may take.
    fn value_limit(&self) -> usize;

    /// How many replicas are ready, and how many calls are in flight and waiting.
    fn status(&self) -> Status;

    /// Calls `run-remote`. Its typed error is part of the answer; a failure is a call that got none.
    fn call(self: Arc<Self>, params: Params, context: CallContext) -> BoxFuture<'static, Outcome>;
}
