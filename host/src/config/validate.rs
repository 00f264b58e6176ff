//! Checks the rules for a chain that go beyond the form of each key, for specs from a file and from code.

use std::path::Path;
use std::time::Duration;

use indexmap::IndexMap;

use super::component::ComponentSource;
use super::error::ConfigError;
use super::key::KeyPath;
use super::location::Location;
use super::name::{ChainletName, StoreName};
use super::place::Place;
use super::policy::{DependencySpec, Rollout};
use super::reader::nearest;
use super::row_type::RowType;
use super::spec::ChainletSpec;
use crate::capability::keyvalue::{self, StoreSpec};

/// The longest time that a setting may have. A call that takes longer is a batch job, and needs no timeout.
const LONGEST_TIME: Duration = Duration::from_hours(7 * 24);

type ChainletSpecs = IndexMap<ChainletName, ChainletSpec>;

/// Returns an error for each rule that the chain breaks. `locate` returns the place where a key was set.
pub(super) fn check(
    chainlets: &ChainletSpecs,
    stores: &IndexMap<StoreName, StoreSpec>,
    entrypoint: Option<&ChainletName>,
    rollout: Rollout,
    locate: &dyn Fn(&KeyPath) -> Location,
) -> Vec<ConfigError> {
    let mut checker = Checker { chainlets, locate, errors: Vec::new() };
    let all = KeyPath::from(["chainlets"]);
    if chainlets.is_empty() {
        checker.error(
            &all,
            "a chain needs at least one chainlet, found none",
            "add one: [chainlets.say-hello] with component = \"say_hello.wasm\" in it",
        );
    }
    if let Some(entrypoint) = entrypoint {
        checker.known_chainlet(&KeyPath::from(["chain", "entrypoint"]), entrypoint);
    }
    checker.table(KeyPath::from(["chain", "rollout"]), &rollout);
    for (name, chainlet) in chainlets {
        checker.chainlet(&all.key(name), name, chainlet);
    }
    let named = chainlets.iter().map(|(name, chainlet)| (all.key(name), chainlet));
    checker.errors.extend(keyvalue::check(stores, named, locate));
    checker.errors
}

struct Checker<'a> {
    chainlets: &'a ChainletSpecs,
    locate: &'a dyn Fn(&KeyPath) -> Location,
    errors: Vec<ConfigError>,
}

impl Checker<'_> {
    fn error(&mut self, key: &KeyPath, message: impl Into<String>, help: impl Into<String>) {
        self.errors.push(ConfigError::new((self.locate)(key), message, help));
    }

    fn table<T: RowType<Bounds = ()>>(&mut self, at: KeyPath, value: &T) {
        value.check(&(), &mut Place::of_table(at, self.locate, &mut self.errors));
    }

    fn chainlet(&mut self, at: &KeyPath, name: &ChainletName, chainlet: &ChainletSpec) {
        match &chainlet.component {
            ComponentSource::File(path) => {
                self.not_empty(&at.key("component"), path, "component = \"say_hello.wasm\"");
            }
            ComponentSource::Bytes(_) => {}
        }
        self.table(at.key("build"), &chainlet.build);
        self.table(at.key("replicas"), &chainlet.replicas);
        self.at_least_one(&at.key("concurrency"), chainlet.concurrency, "calls at once");
        self.time(&at.key("start_timeout"), chainlet.start_timeout, "start_timeout = \"5m\"");
        self.time(&at.key("grace"), chainlet.grace, "grace = \"30s\"");
        self.time(&at.key("stall"), chainlet.stall, "stall = \"1s\"");
        self.table(at.key("health"), &chainlet.health);
        if chainlet.replicas.min == 0 && chainlet.queue == 0 {
            self.error(
                &at.key("queue"),
                "expected at least 1 where replicas.min = 0, found 0: the call that starts a replica has to wait for it",
                "raise queue, or replicas.min",
            );
        }
        self.table(at.key("resources"), &chainlet.resources);
        self.table(at.key("assets"), &chainlet.assets);
        self.table(at.key("network"), &chainlet.network);
        self.table(at.key("depends"), &chainlet.depends);
        for (dependency, spec) in &chainlet.depends {
            self.dependency(&at.key("depends").key(dependency), name, spec);
        }
    }

    fn at_least_one(&mut self, at: &KeyPath, count: u32, of_what: &str) {
        if count == 0 {
            self.error(at, format!("expected at least 1, found 0 {of_what}"), "raise it, or remove it for the default");
        }
    }

    fn dependency(&mut self, at: &KeyPath, owner: &ChainletName, dependency: &DependencySpec) {
        if let Some(target) = &dependency.chainlet {
            let at = at.key("chainlet");
            if target == owner {
                self.error(
                    &at,
                    format!("expected another chainlet, found {owner} itself"),
                    "name the chainlet that is to be called; a chainlet cannot depend on itself",
                );
            } else {
                self.known_chainlet(&at, target);
            }
        }
    }

    fn time(&mut self, at: &KeyPath, time: Duration, example: &str) {
        if time.is_zero() || time > LONGEST_TIME {
            let (found, longest) = (humantime::format_duration(time), humantime::format_duration(LONGEST_TIME));
            self.error(
                at,
                format!("expected more than 0s and at most {longest}, found {found}"),
                format!("write it like {example}"),
            );
        }
    }

    fn known_chainlet(&mut self, at: &KeyPath, name: &ChainletName) {
        if self.chainlets.contains_key(name) {
            return;
        }
        let names = || self.chainlets.keys().map(ChainletName::as_str);
        let help = match nearest(name.as_str(), names()) {
            Some(near) => format!("did you mean {near:?}?"),
            None if self.chainlets.is_empty() => format!("add [chainlets.{name}]"),
            None => format!("add [chainlets.{name}], or name one of: {}", names().collect::<Vec<_>>().join(", ")),
        };
        self.error(at, format!("expected a chainlet of this chain, found {:?}", name.as_str()), help);
    }

    fn not_empty(&mut self, at: &KeyPath, path: &Path, example: &str) {
        if path.as_os_str().is_empty() {
            self.error(at, "expected a path, found an empty text", format!("write it like {example}"));
        }
    }
}
