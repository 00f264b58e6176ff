//! Watches whether a connection is in use, so that one without activity can be closed. hyper has such limits for HTTP/1
//! only. Without ours, an HTTP/2 client that answers pings but never reads its answers would keep them in memory
//! forever.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use chainhost_core::deadline::moment_after;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, sleep, sleep_until};

/// The largest piece of an answer that is given to hyper at once, in bytes. hyper takes a piece only if it has room for
/// it on the way to the client, so each piece that it takes shows that the client reads.
const PIECE: usize = 16 * 1024;

/// The activity of one connection.
pub(super) struct Activity {
    begun: Instant,
    /// The time of the last activity, in milliseconds since `begun`.
    last: AtomicU64,
    /// The number of requests that have no answer yet.
    asked: AtomicUsize,
    /// The number of long answers that the client has not taken completely.
    sending: AtomicUsize,
    /// The longest time without a request.
    idle: Duration,
    /// The longest time in which the client may take nothing of its answers.
    unread: Duration,
}

/// The reason to end a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CloseReason {
    /// The client has sent no request for a while.
    Idle,
    /// The client has taken nothing of its answers for a while.
    Unread,
}

impl Activity {
    /// Watches a connection that may be `idle` for so long, and may leave its answers `unread` for so long.
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

    /// Counts a request that has arrived. Dropping the returned value means that it is answered.
    pub(super) fn ask(self: &Arc<Self>) -> Asking {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.happen();
        Asking(self.clone())
    }

    /// Returns the body of an answer; a long one is watched.
    pub(super) fn watch(self: &Arc<Self>, body: Body) -> Body {
        let short = u64::try_from(PIECE).unwrap_or(u64::MAX);
        if body.size_hint().exact().is_some_and(|length| length <= short) {
            return body;
        }
        self.sending.fetch_add(1, Ordering::Relaxed);
        Body::new(Watched { body, piece: Bytes::new(), activity: self.clone(), waiting: false })
    }

    /// Waits until the connection must end, and returns the reason.
    pub(super) async fn over(&self) -> CloseReason {
        loop {
            let (over, limit) = match self.sending.load(Ordering::Relaxed) {
                0 => (CloseReason::Idle, self.idle),
                _ => (CloseReason::Unread, self.unread),
            };
            if self.look(limit).await {
                return over;
            }
        }
    }

    /// Waits until a connection that is being closed has nothing more to do: every request has its answer, and nothing
    /// happened for `rest`, or for `unread` while an answer is being sent.
    pub(super) async fn done(&self, rest: Duration, unread: Duration) {
        loop {
            let limit = if self.sending.load(Ordering::Relaxed) == 0 { rest } else { unread };
            if self.look(limit).await {
                return;
            }
        }
    }

    /// Returns true if nothing has happened for all of `limit`. Otherwise waits until that may have changed, and
    /// returns false.
    async fn look(&self, limit: Duration) -> bool {
        // Reads `asked` before `last`, because the drop of an `Asking` sets `last` before it lowers `asked`.
        let quiet = self.asked.load(Ordering::Acquire) == 0;
        let last = self.begun + Duration::from_millis(self.last.load(Ordering::Relaxed));
        let end = moment_after(last, limit);
        if Instant::now() < end {
            sleep_until(end).await;
            return false;
        }
        // A request in flight keeps the connection open. It has its own deadline.
        if !quiet {
            sleep(limit).await;
        }
        quiet
    }

    /// Notes that something happens now.
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

/// The body of a long answer.
struct Watched {
    body: Body,
    /// The rest of the last frame that the body gave.
    piece: Bytes,
    activity: Arc<Activity>,
    /// True while the client waits for the body; false while the body waits for the client.
    waiting: bool,
}

impl Watched {
    /// Sets who waits. While the client waits, the answer counts as a request without an answer.
    fn wait(&mut self, waiting: bool) {
        if self.waiting == waiting {
            return;
        }
        self.waiting = waiting;
        let Activity { asked, sending, .. } = &*self.activity;
        // Adds before it subtracts, so that the two numbers are never both 0 in between.
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
    async fn a_connection_without_requests_and_answers_is_idle() {
        let activity = Activity::new(SOON, NEVER);
        assert_eq!(activity.over().await, CloseReason::Idle);
        let asking = activity.ask();
        let mut over = std::pin::pin!(activity.over());
        tokio::select! {
            biased;
            over = &mut over => panic!("{over:?} with a request in flight"),
            () = tokio::time::sleep(SOON * 5) => {}
        }
        drop(asking);
        assert_eq!(over.await, CloseReason::Idle);
    }

    #[tokio::test]
    async fn a_long_answer_ends_its_connection_only_if_nobody_reads_it() {
        let activity = Activity::new(NEVER, SOON);
        let text = "long ".repeat(PIECE);
        let body = activity.watch(Body::from(text.clone()));
        assert_eq!(body.size_hint().exact(), Some(text.len() as u64));
        assert_eq!(activity.over().await, CloseReason::Unread);
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
