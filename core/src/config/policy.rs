//! The behaviour of a chain at run time: the number of replicas, the limits of calls through an edge, and the way in
//! which a new version comes into use.
//!
//! As in [`spec`](super::spec), the doc comments on these items are also the descriptions in the JSON Schema.

use std::time::Duration;

use indexmap::IndexMap;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use toml::de::DeValue;

use super::name::{ChainletName, DependencyName};
use super::place::Place;
use super::reader::{Expected, Node, Problems};
use super::retry::RetryKind;
use super::row_type::{Count, Number, Off, RowType};
use super::table::{Row, Table, table};

table! {
    /// The number of live instances of a chainlet, and when it changes.
    #[derive(Debug, Clone, Copy, PartialEq)]
    #[non_exhaustive]
    pub struct Replicas {
        /// The least number, for example `min = 1`. With `min = 0`, the last replica stops when no call has come for the
        /// time of `idle`, and the next call waits for a start.
        pub min: u32 = 1, like "min = 1";

        /// The greatest number, for example `max = 4`.
        pub max: u32 = 0, required, bounds Count::AtLeastOneByRule, like "max = 4";

        /// The share of its `concurrency` at which a replica counts as busy enough, for example `target = 0.7`. There are
        /// as many replicas as the calls in flight and waiting need at this share.
        pub target: f64 = Replicas::TARGET, bounds Number::AtMostOne, like "target = 0.7";

        /// The time over which the load is averaged before replicas are added, for example `window = "1s"`. But if calls
        /// wait while no replica is on its way, one is added at once.
        pub window: Duration = Replicas::WINDOW, like "window = \"1s\"";

        /// The time for which fewer replicas must have sufficed before some are stopped, for example `idle = "60s"`.
        pub idle: Duration = Replicas::IDLE, like "idle = \"60s\"";
    }
}

impl Replicas {
    const TARGET: f64 = 0.7;
    const WINDOW: Duration = Duration::from_secs(1);
    const IDLE: Duration = Duration::from_secs(60);

    /// Returns bounds of exactly `count` instances.
    #[must_use]
    pub const fn exactly(count: u32) -> Self {
        Self::between(count, count)
    }

    /// Returns bounds from `min` to `max` instances, between which the load decides.
    #[must_use]
    pub const fn between(min: u32, max: u32) -> Self {
        Self { min, max, target: Self::TARGET, window: Self::WINDOW, idle: Self::IDLE }
    }
}

impl Default for Replicas {
    fn default() -> Self {
        Self::exactly(1)
    }
}

impl Table for Replicas {
    const WHAT: &'static str = "a whole number from 1 to 4294967295, or bounds";

    fn read_short(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        node.count(problems, expected).map(Self::exactly)
    }

    fn short_schema(_: &mut SchemaGenerator) -> Option<Schema> {
        Some(json_schema!({ "type": "integer", "minimum": 1, "maximum": u32::MAX }))
    }

    fn check_rules(&self, place: &mut Place<'_>) {
        let &Self { min, max, .. } = self;
        if max == 0 {
            place.error(
                &place.at.key("max"),
                "expected at least 1 replica, found 0",
                "remove the chainlet if it is not needed; min = 0 keeps none alive while there are no calls",
            );
        } else if min > max {
            place.error(
                &place.at.key("min"),
                format!("expected at most as many as max = {max}, found {min}"),
                "raise max, or lower min",
            );
        }
    }
}

table! {
    /// The health checks of replicas, for a component that exports `chainlet:host/health`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct Health {
        /// The time from one check of a replica to the next, for example `interval = "1s"`. It is also the longest time
        /// that an answer may take while the replica has no call.
        pub interval: Duration = Duration::from_secs(1), like "interval = \"1s\"";

        /// The number of bad answers in a row after which another replica takes its place, for example `failures = 3`. No
        /// call goes to the replica from its first bad answer to its next good one.
        pub failures: u32 = 3, bounds Count::AtLeastOne("bad answers"), like "failures = 3";
    }
}

impl Table for Health {
    const WHAT: &'static str = "a table";
}

table! {
    /// One dependency of a chainlet on another: an edge of the chain.
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct DependencySpec {
        /// The chainlet that is called, for example `chainlet = "say-hello"`. By default, it is the chainlet of the
        /// dependency's name, or else the only one that exports the imported interface.
        pub chainlet: Option<ChainletName> = None, like "chainlet = \"say-hello\"";

        /// The longest time that one call may take, all its attempts together, for example `timeout = "10s"` or `"1m 30s"`.
        /// By default, a call may take as long as its caller's own call.
        pub timeout: Option<Duration> = None, like "timeout = \"10s\"",
            help "write it like timeout = \"10s\", or remove it for no timeout";

        /// The most attempts at one call, for example `attempts = 3`. With 1, a call is never repeated. Only a call that
        /// has not begun in the called chainlet is repeated, unless `idempotent` or `retry_on` permits more.
        pub attempts: u32 = 1, bounds Count::AtLeastOne("attempts"), like "attempts = 3";

        /// The most calls through this edge that may be under way at once, from all replicas of the caller together, for
        /// example `concurrency = 300`. By default, only the called chainlet limits them.
        pub concurrency: Option<u32> = None, bounds Count::AtLeastOne("calls at once"), like "concurrency = 300";

        /// True if a call may run twice, for example `idempotent = true`. Then `attempts` also repeats calls that failed
        /// while the chainlet was at work on them. It needs `attempts` of 2 or more.
        pub idempotent: bool = false, like "idempotent = true";

        /// The failures and errors for which `attempts` repeats a call as well, for example
        /// `retry_on = ["deadline", "unavailable"]`. Calls that end so must be safe to run twice. Errors are those of the
        /// standard type `chainlet:host/errors`. An error that says of itself that it is repeatable is repeated
        /// as well, unless the called chainlet has only passed on the error of another one.
        pub retry_on: Vec<RetryKind> = Vec::new(), is "a list of kinds of failures and errors",
            like "retry_on = [\"deadline\", \"unavailable\"]";

        /// The longest time from the call to the first item of its answer's stream, for example
        /// `first_item_timeout = "5s"`.
        pub first_item_timeout: Option<Duration> = None, like "first_item_timeout = \"5s\"",
            help "write it like first_item_timeout = \"5s\", or remove it for no timeout";

        /// The longest time from one item to the next, for example `item_timeout = "1s"`. The time in which the caller does
        /// not read does not count.
        pub item_timeout: Option<Duration> = None, like "item_timeout = \"1s\"",
            help "write it like item_timeout = \"1s\", or remove it for no timeout";

        /// The circuit breaker, which rejects calls through this edge for a while after many have failed, for example
        /// `breaker = { failures = 20, pause = "2s" }`, or `breaker = false` for none.
        pub breaker: Option<BreakerPolicy> = Some(BreakerPolicy::default()),
            like "breaker = { failures = 20, pause = \"2s\" }";
    }
}

impl Table for DependencySpec {
    const WHAT: &'static str = "the name of a chainlet, or a table";
    const HINTS: &'static [(&'static str, &'static str)] = &[
        ("retries", "write attempts, which counts the first try as well"),
        ("max_in_flight", "write concurrency, which limits the calls through this edge at once"),
        ("max_concurrency", "write concurrency, which limits the calls through this edge at once"),
    ];

    fn read_short(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        match node.value {
            DeValue::String(_) => Some(Self { chainlet: Some(node.name(problems, expected)?), ..Self::default() }),
            _ => node.mistyped(problems, expected),
        }
    }

    fn short_schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<ChainletName>())
    }

    fn check_rules(&self, place: &mut Place<'_>) {
        for (key, is_set) in [("retry_on", !self.retry_on.is_empty()), ("idempotent", self.idempotent)] {
            if is_set && self.attempts == 1 {
                place.error(
                    &place.at.key(key),
                    format!("expected attempts of 2 or more beside {key}, found 1, which repeats nothing"),
                    format!("add attempts = 3, or remove {key}"),
                );
            }
        }
    }
}

impl RowType for IndexMap<DependencyName, DependencySpec> {
    type Bounds = ();

    fn what((): &()) -> &'static str {
        "a table of dependencies"
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        let example = "say-hello = { chainlet = \"say-hello\", timeout = \"10s\" }";
        node.named(problems, expected, Expected { what: DependencySpec::WHAT, example })
    }

    fn schema((): &(), generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": DependencyName::PATTERN },
            "additionalProperties": DependencySpec::schema(&(), generator),
        })
    }

    fn is_nothing(&self) -> bool {
        self.is_empty()
    }

    fn check(&self, (): &(), place: &mut Place<'_>) {
        for (name, dependency) in self {
            dependency.check(&(), &mut place.inner(place.at.key(name)));
        }
    }
}

table! {
    /// The settings of an edge's circuit breaker, which rejects calls for a while.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct BreakerPolicy {
        /// The number of calls in a row that must have failed by a fault of the called chainlet, for example
        /// `failures = 20`.
        pub failures: u32 = 20, bounds Count::AtLeastOne("failures"), like "failures = 20";

        /// The time for which calls are rejected then, for example `pause = "2s"`. After that, one call is let through as a
        /// test.
        pub pause: Duration = Duration::from_secs(2), like "pause = \"2s\"",
            help "write it like pause = \"2s\", or breaker = false for none";
    }
}

impl Table for BreakerPolicy {
    const WHAT: &'static str = "a table, or false for none";
    const OFF: Off = Off::Read;

    fn read_short(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        node.default_if_true(problems, expected)
    }

    fn short_schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(bool::schema(&(), generator))
    }
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

impl Rollout {
    /// Returns the key of the table form, `{ canary = { share = 0.1 } }`.
    fn canary() -> Row<Canary> {
        Row::new("canary", "", Canary::default()).required().like("canary = { share = 0.1, trial = \"5m\" }")
    }
}

impl RowType for Rollout {
    type Bounds = ();

    fn what((): &()) -> &'static str {
        "\"atomic\", \"canary\", or a table that describes a canary"
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        if let DeValue::Table(_) = node.value {
            let mut table = node.table(problems, expected)?;
            let canary = Self::canary().read(&mut table, problems);
            table.finish(problems, &[]);
            return Some(Self::Canary(canary));
        }
        node.parsed(problems, expected, |text| match text {
            "atomic" => Ok(Self::Atomic),
            "canary" => Ok(Self::Canary(Canary::default())),
            _ => Err("it is none of these"),
        })
    }

    fn schema((): &(), generator: &mut SchemaGenerator) -> Schema {
        let table = json_schema!({
            "type": "object",
            "properties": { "canary": Canary::schema(&(), generator) },
            "required": ["canary"],
            "additionalProperties": false,
        });
        json_schema!({ "anyOf": [{ "enum": ["atomic", "canary"] }, table] })
    }

    fn check(&self, (): &(), place: &mut Place<'_>) {
        if let Self::Canary(canary) = self {
            Self::canary().check(canary, place);
        }
    }
}

table! {
    /// A trial of a new version with a share of the calls.
    #[derive(Debug, Clone, Copy, PartialEq)]
    #[non_exhaustive]
    pub struct Canary {
        /// The share of the calls that the new version gets, for example `share = 0.1` for one in ten.
        pub share: f64 = 0.1, bounds Number::LessThanOne, like "share = 0.1",
            help "write it like share = 0.1 for one call in ten, or rollout = \"atomic\" for all at once";

        /// The length of the trial, for example `trial = "5m"`. Then the new version gets all calls. But if a larger part
        /// of its calls failed than of the old version's, the old version stays.
        pub trial: Duration = Duration::from_secs(60), like "trial = \"5m\"";
    }
}

impl Table for Canary {
    const WHAT: &'static str = "a table that describes a canary";
}
