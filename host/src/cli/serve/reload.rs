//! Makes `chainhost serve` load a new version of its chain: at SIGHUP, or with `--watch` when a file has changed. API
//! keys and certificates are read again whenever their files have changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use chainhost::config::{ChainSpec, ComponentSource};
use chainhost::live::{LiveChain, ReloadError, Reloaded};
use tokio::time::sleep;

use super::credentials::{Credentials, LoadedCredentials};
use super::sources::{PACKAGE_LISTS, SourceFolder};
use crate::cli::blocking::blocking;
use crate::cli::signals::Hangups;

/// The interval at which watched files are checked. Checking works on every file system, but notifications of changes
/// do not.
const LOOK: Duration = Duration::from_millis(250);

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
        move || files.state(),
        async || {
            tracing::info!("a file of the chain has changed; loading a new version");
            reload(&chain).await;
        },
    )
    .await
}

/// Reads API keys and certificates again when one of their files has changed. Without that, an expired certificate
/// would stay in use until somebody notices. Never returns.
pub(super) async fn on_change_of_credentials(
    credentials: Credentials,
    loaded: LoadedCredentials,
) -> std::convert::Infallible {
    let files = credentials.files();
    if files.is_empty() {
        return std::future::pending().await;
    }
    let renew = || {
        let (credentials, loaded) = (credentials.clone(), loaded.clone());
        blocking(move || credentials.renew(&loaded))
    };
    watch(
        move || state(&files),
        async || match renew().await {
            Ok(()) => tracing::info!("the changed API keys and certificates are in use"),
            Err(error) => {
                tracing::error!(%error, "the changed API keys or certificates cannot be used; the old ones stay in use")
            }
        },
    )
    .await
}

/// Runs `act` when the result of `state` has changed and then stays the same for one interval, because files may be
/// written in parts.
async fn watch(look: impl Fn() -> State + Send + Sync + 'static, act: impl AsyncFn()) -> std::convert::Infallible {
    let look = Arc::new(look);
    let state = || {
        let look = look.clone();
        blocking(move || look())
    };
    let mut acted_on = state().await;
    let mut before = acted_on.clone();
    loop {
        sleep(LOOK).await;
        let now = state().await;
        if now == before && now != acted_on {
            act().await;
            // A version that does not load is tried again only after the next change. A change during `act` counts as
            // one. But if `act` has replaced the list of files, the old state says nothing about the new files.
            let after = state().await;
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

/// The files of which a chain consists, and those of which its components are built.
#[derive(Debug, Default)]
pub(super) struct Files(Mutex<Watched>);

#[derive(Debug, Default)]
struct Watched {
    files: BTreeSet<PathBuf>,
    /// Folders with sources.
    folders: BTreeSet<SourceFolder>,
}

/// The state of some files at one moment.
type State = Vec<(PathBuf, FileStamp)>;

/// The time of a file's last change, and its length; `None` if the file does not exist.
type FileStamp = Option<(SystemTime, u64)>;

impl Files {
    /// Sets the files: those of `spec`, `file` from which `spec` was read, and the file with `secrets`. If a change leads
    /// to a build, the sources of a component take its place.
    pub(super) fn set(&self, file: &Path, spec: &ChainSpec, secrets: Option<&Path>, builds: bool) {
        let mut watched = Watched::default();
        watched.files.extend([file].into_iter().chain(secrets).map(Path::to_owned));
        for chainlet in spec.chainlets.values() {
            match (&chainlet.component, SourceFolder::of(spec, chainlet)) {
                (_, Some(folder)) if builds => {
                    watched.folders.insert(folder);
                    watched.files.extend(PACKAGE_LISTS.iter().map(|list| spec.resolve(list)));
                }
                (ComponentSource::File(path), _) => {
                    watched.files.insert(spec.resolve(path));
                }
                (ComponentSource::Bytes(_), _) => {}
            }
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = watched;
    }

    fn state(&self) -> State {
        let watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut files = watched.files.clone();
        files.extend(watched.folders.iter().flat_map(SourceFolder::files));
        state(&files)
    }
}

fn state<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> State {
    files.into_iter().map(|file| (file.clone(), look(file))).collect()
}

fn look(file: &Path) -> FileStamp {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
