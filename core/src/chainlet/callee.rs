//! The callee of a call: a chainlet, wherever it runs.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::call::{CallContext, Outcome};
use super::params::Params;
use super::pool::Status;
use crate::config::ChainletName;
use crate::value::Signature;

/// A chainlet as its callers see it.
///
/// A callee always takes calls: it decides itself which of them wait and which it rejects. It enforces no deadlines.
/// Its callers do ([`within`](crate::chain::deadline::within)), by dropping the call's future. The callee then tells
/// its guest that nobody waits any more.
pub trait Callee: Send + Sync {
    /// Returns its name in the chain.
    fn name(&self) -> &ChainletName;

    /// Returns the type of its `run-remote`.
    fn signature(&self) -> &Arc<Signature>;

    /// Returns the most bytes that the values of one call may take.
    fn value_limit(&self) -> usize;

    /// Returns how many replicas are ready, and how many calls are in flight and waiting.
    fn status(&self) -> Status;

    /// Calls `run-remote`. The chainlet's typed error is an answer; a failure means that there was no answer.
    fn call(self: Arc<Self>, params: Params, context: CallContext) -> BoxFuture<'static, Outcome>;
}
