//! Reads request bodies during the call: the items of a stream that `run-remote` takes.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chainhost_core::chainlet::Chainlet;
use chainhost_core::chainlet::callee::Callee;
use chainhost_core::chainlet::params::{READ_AT_ONCE, Values, rejected};
use chainhost_core::config::ChainletName;
use chainhost_core::deadline::Deadline;
use chainhost_core::error::{CallError, ErrorKind};
use chainhost_core::memory::{MemoryBudget, NoRoom, Reservation};
use chainhost_core::offload::Offload;
use chainhost_core::value::format::FormatError;
use chainhost_core::value::json::JsonError;
use chainhost_core::value::stream::{Items, Stream, StreamError};
use chainhost_core::value::ty::Member;
use chainhost_core::value::{List, Type, Value, json};
use futures::stream;
use http::Version;
use http::request::Parts;
use http_body_util::BodyExt;
use tokio::time::timeout_at;

use super::body::{self, Limits, RequestBody};
use super::format::{RequestFormat, Upload};
use super::problem::{Problem, ProblemKind};

/// The largest number of lines in one batch.
const BATCH: usize = 1024;

/// Returns the position and the item type of the one parameter that is a stream, whose items a body may bring. Returns
/// `None` if no parameter has a stream, or several do.
pub(super) fn stream_param(params: &[Member]) -> Option<(usize, &Type)> {
    let mut found = None;
    for (index, param) in params.iter().enumerate() {
        match param.ty.as_ref()? {
            Type::Stream(item) if found.is_none() && !item.has_streams() => found = Some((index, &**item)),
            ty if ty.has_streams() => return None,
            _ => {}
        }
    }
    found
}

/// Returns the parameters of `chainlet`. Its stream gets the rest of `body`. If the body is lines and there are other
/// parameters, the first line is an object of them.
///
/// # Errors
/// Fails if the other parameters are malformed, too large or late, or if the body has a content coding or fits no
/// parameter.
pub(super) async fn open<B: RequestBody>(
    head: &Parts,
    body: B,
    upload: Upload,
    chainlet: &Chainlet,
    limits: &Limits,
    deadline: &Deadline,
) -> Result<Values, Result<CallError, Problem>> {
    let (body, reader) = (BodyRest { body: Some(body), version: head.version }, UploadTarget::new(chainlet));
    body::encoded_as_it_is(&head.headers).map_err(Err)?;
    let params = &chainlet.signature().params;
    let place = stream_param(params).filter(|_| RequestFormat::Stream(upload).fits(params));
    let Some((place, item)) = place else {
        return Err(Err(Problem::new(
            ProblemKind::MediaType,
            "the new version of this run-remote takes no such stream",
        )));
    };
    if matches!(upload, Upload::Bytes) {
        return Ok(Values { list: vec![Value::Stream(Stream::new(bytes(body, reader)))], reservation: None });
    }
    let mut lines = BodyLines::new(body, limits);
    let mut others: Vec<Member> = params.clone();
    others.remove(place);
    let (mut values, mut others_held) = (Vec::new(), None);
    if !others.is_empty() {
        let first = timeout_at(deadline.at, lines.next()).await;
        let first = first.map_err(|_| Err(Problem::new(ProblemKind::SlowRequest, "the body was not here in time")))?;
        let line = first.map_err(|fault| Ok(reader.fault(fault)))?.unwrap_or_default();
        let length = line.len();
        let number = lines.number;
        let mut held = reader.memory.nothing();
        let limit = reader.limit;
        let read = move || json::params_reserving(&others, &line, limit, &mut held).map(|values| (values, held));
        let (read, reservation) =
            reader.offload_if(length > READ_AT_ONCE, read).await.map_err(|error| Ok(reader.refuse(error, number)))?;
        (values, others_held) = (read, Some(reservation));
    }
    values.insert(place, Value::Stream(Stream::new(items(lines, reader, item.clone()))));
    Ok(Values { list: values, reservation: others_held })
}

/// The rest of a body. When it is dropped, the rest is read and discarded for a while, so that a client that writes all
/// before it reads finds its answer.
struct BodyRest<B: RequestBody> {
    body: Option<B>,
    version: Version,
}

impl<B: RequestBody> BodyRest<B> {
    async fn next(&mut self) -> Option<Result<Bytes, BodyFault>> {
        loop {
            let body = self.body.as_mut()?;
            match body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Some(Err(error)) => {
                    self.body = None;
                    return Some(Err(BodyFault::BrokeOff(error.to_string())));
                }
                None => {
                    let was_reset = body::is_reset(body, self.version);
                    self.body = None;
                    if was_reset {
                        return Some(Err(BodyFault::BrokeOff("the client reset its stream".to_owned())));
                    }
                }
            }
        }
    }
}

impl<B: RequestBody> Drop for BodyRest<B> {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream())
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(body::discard(body));
        }
    }
}

/// An error while a body is read.
enum BodyFault {
    BrokeOff(String),
    LongLine { number: usize, limit: usize },
    NoRoom(NoRoom),
}

/// The chainlet for which a body is read, and its limits.
struct UploadTarget {
    chainlet: ChainletName,
    /// The largest number of bytes of an item as a value.
    limit: usize,
    /// The memory budget of the host.
    memory: MemoryBudget,
    offload: Offload,
}

impl UploadTarget {
    fn new(chainlet: &Chainlet) -> Self {
        UploadTarget {
            chainlet: chainlet.name().clone(),
            limit: chainlet.value_limit(),
            memory: chainlet.memory().clone(),
            offload: chainlet.offload().clone(),
        }
    }

    /// Runs `work`, on a thread for long work if it `is_long`.
    async fn offload_if<T: Send + 'static>(&self, is_long: bool, work: impl FnOnce() -> T + Send + 'static) -> T {
        if is_long { self.offload.run(work).await } else { work() }
    }

    fn fault(&self, fault: BodyFault) -> CallError {
        let new = |kind, message: String| CallError::new(kind, &self.chainlet, message);
        match fault {
            BodyFault::BrokeOff(error) => new(ErrorKind::InvalidInput, format!("the body broke off: {error}")),
            BodyFault::LongLine { number, limit } => new(
                ErrorKind::TooLarge,
                format!("line {number} of the body is longer than this server's limit of {limit} bytes (--body-limit)"),
            )
            .limited_by("--body-limit"),
            BodyFault::NoRoom(no_room) => new(ErrorKind::Overloaded, no_room.to_string()).limited_by(no_room.option),
        }
    }

    /// Makes the error for line `number`.
    fn refuse(&self, error: JsonError, number: usize) -> CallError {
        let FormatError { kind, pointer, message } = error.into();
        rejected(&self.chainlet, kind, pointer, format_args!("in line {number} of the body: {message}"))
    }
}

/// A body that is read line by line.
struct BodyLines<B: RequestBody> {
    body: BodyRest<B>,
    /// The bytes of the next lines that are here.
    buffer: BytesMut,
    /// The number of its bytes that are known to contain no end of a line.
    searched: usize,
    /// The number of the line that was read last.
    number: usize,
    limits: Limits,
    /// The buffer's part of the limit of all bodies.
    held: Reservation,
}

impl<B: RequestBody> BodyLines<B> {
    fn new(body: BodyRest<B>, limits: &Limits) -> Self {
        BodyLines {
            body,
            buffer: BytesMut::new(),
            searched: 0,
            number: 0,
            limits: limits.clone(),
            held: limits.all().nothing(),
        }
    }

    /// Returns the next line that is not blank, or `None` at the end of the body.
    async fn next(&mut self) -> Result<Option<Bytes>, BodyFault> {
        loop {
            if let Some(line) = self.next_here()? {
                return Ok(Some(line));
            }
            match self.body.next().await {
                Some(data) => self.take(&data?)?,
                None => {
                    // The last line may have no line break.
                    let line = std::mem::take(&mut self.buffer).freeze();
                    self.number += 1;
                    self.check_length(line.len(), self.number)?;
                    self.held.shrink_to(0);
                    return Ok(Some(line).filter(|line| !json::is_blank(line)));
                }
            }
        }
    }

    /// Returns the next line that is not blank, if it is here completely.
    fn next_here(&mut self) -> Result<Option<Bytes>, BodyFault> {
        loop {
            let unseen = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(end) = unseen.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                return Ok(None);
            };
            self.check_length(self.searched + end, self.number + 1)?;
            let line = self.buffer.split_to(self.searched + end + 1).freeze();
            self.searched = 0;
            self.number += 1;
            if !json::is_blank(&line) {
                return Ok(Some(line));
            }
        }
    }

    /// Rejects line `number` if it is too long.
    fn check_length(&self, length: usize, number: usize) -> Result<(), BodyFault> {
        let limit = self.limits.one();
        if length > limit { Err(BodyFault::LongLine { number, limit }) } else { Ok(()) }
    }

    fn take(&mut self, data: &[u8]) -> Result<(), BodyFault> {
        // The new data may contain the end of the line, but the buffer does not.
        self.check_length(self.buffer.len(), self.number + 1)?;
        self.held.shrink_to(self.buffer.len());
        self.held.grow(data.len()).map_err(BodyFault::NoRoom)?;
        self.buffer.extend_from_slice(data);
        Ok(())
    }
}

/// Returns the items of lines. A batch contains the items that are here at once.
fn items<B: RequestBody>(lines: BodyLines<B>, reader: UploadTarget, item: Type) -> Items {
    // The guest has taken the last batch when it asks for the next one, so its reservation ends then.
    let held = reader.memory.nothing();
    Box::pin(stream::unfold(Some((lines, reader, Arc::new(item), held)), |reading| async {
        let (mut lines, reader, item, held) = reading?;
        drop(held);
        match batch(&mut lines, &reader, &item).await {
            Ok(Some((batch, held))) => Some((Ok(batch), Some((lines, reader, item, held)))),
            Ok(None) => None,
            Err(error) => Some((Err(StreamError::Call(error)), None)),
        }
    }))
}

async fn batch<B: RequestBody>(
    lines: &mut BodyLines<B>,
    reader: &UploadTarget,
    item: &Arc<Type>,
) -> Result<Option<(List, Reservation)>, CallError> {
    let Some(first) = lines.next().await.map_err(|fault| reader.fault(fault))? else { return Ok(None) };
    let mut texts = vec![(lines.number, first)];
    while texts.len() < BATCH {
        match lines.next_here() {
            Ok(Some(text)) => texts.push((lines.number, text)),
            Ok(None) => break,
            Err(fault) => return Err(reader.fault(fault)),
        }
    }
    let length: usize = texts.iter().map(|(_, text)| text.len()).sum();
    let (item, limit, mut held) = (item.clone(), reader.limit, reader.memory.nothing());
    let read = move || {
        let mut values = Vec::with_capacity(texts.len());
        for (number, text) in &texts {
            values.push(json::value_reserving(&item, text, limit, &mut held).map_err(|error| (error, *number))?);
        }
        Ok((List::of(&item, values), held))
    };
    let read = reader.offload_if(length > READ_AT_ONCE, read).await;
    let (list, held) = read.map_err(|(error, number)| reader.refuse(error, number))?;
    match list {
        Some(list) => Ok(Some((list, held))),
        None => Err(CallError::new(ErrorKind::Internal, &reader.chainlet, "an item is not of its type")),
    }
}

/// Returns the bytes of a body as they come.
fn bytes<B: RequestBody>(body: BodyRest<B>, reader: UploadTarget) -> Items {
    Box::pin(stream::unfold(Some((body, reader)), |reading| async {
        let (mut body, reader) = reading?;
        match body.next().await? {
            Ok(data) => Some((Ok(List::U8(data)), Some((body, reader)))),
            Err(fault) => Some((Err(StreamError::Call(reader.fault(fault))), None)),
        }
    }))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use chainhost_core::memory::MemoryBudget;
    use futures::StreamExt;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    fn limits() -> Limits {
        Limits::new(16, 64 * 1024, &MemoryBudget::unlimited())
    }

    fn body(parts: &[&'static str]) -> impl RequestBody {
        let frames: Vec<_> =
            parts.iter().map(|part| Ok::<_, Infallible>(Frame::data(Bytes::from_static(part.as_bytes())))).collect();
        StreamBody::new(stream::iter(frames))
    }

    fn reader() -> UploadTarget {
        UploadTarget {
            chainlet: "a".parse().unwrap(),
            limit: 1024,
            memory: MemoryBudget::unlimited(),
            offload: Offload::default(),
        }
    }

    async fn read(parts: &[&'static str], limits: &Limits) -> Vec<Result<List, String>> {
        let lines = BodyLines::new(BodyRest { body: Some(body(parts)), version: Version::HTTP_11 }, limits);
        let items = items(lines, reader(), Type::U32);
        items.map(|batch| batch.map_err(|error| error.to_string())).collect().await
    }

    fn batch(items: &[u32]) -> Result<List, String> {
        Ok(List::U32(items.to_vec()))
    }

    #[tokio::test]
    async fn each_line_is_an_item_however_the_body_is_split() {
        assert_eq!(read(&["1\n2\n", "3\n"], &limits()).await, [batch(&[1, 2]), batch(&[3])]);
        assert_eq!(read(&["1", "2", "3\n\n", " \r\n45"], &limits()).await, [batch(&[123]), batch(&[45])]);
        assert_eq!(read(&["7"], &limits()).await, [batch(&[7])]);
        assert_eq!(read(&[], &limits()).await, []);
        assert_eq!(read(&["\n\n"], &limits()).await, []);
        assert_eq!(read(&["\u{feff}"], &limits()).await, []);
        assert!(matches!(read(&["\u{feff}\u{feff}1\n"], &limits()).await.as_slice(), [Err(_)]));
        assert_eq!(read(&["\u{feff}1\n\u{feff} \n", "\u{feff} 2\t\r\n"], &limits()).await, [batch(&[1]), batch(&[2])]);
    }

    #[tokio::test]
    async fn the_error_for_a_bad_line_has_its_number() {
        let read = read(&["1\n\n", "x\n3\n"], &limits()).await;
        let [first, Err(error)] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!(*first, batch(&[1]));
        assert!(error.contains("in line 3 of the body"), "{error}");
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_refused_before_it_is_all_in_memory() {
        let read = read(&["1\n", "0123456789012345", "6", "7", "8\n"], &limits()).await;
        let [_, Err(error)] = read.as_slice() else { panic!("{read:?}") };
        assert!(error.contains("line 2 of the body is longer than this server's limit of 16 bytes"), "{error}");
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_refused_however_it_comes() {
        let long = "0123456789012345 \n";
        let just = "012345678901234\n";
        assert_eq!(read(&[just], &limits()).await.len(), 1);
        for parts in [&[long][..], &["1\n0123456789012345 \n2\n"], &["01234567890123456"], &[long, "1\n"]] {
            let read = read(parts, &limits()).await;
            let Some(Err(error)) = read.last() else { panic!("{read:?}") };
            assert!(error.contains("is longer than this server's limit of 16 bytes"), "{error}");
        }
    }

    #[tokio::test]
    async fn unread_lines_count_in_the_limit_of_all_bodies() {
        let limits = Limits::new(1 << 20, 2000, &MemoryBudget::unlimited());
        let long: &'static str = Box::leak(" ".repeat(3000).into_boxed_str());
        let read = read(&[long, "1\n"], &limits).await;
        assert!(matches!(read.as_slice(), [Err(error)] if error.contains("--bodies-limit")), "{read:?}");
        assert_eq!(limits.all().reserved(), 0);
    }

    #[tokio::test]
    async fn bytes_come_as_they_are_sent() {
        let items = bytes(BodyRest { body: Some(body(&["ab", "c"])), version: Version::HTTP_11 }, reader());
        let batches: Vec<_> = items.map(Result::unwrap).collect().await;
        assert_eq!(batches, [List::U8(Bytes::from("ab")), List::U8(Bytes::from("c"))]);
    }
}
