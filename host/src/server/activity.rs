//! Whether anything goes on in a connection, by which it is ended when nothing does: hyper has such limits for HTTP/1 alone,
//! and a client of HTTP/2 that takes nothing of its answers, but answers pings, would keep them in memory for ever.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, sleep, sleep_until};

use crate::deadline::moment_after;

/// In pieces of how many bytes an answer is handed on: one is taken only when there is room for it on the way to the client.
const PIECE: usize = 16 * 1024;

/// What goes on in one connection.
pub(super) struct Activity {
    begun: Instant,
    /// When anything happened last, in milliseconds since it began.
    last: AtomicU64,
    /// Requests that have no answer yet.
    asked: AtomicUsize,
    /// Long answers that have not been taken as a whole.
    sending: AtomicUsize,
    idle: Duration,
    unread: Duration,
}

/// Why a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// Nothing has been asked for a while.
    Idle,
    /// Nothing was taken of its answers for a while.
    Unread,
}

impl Activity {
    /// A connection may be `idle` for so long, and its answers `unread`.
    pub(super) fn new(idle: Duration, unread: Duration) -> Arc<Self> {
        Arc::new(Activity {
            begun: Instant::now(),
            last: AtomicU64::new(0),
            asked: AtomicUsize::new(0),
            sending: AtomicUsize::new(0),
            idle,
            unread,
        })
    }

    /// A request is here; it is answered when what comes back is dropped.
    pub(super) fn ask(self: &Arc<Self>) -> Asking {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.happen();
        Asking(self.clone())
    }

    /// The body of an answer, watched where it is long.
    pub(super) fn watch(self: &Arc<Self>, body: Body) -> Body {
        let short = u64::try_from(PIECE).unwrap_or(u64::MAX);
        if body.size_hint().exact().is_some_and(|length| length <= short) {
            return body;
        }
        self.sending.fetch_add(1, Ordering::Relaxed);
        Body::new(Watched { body, piece: Bytes::new(), activity: self.clone(), waiting: false })
    }

    /// Returns when the connection is to end.
    pub(super) async fn over(&self) -> Over {
        loop {
            let (over, limit) = match self.sending.load(Ordering::Relaxed) {
                0 => (Over::Idle, self.idle),
                _ => (Over::Unread, self.unread),
            };
            if self.look(limit).await {
                return over;
            }
        }
    }

    /// Returns when the connection, which is to be closed, has nothing more to do: nothing was asked or sent for `rest`, or
    /// nothing was taken of its answers for `unread`, and no request is without an answer.
    pub(super) async fn done(&self, rest: Duration, unread: Duration) {
        loop {
            let limit = if self.sending.load(Ordering::Relaxed) == 0 { rest } else { unread };
            if self.look(limit).await {
                return;
            }
        }
    }

    /// Whether nothing has happened for all of `limit`; if not, after a while in which that may have changed.
    async fn look(&self, limit: Duration) -> bool {
        // Before the time, which is set before the number falls.
        let quiet = self.asked.load(Ordering::Acquire) == 0;
        let last = self.begun + Duration::from_millis(self.last.load(Ordering::Relaxed));
        let end = moment_after(last, limit);
        if Instant::now() < end {
            sleep_until(end).await;
            return false;
        }
        // Requests have deadlines of their own.
        if !quiet {
            sleep(limit).await;
        }
        quiet
    }

    /// Something happens now.
    pub(super) fn happen(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }
}

/// A request that has no answer yet.
pub(super) struct Asking(Arc<Activity>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.happen();
        self.0.asked.fetch_sub(1, Ordering::Release);
    }
}

/// A long answer.
struct Watched {
    body: Body,
    /// What is left of the part that came last.
    piece: Bytes,
    activity: Arc<Activity>,
    /// The client waits for the next part, and not the other way round.
    waiting: bool,
}

impl Watched {
    fn wait(&mut self, waiting: bool) {
        if self.waiting == waiting {
            return;
        }
        self.waiting = waiting;
        let Activity { asked, sending, .. } = &*self.activity;
        let (more, fewer) = if waiting { (asked, sending) } else { (sending, asked) };
        more.fetch_add(1, Ordering::Release);
        fewer.fetch_sub(1, Ordering::Release);
    }
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.activity.happen();
        if self.piece.is_empty() {
            let next = Pin::new(&mut self.body).poll_frame(cx);
            self.wait(next.is_pending());
            match next {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.piece = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => return other,
            }
        }
        let length = self.piece.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.piece.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let left = u64::try_from(self.piece.len()).unwrap_or(u64::MAX);
        let mut hint = self.body.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + left);
        }
        hint.set_lower(hint.lower() + left);
        hint
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.wait(false);
        self.activity.happen();
        self.activity.sending.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use http_body_util::BodyExt;

    use super::*;

    const SOON: Duration = Duration::from_millis(10);
    const NEVER: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_connection_is_over_when_nothing_is_asked_and_nothing_is_sent() {
        let activity = Activity::new(SOON, NEVER);
        assert_eq!(activity.over().await, Over::Idle);
        let asking = activity.ask();
        let mut over = std::pin::pin!(activity.over());
        tokio::select! {
            biased;
            over = &mut over => panic!("{over:?} with a request in flight"),
            () = tokio::time::sleep(SOON * 5) => {}
        }
        drop(asking);
        assert_eq!(over.await, Over::Idle);
    }

    #[tokio::test]
    async fn a_long_answer_that_nobody_takes_ends_it_and_one_that_is_taken_is_whole() {
        let activity = Activity::new(NEVER, SOON);
        let text = "long ".repeat(PIECE);
        let body = activity.watch(Body::from(text.clone()));
        assert_eq!(body.size_hint().exact(), Some(text.len() as u64));
        assert_eq!(activity.over().await, Over::Unread);
        assert_eq!(body.collect().await.unwrap().to_bytes(), text);
        assert_eq!(activity.over().now_or_never(), None);
        let (mut parts, body) = futures::channel::mpsc::unbounded::<Result<&str, axum::Error>>();
        let mut stream = activity.watch(Body::from_stream(body));
        assert!(stream.frame().now_or_never().is_none());
        let over = tokio::time::timeout(SOON * 5, activity.over()).await;
        assert!(over.is_err(), "the client waits for a stream that brings nothing");
        parts.start_send(Ok("at last")).unwrap();
        drop(parts);
        assert_eq!(stream.collect().await.unwrap().to_bytes(), "at last");
        let short = activity.watch(Body::from("short"));
        assert_eq!(activity.over().now_or_never(), None, "a short answer is as good as sent");
        assert_eq!(short.collect().await.unwrap().to_bytes(), "short");
    }
}
