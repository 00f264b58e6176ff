//! Streams that are over at some moment, whether or not anybody reads them.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::StreamExt;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::{Items, StreamError};
use crate::value::List;

/// `items` until `over` is there, which is waited for in `runtime`: then they are dropped, which tells their writer, and its error
/// is the last that comes.
pub(crate) fn until(items: Items, over: impl Future<Output = StreamError> + Send + 'static, runtime: &Handle) -> Items {
    let state = Arc::new(Mutex::new(State { items: Some(items), over: None, reader: None }));
    let weak = Arc::downgrade(&state);
    let waiting = runtime.spawn(async move {
        let error = over.await;
        let Some(state) = weak.upgrade() else { return };
        let (items, reader) = {
            let mut state = lock(&state);
            // What ended by itself is not over.
            state.over = state.items.is_some().then_some(error);
            (state.items.take(), state.reader.take())
        };
        // Not under the lock, for it may take long.
        drop(items);
        if let Some(reader) = reader {
            reader.wake();
        }
    });
    Box::pin(Lasting { state, waiting })
}

struct Lasting {
    state: Arc<Mutex<State>>,
    waiting: JoinHandle<()>,
}

struct State {
    items: Option<Items>,
    over: Option<StreamError>,
    reader: Option<Waker>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl futures::Stream for Lasting {
    type Item = Result<List, StreamError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = lock(&self.state);
        let Some(items) = &mut state.items else { return Poll::Ready(state.over.take().map(Err)) };
        match items.poll_next_unpin(cx) {
            Poll::Pending => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            Poll::Ready(Some(Ok(list))) => Poll::Ready(Some(Ok(list))),
            Poll::Ready(last) => {
                state.items = None;
                Poll::Ready(last)
            }
        }
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        self.waiting.abort();
    }
}

#[cfg(test)]
mod tests {
    use futures::channel::mpsc;

    use super::*;

    fn batch(items: &[u32]) -> List {
        List::U32(items.to_vec())
    }

    #[tokio::test]
    async fn a_stream_that_is_over_ends_with_the_reason_and_drops_its_source_though_nobody_reads() {
        let (mut sender, receiver) = mpsc::channel(1);
        let (end, over) = tokio::sync::oneshot::channel::<()>();
        let over = async move {
            drop(over.await);
            StreamError::Lost
        };
        let mut items = until(receiver.boxed(), over, &Handle::current());
        sender.start_send(Ok(batch(&[1]))).unwrap();
        assert_eq!(items.next().await.unwrap().unwrap(), batch(&[1]));
        end.send(()).unwrap();
        futures::future::poll_fn(|cx| sender.poll_ready(cx)).await.unwrap_or_default();
        while !sender.is_closed() {
            tokio::task::yield_now().await;
        }
        assert!(matches!(items.next().await, Some(Err(StreamError::Lost))));
        assert!(items.next().await.is_none());
    }

    #[tokio::test]
    async fn whoever_reads_is_woken_at_the_end_and_what_ended_before_stays_ended() {
        let pending = futures::stream::pending().boxed();
        let mut items = until(pending, async { StreamError::Lost }, &Handle::current());
        assert!(matches!(items.next().await, Some(Err(StreamError::Lost))));
        let mut items = until(futures::stream::empty().boxed(), async { StreamError::Lost }, &Handle::current());
        assert!(items.next().await.is_none());
        tokio::task::yield_now().await;
        assert!(items.next().await.is_none());
    }
}
