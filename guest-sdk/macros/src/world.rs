//! The author's world: it is read from WIT, checked, and completed with the interfaces that the host needs.

#![expect(clippy::indexing_slicing, reason = "ids index the `Resolve` that they come from")]

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use wit_bindgen_core::wit_parser::{
    Function, FunctionKind, InterfaceId, PackageId, PackageName, Resolve, ResolveError, ResolveErrorKind, Type,
    TypeDefKind, TypeId, TypeOwner, WorldId, WorldItem, WorldKey,
};

use crate::arguments::Source;
use crate::fallible;

/// The host's own WIT, so that no author has to copy it.
const HOST: &str = concat!(
    include_str!("../wit/package.wit"),
    include_str!("../wit/init.wit"),
    include_str!("../wit/health.wit"),
    include_str!("../wit/context.wit"),
    include_str!("../wit/call.wit"),
    include_str!("../wit/errors.wit"),
    include_str!("../wit/gpu.wit"),
    include_str!("../wit/log.wit"),
);

/// The name of a chainlet's public function.
pub const RUN_REMOTE: &str = "run-remote";
const INIT: &str = "chainlet:host/init@0.1.0";
const HEALTH: &str = "chainlet:host/health@0.1.0";
/// The interface of the standard error.
pub const ERRORS: &str = "chainlet:host/errors@0.1.0";

/// The author's WIT, before a world is chosen.
pub struct Package {
    resolve: Resolve,
    id: PackageId,
    files: Vec<PathBuf>,
}

/// A world with one `run-remote`, and all types that it refers to.
pub struct World {
    /// All packages that were read.
    pub resolve: Resolve,
    /// The world as the author wrote it.
    pub id: WorldId,
    /// Its name, for messages.
    pub name: String,
    /// The place where `run-remote` is exported.
    pub export: Export,
    /// The files that were read. The build depends on them.
    pub files: Vec<PathBuf>,
    exports_init: bool,
    exports_health: bool,
}

/// The place where a world exports `run-remote`.
#[derive(Clone)]
pub enum Export {
    /// At the root of the world.
    Root,
    /// In an interface.
    Interface(WorldKey, InterfaceId),
}

/// An imported interface that has a `run-remote`: another chainlet.
pub struct Dependency {
    /// The world's name for it.
    pub key: WorldKey,
    /// The interface.
    pub interface: InterfaceId,
    /// Its name in the chain: the plain name, or the interface's own name.
    pub name: String,
}

impl World {
    /// Finds the world `name` in `package` and checks its exports.
    pub fn find(package: Package, name: &str) -> Result<Self> {
        let Package { mut resolve, id, files } = package;
        let id = select(&resolve, id, name)?;
        // wit-bindgen does the same. An interface that is imported under two names, or imported and exported, then has
        // types of its own in each place.
        resolve.generate_nominal_type_ids(id);
        fallible::make(&mut resolve, id)?;
        let world = &resolve.worlds[id];
        let mut exports = Vec::new();
        let (mut exports_init, mut exports_health) = (false, false);
        for (key, item) in &world.exports {
            match item {
                WorldItem::Function(function) if function.name == RUN_REMOTE => {
                    exports.push(Export::Root);
                }
                WorldItem::Function(function) => bail!(other_export(name, &function.name)),
                WorldItem::Interface { id, .. } => match resolve.id_of(*id).as_deref() {
                    Some(INIT) => exports_init = true,
                    Some(HEALTH) => exports_health = true,
                    _ => {
                        let interface = &resolve.interfaces[*id];
                        if let Some(other) = interface.functions.keys().find(|f| *f != RUN_REMOTE) {
                            bail!(other_export(name, other));
                        }
                        if interface.functions.contains_key(RUN_REMOTE) {
                            exports.push(Export::Interface(key.clone(), *id));
                        }
                    }
                },
                WorldItem::Type { .. } => {}
            }
        }
        let export = match exports.as_slice() {
            [export] => export.clone(),
            [] => bail!(
                "world `{name}` exports no `run-remote`; add \
                 `export run-remote: async func(…) -> …;` or export an interface that has it"
            ),
            _ => bail!("world `{name}` exports `run-remote` more than once; a chainlet has one"),
        };
        let name = name.to_owned();
        Ok(World { id, name, export, files, exports_init, exports_health, resolve })
    }

    /// Returns the exported `run-remote`.
    pub fn run_remote(&self) -> Result<&Function> {
        let found = match &self.export {
            Export::Root => self.resolve.worlds[self.id].exports.values().find_map(|item| match item {
                WorldItem::Function(function) if function.name == RUN_REMOTE => Some(function),
                _ => None,
            }),
            Export::Interface(_, id) => self.resolve.interfaces[*id].functions.get(RUN_REMOTE),
        };
        found.ok_or_else(|| anyhow!("world `{}` exports no `run-remote`", self.name))
    }

    /// Returns the other chainlets that this world imports, in its order.
    pub fn dependencies(&self) -> Vec<Dependency> {
        let world = &self.resolve.worlds[self.id];
        world
            .imports
            .iter()
            .filter_map(|(key, item)| {
                let WorldItem::Interface { id, .. } = item else { return None };
                let interface = &self.resolve.interfaces[*id];
                interface.functions.get(RUN_REMOTE)?;
                if self.is_exported(key) {
                    // The author uses only its types. `fallible` has made a copy of it the dependency.
                    return None;
                }
                let name = match key {
                    WorldKey::Name(name) => name.clone(),
                    WorldKey::Interface(_) => interface.name.clone()?,
                };
                Some(Dependency { key: key.clone(), interface: *id, name })
            })
            .collect()
    }

    /// Returns the `run-remote` of a dependency, with the type that the author wrote.
    pub fn declared_function(&self, dependency: &Dependency) -> Option<Function> {
        let function = self.resolve.interfaces[dependency.interface].functions.get(RUN_REMOTE)?;
        let Some(Type::Id(id)) = function.result else { return None };
        let TypeDefKind::Result(result) = &self.resolve.types[id].kind else { return None };
        Some(Function { result: result.ok, ..function.clone() })
    }

    /// Returns the name of a dependency whose WIT declares an error.
    pub fn declared<'a>(&self, dependency: &'a Dependency) -> Option<&'a str> {
        let function = self.declared_function(dependency)?;
        (outcome(&self.resolve, &function) != Outcome::Plain).then_some(dependency.name.as_str())
    }

    /// Returns true if the world exports the interface that it imports as `key`.
    fn is_exported(&self, key: &WorldKey) -> bool {
        fallible::is_exported(&self.resolve, self.id, key)
    }

    /// Makes the world for which bindings are generated: the author's world, with the import of the running call, and
    /// with exports for the author's `init` and `is_healthy`.
    pub fn complete(&mut self, init: bool, health: bool) -> Result<WorldId> {
        for (declared, written, interface, function) in
            [(self.exports_init, init, INIT, "init"), (self.exports_health, health, HEALTH, "is_healthy")]
        {
            if declared && !written {
                bail!(
                    "world `{}` exports `{interface}`, but the block has no `{function}`; \
                     write it, or take the export out",
                    self.name
                );
            }
        }
        let mut items = format!("  import {};\n", fallible::CALL);
        for (declared, written, interface) in [(self.exports_init, init, INIT), (self.exports_health, health, HEALTH)] {
            if written && !declared {
                items.push_str(&format!("  export {interface};\n"));
            }
        }
        let world = &self.resolve.worlds[self.id];
        let package = world.package.context("the world is in no package")?;
        let include = self.resolve.id_of_name(package, &world.name);
        let text = format!("package chainlet:generated;\nworld guest {{\n  include {include};\n{items}}}\n");
        let package = self.resolve.push_source("chainlet-generated.wit", &text)?;
        select(&self.resolve, package, "guest")
    }
}

/// Returns true if a function is declared `async func`.
pub fn is_async(function: &Function) -> bool {
    matches!(
        function.kind,
        FunctionKind::AsyncFreestanding | FunctionKind::AsyncMethod(_) | FunctionKind::AsyncStatic(_)
    )
}

/// Returns true if the result of a function contains a stream or a future.
pub fn returns_streams(resolve: &Resolve, function: &Function) -> bool {
    let result = Function { params: Vec::new(), ..function.clone() };
    !result.find_futures_and_streams(resolve).is_empty()
}

/// The kind of a function's result, which decides how errors are converted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Not a result: there is no error to convert.
    Plain,
    /// `result<_, string>`.
    Message,
    /// A result with the host's standard error.
    Standard,
    /// A result with an error of another type, or with none.
    Typed,
}

/// Returns the kind of a function's result.
pub fn outcome(resolve: &Resolve, function: &Function) -> Outcome {
    let mut result = function.result;
    while let Some(Type::Id(id)) = result {
        match &resolve.types[id].kind {
            TypeDefKind::Type(alias) => result = Some(*alias),
            TypeDefKind::Result(found) => {
                let mut error = found.err;
                while let Some(Type::Id(id)) = error
                    && let TypeDefKind::Type(alias) = &resolve.types[id].kind
                {
                    error = Some(*alias);
                }
                return match error {
                    Some(Type::String) => Outcome::Message,
                    Some(Type::Id(id)) if is_standard_error(resolve, id) => Outcome::Standard,
                    _ => Outcome::Typed,
                };
            }
            _ => return Outcome::Plain,
        }
    }
    Outcome::Plain
}

fn is_standard_error(resolve: &Resolve, id: TypeId) -> bool {
    let ty = &resolve.types[id];
    let TypeOwner::Interface(owner) = ty.owner else { return false };
    ty.name.as_deref() == Some("error") && resolve.id_of(owner).as_deref() == Some(ERRORS)
}

fn other_export(world: &str, function: &str) -> String {
    format!(
        "world `{world}` exports `{function}`, which nobody would call: \
         a chainlet exports `run-remote` alone"
    )
}

/// Finds a world in the author's package. If there is none of this name, the error lists all worlds.
fn select(resolve: &Resolve, package: PackageId, name: &str) -> Result<WorldId> {
    let worlds = &resolve.packages[package].worlds;
    if let Some(id) = worlds.get(name) {
        return Ok(*id);
    }
    // A fully qualified name selects a world in a dependency's package.
    if let Ok(id) = resolve.select_world(&[package], Some(name)) {
        return Ok(id);
    }
    let known: Vec<_> = worlds.keys().map(|world| format!("`{world}`")).collect();
    let package = &resolve.packages[package].name;
    if known.is_empty() {
        bail!("no world `{name}`: package `{package}` has no worlds");
    }
    bail!("no world `{name}` in package `{package}`, which has {}", known.join(", "))
}

impl Package {
    /// Reads the author's WIT. Adds the host's WIT if the author has no copy of it.
    pub fn read(source: &Source) -> Result<Self> {
        let mut resolve = Resolve::default();
        match push(&mut resolve, source) {
            Ok((id, files)) => {
                if !resolve.package_names.keys().any(is_host) {
                    push_host(&mut resolve)?;
                }
                Ok(Package { resolve, id, files })
            }
            // The author's WIT uses the host's package, which must be read first. The parser panics if a package is
            // there twice, so this is tried only if the package is known to be missing.
            Err(error) if lacks_host(&error) => {
                let mut resolve = Resolve::default();
                push_host(&mut resolve)?;
                match push(&mut resolve, source) {
                    Ok((id, files)) => Ok(Package { resolve, id, files }),
                    Err(error) => Err(anyhow!(resolve.render_error(&error))),
                }
            }
            // The rendered error has the file, the line and the text there.
            Err(error) => Err(anyhow!(resolve.render_error(&error))),
        }
    }
}

/// Returns true if a package is the host's.
pub fn is_host(package: &PackageName) -> bool {
    package.namespace == "chainlet" && package.name == "host"
}

/// Returns true if the error says that the host's package is missing.
fn lacks_host(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<ResolveError>())
        .any(|error| matches!(error.kind(), ResolveErrorKind::PackageNotFound { requested, .. } if is_host(requested)))
}

fn push_host(resolve: &mut Resolve) -> Result<()> {
    resolve.push_source("chainlet-host.wit", HOST)?;
    Ok(())
}

/// Reads the author's WIT into `resolve`.
fn push(resolve: &mut Resolve, source: &Source) -> Result<(PackageId, Vec<PathBuf>)> {
    match source {
        Source::Inline(text) => {
            let package = resolve.push_source("inline.wit", &text.value())?;
            Ok((package, Vec::new()))
        }
        Source::Path(path) => push_path(resolve, &manifest_dir()?.join(path.value())),
        Source::Default => {
            let root = manifest_dir()?;
            let own = root.join("wit");
            let path = if own.is_dir() { own } else { root.join("../wit") };
            push_path(resolve, &path)
        }
    }
}

fn push_path(resolve: &mut Resolve, path: &Path) -> Result<(PackageId, Vec<PathBuf>)> {
    let path = path
        .canonicalize()
        .with_context(|| format!("there is no WIT at `{}`; say where it is with `path = \"…\"`", path.display()))?;
    let (package, sources) = resolve.push_path(&path)?;
    Ok((package, sources.paths().map(Path::to_owned).collect()))
}

/// Returns the folder of the author's Cargo.toml. Paths are relative to it.
fn manifest_dir() -> Result<PathBuf> {
    env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .context("CARGO_MANIFEST_DIR is not set; build the chainlet with cargo")
}
