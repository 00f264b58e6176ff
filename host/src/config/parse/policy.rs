//! Reads the keys about the behaviour of a chain: `replicas`, `health`, `depends`, `rollout`.

use std::time::Duration;

use indexmap::IndexMap;
use toml::de::DeValue;

use super::super::name::DependencyName;
use super::super::policy::{BreakerPolicy, Canary, DependencySpec, Health, Replicas, Rollout};
use super::super::reader::{Expected, Node, Problems, named_key};
use super::super::retry::RetryKind;
use super::expected::*;

/// Help for keys that other programs use for a dependency.
const HINTS_FOR_A_DEPENDENCY: [(&str, &str); 1] = [("retries", "write attempts, which counts the first try as well")];

pub(super) fn read_replicas(problems: &mut Problems<'_>, node: &Node<'_>) -> Option<Replicas> {
    if !matches!(node.value, DeValue::Table(_)) {
        return node.count(problems, REPLICAS).map(Replicas::exactly);
    }
    let mut table = node.table(problems, REPLICAS)?;
    let min = table.optional("min").map(|node| node.count(problems, MIN_REPLICAS));
    let max = table.required("max", MAX_REPLICAS).and_then(|node| node.count(problems, MAX_REPLICAS));
    let mut replicas = Replicas::default();
    if let Some(target) = table.optional("target").and_then(|node| node.number(problems, UTILISATION)) {
        replicas.target = target;
    }
    if let Some(window) = table.optional("window").and_then(|node| time(problems, &node, WINDOW)) {
        replicas.window = window;
    }
    if let Some(idle) = table.optional("idle").and_then(|node| time(problems, &node, IDLE)) {
        replicas.idle = idle;
    }
    table.finish(problems, &[]);
    Some(Replicas { min: min.unwrap_or(Some(replicas.min))?, max: max?, ..replicas })
}

pub(super) fn read_health(problems: &mut Problems<'_>, node: &Node<'_>) -> Option<Health> {
    let mut table = node.table(problems, HEALTH)?;
    let mut health = Health::default();
    if let Some(interval) = table.optional("interval").and_then(|node| time(problems, &node, INTERVAL)) {
        health.interval = interval;
    }
    if let Some(failures) = table.optional("failures").and_then(|node| node.count(problems, BAD_ANSWERS)) {
        health.failures = failures;
    }
    table.finish(problems, &[]);
    Some(health)
}

pub(super) fn read_depends(
    problems: &mut Problems<'_>,
    node: &Node<'_>,
) -> Option<IndexMap<DependencyName, DependencySpec>> {
    let mut depends = IndexMap::new();
    for (key, node) in node.entries(problems, DEPENDS)? {
        let name = named_key(key, &node, problems, DEPENDS);
        let dependency = read_dependency(problems, &node);
        if let (Some(name), Some(dependency)) = (name, dependency) {
            depends.insert(name, dependency);
        }
    }
    Some(depends)
}

fn read_dependency(problems: &mut Problems<'_>, node: &Node<'_>) -> Option<DependencySpec> {
    if let DeValue::String(_) = node.value {
        let chainlet = Some(node.name(problems, DEPENDENCY)?);
        return Some(DependencySpec { chainlet, ..DependencySpec::default() });
    }
    let mut table = node.table(problems, DEPENDENCY)?;
    let mut dependency = DependencySpec {
        chainlet: table.optional("chainlet").and_then(|node| node.name(problems, TARGET)),
        timeout: table.optional("timeout").and_then(|node| time(problems, &node, TIMEOUT)),
        ..DependencySpec::default()
    };
    if let Some(attempts) = table.optional("attempts").and_then(|node| node.count(problems, ATTEMPTS)) {
        dependency.attempts = attempts;
    }
    dependency.concurrency = table.optional("concurrency").and_then(|node| node.count(problems, EDGE_CONCURRENCY));
    if let Some(idempotent) = table.optional("idempotent").and_then(|node| node.truth(problems, IDEMPOTENT)) {
        dependency.idempotent = idempotent;
    }
    if let Some(kinds) = table.optional("retry_on") {
        dependency.retry_on = read_retry_on(problems, &kinds).unwrap_or_default();
    }
    dependency.first_item_timeout =
        table.optional("first_item_timeout").and_then(|node| time(problems, &node, FIRST_ITEM_TIMEOUT));
    dependency.item_timeout = table.optional("item_timeout").and_then(|node| time(problems, &node, ITEM_TIMEOUT));
    if let Some(breaker) = table.optional("breaker").and_then(|node| read_breaker(problems, &node)) {
        dependency.breaker = breaker;
    }
    table.finish(problems, &HINTS_FOR_A_DEPENDENCY);
    Some(dependency)
}

fn read_retry_on(problems: &mut Problems<'_>, node: &Node<'_>) -> Option<Vec<RetryKind>> {
    let kinds = node.elements(problems, RETRY_ON)?.into_iter();
    Some(kinds.filter_map(|node| node.parsed(problems, RETRY_KIND, str::parse)).collect())
}

/// Reads a breaker. `false` means none, and `true` means the default one.
fn read_breaker(problems: &mut Problems<'_>, node: &Node<'_>) -> Option<Option<BreakerPolicy>> {
    if let DeValue::Boolean(wanted) = node.value {
        return Some(wanted.then(BreakerPolicy::default));
    }
    let mut table = node.table(problems, BREAKER)?;
    let mut breaker = BreakerPolicy::default();
    if let Some(failures) = table.optional("failures").and_then(|node| node.count(problems, FAILURES)) {
        breaker.failures = failures;
    }
    if let Some(pause) = table.optional("pause").and_then(|node| time(problems, &node, PAUSE)) {
        breaker.pause = pause;
    }
    table.finish(problems, &[]);
    Some(Some(breaker))
}

/// Reads `"atomic"`, `"canary"`, or `{ canary = { share, trial } }`.
pub(super) fn read_rollout(problems: &mut Problems<'_>, node: &Node<'_>) -> Option<Rollout> {
    if let DeValue::Table(_) = node.value {
        let mut table = node.table(problems, ROLLOUT)?;
        let canary = table.required("canary", CANARY).and_then(|node| read_canary(problems, &node));
        table.finish(problems, &[]);
        return canary.map(Rollout::Canary);
    }
    node.parsed(problems, ROLLOUT, |text| match text {
        "atomic" => Ok(Rollout::Atomic),
        "canary" => Ok(Rollout::Canary(Canary::default())),
        _ => Err("it is none of these"),
    })
}

fn read_canary(problems: &mut Problems<'_>, node: &Node<'_>) -> Option<Canary> {
    let mut table = node.table(problems, CANARY)?;
    let mut canary = Canary::default();
    if let Some(share) = table.optional("share").and_then(|node| node.number(problems, SHARE)) {
        canary.share = share;
    }
    if let Some(trial) = table.optional("trial").and_then(|node| time(problems, &node, TRIAL)) {
        canary.trial = trial;
    }
    table.finish(problems, &[]);
    Some(canary)
}

pub(super) fn time(problems: &mut Problems<'_>, node: &Node<'_>, expected: Expected) -> Option<Duration> {
    node.parsed(problems, expected, humantime::parse_duration)
}
