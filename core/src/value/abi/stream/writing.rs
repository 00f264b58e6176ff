//! Gives a guest what it reads from a writer.

use std::any::{Any, TypeId};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::{self, Fuse, StreamExt};
use wasmtime::component::{Destination, FutureProducer, StreamProducer, StreamResult, VecBuffer};
use wasmtime::{AsContextMut, StoreContextMut, format_err};

use super::item::Item;
use crate::value::List;
use crate::value::stream::Items;

/// A producer that gives a guest the items of a stream.
///
/// A guest cannot learn that a stream broke off: a guest only sees a stream end. So a stream that breaks off yields
/// nothing more, not even an end, and the maker of the items makes the guest's call fail.
pub(super) struct GuestProducer<I> {
    /// `None` after the items broke off.
    items: Option<Fuse<Items>>,
    /// The batch that came last, and the number of its items that the guest has.
    batch: List,
    given: usize,
    item: PhantomData<fn() -> I>,
}

/// The rest of the items of a stream whose readable end a guest handed on. Its new reader gets them directly.
pub(super) struct HandedOn(pub Items);

/// Takes the items back from `writing` if `ty` is [`HandedOn`].
fn take_back<I: 'static>(
    writing: Pin<Box<GuestProducer<I>>>,
    ty: TypeId,
) -> Result<Box<dyn Any>, Pin<Box<GuestProducer<I>>>> {
    if ty != TypeId::of::<HandedOn>() {
        return Err(writing);
    }
    let GuestProducer { items, mut batch, given, .. } = *Pin::into_inner(writing);
    let read = batch.len().min(given);
    let rest = if read < batch.len() { Some(Ok(batch.take(read..batch.len()))) } else { None };
    let items: Items = match items {
        Some(items) => stream::iter(rest).chain(items).boxed(),
        // A stream that broke off must not end.
        None => stream::iter(rest).chain(stream::pending()).boxed(),
    };
    Ok(Box::new(HandedOn(items)))
}

/// The result of asking for a guest's next items.
enum ForGuest {
    /// Items, from [`GuestProducer::given`] on.
    Items,
    End,
}

impl<I> GuestProducer<I> {
    pub(super) fn new(items: Items) -> Self {
        GuestProducer { items: Some(items.fuse()), batch: List::Values(Vec::new()), given: 0, item: PhantomData }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<ForGuest> {
        while self.given >= self.batch.len() {
            let Some(items) = &mut self.items else { return Poll::Pending };
            match items.poll_next_unpin(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(ForGuest::End),
                Poll::Ready(Some(Ok(list))) => (self.batch, self.given) = (list, 0),
                Poll::Ready(Some(Err(_))) => self.items = None,
            }
        }
        Poll::Ready(ForGuest::Items)
    }

    /// Takes the next items, at most `room` of them.
    fn take(&mut self, room: usize) -> List {
        let start = self.given;
        self.given = start.saturating_add(room).min(self.batch.len());
        if start == 0 && self.given == self.batch.len() {
            self.given = 0;
            return std::mem::replace(&mut self.batch, List::Values(Vec::new()));
        }
        self.batch.take(start..self.given)
    }
}

fn not_now(finish: bool) -> Poll<wasmtime::Result<StreamResult>> {
    if finish { Poll::Ready(Ok(StreamResult::Cancelled)) } else { Poll::Pending }
}

impl<T: 'static> StreamProducer<T> for GuestProducer<u8> {
    type Item = u8;
    type Buffer = VecBuffer<u8>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, T>,
        destination: Destination<'a, u8, VecBuffer<u8>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        match self.poll_next(cx) {
            Poll::Pending => return not_now(finish),
            Poll::Ready(ForGuest::End) => return Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Ready(ForGuest::Items) => {}
        }
        let room = destination.remaining(store.as_context_mut());
        if room == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let List::U8(bytes) = self.take(room.unwrap_or(usize::MAX)) else {
            return Poll::Ready(Err(format_err!("a batch of a stream<u8> holds something else")));
        };
        let mut direct = destination.as_direct(store, bytes.len());
        if let Some(target) = direct.remaining().get_mut(..bytes.len()) {
            target.copy_from_slice(&bytes);
        }
        direct.mark_written(bytes.len());
        Poll::Ready(Ok(StreamResult::Completed))
    }

    fn try_into(me: Pin<Box<Self>>, ty: TypeId) -> Result<Box<dyn Any>, Pin<Box<Self>>> {
        take_back(me, ty)
    }
}

impl<T: 'static, const REALLOC: bool> StreamProducer<T> for GuestProducer<Item<REALLOC>> {
    type Item = Item<REALLOC>;
    type Buffer = VecBuffer<Item<REALLOC>>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'a, T>,
        mut destination: Destination<'a, Item<REALLOC>, VecBuffer<Item<REALLOC>>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        match self.poll_next(cx) {
            Poll::Pending => return not_now(finish),
            Poll::Ready(ForGuest::End) => return Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Ready(ForGuest::Items) => {}
        }
        // Takes only as much as the guest has room for, so that a batch is never written in parts.
        let room = destination.remaining(store).unwrap_or(usize::MAX);
        if room > 0 {
            destination.set_buffer(Item::batch(self.take(room)).into());
        }
        Poll::Ready(Ok(StreamResult::Completed))
    }

    fn try_into(me: Pin<Box<Self>>, ty: TypeId) -> Result<Box<dyn Any>, Pin<Box<Self>>> {
        take_back(me, ty)
    }
}

impl<T: 'static, const REALLOC: bool> FutureProducer<T> for GuestProducer<Item<REALLOC>> {
    type Item = Item<REALLOC>;

    fn poll_produce(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: StoreContextMut<'_, T>,
        finish: bool,
    ) -> Poll<wasmtime::Result<Option<Item<REALLOC>>>> {
        match self.poll_next(cx) {
            Poll::Ready(ForGuest::Items) => Poll::Ready(Ok(Item::batch(self.take(1)).pop())),
            // A future that ends without its item broke off as well.
            Poll::Ready(ForGuest::End) | Poll::Pending if finish => Poll::Ready(Ok(None)),
            Poll::Ready(ForGuest::End) | Poll::Pending => Poll::Pending,
        }
    }
}
