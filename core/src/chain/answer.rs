//! Answers of calls, which may hold streams. An answer is read as one value, or item by item as the items are made.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::{BoxFuture, try_join_all};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use tokio::time::timeout;

use crate::chainlet::Chainlet;
use crate::chainlet::call::CallContext;
use crate::chainlet::callee::Callee;
use crate::chainlet::errors::Errors;
use crate::config::ChainletName;
use crate::error::{CallError, DeclaredError, ErrorKind};
use crate::memory::{MEMORY_LIMIT, Reservation, Reserving};
use crate::offload::Offload;
use crate::value::format::{Format, WriteError};
use crate::value::json::{self, Typed};
use crate::value::stream::collect::collect;
use crate::value::stream::{Items, StreamError};
use crate::value::ty::Name;
use crate::value::{List, Type, Value};

/// The answer of a chainlet: the `T` of its result.
pub struct Answer {
    pub chainlet: ChainletName,
    /// `None` if the function returns nothing.
    pub value: Option<(Arc<Type>, Value)>,
    /// The most bytes that the answer's streams may hold if they are collected.
    pub limit: usize,
    /// The part of the host's budget that the value holds.
    pub reservation: Reservation,
    pub offload: Offload,
    /// For an answer with streams: the counts for the error that a future beside a stream may yield, and the context of
    /// the call.
    pub errors: Option<(Arc<Errors>, CallContext)>,
}

/// The size in bytes above which an answer is written on a thread for long work.
const WRITE_AT_ONCE: usize = 16 * 1024;

/// The size in bytes up to which a batch of a stream is passed on even if the host has no room for it.
const SMALL_BATCH: usize = 1 << 20;

/// An answer with one stream, read item by item.
pub struct Streamed {
    pub chainlet: ChainletName,
    pub item: Type,
    items: Items,
    /// The members beside the stream. This future is polled while the stream is read, because the writer of the stream
    /// may wait for it.
    end: BoxFuture<'static, StreamEnd>,
    ended: Option<StreamEnd>,
    /// The part of the host's budget that the last items hold.
    held: Reservation,
    /// A batch that came while [`Streamed::begin`] waited.
    begun: Option<List>,
}

/// The members of an answer beside its stream, as JSON.
type StreamEnd = Result<Option<Vec<u8>>, CallError>;

/// Returns the place and the item type of the one stream of `ty` that can be served item by item. The stream is the
/// whole value, or a member of a tuple or record at the top. Returns `None` if there is no stream, if it stands
/// elsewhere, or if there are several.
pub fn stream_of(ty: &Type) -> Option<(Option<usize>, &Type)> {
    if let Type::Stream(item) = ty {
        return (!item.has_streams()).then_some((None, &**item));
    }
    let members: Vec<&Type> = match ty {
        Type::Tuple(types) => types.iter().collect(),
        Type::Record(declared) => declared.members.iter().filter_map(|member| member.ty.as_ref()).collect(),
        _ => return None,
    };
    let mut found = None;
    for (index, member) in members.into_iter().enumerate() {
        match member {
            Type::Stream(item) if found.is_none() && !item.has_streams() => found = Some((Some(index), &**item)),
            Type::Future(value) if !value.has_streams() => {}
            other if other.has_streams() => return None,
            _ => {}
        }
    }
    found
}

impl Answer {
    pub(super) fn new(
        chainlet: &Chainlet,
        value: Option<(Arc<Type>, Value)>,
        reservation: Option<Reservation>,
        errors: Option<(Arc<Errors>, CallContext)>,
    ) -> Self {
        Answer {
            chainlet: chainlet.name().clone(),
            value,
            limit: chainlet.value_limit(),
            reservation: reservation.unwrap_or_else(|| chainlet.memory().nothing()),
            offload: chainlet.offload().clone(),
            errors,
        }
    }

    /// Writes the answer in `format`, which fits its type. Each stream is replaced by its collected items.
    ///
    /// # Errors
    /// A stream broke off, the streams hold too much, or the host has no room for the output.
    pub async fn written(self, format: Format) -> Result<(Bytes, Reservation), CallError> {
        let (chainlet, offload) = (self.chainlet.clone(), self.offload.clone());
        let (value, mut reservation) = self.whole().await?;
        let is_long = format != Format::Bytes && reservation.bytes() > WRITE_AT_ONCE;
        let write = move || {
            let (ty, value) = value.unzip();
            let bytes = format.write_reserving(ty.as_deref(), value, &mut reservation)?;
            Ok((bytes, reservation))
        };
        let written = if is_long { offload.run(write).await } else { write() };
        written.map_err(|error| match error {
            WriteError::Mismatch(error) => CallError::new(ErrorKind::Internal, &chainlet, error),
            WriteError::NoRoom(no_room) => no_room_for_answer(&chainlet, no_room),
        })
    }

    /// Returns the bytes of the answer's `stream<u8>` after the stream ended.
    ///
    /// # Errors
    /// The stream broke off, holds too much, or holds more than the host has room for, or a member beside it is an
    /// error.
    pub async fn bytes(self) -> Result<(Bytes, Reservation), CallError> {
        let limit = self.limit;
        let mut reservation = self.reservation.budget().nothing();
        let mut streamed = match self.streamed() {
            Ok(streamed) => streamed,
            Err(answer) => return answer.written(Format::Bytes).await,
        };
        let mut all = Reserving::new(&mut reservation);
        let mut length: usize = 0;
        while let Some(batch) = streamed.next().await {
            let List::U8(bytes) = batch? else { return Err(mismatch(&streamed.chainlet)) };
            length += bytes.len();
            if length > limit {
                return Err(broken(&streamed.chainlet, StreamError::TooLarge { limit }));
            }
            if all.write_all(&bytes).is_err() {
                break;
            }
        }
        let all = all.finish().map_err(|no_room| no_room_for_answer(&streamed.chainlet, no_room))?;
        streamed.end().await?;
        Ok((all.into(), reservation))
    }

    /// Returns the answer. Each stream is replaced by its collected items.
    ///
    /// # Errors
    /// A stream broke off, the streams hold too much, or more than the host has room for.
    pub async fn whole(self) -> Result<(Option<(Arc<Type>, Value)>, Reservation), CallError> {
        let Answer { chainlet, value, limit, mut reservation, .. } = self;
        match value {
            Some((ty, value)) if ty.has_streams() => {
                let value = collect(&ty, value, limit, &mut reservation).await;
                Ok((Some((ty, value.map_err(|error| broken(&chainlet, error))?)), reservation))
            }
            value => Ok((value, reservation)),
        }
    }

    /// Returns the answer item by item. Returns it unchanged if its type [has no stream for that](stream_of).
    pub fn streamed(self) -> Result<Streamed, Box<Answer>> {
        let Some((ty, value)) = &self.value else { return Err(Box::new(self)) };
        let Some((place, item)) = stream_of(ty) else { return Err(Box::new(self)) };
        let item = item.clone();
        let stream = match (place, value) {
            (None, Value::Stream(stream)) => stream.take(),
            (Some(index), Value::Tuple(values) | Value::Record(values)) => match values.get(index) {
                Some(Value::Stream(stream)) => stream.take(),
                _ => None,
            },
            _ => None,
        };
        let Some(items) = stream else { return Err(Box::new(self)) };
        let Answer { chainlet, value, limit, reservation, errors, .. } = self;
        let mut members = match value.as_ref().map(|(ty, value)| (&**ty, value)) {
            Some((Type::Tuple(types), Value::Tuple(values))) => {
                types.iter().zip(values).map(|(ty, value)| (None, ty.clone(), value.clone())).collect()
            }
            Some((Type::Record(declared), Value::Record(values))) => declared
                .members
                .iter()
                .zip(values)
                .filter_map(|(member, value)| Some((Some(member.name.clone()), member.ty.clone()?, value.clone())))
                .collect(),
            _ => Vec::new(),
        };
        if let Some(index) = place.filter(|index| *index < members.len()) {
            members.remove(index);
        }
        let held = reservation.budget().nothing();
        let end = Box::pin(rest_of(chainlet.clone(), members, limit, reservation, errors));
        Ok(Streamed { chainlet, item, items: items.fuse().boxed(), end, ended: None, held, begun: None })
    }
}

impl Streamed {
    /// Waits for items, an end or a failure, for at most `time`.
    ///
    /// # Errors
    /// The stream broke off before its first item.
    pub async fn begin(&mut self, time: Duration) -> Result<(), CallError> {
        match timeout(time, self.next()).await {
            Ok(Some(Err(error))) => Err(error),
            Ok(Some(Ok(batch))) => {
                self.begun = Some(batch);
                Ok(())
            }
            // The items are fused, so `next` finds the end again.
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Returns the next items; `None` at the end. Dropping the future loses no items.
    pub async fn next(&mut self) -> Option<Result<List, CallError>> {
        if let Some(batch) = self.begun.take() {
            return Some(Ok(batch));
        }
        loop {
            tokio::select! {
                biased;
                next = self.items.next() => {
                    return next.map(|batch| self.hold(batch.map_err(|error| broken(&self.chainlet, error))?));
                }
                end = &mut self.end, if self.ended.is_none() => self.ended = Some(end),
            }
        }
    }

    /// Reserves memory for `batch` in place of the batch before. A small batch is never rejected: its stream has begun,
    /// and the number of streams is limited.
    fn hold(&mut self, batch: List) -> Result<List, CallError> {
        let weight = batch.weight();
        self.held.shrink_to(weight);
        let more = weight - self.held.bytes();
        if weight <= SMALL_BATCH {
            self.held.grow_anyway(more);
        } else if let Err(no_room) = self.held.grow(more) {
            return Err(no_room_for_answer(&self.chainlet, no_room));
        }
        Ok(batch)
    }

    /// Returns the members beside the stream as JSON, after all of them ended: an object for a record, an array for a
    /// tuple, or the member itself if a tuple has only one. Returns `None` if there is nothing to return. Dropping the
    /// future loses nothing.
    ///
    /// # Errors
    /// A future among them broke off, or yielded an `err`, which is the answer's own error.
    pub async fn end(&mut self) -> Result<Option<Vec<u8>>, CallError> {
        match self.ended.take() {
            Some(end) => end,
            None => (&mut self.end).await,
        }
    }
}

async fn rest_of(
    chainlet: ChainletName,
    members: Vec<(Option<Name>, Type, Value)>,
    limit: usize,
    reservation: Reservation,
    errors: Option<(Arc<Errors>, CallContext)>,
) -> StreamEnd {
    let members = try_join_all(members.into_iter().map(async |(name, ty, value)| {
        let mut held = reservation.budget().nothing();
        let value = collect(&ty, value, limit, &mut held).await.map_err(|error| broken(&chainlet, error))?;
        Ok::<_, CallError>((name, ty, value, held))
    }))
    .await?;
    let (members, _held): (Vec<_>, Vec<_>) =
        members.into_iter().map(|(name, ty, value, held)| ((name, ty, value), held)).unzip();
    let mut rest = Vec::new();
    for (name, ty, value) in members {
        match (ty, value) {
            (Type::Future(inner), Value::Result(outcome)) => {
                let Type::Result { ok, err } = &*inner else { return Err(mismatch(&chainlet)) };
                match (outcome, ok) {
                    (Ok(Some(value)), Some(ok)) => rest.push((name, ok.clone(), *value)),
                    (Ok(_), _) => {}
                    (Err(value), _) => {
                        if let Some((errors, context)) = &errors {
                            errors.note(&chainlet, err.as_deref(), value.as_deref(), context);
                        }
                        return Err(own_error(&chainlet, err.as_deref(), value.as_deref()));
                    }
                }
            }
            (ty, value) => rest.push((name, Arc::new(ty), value)),
        }
    }
    if rest.is_empty() {
        return Ok(None);
    }
    serde_json::to_vec(&EndJson(&rest)).map(Some).map_err(|_| mismatch(&chainlet))
}

/// Makes the failure of a call from the chainlet's own error `value`, which is of type `ty`.
pub fn own_error(chainlet: &ChainletName, ty: Option<&Type>, value: Option<&Value>) -> CallError {
    let mut text = Vec::new();
    match (ty, value) {
        (Some(ty), Some(value)) => {
            if json::write(ty, value, &mut text).is_err() {
                return mismatch(chainlet);
            }
        }
        _ => text.extend_from_slice(b"null"),
    }
    let mut failure = CallError::new(ErrorKind::Chainlet, chainlet, "the chainlet answered with its error");
    if let Some(declared) = ty.zip(value).and_then(|(ty, value)| DeclaredError::read(ty, value)) {
        failure = failure.with_declared(declared);
    }
    match String::from_utf8(text).ok().and_then(|text| serde_json::value::RawValue::from_string(text).ok()) {
        Some(error) => failure.with_guest_error(error),
        None => failure,
    }
}

/// Makes the failure of a call of `chainlet` whose answer the host has no room for.
fn no_room_for_answer(chainlet: &ChainletName, no_room: impl std::fmt::Display) -> CallError {
    let message = format_args!("its answer cannot be given: {no_room}");
    CallError::new(ErrorKind::Overloaded, chainlet, message).limited_by(MEMORY_LIMIT).after_the_call_began()
}

/// Makes the failure of a call of `chainlet` whose answer has a stream that broke off.
pub fn broken(chainlet: &ChainletName, error: StreamError) -> CallError {
    match error {
        StreamError::Call(error) => error,
        StreamError::TooLarge { limit } => {
            let message = format_args!(
                "the streams of its answer hold more than {limit} bytes, the resources.value_limit of the chainlet {chainlet}: \
                 ask for them item by item (Accept: application/x-ndjson, or Chain::stream), or raise it"
            );
            CallError::new(ErrorKind::AnswerTooLarge, chainlet, message).limited_by_key("resources.value_limit")
        }
        StreamError::NoRoom(no_room) => no_room_for_answer(chainlet, no_room),
        StreamError::Lost => {
            CallError::new(ErrorKind::Internal, chainlet, format_args!("its answer cannot be read: {error}"))
        }
    }
}

fn mismatch(chainlet: &ChainletName) -> CallError {
    CallError::new(ErrorKind::Internal, chainlet, "an answer is not of its type, which is a bug of chainhost")
}

struct EndJson<'a>(&'a [(Option<Name>, Arc<Type>, Value)]);

impl Serialize for EndJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [(None, ty, value)] => Typed { ty, value }.serialize(serializer),
            [(None, ..), ..] => {
                let mut array = serializer.serialize_seq(Some(self.0.len()))?;
                for (_, ty, value) in self.0 {
                    array.serialize_element(&Typed { ty, value })?;
                }
                array.end()
            }
            members => {
                let mut object = serializer.serialize_map(Some(members.len()))?;
                for (name, ty, value) in members {
                    object.serialize_entry(name.as_ref().map_or("", Name::snake), &Typed { ty, value })?;
                }
                object.end()
            }
        }
    }
}

#[cfg(test)]
mod tests;
