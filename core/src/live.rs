//! A chain in service. A newer version may replace the running one while calls go on.
//!
//! The host loads, type-checks and initialises a new version beside the running one. Then it gives calls to the new
//! version: all at once, or a share of them first ([`trial`]). A call stays in the version in which it began. A version
//! that gets no new calls stops after its last call, so no call is lost, and none meets half a version.

mod trial;

use std::error::Error;
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use bytes::Bytes;
use futures::TryFutureExt;
use futures::future::{BoxFuture, join_all};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use self::trial::{Counts, Tally, Trial};
#[cfg(doc)]
use crate::chain::LoadError;
use crate::chain::{CallOptions, Chain, Formats, Streaming};
use crate::config::Rollout;
use crate::deadline::moment_after;
use crate::error::CallError;

/// The time that guests have for calls that nobody waits for, after the rest of their version has stopped.
const LAST_CALLS: Duration = Duration::from_secs(10);

/// A chain whose version can be replaced while it serves. Clones are handles of the same chain.
#[derive(Clone)]
pub struct LiveChain(Arc<Inner>);

struct Inner {
    versions: RwLock<Versions>,
    source: Option<VersionSource>,
    /// Locked by the reload that is under way.
    reloading: tokio::sync::Mutex<()>,
    /// The tasks that end versions which get no more calls.
    retiring: TaskTracker,
    /// Makes those tasks end their versions at once.
    cut: CancellationToken,
}

/// A function that loads a new version.
type VersionSource = Box<dyn Fn() -> BoxFuture<'static, Result<(Chain, Rollout), BoxError>> + Send + Sync>;

/// Any error of a source.
type BoxError = Box<dyn Error + Send + Sync>;

struct Versions {
    current: Arc<Version>,
    trial: Option<Trial>,
    stopped: bool,
}

/// One version of a chain.
struct Version {
    number: u64,
    chain: Chain,
    /// The calls that are in this version.
    calls: TaskTracker,
    counts: Counts,
}

/// The reason why there is no new version. The old one goes on serving.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The source has no new version. For a chain.toml, this is mostly a [`LoadError`].
    #[error(transparent)]
    Source(BoxError),
    /// The chain has no source, so there is no new version to load.
    #[error("the chain has no source to load a new version from")]
    NoSource,
    /// The chain is stopping.
    #[error("the chain is stopping")]
    Stopping,
}

/// A new version that gets calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reloaded {
    /// The number of the version; the first version is 1.
    pub version: u64,
    /// True while it gets only a share of the calls.
    pub on_trial: bool,
}

impl LiveChain {
    /// Makes a live chain of its first version. Only [`LiveChain::replace`] can replace it.
    pub fn new(chain: Chain) -> Self {
        Self::with(chain, None)
    }

    /// Makes a live chain of its first version. [`LiveChain::reload`] takes further versions from `source`.
    pub fn from_source<F, E>(chain: Chain, source: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(Chain, Rollout), E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        Self::with(chain, Some(Box::new(move || Box::pin(source().map_err(Into::into)))))
    }

    fn with(chain: Chain, source: Option<VersionSource>) -> Self {
        LiveChain(Arc::new(Inner {
            versions: RwLock::new(Versions { current: Version::new(1, chain), trial: None, stopped: false }),
            source,
            reloading: tokio::sync::Mutex::default(),
            retiring: TaskTracker::new(),
            cut: CancellationToken::new(),
        }))
    }

    /// Returns the version that gets all calls, except those for a version on trial.
    pub fn current(&self) -> Chain {
        self.read().current.chain.clone()
    }

    /// Returns the number of the current version.
    pub fn version(&self) -> u64 {
        self.read().current.number
    }

    /// Returns the number of the version on trial, and its share of the calls.
    pub fn on_trial(&self) -> Option<(u64, f64)> {
        self.read().trial.as_ref().map(|trial| (trial.version.number, trial.share))
    }

    /// Returns the version for one call. The version does not stop while the caller holds the returned value.
    pub fn begin(&self) -> InVersion {
        let versions = self.read();
        let version = match &versions.trial {
            Some(trial) if fastrand::f64() < trial.share => &trial.version,
            _ => &versions.current,
        };
        // Takes the token under the lock, so that `retire` waits for every call that began in the version.
        InVersion { version: version.clone(), _call: version.calls.token() }
    }

    /// Calls the entrypoint as [`Chain::call`] does, in the version that gets the call. The outcome counts for a version on
    /// trial.
    ///
    /// # Errors
    ///
    /// The same as for [`Chain::call`].
    pub async fn call<R: DeserializeOwned>(&self, args: &impl Serialize, options: CallOptions) -> Result<R, CallError> {
        let version = self.begin();
        let outcome = version.call(args, options).await;
        version.count(&outcome);
        outcome
    }

    /// Calls the entrypoint as [`Chain::stream`] does, in the version that gets the call. The version does not stop before
    /// the stream ends, and the end of the stream counts for a version on trial.
    ///
    /// # Errors
    ///
    /// The same as for [`Chain::stream`].
    pub async fn stream<R: DeserializeOwned + Unpin>(
        &self,
        args: &impl Serialize,
        options: CallOptions,
    ) -> Result<Streaming<R>, CallError> {
        let version = self.begin();
        match version.stream(args, options).await {
            Ok(stream) => Ok(stream.on_end(Box::new(move |failure| version.count_failure(failure)))),
            Err(error) => {
                version.count_failure(Some(&error));
                Err(error)
            }
        }
    }

    /// Calls the entrypoint as [`Chain::call_json`] does, in the version that gets the call. The outcome counts for a
    /// version on trial.
    ///
    /// # Errors
    ///
    /// The same as for [`Chain::call_json`].
    pub async fn call_json(&self, body: &[u8], options: CallOptions) -> Result<Vec<u8>, CallError> {
        let version = self.begin();
        let outcome = version.call_json(body, options).await;
        version.count(&outcome);
        outcome
    }

    /// Calls the entrypoint as [`Chain::call_bytes`] does, in the version that gets the call. The outcome counts for a
    /// version on trial.
    ///
    /// # Errors
    ///
    /// The same as for [`Chain::call_bytes`].
    pub async fn call_bytes(&self, input: &Bytes, formats: Formats, options: CallOptions) -> Result<Bytes, CallError> {
        let version = self.begin();
        let outcome = version.call_bytes(input, formats, options).await;
        version.count(&outcome);
        outcome
    }

    /// Loads a new version from the chain's source, and gives calls to it as its rollout says. Call this inside a tokio
    /// runtime. If the future is dropped while the new version loads, nothing changes.
    ///
    /// # Errors
    ///
    /// Fails if there is no new version. The old one goes on serving.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        let Some(source) = &self.0.source else { return Err(ReloadError::NoSource) };
        let _one_at_a_time = self.0.reloading.lock().await;
        if self.read().stopped {
            return Err(ReloadError::Stopping);
        }
        let (chain, rollout) = source().await.map_err(ReloadError::Source)?;
        self.replace(chain, rollout).await
    }

    /// Gives calls to `chain`, as `rollout` says. Call this inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// Fails if the live chain is stopping. It then stops `chain`, too.
    pub async fn replace(&self, chain: Chain, rollout: Rollout) -> Result<Reloaded, ReloadError> {
        let replaced = {
            let mut versions = self.write();
            if versions.stopped {
                None
            } else {
                let newest = versions.trial.as_ref().map_or(versions.current.number, |trial| trial.version.number);
                let version = Version::new(newest + 1, chain.clone());
                let number = version.number;
                // Retires them under the lock, so that a concurrent stop finds each version either in `versions` or in
                // `retiring`.
                self.put(&mut versions, version, rollout).into_iter().for_each(|version| self.retire(version));
                Some(number)
            }
        };
        let Some(version) = replaced else {
            chain.stop(Duration::ZERO).await;
            return Err(ReloadError::Stopping);
        };
        if let Rollout::Canary(canary) = rollout {
            tokio::spawn(self.clone().try_for(canary.trial, version));
        }
        Ok(Reloaded { version, on_trial: matches!(rollout, Rollout::Canary(_)) })
    }

    /// Stops all versions: rejects new calls, serves the accepted calls for at most `limit`, then ends every replica.
    pub async fn stop(&self, limit: Duration) {
        let deadline = moment_after(Instant::now(), limit);
        let versions = {
            let mut versions = self.write();
            versions.stopped = true;
            let trial = versions.trial.take().map(|trial| trial.version);
            trial.into_iter().chain([versions.current.clone()])
        };
        join_all(versions.map(|version| async move { version.chain.stop(limit).await })).await;
        self.0.retiring.close();
        if timeout(deadline.saturating_duration_since(Instant::now()), self.0.retiring.wait()).await.is_err() {
            self.0.cut.cancel();
            self.0.retiring.wait().await;
        }
    }

    /// Puts a new version into its place, and returns the versions that get no more calls.
    fn put(&self, versions: &mut Versions, version: Arc<Version>, rollout: Rollout) -> Vec<Arc<Version>> {
        match rollout {
            Rollout::Atomic => {
                let trial = versions.trial.take().map(|trial| trial.version);
                let before = std::mem::replace(&mut versions.current, version);
                trial.into_iter().chain([before]).collect()
            }
            Rollout::Canary(canary) => {
                let against = versions.current.counts.tally();
                let before = versions.trial.replace(Trial { version, share: canary.share, against });
                before.into_iter().map(|trial| trial.version).collect()
            }
        }
    }

    /// Ends the trial of version `number` after `time`, unless another trial has begun by then.
    async fn try_for(self, time: Duration, number: u64) {
        sleep(time).await;
        {
            let mut versions = self.write();
            let Some(trial) = versions.trial.take_if(|trial| trial.version.number == number) else { return };
            let (new, old) = trial.results(versions.current.counts.tally());
            let Tally { answered, failed } = new;
            let retired = if new.is_worse_than(old) {
                tracing::error!(
                    version = number,
                    answered,
                    failed,
                    old_answered = old.answered,
                    old_failed = old.failed,
                    "the trial of a new version ends: more of its calls failed; the old one stays"
                );
                trial.version
            } else {
                tracing::info!(
                    version = number,
                    answered,
                    failed,
                    "the trial of a new version ends: it gets all calls"
                );
                std::mem::replace(&mut versions.current, trial.version)
            };
            self.retire(retired);
        }
    }

    /// Stops a version that gets no more calls, after its last call has ended.
    fn retire(&self, version: Arc<Version>) {
        let cut = self.0.cut.clone();
        self.0.retiring.spawn(async move {
            version.calls.close();
            tokio::select! {
                () = version.calls.wait() => version.chain.stop(LAST_CALLS).await,
                () = cut.cancelled() => version.chain.stop(Duration::ZERO).await,
            }
            tracing::info!(version = version.number, "an old version of the chain has stopped");
        });
    }

    fn read(&self) -> RwLockReadGuard<'_, Versions> {
        self.0.versions.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Versions> {
        self.0.versions.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Chain> for LiveChain {
    fn from(chain: Chain) -> Self {
        LiveChain::new(chain)
    }
}

impl Version {
    fn new(number: u64, chain: Chain) -> Arc<Self> {
        Arc::new(Version { number, chain, calls: TaskTracker::new(), counts: Counts::default() })
    }
}

/// The version in which one call runs: a [`Chain`] that does not stop before this is dropped.
pub struct InVersion {
    version: Arc<Version>,
    _call: TaskTrackerToken,
}

impl InVersion {
    /// Counts the outcome of the call. The counts judge a version on trial. The methods of [`LiveChain`] that call count by
    /// themselves.
    pub fn count<T>(&self, outcome: &Result<T, CallError>) {
        self.count_failure(outcome.as_ref().err());
    }

    fn count_failure(&self, failure: Option<&CallError>) {
        self.version.counts.count(failure.map(CallError::kind));
    }
}

impl Deref for InVersion {
    type Target = Chain;

    fn deref(&self) -> &Chain {
        &self.version.chain
    }
}
