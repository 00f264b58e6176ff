//! Work that waits for the file system, away from the listeners.
//!
//! A file need not answer: a FIFO has no writer, a network file system hangs. Such a read holds a thread of its own for as
//! long as it likes, and the program serves, and obeys signals, meanwhile.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// The longest time that a new version waits for its files. After it, the reload fails, and the next one may begin.
const FILES: Duration = Duration::from_secs(60);

/// The error that files were not read in time.
#[derive(Debug, thiserror::Error)]
#[error(
    "a file was not read within {}: look for a FIFO or a network file system that does not answer among chain.toml, \
     the components, the folders of assets, the secrets, the keys and the certificates",
    humantime::format_duration(FILES)
)]
pub struct FilesHang;

/// Does `work` on a thread that may block, and returns its result. If it panics, this panics, too.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is ending, and drops this future soon.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Does `work` as [`blocking`] does, and gives up waiting for it after a minute.
///
/// # Errors
/// Fails if the time is over. The thread is held until the file answers.
pub async fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, FilesHang> {
    timeout(FILES, blocking(work)).await.map_err(|_| FilesHang)
}
