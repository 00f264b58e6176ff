//! Reads the keys about the behaviour of a chain: `depends`.

use std::time::Duration;

use indexmap::IndexMap;
use toml::de::DeValue;

use super::super::name::DependencyName;
use super::super::policy::DependencySpec;
use super::super::reader::{Expected, Node, Problems, named_key};
use super::super::retry::RetryKind;
use super::super::row_type::RowType;
use super::expected::*;

/// Help for keys that other programs use for a dependency.
const HINTS_FOR_A_DEPENDENCY: [(&str, &str); 1] = [("retries", "write attempts, which counts the first try as well")];

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
    if let Some(breaker) = table.optional("breaker").and_then(|node| RowType::read(&node, problems, BREAKER)) {
        dependency.breaker = breaker;
    }
    table.finish(problems, &HINTS_FOR_A_DEPENDENCY);
    Some(dependency)
}

fn read_retry_on(problems: &mut Problems<'_>, node: &Node<'_>) -> Option<Vec<RetryKind>> {
    let kinds = node.elements(problems, RETRY_ON)?.into_iter();
    Some(kinds.filter_map(|node| node.parsed(problems, RETRY_KIND, str::parse)).collect())
}

pub(super) fn time(problems: &mut Problems<'_>, node: &Node<'_>, expected: Expected) -> Option<Duration> {
    node.parsed(problems, expected, humantime::parse_duration)
}
