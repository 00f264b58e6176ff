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
use super::{BATCH, Held, Streaming, Streams, connect};
use crate::memory::Reservation;
use crate::value::List;
use crate::value::stream::StreamError;

/// Items that wait for their reader.
pub(super) struct Batch {
    list: List,
    _reservation: Reservation,
}

/// The reader's end of a channel.
pub(super) struct Received {
    batches: Option<mpsc::Receiver<Batch>>,
    whole: Arc<AtomicBool>,
}

impl Received {
    pub(super) fn new(batches: mpsc::Receiver<Batch>, whole: Arc<AtomicBool>) -> Self {
        Received { batches: Some(batches), whole }
    }
}

impl futures::Stream for Received {
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
pub(super) struct Sender {
    channel: PollSender<Batch>,
    whole: Arc<AtomicBool>,
    /// The most items in a batch.
    most: usize,
    streams: Streams,
    held: Option<Held>,
}

/// Whether there is room for a batch.
enum Room {
    Yes,
    /// Nobody reads any more.
    Closed,
}

impl Sender {
    pub(super) fn new(
        channel: mpsc::Sender<Batch>,
        whole: Arc<AtomicBool>,
        most: usize,
        streams: Streams,
        held: Option<Held>,
    ) -> Self {
        Sender { channel: PollSender::new(channel), whole, most, streams, held }
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Room> {
        // Checks this first, because a place that was reserved earlier stays reserved after the reader has left.
        if self.channel.get_ref().is_none_or(|channel| channel.is_closed()) {
            return Poll::Ready(Room::Closed);
        }
        if ready!(self.channel.poll_reserve(cx)).is_err() {
            return Poll::Ready(Room::Closed);
        }
        self.streams.budget.poll_room(cx).map(|()| Room::Yes)
    }

    /// Sends `list` to the reader, in the place that [`Sender::poll_room`] reserved.
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
impl Drop for Sender {
    fn drop(&mut self) {
        // Set before the channel is dropped, so that a reader that finds the channel's end finds this, too.
        if !self.streams.are_over() {
            self.whole.store(true, Ordering::SeqCst);
        }
    }
}

/// A consumer of what a guest writes to a stream or future of `I`.
pub(super) struct Reading<I> {
    sender: Sender,
    item: PhantomData<fn() -> I>,
}

impl<I> Reading<I> {
    pub(super) fn new(sender: Sender) -> Self {
        Reading { sender, item: PhantomData }
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

impl<const REALLOC: bool> Reading<Item<REALLOC>> {
    fn take<T: Streaming>(
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

impl<T: Streaming> StreamConsumer<T> for Reading<u8> {
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
            Poll::Ready(Room::Closed) => return Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Ready(Room::Yes) => {}
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

impl<T: Streaming, const REALLOC: bool> StreamConsumer<T> for Reading<Item<REALLOC>> {
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
            Poll::Ready(Room::Closed) => return Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Ready(Room::Yes) => {}
        }
        let count = source.remaining(store.as_context_mut());
        if count > 0 {
            let list = self.take(store, &mut source, count)?;
            self.sender.send(list);
        }
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

impl<T: Streaming, const REALLOC: bool> FutureConsumer<T> for Reading<Item<REALLOC>> {
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
            Poll::Pending => Room::Yes,
            Poll::Ready(room) => room,
        };
        if source.remaining(store.as_context_mut()) != 1 {
            return Poll::Ready(Err(format_err!("a future is written with other than one item")));
        }
        // Takes the item even if nobody reads, because wasmtime allows no other answer to the guest.
        let list = self.take(store, &mut source, 1)?;
        if matches!(room, Room::Yes) {
            self.sender.send(list);
        }
        Poll::Ready(Ok(()))
    }
}
