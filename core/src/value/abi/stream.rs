//! Streams and futures between a guest and the host.
//!
//! A consumer ([`reading`]) takes what a guest writes and leaves each batch in a channel of [`DEPTH`] places. A
//! producer ([`writing`]) gives a guest what it reads, and polls the [`Items`] it was made with. Between two guests, a
//! batch of items goes from the memory of one through the channel into the memory of the other. While its channel is
//! full, a consumer takes nothing from its guest. So a slow reader slows the writer, and at most `DEPTH` batches of a
//! stream are on their way.
//!
//! wasmtime knows the type of a stream's items by a Rust type. [`item`] has one for all streams but `stream<u8>`:
//! wasmtime lets the host copy its bytes from and to the guest's memory directly.

mod item;
mod reading;
mod writing;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use tokio::sync::mpsc;
use wasmtime::component::__internal::{ComponentTypes, InterfaceType, LowerContext};
use wasmtime::component::{FutureReader, Lift, Lower, StreamReader};
use wasmtime::{AsContextMut, Result, StoreContextMut, ValRaw, bail, format_err};

use self::item::Item;
use self::reading::{Batch, BatchSender, GuestConsumer};
use self::writing::{GuestProducer, HandedOn};
use super::lifting::Lifting;
use crate::memory::MemoryBudget;
use crate::value::stream::{Items, Stream};

/// The number of batches of one stream that may wait between its writer and its reader.
const DEPTH: usize = 2;

/// The most bytes of items in one batch, unless a single item is larger. A guest's larger write is taken in parts.
const CHUNK: usize = 1 << 20;

/// The memory that a batch costs the host beside its items, in bytes, about.
const BATCH: usize = 128;

/// The memory that a stream or future costs the host beside its batches, in bytes, about. Most of it is its channel.
pub(crate) const STREAM: usize = 4 * 1024;

/// A value that is kept for as long as a guest may write to any stream of a call.
pub type KeepAlive = Arc<dyn Any + Send + Sync>;

/// A store's data that has the state of its guest's streams.
pub trait HasStreams: Send + 'static {
    /// Returns the state that the streams share.
    fn streams(&self) -> &Streams;
}

/// The state that all streams written by one guest share.
#[derive(Debug, Clone)]
pub struct Streams {
    /// The bytes that batches waiting for a reader may hold. A batch is weighed after it was taken, so each guest
    /// exceeds the limit by one batch at most: a store does one thing at a time, and while there is no room, no stream
    /// of its guest takes another batch.
    budget: MemoryBudget,
    /// Set when the store is about to be dropped. The guest did not end the streams that end from then on.
    over: Arc<AtomicBool>,
}

impl Streams {
    /// Makes the state of streams whose waiting batches may hold `bytes` together. They count towards `host`, the
    /// budget of all guests, too.
    pub(crate) fn new(bytes: usize, host: &MemoryBudget) -> Self {
        Streams {
            budget: host.part(bytes, "the limit to a guest's streams", "resources.values_limit"),
            over: Arc::default(),
        }
    }

    /// Returns a guard that must be dropped before the store. Streams that end after the guard was dropped count as
    /// broken off, not as ended by the guest.
    pub fn end_with(&self) -> EndOfStreams {
        EndOfStreams(self.over.clone())
    }

    fn are_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

/// The guard of [`Streams::end_with`].
#[derive(Debug)]
pub struct EndOfStreams(Arc<AtomicBool>);

impl Drop for EndOfStreams {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A readable end that was taken out of a guest and that [`connect`] connects to its channel.
pub(super) struct Opened {
    end: ReadableEnd,
    /// The reader's value.
    stream: Stream,
    sender: mpsc::Sender<Batch>,
    whole: Arc<AtomicBool>,
    /// The most items in a batch.
    most: usize,
}

enum ReadableEnd {
    Bytes(StreamReader<u8>),
    Plain(StreamReader<Item<false>>),
    Rich(StreamReader<Item<true>>),
    PlainFuture(FutureReader<Item<false>>),
    RichFuture(FutureReader<Item<true>>),
}

/// The form in which wasmtime sees the items of a stream.
enum ItemKind {
    Bytes,
    /// Items without a pointer: writing them needs no memory of the guest's allocator.
    Plain,
    Rich,
}

impl ItemKind {
    fn of(types: &ComponentTypes, payload: InterfaceType) -> ItemKind {
        match payload {
            InterfaceType::U8 => ItemKind::Bytes,
            payload if super::scalar(payload).is_some() || super::layout(types, payload).is_some() => ItemKind::Plain,
            _ => ItemKind::Rich,
        }
    }
}

fn payload(types: &ComponentTypes, ty: InterfaceType) -> Result<InterfaceType> {
    let payload = match ty {
        InterfaceType::Stream(index) => types[types[index].ty].payload,
        InterfaceType::Future(index) => types[types[index].ty].payload,
        _ => bail!("{ty:?} is no stream or future"),
    };
    payload.ok_or_else(|| format_err!("a stream or future of nothing cannot leave its sandbox"))
}

/// Takes the readable end `handle` of a stream or future out of the guest.
pub(super) fn lift(cx: &mut Lifting<'_, '_>, ty: InterfaceType, handle: ValRaw) -> Result<Stream> {
    cx.consume_fuel(STREAM)?;
    let payload = payload(cx.types, ty)?;
    let size = usize::try_from(cx.types.canonical_abi(&payload).size32)?;
    let kind = ItemKind::of(cx.types, payload);
    let end = match (ty, kind) {
        (InterfaceType::Stream(_), ItemKind::Bytes) => {
            ReadableEnd::Bytes(StreamReader::linear_lift_from_flat(cx, ty, &handle)?)
        }
        (InterfaceType::Stream(_), ItemKind::Plain) => {
            ReadableEnd::Plain(StreamReader::linear_lift_from_flat(cx, ty, &handle)?)
        }
        (InterfaceType::Stream(_), ItemKind::Rich) => {
            ReadableEnd::Rich(StreamReader::linear_lift_from_flat(cx, ty, &handle)?)
        }
        (_, ItemKind::Bytes | ItemKind::Plain) => {
            ReadableEnd::PlainFuture(FutureReader::linear_lift_from_flat(cx, ty, &handle)?)
        }
        (_, ItemKind::Rich) => ReadableEnd::RichFuture(FutureReader::linear_lift_from_flat(cx, ty, &handle)?),
    };
    let (sender, receiver) = mpsc::channel(DEPTH);
    let whole = Arc::new(AtomicBool::new(false));
    let stream = Stream::new(reading::BatchReceiver::new(receiver, whole.clone()));
    cx.opened.push(Opened { end, stream: stream.clone(), sender, whole, most: (CHUNK / size.max(1)).max(1) });
    Ok(stream)
}

/// Sends what the guest in `store` writes to the ends `opened` to their readers. Keeps `held` until the guest is done.
pub(super) fn connect<T: HasStreams>(
    mut store: StoreContextMut<'_, T>,
    opened: Vec<Opened>,
    held: Option<&KeepAlive>,
) -> Result<()> {
    for Opened { end, stream, sender, whole, most } in opened {
        let sender = BatchSender::new(sender, whole, most, store.data().streams().clone(), held.cloned());
        // The guest got this stream from the host and hands it on as it is, so the items need not go through the
        // guest's store.
        let hand_on = |HandedOn(items): HandedOn| {
            let held = held.cloned();
            stream.replace(Box::pin(items.inspect(move |_| {
                let _ = &held;
            })));
        };
        match end {
            ReadableEnd::Bytes(end) => match end.try_into(store.as_context_mut()) {
                Ok(items) => hand_on(items),
                Err(end) => end.pipe(store.as_context_mut(), GuestConsumer::<u8>::new(sender))?,
            },
            ReadableEnd::Plain(end) => match end.try_into(store.as_context_mut()) {
                Ok(items) => hand_on(items),
                Err(end) => end.pipe(store.as_context_mut(), GuestConsumer::<Item<false>>::new(sender))?,
            },
            ReadableEnd::Rich(end) => match end.try_into(store.as_context_mut()) {
                Ok(items) => hand_on(items),
                Err(end) => end.pipe(store.as_context_mut(), GuestConsumer::<Item<true>>::new(sender))?,
            },
            ReadableEnd::PlainFuture(end) => {
                end.pipe(store.as_context_mut(), GuestConsumer::<Item<false>>::new(sender))?
            }
            ReadableEnd::RichFuture(end) => {
                end.pipe(store.as_context_mut(), GuestConsumer::<Item<true>>::new(sender))?
            }
        }
    }
    Ok(())
}

/// Gives the guest a readable end of a stream or future of type `ty` that yields the items of `stream`.
pub(super) fn lower<T>(cx: &mut LowerContext<'_, T>, ty: InterfaceType, stream: &Stream) -> Result<ValRaw> {
    let items: Items =
        stream.take().ok_or_else(|| format_err!("a stream that was passed on already is passed again"))?;
    let kind = ItemKind::of(cx.types, payload(cx.types, ty)?);
    match (ty, kind) {
        (InterfaceType::Stream(_), ItemKind::Bytes) => {
            let end = StreamReader::new(cx.store.as_context_mut(), GuestProducer::<u8>::new(items))?;
            handle(cx, ty, &end)
        }
        (InterfaceType::Stream(_), ItemKind::Plain) => {
            let end = StreamReader::new(cx.store.as_context_mut(), GuestProducer::<Item<false>>::new(items))?;
            handle(cx, ty, &end)
        }
        (InterfaceType::Stream(_), ItemKind::Rich) => {
            let end = StreamReader::new(cx.store.as_context_mut(), GuestProducer::<Item<true>>::new(items))?;
            handle(cx, ty, &end)
        }
        (_, ItemKind::Bytes | ItemKind::Plain) => {
            let end = FutureReader::new(cx.store.as_context_mut(), GuestProducer::<Item<false>>::new(items))?;
            handle(cx, ty, &end)
        }
        (_, ItemKind::Rich) => {
            let end = FutureReader::new(cx.store.as_context_mut(), GuestProducer::<Item<true>>::new(items))?;
            handle(cx, ty, &end)
        }
    }
}

fn handle<T, E: Lower + wasmtime::component::ComponentType<Lower = ValRaw>>(
    cx: &mut LowerContext<'_, T>,
    ty: InterfaceType,
    end: &E,
) -> Result<ValRaw> {
    let mut slot = std::mem::MaybeUninit::new(ValRaw::u64(0));
    end.linear_lower_to_flat(cx, ty, &mut slot)?;
    // SAFETY: `slot` was initialised before wasmtime wrote to it.
    Ok(unsafe { slot.assume_init() })
}
