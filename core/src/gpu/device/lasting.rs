//! Work that goes on if its caller stops waiting.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::runtime::Handle;

/// A future whose work a task finishes if the future is dropped before its end. Until then it needs no task, and no
/// thread has to wake another for it.
pub(super) struct FinishOnDrop<T: Send + 'static> {
    /// `None` once the work is done.
    work: Option<BoxFuture<'static, T>>,
    runtime: Option<Handle>,
}

impl<T: Send + 'static> FinishOnDrop<T> {
    pub(super) fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        FinishOnDrop { work: Some(work.boxed()), runtime: Handle::try_current().ok() }
    }
}

impl<T: Send + 'static> Future for FinishOnDrop<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let done = work.poll_unpin(context);
        if done.is_ready() {
            self.work = None;
        }
        done
    }
}

impl<T: Send + 'static> Drop for FinishOnDrop<T> {
    fn drop(&mut self) {
        if let (Some(work), Some(runtime)) = (self.work.take(), &self.runtime) {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_is_done_whether_or_not_somebody_waits() {
        assert_eq!(FinishOnDrop::new(async { 7 }).await, 7);
        let (go, went) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let mut work = FinishOnDrop::new(async move {
            went.await.unwrap();
            tell.send(7).unwrap();
        });
        assert!((&mut work).now_or_never().is_none());
        drop(work);
        go.send(()).unwrap();
        assert_eq!(told.await, Ok(7));
    }
}
