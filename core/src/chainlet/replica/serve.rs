//! The life of a replica: its calls, one after the other and side by side, until its store ends.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use wasmtime::component::{Accessor, GuestTaskId};
use wasmtime::{AsContextMut, Store};

use super::super::call::{PendingCall, Returned};
use super::super::health::{self, Monitor};
use super::super::limits;
use super::super::question::Question;
use super::super::state::ReplicaState;
use super::super::streams::{Feed, ReadingGuest};
use super::Replica;
use super::death::Death;
use crate::config::ChainletName;
use crate::error::{CallError, ErrorKind};
use crate::memory::NoRoom;
use crate::value::abi::call::{Export, Lifted};
use crate::value::abi::stream::{EndOfStreams, KeepAlive};

/// The most calls that a replica takes out of its inbox in one poll of its driver. Without this limit, a caller that
/// drives it would be kept for as long as others bring more calls.
const CALLS_A_POLL: usize = 32;

/// The end of a replica's `run_concurrent`. It carries the store, so that the replica's task drops it: the thread that
/// drove the replica to its end may belong to a guest's caller, in the middle of another store.
pub(super) struct Ended {
    pub death: Death,
    pub store: Store<ReplicaState>,
}

/// Serves calls, and asks the guest for its health, until the replica dies.
pub(super) async fn serve_all(
    streams: EndOfStreams,
    mut store: Store<ReplicaState>,
    export: Export,
    replica: Arc<Replica>,
    question: Option<Question>,
    monitor: Monitor,
    name: ChainletName,
) -> Ended {
    // Declared after the store, so that it is dropped before it.
    let streams = streams;
    let ended = store
        .run_concurrent(async |accessor| {
            let mut calls = FuturesUnordered::new();
            let mut health = pin!(health::watch(accessor, question, monitor));
            let (mut polls, mut taken) = (0, 0);
            let parameters = accessor.with(|mut access| access.as_context_mut().data().parameters.clone());
            poll_fn(|cx| {
                replica.rounds.fetch_add(1, Ordering::Relaxed);
                // Calls that have ended since leave more bytes to the next call of the guest.
                if parameters.has_fallen() {
                    accessor.with(|mut access| parameters.set_limit(&mut access.as_context_mut()));
                }
                if polls != replica.driver.polls() {
                    (polls, taken) = (replica.driver.polls(), 0);
                }
                while taken < CALLS_A_POLL
                    && let Some(pending) = replica.inbox.pop()
                {
                    taken += 1;
                    replica.used.store(true, Ordering::Relaxed);
                    calls.push(serve(accessor, export, pending, &name));
                }
                if taken == CALLS_A_POLL {
                    cx.waker().wake_by_ref();
                }
                while let Poll::Ready(Some(())) = calls.poll_next_unpin(cx) {}
                health.as_mut().poll(cx)
            })
            .await
        })
        .await;
    let death = match ended {
        Ok(never) => match never {},
        Err(error) => Death::of(&error, store.data(), &name),
    };
    drop(streams);
    Ended { death, store }
}

async fn serve(accessor: &Accessor<ReplicaState>, export: Export, pending: PendingCall, name: &ChainletName) {
    let Some((mut params, serving)) = pending.begin() else { return };
    let call = serving.call().clone();
    let streams: Option<KeepAlive> = export.has_streams().then(|| Arc::new(call.open_streams()) as KeepAlive);
    if let Some(streams) = &streams {
        let reader = ReadingGuest { chainlet: name.clone(), call: Some(call.clone()) };
        let wrap = Arc::new(Feed { reader, _held: streams.clone() }).wrap();
        params.list.iter_mut().for_each(|param| param.wrap_streams(&wrap));
    }
    let mut task: Option<GuestTaskId> = None;
    let answer = export
        .call(accessor, params.list, params.reservation, streams.as_ref(), |mut store, started| {
            store.data_mut().begin(started, call.clone());
            task = Some(started);
        })
        .await;
    let no_room = |no_room: &NoRoom| {
        let message = format_args!("its answer cannot be taken: {no_room}");
        CallError::new(ErrorKind::Overloaded, name, message).limited_by(no_room.option).after_the_call_began()
    };
    let answer = answer.map_err(|error| {
        if let Some(refused) = error.downcast_ref::<NoRoom>() {
            return no_room(refused);
        }
        let why = accessor.with(|mut access| access.as_context_mut().data().parameters.explain(&error, name));
        let (why, limit) = why.unzip();
        let why = why.unwrap_or_else(|| format!("{error:#}"));
        let error = CallError::new(ErrorKind::Trap, name, format_args!("the guest's answer cannot be taken: {why}"));
        limit.into_iter().fold(error, |error, limit| limit.name_in(error))
    });
    let answer = answer.and_then(|Lifted { value, reservation }| {
        let reserve =
            |bytes| accessor.with(|mut access| access.as_context_mut().data().parameters.reserve(bytes, reservation));
        let reservation =
            limits::counted(value.as_slice()).map(reserve).transpose().map_err(|refused| no_room(&refused))?;
        Ok(Returned { value, reservation })
    });
    let end_task = || {
        if let Some(task) = task {
            accessor.with(|mut access| access.as_context_mut().data_mut().end(task, &call));
        }
    };
    match (streams, answer) {
        (Some(streams), Ok(answer)) => {
            serving.stream(answer, streams).await;
            end_task();
        }
        (_, answer) => {
            end_task();
            serving.finish(answer);
        }
    }
}
