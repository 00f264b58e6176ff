//! A call's streams, on their way out of a chainlet and into one.
//!
//! A call with streams goes on after its answer: its slot, its deadline and its failure are those of its streams, too.
//!
//! - Whoever reads a stream ([`Reading`]) learns at its end whether it was written to its end, or why not: the guest trapped,
//!   or a dependency of it failed.
//! - A guest can't learn this from a stream that it reads ([`feed`]): the component model knows only one kind of end. So
//!   where such a stream breaks off, the guest's own call fails, as where a dependency gives no answer.
//! - A reader who leaves ends the stream; the guest learns of it when it next writes. From then on it has the grace.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use tokio::runtime::Handle;
use tokio::sync::SetOnce;
use tokio::time::{Instant, sleep_until};

use super::call::{Answered, Call};
use super::replica::Replica;
use crate::config::ChainletName;
use crate::error::{CallError, ErrorKind};
use crate::value::stream::lasting::until;
use crate::value::stream::{Items, StreamError};

/// What a guest reads on behalf of `call`: `items`, and where they break off, the call fails and nothing more comes.
pub(crate) fn feed(items: Items, call: Option<Arc<Call>>, reader: ChainletName) -> Items {
    Box::pin(stream::unfold((items, call, reader), |(mut items, call, reader)| async {
        let next = {
            // For as long as the guest waits for somebody else.
            let _waits = call.as_ref().map(|call| call.wait());
            let given_up = async {
                match &call {
                    Some(call) => call.given_up().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = given_up => None,
                next = items.next() => Some(next),
            }
        };
        let Some(next) = next else {
            // Whoever writes it is not to go on for nobody.
            drop((items, call));
            return std::future::pending().await;
        };
        match next? {
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
    /// The same for all streams of an answer: whoever leaves one has not left the others.
    pub leaving: Arc<Leaving>,
    pub replica: Arc<Replica>,
    pub chainlet: ChainletName,
}

/// Dropped when nobody reads any stream of an answer any more. If the guest writes one still, it has its grace from then on.
pub(super) struct Leaving {
    call: Weak<Call>,
    /// What the call failed by after its answer, once it has. It outlasts the call.
    failure: Arc<SetOnce<CallError>>,
    grace: Duration,
    runtime: Handle,
}

impl Leaving {
    pub(super) fn new(answered: Answered, grace: Duration, runtime: Handle) -> Self {
        let Answered { call, failure } = answered;
        Leaving { call, failure, grace, runtime }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(call) = self.call.upgrade() {
            call.leave(self.grace, &self.runtime);
        }
    }
}

/// How many batches are handed on after the call has failed: those that were on their way by then.
const AFTER_FAILURE: usize = 4;

impl Reading {
    /// `items`, and at their end what the guest and its calls came to.
    pub(super) fn of(&self, items: Items) -> Items {
        let Reading { leaving, replica, chainlet } = self;
        let failure = leaving.failure.clone();
        let reading = Some((items, leaving.clone(), failure, replica.clone(), chainlet.clone(), AFTER_FAILURE));
        Box::pin(stream::unfold(reading, |reading| async {
            let (mut items, leaving, failure, replica, chainlet, left) = reading?;
            let failed = failure.get();
            let next = match (failed, left) {
                (Some(error), 0) => Some(Err(error.clone().into())),
                // What is here comes before the failure.
                _ => tokio::select! {
                    biased;
                    next = items.next() => match next {
                        // A guest may end its stream though a call of it has failed, perhaps while this waited.
                        None => failure.get().map(|error| Err(error.clone().into())),
                        next => next,
                    },
                    error = failure.wait() => Some(Err(error.clone().into())),
                },
            };
            match next? {
                Ok(list) => {
                    let left = if failed.is_some() { left - 1 } else { left };
                    Some((Ok(list), Some((items, leaving, failure, replica, chainlet, left))))
                }
                Err(StreamError::Lost) => {
                    let death = replica.death().await;
                    let error =
                        CallError::new(death.kind, &chainlet, &death.message).with_backtrace(death.backtrace.clone());
                    Some((Err(error.into()), None))
                }
                Err(error) => Some((Err(error), None)),
            }
        }))
    }
}

/// `items` until `deadline`, whether or not they are read, and then the failure of `chainlet`.
pub(super) fn until_deadline(items: Items, deadline: Instant, chainlet: ChainletName, runtime: &Handle) -> Items {
    let over = async move {
        sleep_until(deadline).await;
        CallError::new(ErrorKind::Deadline, &chainlet, "its stream had not come to an end before the deadline").into()
    };
    until(items, over, runtime)
}
