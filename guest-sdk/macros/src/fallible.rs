//! Makes the failures of imported dependencies values. The import gets a `result`: its `ok` is the type that the author
//! wrote, its error the host's `failure`.

#![expect(clippy::indexing_slicing, reason = "ids index the `Resolve` that they come from")]

use anyhow::{Context as _, Result};
use wit_bindgen_core::wit_parser::{
    Docs, InterfaceId, PackageName, Resolve, Result_, Span, Stability, Type, TypeDef, TypeDefKind, TypeId, TypeOwner,
    WorldId, WorldItem, WorldKey,
};

use crate::world::{RUN_REMOTE, is_host};

/// The interface with the type of failures.
pub const CALL: &str = "chainlet:host/call@0.1.0";

/// Changes each dependency that `world` imports. Interfaces must have ids of their own: none may be both imported and
/// exported, or imported under two names.
pub fn make(resolve: &mut Resolve, world: WorldId) -> Result<()> {
    let failure = failure(resolve)?;
    copy_exported(resolve, world);
    inline_named(resolve, world);
    let imports = resolve.worlds[world].imports.iter();
    let dependencies: Vec<_> = imports
        .filter_map(|(key, item)| match item {
            WorldItem::Interface { id, .. } if !is_exported(resolve, world, key) => Some(*id),
            _ => None,
        })
        .filter(|id| resolve.interfaces[*id].functions.contains_key(RUN_REMOTE))
        .collect();
    import_call(resolve, &dependencies, failure);
    for dependency in dependencies {
        let alias = alias(resolve, dependency, failure);
        let ok = resolve.interfaces[dependency].functions.get(RUN_REMOTE).and_then(|function| function.result);
        let result = resolve.types.alloc(TypeDef {
            name: None,
            kind: TypeDefKind::Result(Result_ { ok, err: Some(Type::Id(alias)) }),
            owner: TypeOwner::None,
            docs: Docs::default(),
            stability: Stability::default(),
            span: Span::default(),
            external_id: None,
        });
        if let Some(function) = resolve.interfaces[dependency].functions.get_mut(RUN_REMOTE) {
            function.result = Some(Type::Id(result));
        }
    }
    Ok(())
}

/// Returns true if `world` exports the interface that it imports as `key`.
pub fn is_exported(resolve: &Resolve, world: WorldId, key: &WorldKey) -> bool {
    let WorldKey::Interface(imported) = key else { return false };
    let Some(name) = resolve.id_of(*imported) else { return false };
    resolve.worlds[world].exports.keys().any(|key| match key {
        WorldKey::Interface(exported) => resolve.id_of(*exported).as_ref() == Some(&name),
        WorldKey::Name(_) => false,
    })
}

/// Imports each dependency that the world also exports a second time, under its short name. A component cannot have two
/// different interfaces with one full name, and the import has another type now.
fn copy_exported(resolve: &mut Resolve, world: WorldId) {
    let found: Vec<_> = resolve.worlds[world]
        .imports
        .iter()
        .filter_map(|(key, item)| {
            let WorldItem::Interface { id, .. } = item else { return None };
            let interface = &resolve.interfaces[*id];
            let is_both = interface.functions.contains_key(RUN_REMOTE) && is_exported(resolve, world, key);
            is_both.then(|| Some((WorldKey::Name(interface.name.clone()?), item.clone()))).flatten()
        })
        .collect();
    for (key, item) in found {
        resolve.worlds[world].imports.entry(key).or_insert(item);
    }
    // The copies get ids of their own.
    resolve.generate_nominal_type_ids(world);
}

/// Gives each import under another name (`import primary: model`) an interface of its own. Otherwise the component
/// would name the interface `model` as well, in a form that not all linkers know, and a chain does not use that name.
fn inline_named(resolve: &mut Resolve, world: WorldId) {
    let package = resolve.worlds[world].package;
    let named = resolve.worlds[world].imports.iter().filter_map(|(key, item)| match (key, item) {
        (WorldKey::Name(_), WorldItem::Interface { id, .. }) => Some(*id),
        _ => None,
    });
    for id in named.collect::<Vec<_>>() {
        let interface = &mut resolve.interfaces[id];
        let (name, owner) = (interface.name.take(), std::mem::replace(&mut interface.package, package));
        if let Some((name, owner)) = name.zip(owner) {
            let interfaces = &mut resolve.packages[owner].interfaces;
            if interfaces.get(&name) == Some(&id) {
                interfaces.shift_remove(&name);
            }
        }
    }
}

/// Returns the type `failure` of the host's package.
fn failure(resolve: &Resolve) -> Result<TypeId> {
    let is_hosts = |name: &PackageName| is_host(name);
    let (_, package) = resolve
        .package_names
        .iter()
        .find(|(name, _)| is_hosts(name))
        .context("the package chainlet:host is missing")?;
    let interface = resolve.packages[*package].interfaces.get("call").map(|id| &resolve.interfaces[*id]);
    interface.and_then(|interface| interface.types.get("failure").copied()).with_context(|| {
        format!("the copy of the package chainlet:host in the WIT has no `{CALL}`; update it, or delete it: the macro has its own")
    })
}

/// Imports the interface of `failure` in each world that has one of `dependencies`, which use it. The worlds of a
/// package share its interfaces, and with debug assertions the parser checks that a world imports everything that its
/// interfaces use.
fn import_call(resolve: &mut Resolve, dependencies: &[InterfaceId], failure: TypeId) {
    let TypeOwner::Interface(call) = resolve.types[failure].owner else { return };
    let has = |item: &WorldItem| matches!(item, WorldItem::Interface { id, .. } if dependencies.contains(id));
    for (_, world) in resolve.worlds.iter_mut() {
        let key = WorldKey::Interface(call);
        if world.imports.values().chain(world.exports.values()).any(has) && !world.imports.contains_key(&key) {
            let item = WorldItem::Interface {
                id: call,
                stability: Stability::default(),
                external_id: None,
                docs: Docs::default(),
                span: Span::default(),
            };
            world.imports.shift_insert(0, key, item);
        }
    }
}

/// Returns `failure` as a type of `interface`, as `use` would import it.
fn alias(resolve: &mut Resolve, interface: InterfaceId, failure: TypeId) -> TypeId {
    let mut name = "failure".to_owned();
    while resolve.interfaces[interface].types.contains_key(&name) {
        name.insert_str(0, "call-");
    }
    let alias = resolve.types.alloc(TypeDef {
        name: Some(name.clone()),
        kind: TypeDefKind::Type(Type::Id(failure)),
        owner: TypeOwner::Interface(interface),
        docs: Docs::default(),
        stability: Stability::default(),
        span: Span::default(),
        external_id: None,
    });
    resolve.interfaces[interface].types.insert(name, alias);
    alias
}
