//! Checks the rules for a chain that go beyond the form of each key, for specs from a file and from code.

use indexmap::IndexMap;

use super::chainlet::ChainletSpec;
use super::error::ConfigError;
use super::key::KeyPath;
use super::location::Location;
use super::name::{ChainletName, StoreName};
use super::place::Place;
use super::policy::{DependencySpec, Rollout};
use super::reader::nearest;
use super::row_type::RowType;
use crate::capability::keyvalue::StoreSpec;

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
    if let Some(entrypoint) = entrypoint {
        checker.known_chainlet(&KeyPath::from(["chain", "entrypoint"]), entrypoint);
    }
    checker.table(KeyPath::from(["chain", "rollout"]), &rollout);
    checker.table(all.clone(), chainlets);
    for (name, chainlet) in chainlets {
        for (dependency, spec) in &chainlet.depends {
            checker.dependency(&all.key(name).key("depends").key(dependency), name, spec);
        }
    }
    checker.table(KeyPath::from(["stores"]), stores);
    for (name, chainlet) in chainlets {
        let at = all.key(name).key("stores");
        chainlet.stores.check_names(stores, &mut Place::of_table(at, locate, &mut checker.errors));
    }
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
}
