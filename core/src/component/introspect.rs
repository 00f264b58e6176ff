//! Finds out what a compiled component exports and imports, in chainhost's words.

use std::collections::HashSet;
use std::sync::Arc;

use wasmparser::component_types::{ComponentEntityType, ComponentInstanceTypeId};
use wasmtime::component::Component as Compiled;

use super::signature::TypeReader;
use super::{Component, ComponentError, Dependency, HOST_PACKAGE, RunRemote};
use crate::value::Signature;

const RUN_REMOTE: &str = "run-remote";

/// Finds out the role of `compiled` in a chain, from its types; see [`Component::load`].
pub(super) fn component(
    compiled: Compiled,
    reader: &TypeReader<'_>,
    initial_memory: u64,
    export: Option<&str>,
    is_capability: impl Fn(&str) -> bool,
) -> Result<Component, ComponentError> {
    let mut exports = Vec::new();
    let (mut init, mut health) = (None, None);
    for (name, ty) in reader.types().exports() {
        match ty {
            ComponentEntityType::Func(function) if name == RUN_REMOTE => {
                exports.extend(reader.signature(function).map(|signature| (None, signature)));
            }
            ComponentEntityType::Instance(instance) => {
                if is_host(name, "init") {
                    init = Some(name.to_string());
                } else if is_host(name, "health") {
                    health = Some(name.to_string());
                } else if let Some(signature) = run_remote_of(reader, instance) {
                    exports.push((Some(name.to_string()), signature));
                }
            }
            _ => {}
        }
    }
    reader.check_parts()?;
    let run_remote = pick(exports, export)?;
    carries_only_values(RUN_REMOTE, &run_remote.signature)?;

    let mut dependencies: Vec<Dependency> = Vec::new();
    let mut capabilities = Vec::new();
    for (name, ty) in reader.types().imports() {
        match ty {
            ComponentEntityType::Instance(instance) => {
                if name.starts_with("wasi:") || name.starts_with(HOST_PACKAGE) || is_capability(name) {
                    capabilities.push(name.to_string());
                } else if let Some(signature) = run_remote_of(reader, instance) {
                    reader.check_parts()?;
                    dependencies.push(dependency(name, signature)?);
                } else if let Some(function) = function_of(reader, instance) {
                    return Err(unknown_import(&format!("{name}` with its function `{function}")));
                }
            }
            ComponentEntityType::Func(_) => return Err(unknown_import(name)),
            _ => {}
        }
    }
    capabilities.sort();
    name_apart(&mut dependencies);
    Ok(Component {
        compiled,
        run_remote,
        dependencies,
        capabilities,
        init,
        health,
        initial_memory,
        imports: Arc::default(),
    })
}

/// Gives dependencies that would have the same name the whole names of their imports.
fn name_apart(dependencies: &mut [Dependency]) {
    let mut names = HashSet::new();
    let several: HashSet<String> = dependencies
        .iter()
        .map(|dependency| dependency.name.clone())
        .filter(|name| !names.insert(name.clone()))
        .collect();
    for dependency in dependencies.iter_mut().filter(|dependency| several.contains(&dependency.name)) {
        dependency.name.clone_from(&dependency.import);
    }
}

fn is_host(name: &str, interface: &str) -> bool {
    name.strip_prefix(HOST_PACKAGE).and_then(|rest| rest.split('@').next()) == Some(interface)
}

fn pick(exports: Vec<(Option<String>, Signature)>, wanted: Option<&str>) -> Result<RunRemote, ComponentError> {
    let places: Vec<_> = exports.iter().map(|(place, _)| place.as_deref().unwrap_or("the root").to_string()).collect();
    let mut fitting: Vec<_> = match wanted {
        None => exports,
        Some(wanted) => exports.into_iter().filter(|(place, _)| place.as_deref() == Some(wanted)).collect(),
    };
    match (fitting.pop(), fitting.is_empty()) {
        (Some((interface, signature)), true) => Ok(RunRemote { interface, signature: Arc::new(signature) }),
        (Some(_), false) => Err(ComponentError::new(format_args!(
            "the component exports several `run-remote` functions: in {}",
            places.join(", ")
        ))
        .help("say which one is meant with `export = \"…\"` in chain.toml")),
        (None, _) => Err(match wanted {
            Some(wanted) if !places.is_empty() => ComponentError::new(format_args!(
                "the component exports no interface `{wanted}` with a `run-remote`; it has one in {}",
                places.join(", ")
            ))
            .help("correct `export`, or leave it out where there is only one"),
            _ => ComponentError::new("the component exports no function `run-remote`")
                .help("export it at the root of the component's world, or in one exported interface"),
        }),
    }
}

fn unknown_import(what: &str) -> ComponentError {
    ComponentError::new(format_args!(
        "the component imports `{what}`, which is neither wasi, nor a capability of the \
        host, nor an interface with a `run-remote`"
    ))
    .help("a dependency on another chainlet is an imported interface with a `run-remote` function")
}

fn dependency(import: &str, signature: Signature) -> Result<Dependency, ComponentError> {
    carries_only_values(import, &signature)?;
    let name = match import.rsplit_once('/') {
        Some((_, interface)) => interface.split('@').next().unwrap_or(interface),
        None => import,
    };
    Ok(Dependency { name: name.to_string(), import: import.to_string(), signature: Arc::new(signature) })
}

fn carries_only_values(place: &str, signature: &Signature) -> Result<(), ComponentError> {
    match signature.unsupported() {
        None => Ok(()),
        Some(part) => Err(ComponentError::new(format_args!(
            "`{place}` has the signature `{signature}`, and a call cannot carry `{part}`"
        ))
        .help(
            "a run-remote takes and returns values, and streams and futures of values, but no resources; \
            the keys of a map are strings, chars, bools or integers",
        )),
    }
}

/// Returns the type of the `run-remote` in `instance`, if it has one.
pub(super) fn run_remote_of(reader: &TypeReader<'_>, instance: ComponentInstanceTypeId) -> Option<Signature> {
    match reader.types().types().get(instance)?.exports.get(RUN_REMOTE)?.ty {
        ComponentEntityType::Func(function) => reader.signature(function),
        _ => None,
    }
}

fn function_of(reader: &TypeReader<'_>, instance: ComponentInstanceTypeId) -> Option<String> {
    let mut exports = reader.types().types().get(instance)?.exports.iter();
    exports.find(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_))).map(|(name, _)| name.clone())
}
