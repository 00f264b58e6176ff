//! Makes a plan of a checked spec and the types of its components. This is pure, and done before anything runs.

use indexmap::IndexMap;

use super::edge::failure::is_failure;
use crate::capability::Row;
use crate::component::{Component, Dependency, RunRemote};
use crate::config::{
    ByteSize, ChainSpec, ChainletName, ConfigError, ConfigErrors, DependencyName, DependencySpec, KeyPath,
};
use crate::error::EdgeName;
use crate::value::{Signature, Type};

/// A chain whose dependencies are all resolved and type-checked.
#[derive(Debug)]
pub struct Plan {
    /// The chainlet that the outside calls.
    pub entrypoint: ChainletName,
    /// The components, in an order in which every chainlet comes after those that it calls.
    pub chainlets: IndexMap<ChainletName, Component>,
    /// The edges: which chainlet calls which.
    pub edges: Vec<PlannedEdge>,
    /// The rows about what each chainlet may use of the host.
    pub(super) rows: IndexMap<ChainletName, Vec<Row>>,
}

/// One resolved dependency.
#[derive(Debug, Clone)]
pub struct PlannedEdge {
    /// The calling chainlet, the name of its dependency, and the chainlet to which that resolves.
    pub name: EdgeName,
    /// The import of the calling component.
    pub dependency: Dependency,
    /// True if the import has the callee's type inside a `result`. The guest then gets failures as values.
    pub is_fallible: bool,
    /// The limits of calls through the edge.
    pub policy: DependencySpec,
}

impl PlannedEdge {
    /// Returns the type of the calls through the edge: the import's type without the `result` that holds failures.
    pub fn carried(&self) -> Signature {
        let mut signature = (*self.dependency.signature).clone();
        if self.is_fallible
            && let Some(Type::Result { ok, .. }) = signature.result.take()
        {
            signature.result = ok.map(|ok| (*ok).clone());
        }
        signature
    }
}

impl Plan {
    /// Returns the rows that `chainhost check` prints about what `chainlet` may use of the host.
    #[must_use]
    pub fn rows(&self, chainlet: &ChainletName) -> &[Row] {
        self.rows.get(chainlet).map_or(&[], Vec::as_slice)
    }

    /// Returns the edges from `chainlet` to others, in the order of its imports.
    pub fn edges_from<'a>(&'a self, chainlet: &'a ChainletName) -> impl Iterator<Item = &'a PlannedEdge> {
        self.edges.iter().filter(move |edge| edge.name.from == *chainlet)
    }
}

/// Resolves the dependencies of `components`. These are the components of `spec`'s chainlets, in its order.
///
/// # Errors
///
/// All faults, each with its place in chain.toml: a dependency that resolves to nothing or to a function of another
/// type, an unused `depends`, a cycle, an ambiguous entrypoint.
pub(super) fn resolve(
    spec: &ChainSpec,
    mut components: IndexMap<ChainletName, Component>,
    max_replicas: u32,
) -> Result<Plan, ConfigErrors> {
    let offers: IndexMap<_, _> = components.iter().map(|(name, component)| (name, &component.run_remote)).collect();
    let mut errors = Vec::new();
    errors.extend(too_many_replicas(spec, max_replicas));
    errors.extend(components.iter().filter_map(|(name, component)| too_little_memory(spec, name, component)));
    let mut edges = Vec::new();
    for (name, component) in &components {
        let signature = &component.run_remote.signature;
        if let Some(Type::Result { err: Some(err), .. }) = &signature.result
            && is_failure(err)
        {
            let place = KeyPath::root().key("chainlets").key(name).key("component");
            errors.push(ConfigError::new(
                spec.at(place),
                format!("{name} exports `run-remote` with the host's own failure as its error: {signature}"),
                "declare an error of its own, or the standard one of chainlet:host/errors; failures are for the host to tell",
            ));
        }
        let declared = spec.chainlets.get(name).map(|chainlet| &chainlet.depends);
        for dependency in &component.dependencies {
            match edge(spec, &offers, name, dependency) {
                Ok(edge) => edges.push(edge),
                Err(error) => errors.push(error),
            }
        }
        for unused in declared.into_iter().flat_map(IndexMap::keys) {
            if !component.dependencies.iter().any(|dependency| is_meant(unused, dependency)) {
                errors.push(unused_dependency(spec, name, unused, component));
            }
        }
    }
    ConfigErrors::check(errors)?;
    let order = order(spec, &components, &edges)?;
    let entrypoint = entrypoint(spec, &components, &edges)?;
    components.sort_by_cached_key(|name, _| order.iter().position(|ordered| ordered == name));
    Ok(Plan { entrypoint, chainlets: components, edges, rows: IndexMap::new() })
}

/// Returns true if the key of a `depends` names `dependency`: by its own name, or by the name of its import with or without the
/// version.
fn is_meant(key: &DependencyName, dependency: &Dependency) -> bool {
    let import = dependency.import.as_str();
    *key == dependency.name.as_str() || *key == import || import.split_once('@').is_some_and(|(id, _)| *key == id)
}

/// Returns an error if the chainlets together may have more replicas than the host allows.
fn too_many_replicas(spec: &ChainSpec, most: u32) -> Option<ConfigError> {
    let all: u64 = spec.chainlets.values().map(|chainlet| u64::from(chainlet.replicas.max)).sum();
    if all <= u64::from(most) {
        return None;
    }
    let (name, chainlet) = spec.chainlets.iter().max_by_key(|(_, chainlet)| chainlet.replicas.max)?;
    let place = KeyPath::root().key("chainlets").key(name).key("replicas");
    Some(ConfigError::new(
        spec.at(place),
        format!(
            "the chainlets may have {all} replicas together, of which {name} has {}, and this host has room for {most}",
            chainlet.replicas.max
        ),
        "let them have fewer, or raise --max-replicas (HostBuilder::max_replicas in a program of your own)",
    ))
}

/// Returns an error if a component begins with more memory than its chainlet may have.
fn too_little_memory(spec: &ChainSpec, name: &ChainletName, component: &Component) -> Option<ConfigError> {
    let limit = spec.chainlets.get(name)?.resources.memory;
    if component.initial_memory <= limit.as_bytes() {
        return None;
    }
    let place = KeyPath::root().key("chainlets").key(name).key("resources").key("memory");
    Some(ConfigError::new(
        spec.at(place),
        format!(
            "the component of {name} begins with {} of memory, and may have {limit}",
            ByteSize::bytes(component.initial_memory)
        ),
        "raise resources.memory",
    ))
}

fn edge(
    spec: &ChainSpec,
    offers: &IndexMap<&ChainletName, &RunRemote>,
    from: &ChainletName,
    dependency: &Dependency,
) -> Result<PlannedEdge, ConfigError> {
    let chainlet = KeyPath::root().key("chainlets").key(from);
    let place = chainlet.key("depends").key(&dependency.name);
    let name = DependencyName::new(&dependency.name).map_err(|error| {
        ConfigError::new(
            spec.at(&chainlet),
            format!("the component imports `{}`: {error}", dependency.import),
            "rename the import in the component's world",
        )
    })?;
    let depends = spec.chainlets.get(from).map(|chainlet| &chainlet.depends);
    let wanted = depends.into_iter().flatten().find(|(key, _)| is_meant(key, dependency));
    let place = wanted.map_or(place, |(key, _)| chainlet.key("depends").key(key));
    let policy = wanted.map(|(_, policy)| policy.clone()).unwrap_or_default();
    let to = target(offers, from, dependency, &policy).map_err(|message| {
        ConfigError::new(
            spec.at(&place),
            message,
            format!("name the chainlet that serves it: `depends.{name} = \"…\"` under [chainlets.{from}]"),
        )
    })?;
    let Some(offered) = offers.get(&to).map(|offer| &*offer.signature) else {
        return Err(ConfigError::new(spec.at(&place), format!("there is no chainlet `{to}`"), "correct the name"));
    };
    let streams = offered.result.as_ref().is_some_and(Type::has_streams);
    if !streams && (policy.first_item_timeout.is_some() || policy.item_timeout.is_some()) {
        let key = if policy.first_item_timeout.is_some() { "first_item_timeout" } else { "item_timeout" };
        return Err(ConfigError::new(
            spec.at(place.key(key)),
            format!("{to} returns no stream, which {key} is for\n  {to} exports `run-remote`: {offered}"),
            "use timeout for the whole answer, or remove the key",
        ));
    }
    match fit(&dependency.signature, offered) {
        Ok(is_fallible) => Ok(PlannedEdge {
            name: EdgeName { from: from.clone(), dependency: name, to },
            dependency: dependency.clone(),
            is_fallible,
            policy,
        }),
        Err(Misfit::Types) => Err(ConfigError::new(
            spec.at(&place),
            format!(
                "the types of the edge {from} → {to} do not match\n  {from} expects `{}`: {}\n  {to} exports `run-remote`: {offered}",
                dependency.import,
                declared(&dependency.signature)
            ),
            format!("build both components from one WIT, or point `depends.{name}` at another chainlet"),
        )),
        Err(Misfit::Blocks) => Err(ConfigError::new(
            spec.at(&place),
            format!(
                "the edge {from} → {to} passes streams to an `async func`, and {from} imports `{}` as a plain `func`, which \
                 cannot write them while it waits\n  {from} expects `{}`: {}\n  {to} exports `run-remote`: {offered}",
                dependency.import,
                dependency.import,
                declared(&dependency.signature)
            ),
            format!("declare the import `async func` in the world of {from}"),
        )),
    }
}

/// Returns the type of an import as its author wrote it, without the failure that the SDK adds around its result.
fn declared(import: &Signature) -> Signature {
    match &import.result {
        Some(Type::Result { ok, err: Some(err) }) if is_failure(err) => {
            Signature { result: ok.as_deref().cloned(), ..import.clone() }
        }
        _ => import.clone(),
    }
}

/// The reason why an export cannot serve an import.
#[derive(Debug, PartialEq, Eq)]
enum Misfit {
    /// Their types differ.
    Types,
    /// The call would block for ever: a plain `func` cannot write its streams while it waits.
    Blocks,
}

/// Checks that `export` can serve `import`, and returns whether the import is fallible: it has the export's type inside
/// a `result` with a failure.
///
/// The sides may differ in `async func` and `func`, because the host waits for either. The exception is a plain `func`
/// that passes streams to an `async func`: it blocks its guest, which then cannot write the streams.
fn fit(import: &Signature, export: &Signature) -> Result<bool, Misfit> {
    let is_fallible = match &import.result {
        Some(Type::Result { ok, err: Some(err) }) if is_failure(err) => ok.as_deref() == export.result.as_ref(),
        _ => false,
    };
    if import.params != export.params || !is_fallible && import.result != export.result {
        return Err(Misfit::Types);
    }
    let passes_streams = import.params.iter().filter_map(|param| param.ty.as_ref()).any(Type::has_streams);
    if export.is_async && !import.is_async && passes_streams {
        return Err(Misfit::Blocks);
    }
    Ok(is_fallible)
}

/// Returns the chainlet to which a dependency resolves: the one that `depends` names, else the one with the
/// dependency's name, else the only one that exports the imported interface.
fn target(
    offers: &IndexMap<&ChainletName, &RunRemote>,
    from: &ChainletName,
    dependency: &Dependency,
    policy: &DependencySpec,
) -> Result<ChainletName, String> {
    if let Some(chainlet) = &policy.chainlet {
        return Ok(chainlet.clone());
    }
    if let Some((name, _)) = offers.iter().find(|(name, _)| name.as_str() == dependency.name) {
        return Ok((*name).clone());
    }
    let exporting = offers
        .iter()
        .filter(|(name, offer)| **name != from && offer.interface.as_deref() == Some(dependency.import.as_str()));
    let exporting: Vec<_> = exporting.map(|(name, _)| *name).collect();
    match exporting.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(format!(
            "the component imports `{}`, and no chainlet is called `{}` or exports that interface",
            dependency.import, dependency.name
        )),
        several => Err(format!(
            "the component imports `{}`, which several chainlets export: {}",
            dependency.import,
            several.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
        )),
    }
}

fn unused_dependency(
    spec: &ChainSpec,
    chainlet: &ChainletName,
    name: &DependencyName,
    component: &Component,
) -> ConfigError {
    let place = KeyPath::root().key("chainlets").key(chainlet).key("depends").key(name);
    let names: Vec<_> = component.dependencies.iter().map(|dependency| dependency.name.as_str()).collect();
    let help = match names.as_slice() {
        [] => {
            "the component imports no other chainlet: remove the key; an import that its code never calls is left out"
                .to_string()
        }
        names => format!(
            "the component's dependencies are: {}; an import that its code never calls is left out",
            names.join(", ")
        ),
    };
    ConfigError::new(spec.at(place), format!("the component of {chainlet} imports no dependency `{name}`"), help)
}

/// Returns the chainlets, each after those that it calls.
fn order(
    spec: &ChainSpec,
    components: &IndexMap<ChainletName, Component>,
    edges: &[PlannedEdge],
) -> Result<Vec<ChainletName>, ConfigError> {
    struct Walk<'a> {
        edges: &'a [PlannedEdge],
        done: Vec<ChainletName>,
        path: Vec<&'a PlannedEdge>,
    }
    impl<'a> Walk<'a> {
        /// Visits `name` and its callees. Returns the cycle as an error if one leads back to a chainlet on the path.
        fn visit(&mut self, name: &ChainletName) -> Result<(), Vec<&'a PlannedEdge>> {
            if self.done.contains(name) {
                return Ok(());
            }
            if let Some(start) = self.path.iter().position(|edge| edge.name.from == *name) {
                return Err(self.path.split_off(start));
            }
            for edge in self.edges.iter().filter(|edge| edge.name.from == *name) {
                self.path.push(edge);
                self.visit(&edge.name.to)?;
                self.path.pop();
            }
            self.done.push(name.clone());
            Ok(())
        }
    }
    let mut walk = Walk { edges, done: Vec::new(), path: Vec::new() };
    for name in components.keys() {
        walk.visit(name).map_err(|cycle| {
            let mut chain: Vec<_> = cycle.iter().map(|edge| edge.name.from.as_str()).collect();
            chain.extend(chain.first().copied());
            let place = cycle.first().map(|edge| {
                KeyPath::root().key("chainlets").key(&edge.name.from).key("depends").key(&edge.name.dependency)
            });
            ConfigError::new(
                spec.at(place.unwrap_or_else(KeyPath::root)),
                format!("the chainlets call each other in a cycle: {}", chain.join(" → ")),
                "a chain has no cycles: point one of these dependencies elsewhere, or merge the chainlets",
            )
        })?;
    }
    Ok(walk.done)
}

fn entrypoint(
    spec: &ChainSpec,
    components: &IndexMap<ChainletName, Component>,
    edges: &[PlannedEdge],
) -> Result<ChainletName, ConfigError> {
    if let Some(entrypoint) = &spec.entrypoint {
        return Ok(entrypoint.clone());
    }
    let uncalled = components.keys().filter(|name| !edges.iter().any(|edge| edge.name.to == **name));
    let uncalled: Vec<_> = uncalled.collect();
    match uncalled.as_slice() {
        [only] => Ok((*only).clone()),
        several => Err(ConfigError::new(
            spec.at(KeyPath::root().key("chain")),
            format!(
                "the entrypoint is not clear: {} are nobody's dependency",
                several.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
            ),
            "say which one the outside calls: `entrypoint = \"…\"` under [chain]",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::edge::failure::tests::failure;
    use super::*;
    use crate::value::json::arbitrary::member;
    use crate::value::ty::Docs;

    fn signature(is_async: bool, param: Type, result: Option<Type>) -> Signature {
        Signature { is_async, params: vec![member("it", Some(param))], result, docs: Docs::default() }
    }

    fn fallible(ok: Option<Type>) -> Option<Type> {
        Some(Type::Result { ok: ok.map(Arc::new), err: Some(Arc::new(failure())) })
    }

    #[test]
    fn an_import_has_the_type_of_the_export_or_that_inside_a_result() {
        let declared = || Some(Type::Result { ok: Some(Arc::new(Type::U8)), err: Some(Arc::new(Type::String)) });
        for result in [None, Some(Type::U8), declared()] {
            let export = signature(true, Type::String, result.clone());
            assert_eq!(fit(&export, &export), Ok(false));
            assert_eq!(fit(&signature(true, Type::String, fallible(result)), &export), Ok(true));
            assert_eq!(fit(&signature(true, Type::String, fallible(Some(Type::U16))), &export), Err(Misfit::Types));
            assert_eq!(fit(&signature(true, Type::U8, export.result.clone()), &export), Err(Misfit::Types));
        }
        let other = Some(Type::Result { ok: Some(Arc::new(Type::U8)), err: Some(Arc::new(Type::U8)) });
        let export = signature(true, Type::String, Some(Type::U8));
        assert_eq!(fit(&signature(true, Type::String, other), &export), Err(Misfit::Types), "its error is no failure");
    }

    #[test]
    fn an_async_function_fits_a_plain_one_unless_a_blocked_guest_would_write_streams() {
        let stream = || Type::Stream(Arc::new(Type::U8));
        for (import, export) in [(true, false), (false, true)] {
            assert_eq!(fit(&signature(import, Type::U8, None), &signature(export, Type::U8, None)), Ok(false));
        }
        assert_eq!(fit(&signature(false, stream(), None), &signature(true, stream(), None)), Err(Misfit::Blocks));
        assert_eq!(fit(&signature(true, stream(), None), &signature(false, stream(), None)), Ok(false));
        let result = Some(stream());
        assert_eq!(fit(&signature(false, Type::U8, result.clone()), &signature(true, Type::U8, result)), Ok(false));
    }
}
