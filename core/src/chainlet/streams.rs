//! The streams of a call, on their way out of a chainlet and into one.
//!
//! A call with streams goes on after its answer. Its place, its deadline and its failure apply to its streams, too. All
//! streams of one answer share their [`Surroundings`], and each passes through one wrapper.
//!
//! - A reader learns at a stream's end whether the stream was written to its end. If not, it learns the reason: the
//!   guest trapped, a dependency of the guest failed, or its time was over.
//! - A guest that reads cannot learn this, because the component model has only one kind of end. So if a stream breaks
//!   off, the guest's own call fails, and the stream ends only after the guest no longer reads for that call. Otherwise
//!   the guest could take the stream for complete, and store half of something. If the guest has handed the stream on,
//!   the host reads it, and the stream ends as soon as the guest has let go of its call.
//! - A reader who leaves ends the stream, and the last reader who leaves ends the call: the host tells its guest.

mod alarm;

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, sleep_until};

use self::alarm::Alarm;
use super::call::{Call, CallAnswer, Tail};
use crate::config::ChainletName;
use crate::deadline::Deadline;
use crate::error::{CallError, EdgeName, ErrorKind};
use crate::log_fields::log_call_error;
use crate::value::List;
use crate::value::stream::{Items, Shape, StreamError, Wrap};

/// The number of batches that are passed on after the call has failed: those that were on their way by then.
const AFTER_FAILURE: usize = 4;

/// The time that a stream may keep its reader waiting.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    /// The time by which the first item must have come, and how long that is after the call.
    pub first: Option<(Instant, Duration)>,
    /// The longest time from one item to the next.
    pub between: Option<Duration>,
}

/// The deadline, pace, edge and reader of the streams of one answer, kept for as long as any of them is read.
#[derive(Default)]
pub(crate) struct Surroundings {
    /// The time at which the streams must have ended.
    pub deadline: Option<Deadline>,
    /// The longest times for which a stream may keep its reader waiting.
    pub pace: Pace,
    /// The edge that the streams cross. Their failures name it.
    pub edge: Option<Arc<EdgeName>>,
    /// The guest that reads the streams, if one does.
    pub reader: Option<ReadingGuest>,
}

/// A guest that reads streams.
#[derive(Clone)]
pub(crate) struct ReadingGuest {
    /// The chainlet of the guest.
    pub chainlet: ChainletName,
    /// The guest's call for which it reads. The call fails if a stream breaks off.
    pub call: Option<Arc<Call>>,
}

impl Surroundings {
    /// Puts these surroundings around the streams of `answered`, which `callee` writes.
    pub(crate) fn surround(self, answered: &mut CallAnswer, callee: &ChainletName) {
        let Some(tail) = answered.tail.take() else { return };
        let Some(value) = &mut answered.value else { return };
        let alarm = self.deadline.clone().map(|deadline| Alarm::set(deadline, &tail, callee.clone()));
        tail.mark_read();
        let (callee, permit) = (callee.clone(), answered.permit.take());
        let shared = Arc::new(Shared { of: self, callee, tail, _alarm: alarm, _permit: permit });
        let first = shared.of.pace.first;
        value.wrap_streams(&shared.wrap(first));
    }
}

/// Surroundings in use.
struct Shared {
    of: Surroundings,
    callee: ChainletName,
    tail: Tail,
    _alarm: Option<Alarm>,
    /// The call's place among the calls of the edge.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Shared {
    /// Returns the wrapper of streams whose first item must come by `first`.
    fn wrap(self: Arc<Self>, first: Option<(Instant, Duration)>) -> Wrap {
        Arc::new(move |items, shape| {
            let open = Open { shared: self.clone(), ended: false };
            let pace = if shape == Shape::Stream { Pace { first, ..self.of.pace } } else { Pace::default() };
            let reading = SurroundedStream { items, open, pace, left: AFTER_FAILURE };
            Box::pin(stream::unfold(Some(reading), |reading| async { reading?.next().await }))
        })
    }
}

/// A stream that may still be read.
struct Open {
    shared: Arc<Shared>,
    ended: bool,
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.tail.mark_left();
        }
    }
}

/// One stream of an answer.
struct SurroundedStream {
    items: Items,
    open: Open,
    pace: Pace,
    /// The number of batches that are still passed on after a failure.
    left: usize,
}

/// The result of looking for the next batch.
enum NextBatch {
    Batch(Option<Result<List, StreamError>>),
    /// The call has failed.
    Failed,
    /// The next item is late, by the key of the edge that has this value.
    Late(&'static str, Duration),
    /// The guest reads for a call that nobody wants any more.
    Unwanted,
}

impl SurroundedStream {
    async fn next(mut self) -> Option<(Result<List, StreamError>, Option<Self>)> {
        // This clone must not outlive the stream: the call's place comes free when the last stream is dropped.
        let shared = self.open.shared.clone();
        let Shared { of, callee, tail, .. } = &*shared;
        let error = match self.look(&shared).await {
            NextBatch::Batch(Some(Ok(mut list))) => {
                self.pace.first = None;
                // Streams inside an item have no time limit for their first item, because they have only begun.
                list.wrap_streams(|| shared.clone().wrap(None));
                return Some((Ok(list), Some(self)));
            }
            // A guest may end its stream although its call has failed.
            NextBatch::Batch(None) => match tail.failure() {
                Some(error) => error,
                None => {
                    self.open.ended = true;
                    return None;
                }
            },
            NextBatch::Batch(Some(Err(StreamError::Lost))) => tail.death(callee).await,
            NextBatch::Batch(Some(Err(StreamError::Call(error)))) => error,
            NextBatch::Batch(Some(Err(other))) => match &of.reader {
                Some(reader) => {
                    let message = format_args!("a stream that it reads: {other}");
                    CallError::new(ErrorKind::Internal, &reader.chainlet, message)
                }
                None => return Some((Err(other), None)),
            },
            NextBatch::Failed => tail.failure()?,
            NextBatch::Late(key, time) => {
                let error = late(of.edge.as_deref(), callee, key, time);
                tail.fail(error.clone());
                error
            }
            NextBatch::Unwanted => {
                let reader = of.reader.clone();
                drop((self, shared));
                return end_for(reader).await;
            }
        };
        let error = match &of.edge {
            Some(edge) => {
                log_call_error!(debug, &error, "a stream through an edge broke off", edge = display(edge));
                error.through(edge)
            }
            None => error,
        };
        let Some(reader) = of.reader.clone() else { return Some((Err(error.into()), None)) };
        drop((self, shared));
        reader.broke_off(error);
        end_for(Some(reader)).await
    }

    async fn look(&mut self, shared: &Shared) -> NextBatch {
        let Shared { of, tail, .. } = shared;
        if tail.failure().is_some() {
            if self.left == 0 {
                return NextBatch::Failed;
            }
            self.left -= 1;
        }
        let reader = of.reader.as_ref();
        let _waits = reader.and_then(ReadingGuest::waits);
        let late = async {
            match (self.pace.first, self.pace.between) {
                (Some((first, time)), _) => {
                    sleep_until(first).await;
                    NextBatch::Late("first_item_timeout", time)
                }
                (None, Some(between)) => {
                    sleep(between).await;
                    NextBatch::Late("item_timeout", between)
                }
                (None, None) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // Biased, so that items that have come are passed on before a failure.
            next = self.items.next() => NextBatch::Batch(next),
            () = tail.failed() => NextBatch::Failed,
            () = ReadingGuest::pointless(reader) => NextBatch::Unwanted,
            late = late => late,
        }
    }
}

impl ReadingGuest {
    fn waits(&self) -> Option<super::call::Waits> {
        self.call.as_ref().map(Call::wait)
    }

    /// Returns when a guest reads for nobody any more.
    async fn pointless(reader: Option<&Self>) {
        match reader.and_then(|reader| reader.call.as_ref()) {
            Some(call) => call.pointless().await,
            None => std::future::pending().await,
        }
    }

    /// Fails the guest's call, because a stream that the guest reads broke off.
    fn broke_off(&self, error: CallError) {
        match &self.call {
            Some(call) => call.fail(error),
            None => log_call_error!(debug, &error, "a stream broke off that belongs to no call"),
        }
    }
}

/// Returns the failure of a call of `callee` one of whose streams is late: `key` of its edge allows only `time`.
fn late(edge: Option<&EdgeName>, callee: &ChainletName, key: &str, time: Duration) -> CallError {
    let (key, time) = (edge.map_or_else(|| key.to_owned(), |edge| edge.key(key)), humantime::format_duration(time));
    let message = format_args!("the next item of its stream did not come in time: {key} in chain.toml is {time}");
    CallError::new(ErrorKind::Deadline, callee, message).limited_by(key.clone())
}

/// Ends a stream that broke off, after `reader` has stopped reading it for its call. A reader without a call never sees
/// the end.
async fn end_for<T>(reader: Option<ReadingGuest>) -> Option<T> {
    match reader.and_then(|reader| reader.call) {
        Some(call) => call.ends_streams().await,
        None => std::future::pending().await,
    }
    None
}

/// The reader's side of streams among a guest's parameters.
pub(super) struct Feed<H> {
    pub reader: ReadingGuest,
    /// Kept for as long as the guest may read.
    pub _held: H,
}

impl<H: Send + Sync + 'static> Feed<H> {
    /// Returns a wrapper for streams: if one breaks off, the guest's call fails and the stream yields nothing more.
    pub(super) fn wrap(self: Arc<Self>) -> Wrap {
        Arc::new(move |items, _| {
            Box::pin(stream::unfold((items, self.clone()), |(mut items, feed)| async {
                let next = {
                    // Notes that the guest waits for somebody else.
                    let _waits = feed.reader.waits();
                    tokio::select! {
                        biased;
                        next = items.next() => Some(next),
                        () = ReadingGuest::pointless(Some(&feed.reader)) => None,
                    }
                };
                let error = match next {
                    Some(Some(Ok(mut list))) => {
                        list.wrap_streams(|| feed.clone().wrap());
                        return Some((Ok(list), (items, feed)));
                    }
                    Some(Some(Err(StreamError::Call(error)))) => Some(error),
                    Some(Some(Err(other))) => {
                        let message = format_args!("a stream that it reads: {other}");
                        Some(CallError::new(ErrorKind::Internal, &feed.reader.chainlet, message))
                    }
                    Some(None) => return None,
                    None => None,
                };
                // Dropped here, so that the writer does not go on for nobody.
                drop(items);
                let reader = feed.reader.clone();
                drop(feed);
                if let Some(error) = error {
                    reader.broke_off(error);
                }
                end_for(Some(reader)).await
            }))
        })
    }
}
