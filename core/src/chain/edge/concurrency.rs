//! The layer that limits the concurrent calls of an edge. Further calls wait for their turn. A call counts until its
//! streams have ended.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tower::{Layer, Service, ServiceExt};

use super::EdgeCall;
use crate::chainlet::call::{CallAnswer, Outcome};
use crate::error::CallError;

/// Limits an edge to `self.0` concurrent calls; `None` means no limit.
pub(super) struct ConcurrencyLayer(pub Option<u32>);

impl<S> Layer<S> for ConcurrencyLayer {
    type Service = Concurrency<S>;

    fn layer(&self, inner: S) -> Concurrency<S> {
        let permits = self.0.map(|limit| {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
            Arc::new(Semaphore::new(limit))
        });
        Concurrency { permits, inner }
    }
}

#[derive(Clone)]
pub(super) struct Concurrency<S> {
    permits: Option<Arc<Semaphore>>,
    inner: S,
}

impl<S> Service<EdgeCall> for Concurrency<S>
where
    S: Service<EdgeCall, Response = CallAnswer, Error = CallError> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = CallAnswer;
    type Error = CallError;
    type Future = BoxFuture<'static, Outcome>;

    /// Always ready: a call waits inside `call`, so that its deadline applies.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: EdgeCall) -> Self::Future {
        let Concurrency { permits, inner } = self.clone();
        let Some(permits) = permits else { return Box::pin(inner.oneshot(call)) };
        Box::pin(async move {
            // The semaphore is never closed, so this never fails.
            let permit = permits.acquire_owned().await.ok();
            let answered = inner.oneshot(call).await?;
            Ok(CallAnswer { permit, ..answered })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tower::service_fn;

    use super::*;
    use crate::chainlet::call::CallContext;

    fn call() -> EdgeCall {
        EdgeCall { params: Vec::new(), context: CallContext::default(), first: None, times_out: None }
    }

    #[tokio::test]
    async fn a_call_keeps_its_place_until_its_answer_lets_go_of_it() {
        let begun = Arc::new(AtomicUsize::new(0));
        let counting = begun.clone();
        let inner = service_fn(move |_: EdgeCall| {
            counting.fetch_add(1, Ordering::Relaxed);
            async {
                Ok::<_, CallError>(CallAnswer {
                    value: None,
                    origin: None,
                    tail: None,
                    permit: None,
                    reservation: None,
                })
            }
        });
        let limited = ConcurrencyLayer(Some(1)).layer(inner);
        let first = limited.clone().oneshot(call()).await.unwrap();
        let mut second = Box::pin(limited.oneshot(call()));
        assert!(futures::poll!(second.as_mut()).is_pending());
        assert_eq!(begun.load(Ordering::Relaxed), 1);
        drop(first);
        second.await.unwrap();
        assert_eq!(begun.load(Ordering::Relaxed), 2);
    }
}
