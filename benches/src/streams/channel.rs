//! The comparison for streams: a channel between two tasks, with batches of the same size.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

/// The batches that can wait in the channel, as many as in a stream between two chainlets.
const DEPTH: usize = 2;

/// Returns the time for `count` items, with `batch` items in a message, and their sum.
pub async fn all<T: Send + 'static>(
    count: u64,
    batch: u32,
    item: impl Fn(u64) -> T + Send + 'static,
    worth: impl Fn(&T) -> u64 + Send + 'static,
) -> anyhow::Result<(Duration, u64)> {
    let start = Instant::now();
    let (sender, mut receiver) = mpsc::channel(DEPTH);
    let writer = tokio::spawn(async move {
        let mut next = 0;
        while next < count {
            let end = count.min(next + u64::from(batch));
            let items: Vec<T> = (next..end).map(&item).collect();
            if sender.send(items).await.is_err() {
                break;
            }
            next = end;
        }
    });
    let reader = tokio::spawn(async move {
        let mut sum = 0;
        while let Some(items) = receiver.recv().await {
            sum += items.iter().map(&worth).sum::<u64>();
        }
        sum
    });
    let sum = reader.await?;
    writer.await?;
    Ok((start.elapsed(), sum))
}

/// A task that sends an item through a new channel to each task that asks.
pub struct Source(mpsc::Sender<oneshot::Sender<mpsc::Receiver<u32>>>);

impl Source {
    /// Starts the task in the current runtime. It ends when this value is dropped.
    pub fn new() -> Self {
        let (asks, mut asked) = mpsc::channel::<oneshot::Sender<_>>(DEPTH);
        tokio::spawn(async move {
            while let Some(ask) = asked.recv().await {
                let (sender, receiver) = mpsc::channel(DEPTH);
                // An error means that the task that asked has ended.
                if ask.send(receiver).is_ok() {
                    let _ = sender.send(7).await;
                }
            }
        });
        Source(asks)
    }

    /// Returns the time until the first item, including the channel for it.
    pub async fn first(&self) -> anyhow::Result<Duration> {
        let asks = self.0.clone();
        let asking = tokio::spawn(async move {
            let start = Instant::now();
            let (ask, answer) = oneshot::channel();
            asks.send(ask).await?;
            let item = answer.await?.recv().await;
            anyhow::ensure!(item.is_some(), "the channel ended without an item");
            Ok(start.elapsed())
        });
        asking.await?
    }
}
