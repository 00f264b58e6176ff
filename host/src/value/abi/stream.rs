//! Streams and futures between a guest and the host.
//!
//! What a guest writes is read by a consumer ([`reading`]), which leaves each batch in a channel of [`DEPTH`] places; what
//! a guest reads comes from a producer ([`writing`]), which polls whatever [`Items`] it was given. Between two guests that
//! is: the one's memory, a batch of items, the other's memory. A consumer takes nothing from its guest as long as its
//! channel is full, so a slow reader slows the writer, and no more than `DEPTH` batches of a stream are ever on their way.
//!
//! wasmtime knows the type of a stream's items by a Rust type. [`item`] has one for all but `stream<u8>`, whose bytes
//! wasmtime lets be copied from and to the guest's memory without any.

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
use self::reading::{Batch, Reading, Sender};
use self::writing::{HandedOn, Writing};
use super::lift::Lifting;
use crate::memory::MemoryBudget;
use crate::value::stream::{Items, Stream};

/// How many batches of one stream wait between its writer and its reader.
const DEPTH: usize = 2;

/// How many bytes of items one batch has at most, where an item is not larger: what a guest writes at once is taken in parts.
const CHUNK: usize = 1 << 20;

/// What a batch costs the host beside its items, about.
const BATCH: usize = 128;

/// What a stream or future costs the host beside its batches, about: most of it is its channel.
pub(crate) const STREAM: usize = 4 * 1024;

/// What is kept for as long as a guest may write to any stream of a call.
pub type Held = Arc<dyn Any + Send + Sync>;

/// What the data of a store has for the streams of its guest.
pub trait Streaming: Send + 'static {
    /// What they have in common.
    fn streams(&self) -> &Streams;
}

/// What the streams that one guest writes have in common.
#[derive(Debug, Clone)]
pub struct Streams {
    /// What their batches may hold that wait for a reader. A batch is weighed when it is here, so that each guest exceeds it by
    /// one batch at most: a store does one thing at a time, and where there is no room, no stream of its guest takes another.
    budget: MemoryBudget,
    /// The store is about to be dropped, so what ends now was not ended by the guest.
    over: Arc<AtomicBool>,
}

impl Streams {
    /// For streams whose batches may hold `bytes` together, and of what `host` may hold for all guests, before a reader takes
    /// them.
    pub(crate) fn new(bytes: usize, host: &MemoryBudget) -> Self {
        Streams {
            budget: host.share(bytes, "the limit to a guest's streams", "resources.values_limit"),
            over: Arc::default(),
        }
    }

    /// What must be dropped before the store is: from then on, the streams that end were not written to their end.
    pub fn end_with(&self) -> EndOfStreams {
        EndOfStreams(self.over.clone())
    }

    fn are_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

/// See [`Streams::end_with`].
#[derive(Debug)]
pub struct EndOfStreams(Arc<AtomicBool>);

impl Drop for EndOfStreams {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A readable end that was taken out of a guest, and is to be [connected](connect) to its channel.
pub(super) struct Opened {
    end: End,
    /// What its reader has.
    stream: Stream,
    sender: mpsc::Sender<Batch>,
    whole: Arc<AtomicBool>,
    /// How many items a batch has at most.
    most: usize,
}

enum End {
    Bytes(StreamReader<u8>),
    Plain(StreamReader<Item<false>>),
    Rich(StreamReader<Item<true>>),
    PlainFuture(FutureReader<Item<false>>),
    RichFuture(FutureReader<Item<true>>),
}

/// How wasmtime is to see the items of a stream.
enum Kind {
    Bytes,
    /// They hold no pointer, so that writing them needs no memory of the guest's allocator.
    Plain,
    Rich,
}

impl Kind {
    fn of(types: &ComponentTypes, payload: InterfaceType) -> Kind {
        match payload {
            InterfaceType::U8 => Kind::Bytes,
            payload if super::scalar(payload).is_some() || super::layout(types, payload).is_some() => Kind::Plain,
            _ => Kind::Rich,
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
    let kind = Kind::of(cx.types, payload);
    let end = match (ty, kind) {
        (InterfaceType::Stream(_), Kind::Bytes) => End::Bytes(StreamReader::linear_lift_from_flat(cx, ty, &handle)?),
        (InterfaceType::Stream(_), Kind::Plain) => End::Plain(StreamReader::linear_lift_from_flat(cx, ty, &handle)?),
        (InterfaceType::Stream(_), Kind::Rich) => End::Rich(StreamReader::linear_lift_from_flat(cx, ty, &handle)?),
        (_, Kind::Bytes | Kind::Plain) => End::PlainFuture(FutureReader::linear_lift_from_flat(cx, ty, &handle)?),
        (_, Kind::Rich) => End::RichFuture(FutureReader::linear_lift_from_flat(cx, ty, &handle)?),
    };
    let (sender, receiver) = mpsc::channel(DEPTH);
    let whole = Arc::new(AtomicBool::new(false));
    let stream = Stream::new(reading::Received::new(receiver, whole.clone()));
    cx.opened.push(Opened { end, stream: stream.clone(), sender, whole, most: (CHUNK / size.max(1)).max(1) });
    Ok(stream)
}

/// Has what the guest in `store` writes to the ends `opened` go to their readers, and keeps `held` until it is done.
pub(super) fn connect<T: Streaming>(
    mut store: StoreContextMut<'_, T>,
    opened: Vec<Opened>,
    held: Option<&Held>,
) -> Result<()> {
    for Opened { end, stream, sender, whole, most } in opened {
        let sender = Sender::new(sender, whole, most, store.data().streams().clone(), held.cloned());
        // A stream that the guest has got from the host, and hands on as it is, does not go through the guest's store.
        let hand_on = |HandedOn(items): HandedOn| {
            let held = held.cloned();
            stream.replace(Box::pin(items.inspect(move |_| {
                let _ = &held;
            })));
        };
        match end {
            End::Bytes(end) => match end.try_into(store.as_context_mut()) {
                Ok(items) => hand_on(items),
                Err(end) => end.pipe(store.as_context_mut(), Reading::<u8>::new(sender))?,
            },
            End::Plain(end) => match end.try_into(store.as_context_mut()) {
                Ok(items) => hand_on(items),
                Err(end) => end.pipe(store.as_context_mut(), Reading::<Item<false>>::new(sender))?,
            },
            End::Rich(end) => match end.try_into(store.as_context_mut()) {
                Ok(items) => hand_on(items),
                Err(end) => end.pipe(store.as_context_mut(), Reading::<Item<true>>::new(sender))?,
            },
            End::PlainFuture(end) => end.pipe(store.as_context_mut(), Reading::<Item<false>>::new(sender))?,
            End::RichFuture(end) => end.pipe(store.as_context_mut(), Reading::<Item<true>>::new(sender))?,
        }
    }
    Ok(())
}

/// Gives the guest a readable end of a stream or future of `ty`, which yields what `stream` does.
pub(super) fn lower<T>(cx: &mut LowerContext<'_, T>, ty: InterfaceType, stream: &Stream) -> Result<ValRaw> {
    let items: Items =
        stream.take().ok_or_else(|| format_err!("a stream that was passed on already is passed again"))?;
    let kind = Kind::of(cx.types, payload(cx.types, ty)?);
    match (ty, kind) {
        (InterfaceType::Stream(_), Kind::Bytes) => {
            let end = StreamReader::new(cx.store.as_context_mut(), Writing::<u8>::new(items))?;
            handle(cx, ty, &end)
        }
        (InterfaceType::Stream(_), Kind::Plain) => {
            let end = StreamReader::new(cx.store.as_context_mut(), Writing::<Item<false>>::new(items))?;
            handle(cx, ty, &end)
        }
        (InterfaceType::Stream(_), Kind::Rich) => {
            let end = StreamReader::new(cx.store.as_context_mut(), Writing::<Item<true>>::new(items))?;
            handle(cx, ty, &end)
        }
        (_, Kind::Bytes | Kind::Plain) => {
            let end = FutureReader::new(cx.store.as_context_mut(), Writing::<Item<false>>::new(items))?;
            handle(cx, ty, &end)
        }
        (_, Kind::Rich) => {
            let end = FutureReader::new(cx.store.as_context_mut(), Writing::<Item<true>>::new(items))?;
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
