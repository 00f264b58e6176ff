//! What makes `chainhost serve` load a new version of its chain: SIGHUP, or with `--watch` a file that has
//! changed. API keys and certificates are read anew whenever their files have.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use chainhost::config::{ChainSpec, ComponentSource};
use chainhost::live::{LiveChain, ReloadError, Reloaded};
use tokio::time::sleep;

use super::credentials::CredentialsError;
use crate::cli::signals::Hangups;

/// How often watched files are looked at. Looking works on every file system, where being told of changes does not.
const LOOK: Duration = Duration::from_millis(500);

/// Reloads at each SIGHUP. Never returns.
pub(super) async fn on_hangup(chain: LiveChain, mut hangups: Hangups) -> std::convert::Infallible {
    loop {
        hangups.next().await;
        tracing::info!(signal = %"SIGHUP", "SIGHUP received; loading a new version of the chain");
        reload(&chain).await;
    }
}

/// Reloads when a file of the chain has changed. Never returns.
pub(super) async fn on_change(chain: LiveChain, files: Arc<Files>) -> std::convert::Infallible {
    watch(
        || files.state(),
        async || {
            tracing::info!("a file of the chain has changed; loading a new version");
            reload(&chain).await;
        },
    )
    .await
}

/// Reads API keys and certificates anew when one of their files has changed: without that, an expired certificate would
/// stay until somebody notices. Never returns.
pub(super) async fn on_change_of_credentials(
    files: Vec<PathBuf>,
    renew: impl Fn() -> Result<(), CredentialsError>,
) -> std::convert::Infallible {
    if files.is_empty() {
        return std::future::pending().await;
    }
    watch(
        || state(&files),
        async || match renew() {
            Ok(()) => tracing::info!("API keys and certificates are those of the changed files"),
            Err(error) => {
                tracing::error!(%error, "the changed API keys or certificates are not used; the old ones are")
            }
        },
    )
    .await
}

/// Does `act` when what `state` finds has changed and then stays as it is for a moment, as files may be written in parts.
async fn watch(state: impl Fn() -> State, act: impl AsyncFn()) -> std::convert::Infallible {
    let mut acted_on = state();
    let mut before = acted_on.clone();
    loop {
        sleep(LOOK).await;
        let now = state();
        if now == before && now != acted_on {
            act().await;
            // What does not load is not tried again before the next change. What changed meanwhile is one; but there may
            // also be other files now.
            let after = state();
            let same_files = after.iter().map(|(file, _)| file).eq(now.iter().map(|(file, _)| file));
            acted_on = if same_files { now.clone() } else { after };
        }
        before = now;
    }
}

async fn reload(chain: &LiveChain) {
    match chain.reload().await {
        Ok(Reloaded { version, on_trial, .. }) => tracing::info!(version, on_trial, "reloaded"),
        Err(ReloadError::Stopping) => {}
        Err(error) => tracing::error!(%error, "the new version does not load; the old one serves on"),
    }
}

/// The files that a chain consists of.
#[derive(Debug, Default)]
pub(super) struct Files(Mutex<BTreeSet<PathBuf>>);

/// Files as they are at some moment.
type State = Vec<(PathBuf, Look)>;

/// What a file looks like from outside; `None` where it is not there.
type Look = Option<(SystemTime, u64)>;

impl Files {
    /// The files of `spec`, which was read from `file`, and one with `secrets`.
    pub(super) fn set(&self, file: &Path, spec: &ChainSpec, secrets: Option<&Path>) {
        let components = spec.chainlets.values().filter_map(|chainlet| match &chainlet.component {
            ComponentSource::File(path) => Some(spec.resolve(path)),
            ComponentSource::Bytes(_) => None,
        });
        let files = [file].into_iter().chain(secrets).map(Path::to_owned).chain(components).collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = files;
    }

    fn state(&self) -> State {
        state(&*self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn state<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> State {
    files.into_iter().map(|file| (file.clone(), look(file))).collect()
}

fn look(file: &Path) -> Look {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
