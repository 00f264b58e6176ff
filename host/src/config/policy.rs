//! The behaviour of a chain at run time: the number of replicas, the limits of calls through an edge, and the way in
//! which a new version comes into use.
//!
//! As in [`spec`](super::spec), the doc comments on these items are also the descriptions in the JSON Schema.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::name::ChainletName;
use super::retry::RetryKind;

/// The number of live instances of a chainlet, and when it changes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[non_exhaustive]
pub struct Replicas {
    /// The least number, for example `min = 1`. With `min = 0`, the last replica stops when no call has come for the
    /// time of `idle`, and the next call waits for a start.
    #[schemars(default = "defaults::replicas")]
    pub min: u32,

    /// The greatest number, for example `max = 4`.
    #[schemars(range(min = 1))]
    pub max: u32,

    /// The share of its `concurrency` at which a replica counts as busy enough, for example `target = 0.7`. There are
    /// as many replicas as the calls in flight and waiting need at this share.
    #[schemars(default = "defaults::target", extend("exclusiveMinimum" = 0), range(max = 1))]
    pub target: f64,

    /// The time over which the load is averaged before replicas are added, for example `window = "1s"`. But if calls
    /// wait while no replica is on its way, one is added at once.
    #[serde(serialize_with = "duration")]
    #[schemars(default = "defaults::window_text", with = "String")]
    pub window: Duration,

    /// The time for which fewer replicas must have sufficed before some are stopped, for example `idle = "60s"`.
    #[serde(serialize_with = "duration")]
    #[schemars(default = "defaults::idle_text", with = "String")]
    pub idle: Duration,
}

/// The health checks of replicas, for a component that exports `chainlet:host/health`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[non_exhaustive]
pub struct Health {
    /// The time from one check of a replica to the next, for example `interval = "1s"`. It is also the longest time
    /// that an answer may take while the replica has no call.
    #[serde(serialize_with = "duration")]
    #[schemars(default = "defaults::interval_text", with = "String")]
    pub interval: Duration,

    /// The number of bad answers in a row after which another replica takes its place, for example `failures = 3`. No
    /// call goes to the replica from its first bad answer to its next good one.
    #[schemars(default = "defaults::bad_answers", range(min = 1))]
    pub failures: u32,
}

/// One dependency of a chainlet on another: an edge of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[non_exhaustive]
pub struct DependencySpec {
    /// The chainlet that is called, for example `chainlet = "say-hello"`. By default, it is the chainlet of the
    /// dependency's name, or else the only one that exports the imported interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default, with = "ChainletName")]
    pub chainlet: Option<ChainletName>,

    /// The longest time that one call may take, all its attempts together, for example `timeout = "10s"` or `"1m 30s"`.
    /// By default, a call may take as long as its caller's own call.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_duration")]
    #[schemars(default, with = "String")]
    pub timeout: Option<Duration>,

    /// The most attempts at one call, for example `attempts = 3`. With 1, a call is never repeated. Only a call that
    /// has not begun in the called chainlet is repeated, unless `idempotent` or `retry_on` permits more.
    #[schemars(default = "defaults::attempts", range(min = 1))]
    pub attempts: u32,

    /// The most calls through this edge that may be under way at once, from all replicas of the caller together, for
    /// example `concurrency = 300`. By default, only the called chainlet limits them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default, with = "u32", range(min = 1))]
    pub concurrency: Option<u32>,

    /// True if a call may run twice, for example `idempotent = true`. Then `attempts` also repeats calls that failed
    /// while the chainlet was at work on them. It needs `attempts` of 2 or more.
    #[schemars(default)]
    pub idempotent: bool,

    /// The failures and errors for which `attempts` repeats a call as well, for example
    /// `retry_on = ["deadline", "unavailable"]`. Calls that end so must be safe to run twice. Errors are those of the
    /// standard type `chainlet:host/errors`. An error that says of itself that it is repeatable is repeated in any
    /// case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub retry_on: Vec<RetryKind>,

    /// The longest time from the call to the first item of its answer's stream, for example
    /// `first_item_timeout = "5s"`.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_duration")]
    #[schemars(default, with = "String")]
    pub first_item_timeout: Option<Duration>,

    /// The longest time from one item to the next, for example `item_timeout = "1s"`. The time in which the caller does
    /// not read does not count.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_duration")]
    #[schemars(default, with = "String")]
    pub item_timeout: Option<Duration>,

    /// The circuit breaker, which rejects calls through this edge for a while after many have failed, for example
    /// `breaker = { failures = 20, pause = "2s" }`, or `breaker = false` for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default = "defaults::breaker", schema_with = "super::schema::breaker")]
    pub breaker: Option<BreakerPolicy>,
}

/// The settings of an edge's circuit breaker, which rejects calls for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[non_exhaustive]
pub struct BreakerPolicy {
    /// The number of calls in a row that must have failed by a fault of the called chainlet, for example
    /// `failures = 20`.
    #[schemars(default = "defaults::failures", range(min = 1))]
    pub failures: u32,

    /// The time for which calls are rejected then, for example `pause = "2s"`. After that, one call is let through as a
    /// test.
    #[serde(serialize_with = "duration")]
    #[schemars(default = "defaults::pause_text", with = "String")]
    pub pause: Duration,
}

/// The way in which a new version of a chain replaces the running one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Rollout {
    /// At once, for all calls, when the whole new version is ready.
    #[default]
    Atomic,
    /// For a share of the calls first.
    Canary(Canary),
}

/// A trial of a new version with a share of the calls.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[non_exhaustive]
pub struct Canary {
    /// The share of the calls that the new version gets, for example `share = 0.1` for one in ten.
    #[schemars(default = "defaults::share", extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub share: f64,

    /// The length of the trial, for example `trial = "5m"`. Then the new version gets all calls. But if a larger part
    /// of its calls failed than of the old version's, the old version stays.
    #[serde(serialize_with = "duration")]
    #[schemars(default = "defaults::trial_text", with = "String")]
    pub trial: Duration,
}

impl Replicas {
    /// Returns bounds of exactly `count` instances.
    #[must_use]
    pub const fn exactly(count: u32) -> Self {
        Self::between(count, count)
    }

    /// Returns bounds from `min` to `max` instances, between which the load decides.
    #[must_use]
    pub const fn between(min: u32, max: u32) -> Self {
        Self { min, max, target: defaults::TARGET, window: defaults::WINDOW, idle: defaults::IDLE }
    }
}

impl Default for Replicas {
    fn default() -> Self {
        Self::exactly(defaults::replicas())
    }
}

impl Default for Health {
    fn default() -> Self {
        Self { interval: defaults::INTERVAL, failures: defaults::bad_answers() }
    }
}

impl Default for DependencySpec {
    fn default() -> Self {
        Self {
            chainlet: None,
            timeout: None,
            attempts: defaults::attempts(),
            concurrency: None,
            idempotent: false,
            retry_on: Vec::new(),
            first_item_timeout: None,
            item_timeout: None,
            breaker: defaults::breaker(),
        }
    }
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self { failures: defaults::failures(), pause: defaults::PAUSE }
    }
}

impl Default for Canary {
    fn default() -> Self {
        Self { share: defaults::share(), trial: defaults::TRIAL }
    }
}

/// The defaults that are not simply "nothing".
pub(crate) mod defaults {
    use std::time::Duration;

    use super::BreakerPolicy;

    pub(super) const TARGET: f64 = 0.7;
    pub(super) const WINDOW: Duration = Duration::from_secs(1);
    pub(super) const IDLE: Duration = Duration::from_secs(60);
    pub(super) const INTERVAL: Duration = Duration::from_secs(1);
    pub(super) const PAUSE: Duration = Duration::from_secs(2);
    pub(super) const TRIAL: Duration = Duration::from_secs(60);

    pub(super) fn replicas() -> u32 {
        1
    }

    pub(super) fn target() -> f64 {
        TARGET
    }

    pub(super) fn window_text() -> String {
        text(WINDOW)
    }

    pub(super) fn idle_text() -> String {
        text(IDLE)
    }

    pub(super) fn interval_text() -> String {
        text(INTERVAL)
    }

    pub(super) fn bad_answers() -> u32 {
        3
    }

    pub(super) fn attempts() -> u32 {
        1
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is the default of a key that can be nothing")]
    pub(super) fn breaker() -> Option<BreakerPolicy> {
        Some(BreakerPolicy::default())
    }

    pub(super) fn failures() -> u32 {
        20
    }

    pub(super) fn pause_text() -> String {
        text(PAUSE)
    }

    pub(super) fn share() -> f64 {
        0.1
    }

    pub(super) fn trial_text() -> String {
        text(TRIAL)
    }

    pub(crate) fn text(duration: Duration) -> String {
        humantime::format_duration(duration).to_string()
    }
}

pub(crate) fn duration<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

fn optional_duration<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => duration(value, serializer),
        None => serializer.serialize_none(),
    }
}
