//! What a compiled component exports and imports, in chainhost's words.

use std::collections::HashSet;
use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::types::{self, ComponentItem};
use wasmtime::component::{Component as Compiled, Type as WasmType};

use super::docs::Docs;
use super::{Component, ComponentError, Dependency, HOST_PACKAGE, RunRemote};
use crate::value::ty::{self, Declared, Member, Name};
use crate::value::{Signature, Type};

const RUN_REMOTE: &str = "run-remote";

/// Reads the types of `compiled`; see [`Component::load`].
pub(super) fn component(
    engine: &Engine,
    compiled: Compiled,
    docs: &Docs,
    initial_memory: u64,
    export: Option<&str>,
) -> Result<Component, ComponentError> {
    let world = compiled.component_type();
    let mut exports = Vec::new();
    let (mut init, mut health) = (None, None);
    for (name, item) in world.exports(engine) {
        match item.ty {
            ComponentItem::ComponentFunc(func) if name == RUN_REMOTE => {
                exports.push((None, Reader::new(docs, []).signature(&func)));
            }
            ComponentItem::ComponentInstance(instance) => {
                if is_host(name, "init") {
                    init = Some(name.to_string());
                } else if is_host(name, "health") {
                    health = Some(name.to_string());
                } else if let Some(signature) = run_remote_of(engine, &instance, docs) {
                    exports.push((Some(name.to_string()), signature));
                }
            }
            _ => {}
        }
    }
    let run_remote = pick(exports, export)?;
    carries_only_values(RUN_REMOTE, &run_remote.signature)?;

    let mut dependencies: Vec<Dependency> = Vec::new();
    let mut capabilities = Vec::new();
    for (name, item) in world.imports(engine) {
        match item.ty {
            ComponentItem::ComponentInstance(instance) => {
                if name.starts_with("wasi:") || name.starts_with(HOST_PACKAGE) {
                    capabilities.push(name.to_string());
                } else if let Some(signature) = run_remote_of(engine, &instance, docs) {
                    dependencies.push(dependency(name, signature)?);
                } else if let Some(function) = function_of(engine, &instance) {
                    return Err(unknown_import(&format!("{name}` with its function `{function}")));
                }
            }
            ComponentItem::ComponentFunc(_) => return Err(unknown_import(name)),
            _ => {}
        }
    }
    capabilities.sort();
    name_apart(&mut dependencies);
    Ok(Component { compiled, run_remote, dependencies, capabilities, init, health, initial_memory })
}

/// Names those by their imports' whole names that would have a name in common.
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

fn run_remote_of(engine: &Engine, instance: &types::ComponentInstance, docs: &Docs) -> Option<Signature> {
    match instance.get_export(engine, RUN_REMOTE)?.ty {
        ComponentItem::ComponentFunc(func) => {
            let names = instance.exports(engine).filter_map(|(name, item)| match item.ty {
                ComponentItem::Type(ty) => Some((name.to_string(), ty)),
                _ => None,
            });
            Some(Reader::new(docs, names).signature(&func))
        }
        _ => None,
    }
}

fn function_of(engine: &Engine, instance: &types::ComponentInstance) -> Option<String> {
    let mut exports = instance.exports(engine);
    exports.find(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_))).map(|(name, _)| name.to_string())
}

/// Reads wasmtime's types, naming each declared type as the interface around it does.
struct Reader<'a> {
    docs: &'a Docs,
    names: Vec<(String, WasmType)>,
}

impl<'a> Reader<'a> {
    fn new(docs: &'a Docs, names: impl IntoIterator<Item = (String, WasmType)>) -> Self {
        Reader { docs, names: names.into_iter().collect() }
    }

    fn signature(&self, func: &types::ComponentFunc) -> Signature {
        Signature {
            is_async: func.async_(),
            params: func.params().map(|(name, ty)| member(name, Some(self.ty(&ty)), None)).collect(),
            result: func.results().next().map(|ty| self.ty(&ty)),
            docs: ty::Docs(self.docs.run_remote()),
        }
    }

    fn ty(&self, ty: &WasmType) -> Type {
        match ty {
            WasmType::Bool => Type::Bool,
            WasmType::S8 => Type::S8,
            WasmType::U8 => Type::U8,
            WasmType::S16 => Type::S16,
            WasmType::U16 => Type::U16,
            WasmType::S32 => Type::S32,
            WasmType::U32 => Type::U32,
            WasmType::S64 => Type::S64,
            WasmType::U64 => Type::U64,
            WasmType::Float32 => Type::F32,
            WasmType::Float64 => Type::F64,
            WasmType::Char => Type::Char,
            WasmType::String => Type::String,
            WasmType::List(list) => Type::List(Arc::new(self.ty(&list.ty()))),
            WasmType::Option(option) => Type::Option(Arc::new(self.ty(&option.ty()))),
            WasmType::Tuple(tuple) => Type::Tuple(tuple.types().map(|ty| self.ty(&ty)).collect()),
            WasmType::Result(result) => Type::Result {
                ok: result.ok().map(|ty| Arc::new(self.ty(&ty))),
                err: result.err().map(|ty| Arc::new(self.ty(&ty))),
            },
            WasmType::Record(record) => {
                Type::Record(self.declared(ty, record.fields().map(|field| (field.name, Some(field.ty)))))
            }
            WasmType::Variant(variant) => {
                Type::Variant(self.declared(ty, variant.cases().map(|case| (case.name, case.ty))))
            }
            WasmType::Enum(cases) => Type::Enum(self.declared(ty, cases.names().map(|name| (name, None)))),
            WasmType::Flags(flags) => Type::Flags(self.declared(ty, flags.names().map(|name| (name, None)))),
            WasmType::Own(_) => Type::Unsupported("own<resource>".into()),
            WasmType::Borrow(_) => Type::Unsupported("borrow<resource>".into()),
            WasmType::Stream(stream) => match stream.ty() {
                Some(ty) => Type::Stream(Arc::new(self.ty(&ty))),
                None => Type::Unsupported("stream".into()),
            },
            WasmType::Future(future) => match future.ty() {
                Some(ty) => Type::Future(Arc::new(self.ty(&ty))),
                None => Type::Unsupported("future".into()),
            },
            WasmType::ErrorContext => Type::Unsupported("error-context".into()),
            WasmType::Map(map) => {
                let (key, value) = (self.ty(&map.key()), self.ty(&map.value()));
                // WIT allows no other key, but a component file can hold one.
                if key.is_key() {
                    Type::Map { key: Arc::new(key), value: Arc::new(value) }
                } else {
                    Type::Unsupported(format!("map<{key}, {value}>").into())
                }
            }
            WasmType::FixedLengthList(list) => {
                Type::Unsupported(format!("list<{}, {}>", self.ty(&list.ty()), list.len()).into())
            }
        }
    }

    fn declared<'t>(&self, ty: &WasmType, members: impl Iterator<Item = (&'t str, Option<WasmType>)>) -> Arc<Declared> {
        let name = self.names.iter().find(|(_, named)| named == ty).map(|(name, _)| name.as_str());
        let members = members
            .map(|(member_name, ty)| {
                let docs = name.and_then(|name| self.docs.member(name, member_name));
                member(member_name, ty.map(|ty| self.ty(&ty)), docs)
            })
            .collect();
        Arc::new(Declared { name: name.map(Arc::from), docs: name.and_then(|name| self.docs.ty(name)), members })
    }
}

fn member(name: &str, ty: Option<Type>, docs: Option<Arc<str>>) -> Member {
    Member { name: Name::new(name), ty, docs }
}
