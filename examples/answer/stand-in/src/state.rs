//! The state of a stand-in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderValue;
use serde::{Deserialize, Serialize};

/// The behaviour of a model.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// The time until the first token, in milliseconds.
    pub first_token: u64,
    /// The time for each further token, in milliseconds.
    pub between: u64,
    /// True if the model rejects requests with 429.
    pub refuse: bool,
    /// The number of tokens after which the connection breaks off.
    pub break_after: Option<usize>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { first_token: 200, between: 40, refuse: false, break_after: None }
    }
}

/// Counts of the requests of a model, by their ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All requests, including rejected ones.
    pub requests: usize,
    /// Answers that were sent to their end.
    pub complete: usize,
    /// Answers that broke off, as the behaviour of the model says.
    pub broken: usize,
    /// Answers whose client left before their end.
    pub left: usize,
}

/// The end of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    Complete,
    Broken,
    Left,
}

#[derive(Debug, Clone, Copy, Default)]
struct Model {
    behaviour: Option<Behaviour>,
    counts: Counts,
}

/// A stand-in for a server. Its clones are the same server.
#[derive(Debug, Clone)]
pub struct StandIn {
    key: Arc<str>,
    usual: Behaviour,
    models: Arc<Mutex<HashMap<String, Model>>>,
}

impl StandIn {
    /// Makes a server that accepts `key`. Its models behave as `usual` until they are set to behave otherwise.
    #[must_use]
    pub fn new(key: &str, usual: Behaviour) -> Self {
        Self { key: key.into(), usual, models: Arc::default() }
    }

    /// Sets the behaviour of `model` from now on.
    pub fn behave(&self, model: &str, behaviour: Behaviour) {
        self.models().entry(model.to_owned()).or_default().behaviour = Some(behaviour);
    }

    /// Returns the counts of `model`.
    #[must_use]
    pub fn counts(&self, model: &str) -> Counts {
        self.models().get(model).copied().unwrap_or_default().counts
    }

    /// Counts a request, and returns the model's behaviour for it.
    pub(crate) fn request(&self, model: &str) -> Behaviour {
        let mut models = self.models();
        let model = models.entry(model.to_owned()).or_default();
        model.counts.requests += 1;
        model.behaviour.unwrap_or(self.usual)
    }

    /// Counts the end of an answer.
    pub(crate) fn end(&self, model: &str, end: End) {
        let mut models = self.models();
        let counts = &mut models.entry(model.to_owned()).or_default().counts;
        match end {
            End::Complete => counts.complete += 1,
            End::Broken => counts.broken += 1,
            End::Left => counts.left += 1,
        }
    }

    pub(crate) fn accepts(&self, authorization: Option<&HeaderValue>) -> bool {
        let key = authorization.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        key == Some(&*self.key)
    }

    fn models(&self) -> MutexGuard<'_, HashMap<String, Model>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
