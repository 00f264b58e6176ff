//! What makes `chainhost serve` load a new version of its chain: SIGHUP, or with `--watch` a file that has changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use chainhost::config::{ChainSpec, ComponentSource};
use chainhost::live::{LiveChain, ReloadError, Reloaded};
use tokio::time::sleep;

use crate::cli::signals::Hangups;

/// How often watched files are looked at. Looking works on every file system, where being told of changes does not.
const LOOK: Duration = Duration::from_millis(500);

/// Reloads at each SIGHUP. Never returns.
pub(super) async fn on_hangup(chain: LiveChain, mut hangups: Hangups) -> std::convert::Infallible {
    loop {
        hangups.next().await;
        tracing::info!("SIGHUP received; loading a new version of the chain");
        reload(&chain).await;
    }
}

/// Reloads when one of `files` has changed and then stays as it is for a moment, as a build may write it in parts. Never
/// returns.
pub(super) async fn on_change(chain: LiveChain, files: Arc<Files>) -> std::convert::Infallible {
    let mut loaded = files.state();
    let mut before = loaded.clone();
    loop {
        sleep(LOOK).await;
        let now = files.state();
        if now == before && now != loaded {
            tracing::info!("a file of the chain has changed; loading a new version");
            reload(&chain).await;
            // A failed version is not tried again before the next change. What changed while it was loaded is one; but the
            // new version may also consist of other files.
            let of_the_new_version = files.state();
            let same_files = of_the_new_version.iter().map(|(file, _)| file).eq(now.iter().map(|(file, _)| file));
            loaded = if same_files { now.clone() } else { of_the_new_version };
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

    fn state(&self) -> Vec<(PathBuf, Look)> {
        let files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.iter().map(|file| (file.clone(), look(file))).collect()
    }
}

fn look(file: &Path) -> Look {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
