//! Takes what a guest writes and sends it to a reader.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;
use wasmtime::component::{FutureConsumer, Source, StreamConsumer, StreamResult};
use wasmtime::{AsContextMut, Result, StoreContextMut, format_err};

use super::item::Item;
use super::{BATCH, HasStreams, KeepAlive, Streams, connect};
use crate::memory::Reservation;
use crate::value::List;
use crate::value::stream::StreamError;

/// Items that wait for their reader.
pub(super) struct Batch {
    list: List,
    _reservation: Reservation,
}

/// The reader's end of a channel.
pub(super) struct BatchReceiver {
    batches: Option<mpsc::Receiver<Batch>>,
    whole: Arc<AtomicBool>,
}

impl BatchReceiver {
    pub(super) fn new(batches: mpsc::Receiver<Batch>, whole: Arc<AtomicBool>) -> Self {
        BatchReceiver { batches: Some(batches), whole }
    }
}

impl futures::Stream for BatchReceiver {
    type Item = Result<List, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(batches) = &mut self.batches else { return Poll::Ready(None) };
        if let Some(batch) = ready!(batches.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(batch.list)));
        }
        self.batches = None;
        Poll::Ready(match self.whole.load(Ordering::SeqCst) {
            true => None,
            false => Some(Err(StreamError::Lost)),
        })
    }
}

/// The writer's end of a channel.
pub(super) struct BatchSender {
    channel: PollSender<Batch>,
    whole: Arc<AtomicBool>,
    /// The most items in a batch.
    most: usize,
    streams: Streams,
    held: Option<KeepAlive>,
}

/// The answer to the question whether there is room for a batch.
enum ChannelRoom {
    Yes,
    /// Nobody reads any more.
    Closed,
}

impl BatchSender {
    pub(super) fn new(
        channel: mpsc::Sender<Batch>,
        whole: Arc<AtomicBool>,
        most: usize,
        streams: Streams,
        held: Option<KeepAlive>,
    ) -> Self {
        BatchSender { channel: PollSender::new(channel), whole, most, streams, held }
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<ChannelRoom> {
        // Checks this first, because a place that was reserved earlier stays reserved after the reader has left.
        if self.channel.get_ref().is_none_or(|channel| channel.is_closed()) {
            return Poll::Ready(ChannelRoom::Closed);
        }
        if ready!(self.channel.poll_reserve(cx)).is_err() {
            return Poll::Ready(ChannelRoom::Closed);
        }
        self.streams.budget.poll_room(cx).map(|()| ChannelRoom::Yes)
    }

    /// Sends `list` to the reader, in the place that [`BatchSender::poll_room`] reserved.
    fn send(&mut self, list: List) {
        let mut reservation = self.streams.budget.nothing();
        // Reserves without a check, because the host already holds the batch.
        reservation.grow_anyway(list.weight().saturating_add(BATCH));
        // Sends fail only after the reader has left. The next batch finds the channel closed.
        let _ = self.channel.send_item(Batch { list, _reservation: reservation });
    }
}

/// wasmtime drops a consumer when the guest closes the writable end, or when the store is dropped. Only the first is a
/// proper end of the stream.
impl Drop for BatchSender {
    fn drop(&mut self) {
        // Set before the channel is dropped, so that a reader that finds the channel's end finds this, too.
        if !self.streams.are_over() {
            self.whole.store(true, Ordering::SeqCst);
        }
    }
}

/// A consumer of what a guest writes to a stream or future of `I`.
pub(super) struct GuestConsumer<I> {
    sender: BatchSender,
    item: PhantomData<fn() -> I>,
}

impl<I> GuestConsumer<I> {
    pub(super) fn new(sender: BatchSender) -> Self {
        GuestConsumer { sender, item: PhantomData }
    }

    /// Answers a guest whose write cannot be taken now.
    fn not_now(&mut self, finish: bool) -> Poll<Result<StreamResult>> {
        if !finish {
            return Poll::Pending;
        }
        self.sender.channel.abort_send();
        Poll::Ready(Ok(StreamResult::Cancelled))
    }
}

impl<const REALLOC: bool> GuestConsumer<Item<REALLOC>> {
    fn take<T: HasStreams>(
        &mut self,
        mut store: StoreContextMut<'_, T>,
        source: &mut Source<'_, Item<REALLOC>>,
        count: usize,
    ) -> Result<List> {
        let (list, opened) = Item::read(source, store.as_context_mut(), count, self.sender.most)?;
        connect(store, opened, self.sender.held.as_ref())?;
        Ok(list)
    }
}

impl<T: HasStreams> StreamConsumer<T> for GuestConsumer<u8> {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'_, T>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        match self.sender.poll_room(cx) {
            Poll::Pending => return self.not_now(finish),
            Poll::Ready(ChannelRoom::Closed) => return Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Ready(ChannelRoom::Yes) => {}
        }
        if source.remaining(store.as_context_mut()) == 0 {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let mut direct = source.as_direct(store);
        let bytes = direct.remaining();
        let chunk = Bytes::copy_from_slice(bytes.get(..self.sender.most).unwrap_or(bytes));
        direct.mark_read(chunk.len());
        self.sender.send(List::U8(chunk));
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

impl<T: HasStreams, const REALLOC: bool> StreamConsumer<T> for GuestConsumer<Item<REALLOC>> {
    type Item = Item<REALLOC>;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'_, T>,
        mut source: Source<'_, Item<REALLOC>>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        match self.sender.poll_room(cx) {
            Poll::Pending => return self.not_now(finish),
            Poll::Ready(ChannelRoom::Closed) => return Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Ready(ChannelRoom::Yes) => {}
        }
        let count = source.remaining(store.as_context_mut());
        if count > 0 {
            let list = self.take(store, &mut source, count)?;
            self.sender.send(list);
        }
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

impl<T: HasStreams, const REALLOC: bool> FutureConsumer<T> for GuestConsumer<Item<REALLOC>> {
    type Item = Item<REALLOC>;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'_, T>,
        mut source: Source<'_, Item<REALLOC>>,
        finish: bool,
    ) -> Poll<Result<()>> {
        let room = match self.sender.poll_room(cx) {
            Poll::Pending if !finish => return Poll::Pending,
            // A future's channel has a place for its one item, and tokio's cooperative budget does not apply within a
            // store's turn, so only the memory budget can say no. wasmtime counts the future as written from here on,
            // and it can't be cancelled any more. So the item is taken whatever the memory budget says.
            Poll::Pending => ChannelRoom::Yes,
            Poll::Ready(room) => room,
        };
        if source.remaining(store.as_context_mut()) != 1 {
            return Poll::Ready(Err(format_err!("a future is written with other than one item")));
        }
        // Takes the item even if nobody reads, because wasmtime allows no other answer to the guest.
        let list = self.take(store, &mut source, 1)?;
        if matches!(room, ChannelRoom::Yes) {
            self.sender.send(list);
        }
        Poll::Ready(Ok(()))
    }
}
