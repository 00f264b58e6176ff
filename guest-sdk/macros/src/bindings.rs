//! The Rust side of a world: the output of wit-bindgen, and the names under which the author finds it.

#![expect(clippy::indexing_slicing, reason = "ids index the `Resolve` that they come from")]

use std::collections::HashSet;

use anyhow::{Context as _, Result, anyhow, bail};
use heck::{ToSnakeCase as _, ToUpperCamelCase as _};
use indexmap::{IndexMap, IndexSet};
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{FnArg, GenericArgument, Ident, Item, PathArguments, ReturnType, TraitItem, Type};
use wit_bindgen_core::wit_parser::{
    Function, Handle, InterfaceId, Resolve, Type as WitType, TypeDefKind, TypeId, TypeOwner, WorldId, WorldItem,
    WorldKey,
};
use wit_bindgen_core::{Files, WorldGenerator as _, name_package_module};
use wit_bindgen_rust::{Opts, WithOption, to_rust_ident};

use crate::fallible;
use crate::world::{ERRORS, Export, World};

/// The path at which generated code finds the runtime of wit-bindgen.
const RUNTIME: &str = "::chainlet::__private::wit_bindgen::rt";
/// The module that holds everything wit-bindgen generates.
pub const MODULE: &str = "bindings";
/// Names that every Rust file has. A type with one of these names is not brought into the author's scope, because it
/// would hide the usual meaning.
pub const PRELUDE: [&str; 10] = ["Option", "Some", "None", "Result", "Ok", "Err", "String", "Vec", "Box", "Self"];

/// The generated bindings, with names for the types in the signature of `run_remote`.
pub struct Bindings {
    /// The items of the module `bindings`.
    pub items: Vec<Item>,
    /// The path of the module, within `bindings`, of the `Guest` trait that has `run_remote`.
    pub export: Vec<Ident>,
    /// The number of parameters of `run_remote`. Each has an alias `__RunRemoteParameterN` beside the trait.
    /// `__RunRemoteOutput` is the alias of the return type.
    pub parameters: usize,
}

impl Bindings {
    /// Returns the functions that make streams and futures. Each exists only if the world has types for it.
    pub fn streams(&self) -> TokenStream {
        let has = |name: &str| has(&self.items, name);
        let stream = has("wit_stream").then(|| {
            quote! {
                /// Makes a stream of the items that `write` sends. `write` continues after `run_remote` has returned.
                #[allow(dead_code)]
                pub fn stream<T: bindings::wit_stream::StreamPayload, W: ::core::future::Future<Output = ()> + 'static>(
                    write: impl ::core::ops::FnOnce(::chainlet::stream::Writer<T>) -> W,
                ) -> ::chainlet::StreamReader<T> {
                    ::chainlet::stream::make::stream(bindings::wit_stream::new(), write)
                }
            }
        });
        let future = has("wit_future").then(|| {
            quote! {
                /// Makes a future of the result of `value`, which continues after `run_remote` has returned.
                #[allow(dead_code)]
                pub fn future<T: bindings::wit_future::FuturePayload + __Blank>(
                    value: impl ::core::future::Future<Output = T> + 'static,
                ) -> ::chainlet::FutureReader<T> {
                    ::chainlet::stream::make::future(
                        bindings::wit_future::new(__Blank::cut_off),
                        value,
                    )
                }
            }
        });
        let both = (has("wit_stream") && has("wit_future")).then(|| {
            quote! {
                /// Makes a stream of the items that `write` sends, and a future of the value that `write` returns.
                #[allow(dead_code)]
                pub fn try_stream<
                    T: bindings::wit_stream::StreamPayload,
                    R: bindings::wit_future::FuturePayload + __Blank,
                    W: ::core::future::Future<Output = R> + 'static,
                >(
                    write: impl ::core::ops::FnOnce(::chainlet::stream::Writer<T>) -> W,
                ) -> (::chainlet::StreamReader<T>, ::chainlet::FutureReader<R>) {
                    ::chainlet::stream::make::try_stream(
                        bindings::wit_stream::new(),
                        bindings::wit_future::new(__Blank::cut_off),
                        write,
                    )
                }
            }
        });
        quote!(#stream #future #both)
    }
}

/// Returns true if the generated `items` have a module of this name.
pub fn has(items: &[Item], name: &str) -> bool {
    items.iter().any(|item| matches!(item, Item::Mod(module) if module.ident == name))
}

/// Returns the name of the alias for the type of one parameter of `run_remote`.
pub fn parameter_alias(index: usize) -> Ident {
    format_ident!("__RunRemoteParameter{index}")
}

/// Generates the bindings of `world`. `complete` is its completed form.
pub fn generate(world: &mut World, complete: WorldId, derives: &[String]) -> Result<Bindings> {
    let options = Opts {
        generate_all: true,
        runtime_path: Some(RUNTIME.to_owned()),
        with: shared(&world.resolve, complete),
        additional_derive_attributes: derives.to_vec(),
        ..Opts::default()
    };
    let mut files = Files::default();
    options.build().generate(&mut world.resolve, complete, &mut files)?;
    let (_, source) = files.iter().next().context("wit-bindgen generated nothing")?;
    let source = std::str::from_utf8(source)?;
    let mut items = syn::parse_file(source).context("wit-bindgen generated bad Rust")?.items;
    if source.contains("WitMap") {
        // wit-bindgen brings this trait into the scope of interfaces, but not into the scope of the world itself.
        let runtime: syn::Path = syn::parse_str(RUNTIME)?;
        items.push(syn::parse_quote!(#[allow(unused_imports)] use #runtime::WitMap as _;));
    }

    let export = match &world.export {
        Export::Root => Vec::new(),
        Export::Interface(key, _) => module_path(&world.resolve, key, true)?,
    };
    for dependency in world.dependencies() {
        let Some(raw) = world.declared(&dependency) else { continue };
        let module = descend(&mut items, &module_path(&world.resolve, &dependency.key, false)?)?;
        wrap(module, &dependency.name).with_context(|| format!("the dependency `{raw}`"))?;
    }
    let module = descend(&mut items, &export)?;
    let parameters = name_signature(module)?;
    Ok(Bindings { items, export, parameters })
}

/// Returns the host's interfaces in `world` whose types come from the SDK.
fn shared(resolve: &Resolve, world: WorldId) -> Vec<(String, WithOption)> {
    let imports = resolve.worlds[world].imports.keys();
    imports
        .filter_map(|key| match key {
            WorldKey::Interface(id) => resolve.id_of(*id),
            WorldKey::Name(_) => None,
        })
        .filter_map(|name| Some((name.clone(), WithOption::Path(host_module(&name)?.to_owned()))))
        .collect()
}

/// Returns the SDK's module with the types of a host's interface, if there is one.
fn host_module(interface: &str) -> Option<&'static str> {
    match interface {
        fallible::CALL => Some("::chainlet::__private::host::call"),
        ERRORS => Some("::chainlet::__private::host::errors"),
        _ => None,
    }
}

/// Renames the `run_remote` of a dependency whose WIT declares an error. Adds a `run_remote` that tells the declared
/// error from a failure of the call.
fn wrap(module: &mut Vec<Item>, dependency: &str) -> Result<()> {
    let raw = module
        .iter_mut()
        .find_map(|item| match item {
            Item::Fn(function) if function.sig.ident == "run_remote" => Some(function),
            _ => None,
        })
        .context("wit-bindgen generated no `run_remote`")?;
    let ReturnType::Type(_, output) = &raw.sig.output else { bail!("its `run_remote` returns nothing") };
    let answer = first_argument(output).context("its `run_remote` returns no `Result`")?.clone();
    let mut wrapper = raw.clone();
    let hidden = format_ident!("__run_remote");
    raw.sig.ident = hidden.clone();
    raw.attrs.push(syn::parse_quote!(#[doc(hidden)]));
    let names = raw.sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(parameter) => Some(&*parameter.pat),
        FnArg::Receiver(_) => None,
    });
    let wait = raw.sig.asyncness.map(|_| quote!(.await));
    wrapper.sig.output = syn::parse_quote!(-> ::core::result::Result<
        <#answer as ::chainlet::__private::IsResult>::Ok,
        ::chainlet::CallError<<#answer as ::chainlet::__private::IsResult>::Err>,
    >);
    *wrapper.block = syn::parse_quote!({ ::chainlet::__private::declared(#hidden(#(#names),*) #wait, #dependency) });
    module.push(Item::Fn(wrapper));
    Ok(())
}

/// Returns the `T` of a type `Result<T, …>`.
fn first_argument(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    }
}

/// Adds an alias for each type in the signature of `run_remote`, so that other code can name the types without printing
/// them itself.
fn name_signature(module: &mut Vec<Item>) -> Result<usize> {
    let signature = module
        .iter()
        .find_map(|item| match item {
            Item::Trait(guest) if guest.ident == "Guest" => guest.items.iter().find_map(|item| match item {
                TraitItem::Fn(function) if function.sig.ident == "run_remote" => Some(function.sig.clone()),
                _ => None,
            }),
            _ => None,
        })
        .context("wit-bindgen generated no trait with `run_remote`")?;
    let types: Vec<Type> = signature
        .inputs
        .iter()
        .filter_map(|input| match input {
            FnArg::Typed(parameter) => Some((*parameter.ty).clone()),
            FnArg::Receiver(_) => None,
        })
        .collect();
    let output: Type = match signature.output {
        ReturnType::Default => syn::parse_quote!(()),
        ReturnType::Type(_, output) => *output,
    };
    for (index, ty) in types.iter().enumerate() {
        let alias = parameter_alias(index);
        module.push(syn::parse_quote!(#[doc(hidden)] pub type #alias = #ty;));
    }
    module.push(syn::parse_quote!(#[doc(hidden)] pub type __RunRemoteOutput = #output;));
    Ok(types.len())
}

/// Returns the items of a module within `items`.
fn descend<'a>(mut items: &'a mut Vec<Item>, path: &[Ident]) -> Result<&'a mut Vec<Item>> {
    for name in path {
        items = items
            .iter_mut()
            .find_map(|item| match item {
                Item::Mod(module) if module.ident == *name => module.content.as_mut().map(|(_, items)| items),
                _ => None,
            })
            .ok_or_else(|| anyhow!("wit-bindgen generated no module `{name}`"))?;
    }
    Ok(items)
}

/// Returns the names to bring into the author's scope, as `use` items: each dependency as a module, each type of the
/// signatures by its name.
///
/// If two different types have the same name, the type of the chainlet's own contract takes it. Types of dependencies
/// can still be named through their modules.
pub fn scope(world: &World) -> Result<TokenStream> {
    let resolve = &world.resolve;
    let module = ident(MODULE);
    let mut names: IndexMap<Ident, TokenStream> = IndexMap::new();
    for dependency in world.dependencies() {
        let name = ident(&dependency.name.to_snake_case());
        if name == MODULE {
            bail!("a dependency cannot be called `{MODULE}`, which is the module of all bindings");
        }
        let path = module_path(resolve, &dependency.key, false)?;
        if names.insert(name.clone(), quote!(self::#module #(::#path)*)).is_some() {
            bail!("two dependencies are called `{name}`; import one under a plain name of its own");
        }
    }

    let modules = Modules::new(world);
    for id in types_in_scope(world, world.run_remote()?) {
        let Some((name, path)) = modules.rust_type(id)? else { continue };
        if !PRELUDE.contains(&name.to_string().as_str()) {
            let path = match modules.host_path(id) {
                Some(path) => quote!(#path::#name),
                None => quote!(self::#module #(::#path)*::#name),
            };
            names.entry(name).or_insert(path);
        }
    }

    let uses = names.into_values().map(|path| quote!(pub use #path;));
    Ok(quote!(#(#uses)*))
}

/// Returns the types with names in the author's scope: those of `run_remote`, of the world itself, and of its
/// dependencies.
pub fn types_in_scope(world: &World, run_remote: &Function) -> IndexSet<TypeId> {
    let resolve = &world.resolve;
    let mut types = IndexSet::new();
    collect(resolve, run_remote, &mut types);
    for (_, item) in &resolve.worlds[world.id].imports {
        if let WorldItem::Type { id, .. } = item {
            types.insert(*id);
        }
    }
    for dependency in world.dependencies() {
        if let Some(function) = world.declared_function(&dependency) {
            collect(resolve, &function, &mut types);
        }
    }
    types
}

/// The modules of the interfaces of a world.
pub struct Modules<'a> {
    resolve: &'a Resolve,
    interfaces: IndexMap<InterfaceId, (WorldKey, bool)>,
}

impl<'a> Modules<'a> {
    /// Finds the modules of `world`.
    pub fn new(world: &'a World) -> Self {
        let resolve = &world.resolve;
        let found = &resolve.worlds[world.id];
        let mut interfaces = IndexMap::new();
        // The exported form of an interface takes precedence, because it is the one in the signature of `run_remote`.
        for (items, exported) in [(&found.exports, true), (&found.imports, false)] {
            for (key, item) in items {
                if let WorldItem::Interface { id, .. } = item {
                    interfaces.entry(*id).or_insert((key.clone(), exported));
                }
            }
        }
        Modules { resolve, interfaces }
    }

    /// Returns the path of a type in the SDK, if the SDK has the type.
    pub fn host_path(&self, id: TypeId) -> Option<syn::Path> {
        let TypeOwner::Interface(owner) = self.resolve.types[id].owner else { return None };
        syn::parse_str(host_module(&self.resolve.id_of(owner)?)?).ok()
    }

    /// Returns the Rust name of a named type, and the module that contains it.
    pub fn rust_type(&self, id: TypeId) -> Result<Option<(Ident, Vec<Ident>)>> {
        let ty = &self.resolve.types[id];
        let Some(name) = &ty.name else { return Ok(None) };
        let path = match ty.owner {
            TypeOwner::World(_) => Vec::new(),
            TypeOwner::Interface(owner) => match self.interfaces.get(&owner) {
                Some((key, exported)) => module_path(self.resolve, key, *exported)?,
                None => return Ok(None),
            },
            TypeOwner::None => return Ok(None),
        };
        Ok(Some((ident(&name.to_upper_camel_case()), path)))
    }
}

/// Returns the path of the module that wit-bindgen makes for an interface.
fn module_path(resolve: &Resolve, key: &WorldKey, exported: bool) -> Result<Vec<Ident>> {
    let mut path = Vec::new();
    if exported {
        path.push("exports".to_owned());
    }
    match key {
        WorldKey::Name(name) => path.push(to_rust_ident(name)),
        WorldKey::Interface(id) => {
            let interface = &resolve.interfaces[*id];
            let package = interface.package.context("an interface is in no package")?;
            let name = interface.name.as_ref().context("an interface has no name")?;
            path.push(to_rust_ident(&resolve.packages[package].name.namespace));
            path.push(name_package_module(resolve, package));
            path.push(to_rust_ident(name));
        }
    }
    Ok(path.iter().map(|name| ident(name)).collect())
}

/// Returns an identifier, which is raw if the name is a keyword.
pub fn ident(name: &str) -> Ident {
    syn::parse_str(&to_rust_ident_keeping_case(name)).unwrap_or_else(|_| Ident::new_raw(name, Span::call_site()))
}

/// Escapes keywords as wit-bindgen does, without its change to snake_case.
fn to_rust_ident_keeping_case(name: &str) -> String {
    if name.starts_with(char::is_uppercase) { name.to_owned() } else { to_rust_ident(name) }
}

/// Adds the named types that a function's signature reaches.
pub fn collect(resolve: &Resolve, function: &Function, types: &mut IndexSet<TypeId>) {
    let mut seen = HashSet::new();
    for parameter in &function.params {
        collect_type(resolve, parameter.ty, &mut seen, types);
    }
    if let Some(result) = function.result {
        collect_type(resolve, result, &mut seen, types);
    }
}

fn collect_type(resolve: &Resolve, ty: WitType, seen: &mut HashSet<TypeId>, types: &mut IndexSet<TypeId>) {
    let WitType::Id(id) = ty else { return };
    if !seen.insert(id) {
        return;
    }
    let definition = &resolve.types[id];
    if definition.name.is_some() {
        types.insert(id);
    }
    let mut visit = |ty: WitType| collect_type(resolve, ty, seen, types);
    match &definition.kind {
        TypeDefKind::Record(record) => record.fields.iter().for_each(|field| visit(field.ty)),
        TypeDefKind::Tuple(tuple) => tuple.types.iter().copied().for_each(visit),
        TypeDefKind::Variant(variant) => {
            variant.cases.iter().filter_map(|case| case.ty).for_each(visit);
        }
        TypeDefKind::Result(result) => result.ok.into_iter().chain(result.err).for_each(visit),
        TypeDefKind::Map(key, value) => [*key, *value].into_iter().for_each(visit),
        TypeDefKind::Option(ty)
        | TypeDefKind::List(ty)
        | TypeDefKind::FixedLengthList(ty, _)
        | TypeDefKind::Type(ty) => visit(*ty),
        TypeDefKind::Future(ty) | TypeDefKind::Stream(ty) => ty.iter().copied().for_each(visit),
        TypeDefKind::Handle(Handle::Own(id) | Handle::Borrow(id)) => visit(WitType::Id(*id)),
        TypeDefKind::Resource | TypeDefKind::Flags(_) | TypeDefKind::Enum(_) | TypeDefKind::Unknown => {}
    }
}
