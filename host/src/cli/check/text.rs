//! A checked chain as text for people.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};

use chainhost::capability::Row;
use chainhost::chain::PlannedEdge;
use chainhost::component::Component;
use chainhost::config::{BreakerPolicy, ChainletName, ChainletSpec, Health, Isolation};
use chainhost::error::EdgeName;

use super::{Checked, counts};

impl Checked<'_> {
    /// Returns the tree of calls, then each chainlet, callers first.
    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let (spec, plan) = (self.spec, self.plan);
        let counts = counts(plan.chainlets.len(), plan.edges.len());
        let gpu = match spec.gpu.isolation {
            Isolation::InProcess => "",
            Isolation::Process => ", GPU work in processes of its own",
        };
        writeln!(out, "chain {}: {counts}, environment {}{gpu}\n", spec.name, spec.environment)?;
        writeln!(out, "{} (entrypoint)", plan.entrypoint)?;
        let mut shown = vec![&plan.entrypoint];
        self.tree(out, &plan.entrypoint, "", &mut shown)?;
        for name in plan.chainlets.keys().rev() {
            if !shown.contains(&name) {
                writeln!(out, "{name} (not called from the entrypoint)")?;
                shown.push(name);
                self.tree(out, name, "", &mut shown)?;
            }
        }
        for (name, component) in plan.chainlets.iter().rev() {
            let Some(chainlet) = spec.chainlets.get(name) else { continue };
            writeln!(out, "\n{name}")?;
            self.chainlet(out, name, chainlet, component)?;
        }
        Ok(())
    }

    /// Writes the chainlets that `caller` calls, and below each the ones that it calls. A chainlet that was shown
    /// before gets `…` in place of its callees.
    fn tree<'s>(
        &'s self,
        out: &mut String,
        caller: &ChainletName,
        indent: &str,
        shown: &mut Vec<&'s ChainletName>,
    ) -> fmt::Result {
        let edges: Vec<&PlannedEdge> = self.plan.edges.iter().filter(|edge| edge.name.from == *caller).collect();
        for (index, edge) in edges.iter().enumerate() {
            let last = index + 1 == edges.len();
            let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let to = &edge.name.to;
            let again = shown.contains(&to) && self.plan.edges.iter().any(|edge| edge.name.from == *to);
            writeln!(out, "{indent}{branch}{}{}", callee(edge), if again { " …" } else { "" })?;
            if !shown.contains(&to) {
                shown.push(to);
                self.tree(out, to, &format!("{indent}{below}"), shown)?;
            }
        }
        Ok(())
    }

    fn chainlet(
        &self,
        out: &mut String,
        name: &ChainletName,
        chainlet: &ChainletSpec,
        component: &Component,
    ) -> fmt::Result {
        let mut row = |title: &str, value: &dyn Display| writeln!(out, "  {title:<13} {value}");
        row("run-remote", &component.run_remote.signature)?;
        if let Some(interface) = &component.run_remote.interface {
            row("exported in", interface)?;
        }
        for edge in self.plan.edges_from(name) {
            row("calls", &format_args!("{}{}", callee(edge), policy(edge)))?;
            row("", &edge.carried())?;
        }
        row("component", &chainlet.component)?;
        let calls = if component.run_remote.signature.is_async { chainlet.concurrency } else { 1 };
        let replicas = match (chainlet.replicas.min, chainlet.replicas.max) {
            (min, max) if min == max => min.to_string(),
            (min, max) => format!("{min} to {max}"),
        };
        row("replicas", &format_args!("{replicas}, each {calls} calls at once; {} may wait", chainlet.queue))?;
        row("resources", &format_args!("{} CPU, {}", chainlet.resources.cpu, chainlet.resources.memory))?;
        row("start", &format_args!("at most {}", humantime::format_duration(chainlet.start_timeout)))?;
        if component.health.is_some() {
            let Health { interval, failures, .. } = chainlet.health;
            let interval = humantime::format_duration(interval);
            row("health", &format_args!("asked every {interval}; replaced after {failures} bad answers"))?;
        }
        row("capabilities", &capabilities(&component.capabilities))?;
        for Row { title, value } in self.plan.rows(name) {
            row(title, value)?;
        }
        Ok(())
    }
}

fn list(items: &[impl Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Returns the name of the callee, and the caller's name for it if that differs.
fn callee(edge: &PlannedEdge) -> String {
    let EdgeName { dependency, to, .. } = &edge.name;
    if dependency.as_str() == to.as_str() { to.to_string() } else { format!("{to} (as {dependency})") }
}

/// Returns the limits of calls through an edge.
fn policy(edge: &PlannedEdge) -> String {
    let mut policy = String::new();
    if let Some(timeout) = edge.policy.timeout {
        // Writing to a string cannot fail.
        let _ = write!(policy, ", timeout {}", humantime::format_duration(timeout));
    }
    if edge.policy.attempts > 1 {
        let _ = write!(policy, ", {} attempts", edge.policy.attempts);
    }
    if edge.policy.idempotent {
        policy.push_str(", idempotent");
    }
    if let Some(concurrency) = edge.policy.concurrency {
        let _ = write!(policy, ", {concurrency} calls at once");
    }
    if !edge.policy.retry_on.is_empty() {
        let _ = write!(policy, ", repeated on {}", list(&edge.policy.retry_on));
    }
    if let Some(timeout) = edge.policy.first_item_timeout {
        let _ = write!(policy, ", first item within {}", humantime::format_duration(timeout));
    }
    if let Some(timeout) = edge.policy.item_timeout {
        let _ = write!(policy, ", next items within {}", humantime::format_duration(timeout));
    }
    match edge.policy.breaker {
        None => policy.push_str(", no breaker"),
        Some(breaker) if breaker == BreakerPolicy::default() => {}
        Some(BreakerPolicy { failures, pause, .. }) => {
            let _ = write!(policy, ", breaker at {failures} failures for {}", humantime::format_duration(pause));
        }
    }
    if !edge.is_fallible {
        policy.push_str(", failures end the caller's call");
    }
    policy
}

/// Returns the imported interfaces by package: `wasi:cli@0.2.6 (environment, exit)`.
fn capabilities(interfaces: &[String]) -> String {
    let mut packages: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for id in interfaces {
        let (path, version) = id.split_once('@').map_or((id.as_str(), None), |(path, version)| (path, Some(version)));
        let (package, interface) = path.split_once('/').unwrap_or((path, ""));
        let package = match version {
            Some(version) => format!("{package}@{version}"),
            None => package.to_owned(),
        };
        packages.entry(package).or_default().push(interface);
    }
    if packages.is_empty() {
        return "none".to_owned();
    }
    let packages = packages.into_iter().map(|(package, interfaces)| format!("{package} ({})", interfaces.join(", ")));
    packages.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_shown_by_package() {
        let interfaces = ["chainlet:host/context@0.1.0", "wasi:cli/exit@0.2.6", "wasi:cli/stdout@0.2.6"];
        let interfaces = interfaces.map(str::to_owned);
        assert_eq!(capabilities(&interfaces), "chainlet:host@0.1.0 (context), wasi:cli@0.2.6 (exit, stdout)");
        assert_eq!(capabilities(&[]), "none");
    }
}
