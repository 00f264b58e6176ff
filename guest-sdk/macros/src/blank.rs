//! Blank values. An export returns one for a call whose answer nobody wants. A
//! future that is dropped before it has a value gets one.

#![expect(clippy::indexing_slicing, reason = "ids index the `Resolve` that they come from")]

use anyhow::Result;
use heck::ToUpperCamelCase as _;
use indexmap::IndexSet;
use proc_macro2::TokenStream;
use quote::quote;
use wit_bindgen_core::wit_parser::TypeDefKind;
use wit_bindgen_rust::to_rust_ident;

use crate::bindings::{MODULE, Modules, collect, has, ident};
use crate::world::{RUN_REMOTE, World};

/// Returns the code of the trait of types with a blank value, and its
/// implementations: for types of the standard library, and for those in the
/// signatures of `world`.
pub fn code(world: &World, items: &[syn::Item]) -> Result<TokenStream> {
    let resolve = &world.resolve;
    let mut types = IndexSet::new();
    collect(resolve, world.run_remote()?, &mut types);
    for dependency in world.dependencies() {
        if let Some(function) = resolve.interfaces[dependency.interface].functions.get(RUN_REMOTE) {
            collect(resolve, function, &mut types);
        }
    }
    let modules = Modules::new(world);
    let module = ident(MODULE);
    let mut impls = Vec::new();
    for id in types {
        let Some((name, path)) = modules.rust_type(id)? else { continue };
        let ty = match modules.host_path(id) {
            Some(path) => quote!(#path::#name),
            None => quote!(self::#module #(::#path)*::#name),
        };
        let blank = match &resolve.types[id].kind {
            TypeDefKind::Record(record) => {
                let names = record.fields.iter().map(|field| ident(&to_rust_ident(&field.name)));
                quote!(#ty { #(#names: __Blank::blank()),* })
            }
            TypeDefKind::Variant(variant) => {
                let Some(case) = variant.cases.first() else { continue };
                let case_name = ident(&case.name.to_upper_camel_case());
                match case.ty {
                    Some(_) => quote!(#ty::#case_name(__Blank::blank())),
                    None => quote!(#ty::#case_name),
                }
            }
            TypeDefKind::Enum(declared) => {
                let Some(case) = declared.cases.first() else { continue };
                let case = ident(&case.name.to_upper_camel_case());
                quote!(#ty::#case)
            }
            TypeDefKind::Flags(_) => quote!(#ty::empty()),
            // An alias is the same type in Rust.
            _ => continue,
        };
        impls.push(quote! {
            impl __Blank for #ty {
                fn blank() -> Self {
                    #blank
                }
            }
        });
    }
    let stream = has(items, "wit_stream").then(|| {
        quote! {
            impl<T: bindings::wit_stream::StreamPayload> __Blank for ::chainlet::StreamReader<T> {
                const STREAMS: bool = true;
                fn blank() -> Self {
                    // The writer is dropped, so the stream has ended.
                    bindings::wit_stream::new().1
                }
            }
        }
    });
    let future = has(items, "wit_future").then(|| {
        quote! {
            impl<T: bindings::wit_future::FuturePayload + __Blank> __Blank for ::chainlet::FutureReader<T> {
                const STREAMS: bool = true;
                fn blank() -> Self {
                    // The writer is dropped, and then writes the default.
                    bindings::wit_future::new(T::cut_off).1
                }
            }
        }
    });
    Ok(quote! {
        ::chainlet::__blank!();
        #(#impls)*
        #stream
        #future
    })
}
