//! Writes answers that are streams, item by item, as the guest makes them.
//!
//! | | an item | the rest of the answer, after the stream | a failure |
//! |---|---|---|---|
//! | `text/event-stream` | `data: ITEM` | `event: end`, always | `event: error`, with a problem document |
//! | `application/x-ndjson` | `ITEM` in a line | `{"$end": …}`, always | `{"$error": …}` |
//! | `application/octet-stream` | its byte | nothing | the connection breaks off |
//!
//! WIT names contain no `$`, so no item looks like one of these lines. But the keys of a `map<string, …>` can be any
//! text, so an item of such a type is written as `{"$item": ITEM}` in lines and WebSocket messages ([`has_free_keys`]).

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use chainhost_core::chain::answer::Streamed;
use chainhost_core::error::{CallError, ErrorKind};
use chainhost_core::live::InVersion;
use chainhost_core::memory::Reserving;
use chainhost_core::value::json::{self, Elements};
use chainhost_core::value::{List, Type};
use futures::stream;
use tokio::time::timeout;

use super::format::Framing;
use super::observe::RequestContext;
use super::run_remote::failed;
use super::{Audience, Http};

/// Returns true if the JSON of an item of type `ty` is an object whose keys may be any text.
pub(super) fn has_free_keys(ty: &Type) -> bool {
    match ty {
        Type::Map { key, .. } => matches!(**key, Type::String),
        Type::Option(inner) => has_free_keys(inner),
        _ => false,
    }
}

/// The number of bytes from which on items are sent, even if more items are here.
const PIECE: usize = 32 * 1024;
/// The longest silence of a stream of events. Then a comment is sent, because a proxy could conclude that the stream is
/// dead.
const SILENCE: Duration = Duration::from_secs(15);
const STILL_HERE: &[u8] = b": still here\n\n";

/// An answer that is being written.
struct StreamBody {
    framing: Framing,
    streamed: Streamed,
    /// True once all items have come.
    ended: bool,
    /// The batch of items that is being written.
    batch: List,
    /// The number of its items that are written.
    written: usize,
    http: Http,
    context: RequestContext,
    audience: Audience,
    /// The version of the chain that the call belongs to. It does not stop before the stream has ended.
    version: InVersion,
}

/// The error that a stream was cut off, because its call failed.
#[derive(Debug, thiserror::Error)]
#[error("the stream broke off")]
struct CutOff;

/// Returns the body of a streamed answer. Dropping it ends the call, if the guest still produces items.
pub(super) fn body(
    streamed: Streamed,
    framing: Framing,
    context: RequestContext,
    http: Http,
    audience: Audience,
    version: InVersion,
) -> Body {
    let (batch, written, ended) = (List::Values(Vec::new()), 0, false);
    let writing = StreamBody { framing, streamed, ended, batch, written, http, context, audience, version };
    Body::from_stream(stream::unfold(Some(writing), |writing| async {
        let mut writing = writing?;
        match writing.next().await {
            Ok((bytes, true)) => Some((Ok(bytes), Some(writing))),
            Ok((bytes, false)) => Some((Ok(bytes), None)),
            Err(cut_off) => Some((Err(cut_off), None)),
        }
    }))
}

impl StreamBody {
    /// Returns the next bytes, and whether more will follow.
    async fn next(&mut self) -> Result<(Bytes, bool), CutOff> {
        match self.framing {
            Framing::Events => match timeout(SILENCE, self.next_said()).await {
                Ok(next) => next,
                Err(_) => Ok((Bytes::from_static(STILL_HERE), true)),
            },
            Framing::Lines | Framing::Bytes => self.next_said().await,
        }
    }

    /// Like [`StreamBody::next`], but without the comments. Dropping the future loses nothing.
    async fn next_said(&mut self) -> Result<(Bytes, bool), CutOff> {
        if self.written >= self.batch.len() && !self.ended {
            match self.streamed.next().await {
                Some(Ok(batch)) => (self.batch, self.written) = (batch, 0),
                Some(Err(error)) => return self.failed(error),
                None => self.ended = true,
            }
        }
        if self.ended {
            return match self.streamed.end().await {
                Ok(rest) => Ok((self.end(rest), false)),
                Err(error) => self.failed(error),
            };
        }
        match (self.framing, &self.batch) {
            (Framing::Bytes, List::U8(bytes)) => {
                self.written = bytes.len();
                Ok((bytes.clone(), true))
            }
            _ => match self.items_here() {
                Ok(out) => Ok((out, true)),
                Err(error) => self.failed(error),
            },
        }
    }

    /// Returns items that are here, up to a piece. The written bytes of large items stay reserved until the client has
    /// taken them.
    fn items_here(&mut self) -> Result<Bytes, CallError> {
        let (before, after) = match self.framing {
            Framing::Events => (&b"data: "[..], &b"\n\n"[..]),
            Framing::Lines if has_free_keys(&self.streamed.item) => (&b"{\"$item\":"[..], &b"}\n"[..]),
            Framing::Lines | Framing::Bytes => (&b""[..], &b"\n"[..]),
        };
        let elements = Elements::of(&self.streamed.item, &self.batch);
        let mut held = self.http.0.bodies.all().nothing();
        let mut out = Reserving::new(&mut held);
        let mut mismatch = None;
        while self.written < elements.count() && out.written() < PIECE && mismatch.is_none() {
            out.put(before);
            mismatch = json::write_element(&elements, self.written, &mut out).err();
            out.put(after);
            self.written += 1;
        }
        let chainlet = &self.streamed.chainlet;
        let out = out.finish().map_err(|no_room| {
            let message = format_args!("its items cannot be given: {no_room}");
            CallError::new(ErrorKind::Overloaded, chainlet, message).limited_by(no_room.option).after_the_call_began()
        })?;
        match mismatch {
            None => Ok(held.own(out.into())),
            Some(error) => Err(CallError::new(ErrorKind::Internal, chainlet, error)),
        }
    }

    fn end(&self, rest: Option<Vec<u8>>) -> Bytes {
        self.count(&Ok(()));
        let rest = rest.unwrap_or_else(|| b"null".to_vec());
        match self.framing {
            Framing::Events => [&b"event: end\ndata: "[..], &rest, b"\n\n"].concat().into(),
            Framing::Lines => [&b"{\"$end\":"[..], &rest, b"}\n"].concat().into(),
            Framing::Bytes => Bytes::new(),
        }
    }

    /// Counts the outcome of the call. The counts judge a version on trial. Calls by admins do not count.
    fn count(&self, outcome: &Result<(), CallError>) {
        if self.audience == Audience::Public {
            self.version.count(outcome);
        }
    }

    fn failed(&self, error: CallError) -> Result<(Bytes, bool), CutOff> {
        self.count(&Err(error.clone()));
        let problem = failed(&self.http, error, self.audience, &self.context.id);
        self.context.end.set(problem.status());
        let document = problem.document(&self.context.id);
        match self.framing {
            Framing::Events => Ok(([&b"event: error\ndata: "[..], &document, b"\n\n"].concat().into(), false)),
            Framing::Lines => Ok(([&b"{\"$error\":"[..], &document, b"}\n"].concat().into(), false)),
            Framing::Bytes => Err(CutOff),
        }
    }
}
