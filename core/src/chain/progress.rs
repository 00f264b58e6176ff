//! The progress of a chain's start, for probes that ask before it is done.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;

use crate::config::ChainletName;

/// The progress of a chain's start, chainlet by chainlet. Clones show the same start.
///
/// It is empty until [`Host::load_with_progress`](crate::host::Host::load_with_progress) begins.
#[derive(Debug, Clone, Default)]
pub struct StartProgress(Arc<Mutex<IndexMap<ChainletName, Stage>>>);

/// The step of the start that a chainlet is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its component is read and compiled.
    Loading,
    /// Its turn has not come: chainlets start one after the other, each after those that it calls.
    InLine,
    /// Its first replicas are made, and run their `init`.
    Starting,
    /// It takes calls.
    Ready,
}

impl StartProgress {
    /// Begins with these chainlets, whose components are not loaded yet.
    pub(super) fn begin<'a>(&self, chainlets: impl Iterator<Item = &'a ChainletName>) {
        *self.lock() = chainlets.map(|name| (name.clone(), Stage::Loading)).collect();
    }

    /// The chainlet `name` has come to `stage`.
    pub(super) fn set(&self, name: &ChainletName, stage: Stage) {
        if let Some(now) = self.lock().get_mut(name) {
            *now = stage;
        }
    }

    /// The chainlets that are not ready, each with what it waits for.
    pub fn waiting_for(&self) -> Vec<String> {
        let all = self.lock();
        let waiting = all.iter().filter(|(_, stage)| **stage != Stage::Ready);
        waiting.map(|(name, stage)| format!("{name} ({stage})")).collect()
    }

    fn lock(&self) -> MutexGuard<'_, IndexMap<ChainletName, Stage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Loading => "its component is loaded",
            Stage::InLine => "its turn to start has not come",
            Stage::Starting => "its `init` runs",
            Stage::Ready => "it is ready",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_waits_for_the_chainlets_that_are_not_ready() {
        let names: Vec<ChainletName> = ["say-hello", "hello-all"].map(|name| name.parse().unwrap()).into();
        let progress = StartProgress::default();
        assert_eq!(progress.waiting_for(), [""; 0]);
        progress.begin(names.iter());
        progress.set(&names[0], Stage::Starting);
        let told = progress.clone().waiting_for();
        assert_eq!(told, ["say-hello (its `init` runs)", "hello-all (its component is loaded)"]);
        progress.set(&names[0], Stage::Ready);
        progress.set(&names[1], Stage::InLine);
        assert_eq!(progress.waiting_for(), ["hello-all (its turn to start has not come)"]);
    }
}
