//! A call's streams, on their way out of a chainlet and into one.
//!
//! A call with streams goes on after its answer: its slot, its deadline and its failure are those of its streams, too.
//!
//! - Whoever reads a stream ([`Reading`]) learns at its end whether it was written to its end, or why not: the guest trapped,
//!   or a dependency of it failed.
//! - A guest can't learn this from a stream that it reads ([`feed`]): the component model knows only one kind of end. So
//!   where such a stream breaks off, the guest's own call fails, as where a dependency gives no answer.
//! - A reader who leaves ends the stream; the guest learns of it when it next writes. From then on it has the grace.

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use super::call::Call;
use super::replica::Replica;
use crate::config::ChainletName;
use crate::error::{CallError, ErrorKind};
use crate::value::stream::{Items, StreamError, until};

/// What a guest reads on behalf of `call`: `items`, and where they break off, the call fails and nothing more comes.
pub(crate) fn feed(items: Items, call: Option<Arc<Call>>, reader: ChainletName) -> Items {
    Box::pin(stream::unfold((items, call, reader), |(mut items, call, reader)| async {
        match items.next().await? {
            Ok(list) => Some((Ok(list), (items, call, reader))),
            Err(error) => {
                let error = match error {
                    StreamError::Call(error) => error,
                    other => {
                        CallError::new(ErrorKind::Internal, &reader, format_args!("a stream that it reads: {other}"))
                    }
                };
                match &call {
                    Some(call) => call.fail(error),
                    None => tracing::debug!(%error, "a stream broke off that belongs to no call"),
                }
                drop((items, call));
                std::future::pending().await
            }
        }
    }))
}

/// A stream that leaves a chainlet, for whoever reads it.
pub(super) struct Reading {
    pub call: Weak<Call>,
    pub replica: Arc<Replica>,
    pub chainlet: ChainletName,
    pub grace: Duration,
    pub runtime: Handle,
}

/// Tells the call where a reader leaves early.
struct Leaving {
    call: Weak<Call>,
    grace: Duration,
    runtime: Handle,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(call) = self.call.upgrade() {
            call.leave(self.grace, &self.runtime);
        }
    }
}

impl Reading {
    /// `items`, and at their end what the guest and its calls came to.
    pub(super) fn of(&self, items: Items) -> Items {
        let Reading { call, replica, chainlet, grace, runtime } = self;
        let leaving = Leaving { call: call.clone(), grace: *grace, runtime: runtime.clone() };
        let reading = Some((items, leaving, replica.clone(), chainlet.clone()));
        Box::pin(stream::unfold(reading, |reading| async {
            let (mut items, mut leaving, replica, chainlet) = reading?;
            let failure = async {
                match leaving.call.upgrade() {
                    Some(call) => call.failure().await,
                    None => std::future::pending().await,
                }
            };
            let next = tokio::select! {
                biased;
                error = failure => Some(Err(error.into())),
                next = items.next() => next,
            };
            match next {
                Some(Ok(list)) => return Some((Ok(list), Some((items, leaving, replica, chainlet)))),
                // All was read, or nothing more will be written.
                _ => leaving.call = Weak::new(),
            }
            match next? {
                Err(StreamError::Lost) => {
                    let death = replica.death().await;
                    let error =
                        CallError::new(death.kind, &chainlet, &death.message).with_backtrace(death.backtrace.clone());
                    Some((Err(error.into()), None))
                }
                other => Some((other, None)),
            }
        }))
    }
}

/// `items` for as long as their reader waits: until `deadline`, and then the failure of `chainlet`.
pub(super) fn until_deadline(items: Items, deadline: Instant, chainlet: ChainletName) -> Items {
    until(items, async move {
        pin!(sleep_until(deadline)).await;
        CallError::new(ErrorKind::Deadline, &chainlet, "its stream had not come to an end before the deadline").into()
    })
}
