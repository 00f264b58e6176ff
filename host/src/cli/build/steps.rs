//! The build commands that run, in their order.

use std::path::PathBuf;

use chainhost::config::{ChainSpec, ChainletName};

/// One run of a command.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// The command, for a shell.
    pub command: String,
    /// The folder in which it runs.
    pub folder: PathBuf,
    /// The chainlets that have this command.
    pub chainlets: Vec<ChainletName>,
}

impl Step {
    /// Returns the names of the chainlets, for a message.
    pub fn names(&self) -> String {
        self.chainlets.iter().map(ChainletName::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// Returns the commands of `chainlets`. Each comes after those of its callees as far as `depends` names them, and
/// otherwise in the order of the file. If several chainlets share a command and a folder, the command runs once.
pub fn of(spec: &ChainSpec, chainlets: &[ChainletName]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for name in ordered(spec).into_iter().filter(|name| chainlets.contains(name)) {
        let Some(build) = spec.chainlets.get(name).and_then(|chainlet| chainlet.build.as_ref()) else { continue };
        let folder = spec.resolve(&build.workdir);
        match steps.iter_mut().find(|step| step.command == build.command && step.folder == folder) {
            Some(step) => step.chainlets.push(name.clone()),
            None => steps.push(Step { command: build.command.clone(), folder, chainlets: vec![name.clone()] }),
        }
    }
    steps
}

/// Returns all chainlets, callees first. Cuts a cycle anywhere, because the check of the chain rejects it later.
fn ordered(spec: &ChainSpec) -> Vec<&ChainletName> {
    fn visit<'s>(spec: &'s ChainSpec, name: &str, seen: &mut Vec<&'s ChainletName>, order: &mut Vec<&'s ChainletName>) {
        let Some((name, chainlet)) = spec.chainlets.get_key_value(name) else { return };
        if seen.contains(&name) {
            return;
        }
        seen.push(name);
        for (dependency, policy) in &chainlet.depends {
            let target = policy.chainlet.as_ref().map_or(dependency.as_str(), ChainletName::as_str);
            visit(spec, target, seen, order);
        }
        order.push(name);
    }
    let (mut seen, mut order) = (Vec::new(), Vec::new());
    for name in spec.chainlets.keys() {
        visit(spec, name.as_str(), &mut seen, &mut order);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let spec = ChainSpec::from_toml(&format!("chain.name = \"c\"\n{text}"), "chain.toml".as_ref()).unwrap();
        let all: Vec<_> = spec.chainlets.keys().cloned().collect();
        of(&spec, &all).iter().map(Step::names).collect()
    }

    #[test]
    fn callees_are_built_before_callers_and_all_else_in_the_order_of_the_file() {
        let text = r#"
            chainlets.top = { component = "t", build = "t", depends = { low = "bottom", middle = {} } }
            chainlets.other = { component = "o", build = "o" }
            chainlets.middle = { component = "m", build = "m", depends = { bottom = "bottom" } }
            chainlets.bottom = { component = "b", build = "b" }
        "#;
        assert_eq!(names(text), ["bottom", "middle", "top", "other"]);
    }

    #[test]
    fn a_command_that_several_share_in_one_folder_runs_once() {
        let text = r#"
            chainlets.a = { component = "a", build = "make" }
            chainlets.b = { component = "b", build = { command = "make", workdir = "b" } }
            chainlets.c = { component = "c", build = { command = "make", workdir = "." } }
            chainlets.d = { component = "d" }
        "#;
        assert_eq!(names(text), ["a, c", "b"]);
    }

    #[test]
    fn a_cycle_does_not_keep_the_components_from_being_built() {
        let text = r#"
            chainlets.a = { component = "a", build = "a", depends = { b = "b" } }
            chainlets.b = { component = "b", build = "b", depends = { a = "a" } }
        "#;
        assert_eq!(names(text), ["b", "a"]);
    }
}
