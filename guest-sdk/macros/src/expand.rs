//! Expands the author's block and world to the code of a component.

use anyhow::Error as AnyError;
use heck::ToKebabCase as _;
use proc_macro2::{Literal, Span, TokenStream};
use quote::{ToTokens as _, format_ident, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Error, Ident, ItemImpl, Result, Type};

#[cfg(test)]
mod tests;

use crate::arguments::Arguments;
use crate::author::{Author, Init, IsHealthy};
use crate::bindings::{self, Bindings, parameter_alias};
use crate::world::{self, Outcome, World};
use crate::{blank, docs, signature};

/// Expands `#[chainlet(arguments)] item`.
///
/// A mistake becomes one compile error beside the author's own code. The author's code stays, because its absence would
/// cause more errors.
pub fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    try_expand(arguments, item.clone()).unwrap_or_else(|error| {
        let error = error.into_compile_error();
        quote!(#item #error)
    })
}

fn try_expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let arguments: Arguments = syn::parse2(arguments)?;
    let block: ItemImpl = syn::parse2(item.clone())
        .map_err(|_| Error::new_spanned(&item, "`#[chainlet]` goes on an `impl` block of the chainlet's struct"))?;
    let author = Author::new(block)?;

    let (name, name_span) = match &arguments.world {
        Some(name) => (name.value(), name.span()),
        None => (author.name.to_string().to_kebab_case(), author.name.span()),
    };
    let in_source = |error: AnyError| blame(arguments.source.span(), &error);
    let in_world = |error: AnyError| blame(name_span, &error);

    let package = world::Package::read(&arguments.source).map_err(in_source)?;
    let mut world = World::find(package, &name).map_err(in_world)?;
    let function = world.run_remote().map_err(in_world)?.clone();
    signature::check_shape(&author, &world, &function)?;
    let mistakes = signature::check_types(&author, &world, &function).err();
    let complete = world.complete(author.init.is_some(), author.is_healthy.is_some()).map_err(in_world)?;
    let derives: Vec<_> = arguments.derives.iter().map(|path| path.to_token_stream().to_string()).collect();
    let scope = bindings::scope(&world).map_err(in_world)?;
    let docs = docs::section(&world).map_err(in_world)?;
    let bindings = bindings::generate(&mut world, complete, &derives).map_err(in_world)?;
    let component = match mistakes {
        // The names of the world stay in scope, so that no errors follow from these.
        Some(mistakes) => mistakes.into_compile_error(),
        None => component(&author, &world, &bindings, docs.as_deref()).map_err(in_world)?,
    };
    code(&author, &world, &bindings, &scope, &component).map_err(in_world)
}

/// Makes a compile error of an error about WIT, at the place that named the WIT.
fn blame(span: Span, error: &AnyError) -> Error {
    Error::new(span, format!("{error:#}"))
}

/// Writes the whole code: the author's block, the world in Rust, and the `component` that exports the block's
/// functions.
fn code(
    author: &Author,
    world: &World,
    bindings: &Bindings,
    scope: &TokenStream,
    component: &TokenStream,
) -> anyhow::Result<TokenStream> {
    let block = &author.block;
    let module = Ident::new(bindings::MODULE, Span::call_site());
    let items = &bindings.items;
    let streams = bindings.streams();
    let blank = blank::code(world, items)?;
    // Lets the compiler build again when one of the files changes.
    let files = world.files.iter().filter_map(|file| file.to_str()).map(|file| {
        quote!(
            const _: &[u8] = ::core::include_bytes!(#file);
        )
    });
    Ok(quote! {
        #block

        /// The chainlet's world in Rust: its dependencies as modules, and the
        /// types of their signatures and its own.
        #[allow(unused_imports)]
        pub(crate) mod wit {
            #scope
            #streams
            #blank

            /// Everything that the world imports and exports, by its full path.
            #[allow(warnings, clippy::all, clippy::pedantic, clippy::restriction)]
            pub mod #module {
                #(#items)*
            }
        }
        #[allow(unused_imports)]
        use wit::*;

        #component
        #(#files)*
    })
}

/// Writes the exports of the component, and the docs in it.
fn component(author: &Author, world: &World, bindings: &Bindings, docs: Option<&[u8]>) -> anyhow::Result<TokenStream> {
    let function = world.run_remote()?;
    let ty = &author.block.self_ty;
    let module = Ident::new(bindings::MODULE, Span::call_site());
    let export = &bindings.export;
    let guest = quote!(wit::#module #(::#export)*);

    let run_remote = run_remote(
        author,
        world::is_async(function),
        world::outcome(&world.resolve, function),
        &guest,
        bindings.parameters,
    );
    let init = author.init.as_ref().map(|init| self::init(init, ty, &module));
    let health = author.is_healthy.as_ref().map(|health| is_healthy(health, ty, &module));
    let state = match author.init {
        Some(_) => quote!(::chainlet::__private::state(&STATE)),
        None => quote_spanned!(ty.span()=> ::chainlet::__private::state_or_default::<#ty>(&STATE)),
    };
    let docs = docs.map(|docs| {
        let length = docs.len();
        let bytes = Literal::byte_string(docs);
        quote! {
            #[cfg(target_arch = "wasm32")]
            #[used]
            #[unsafe(link_section = "chainlet:docs")]
            static DOCS: [u8; #length] = *#bytes;
        }
    });
    Ok(quote! {
        const _: () = {
            ::std::thread_local! {
                static STATE: ::chainlet::__private::State<#ty> =
                    const { ::chainlet::__private::State::new() };
            }
            fn __state() -> &'static #ty {
                #state
            }
            struct __Chainlet;
            #run_remote
            #init
            #health
            wit::#module::export!(__Chainlet with_types_in wit::#module);
            #docs
        };
    })
}

/// Writes the export of `run-remote`, which calls the author's function.
fn run_remote(
    author: &Author,
    is_async: bool,
    outcome: Outcome,
    guest: &TokenStream,
    parameters: usize,
) -> TokenStream {
    let ty = &author.block.self_ty;
    let written = &author.run_remote;
    let names: Vec<_> = (0..parameters).map(|index| format_ident!("__p{index}")).collect();
    let aliases = (0..parameters).map(parameter_alias);
    // Reports each mismatch with the world at the author's own type.
    let checks = names.iter().zip(&written.parameters).enumerate().map(|(index, (name, ty))| {
        let alias = parameter_alias(index);
        typed(name, ty, &quote!(#guest::#alias))
    });
    let wait = written.asyncness.map(|_| quote!(.await));
    let call = quote_spanned!(written.name=> <#ty>::run_remote(__state(), #(#names),*) #wait);
    let error = match outcome {
        Outcome::Plain => None,
        Outcome::Message => Some(quote_spanned!(written.output=> ::chainlet::__private::fail_with_message(error))),
        Outcome::Standard => Some(quote_spanned!(written.output=> ::chainlet::__private::fail_with_error(error))),
        Outcome::Typed => Some(quote_spanned! {written.output=> {
            #[allow(unused_imports)]
            use ::chainlet::__private::{AnnounceAny as _, AnnounceError as _};
            (&::chainlet::__private::Announced(&error)).announce();
            ::core::convert::Into::into(error)
        }}),
    };
    let value = match error {
        None => quote_spanned! {written.output=>
            ::chainlet::__private::answer::<#guest::__RunRemoteOutput, _>(__outcome)
        },
        Some(error) => quote_spanned! {written.output=>
            match __outcome {
                ::core::result::Result::Ok(value) => ::core::result::Result::Ok(::chainlet::__private::answer::<
                    <#guest::__RunRemoteOutput as ::chainlet::__private::IsResult>::Ok, _
                >(value)),
                ::core::result::Result::Err(error) => ::core::result::Result::Err(#error),
            }
        },
    };
    let body = quote! {
        let __outcome = #call;
        #value
    };
    let (asyncness, body) = match is_async {
        true => (
            Some(quote!(async)),
            quote! {
                let work = async move { #body };
                ::chainlet::__private::serve(work, <#guest::__RunRemoteOutput as wit::__Blank>::blank).await
            },
        ),
        false => (None, body),
    };
    quote! {
        impl #guest::Guest for __Chainlet {
            #[allow(clippy::let_unit_value, clippy::unit_arg, clippy::useless_conversion)]
            #asyncness fn run_remote(#(#names: #guest::#aliases),*) -> #guest::__RunRemoteOutput {
                #(#checks)*
                #body
            }
        }
    }
}

/// Converts a parameter from its type `wit` in the bindings to the author's type `ty`.
fn typed(name: &Ident, ty: &Type, wit: &TokenStream) -> TokenStream {
    let value = Ident::new(&name.to_string(), name.span().located_at(ty.span()));
    quote_spanned!(ty.span()=> let #name: #ty = ::chainlet::__private::parameter::<#ty, #wit>(#value);)
}

/// Writes the export of the host's `init`.
fn init(init: &Init, ty: &Type, module: &Ident) -> TokenStream {
    let wait = init.is_async.then(|| quote!(.await));
    let made = quote_spanned!(init.output=> <#ty>::init() #wait);
    let made =
        if init.fallible { quote_spanned!(init.output=> #made.map_err(::chainlet::__private::message)?) } else { made };
    quote! {
        impl wit::#module::exports::chainlet::host::init::Guest for __Chainlet {
            async fn init() -> ::core::result::Result<(), ::std::string::String> {
                let state: #ty = #made;
                ::chainlet::__private::set_state(&STATE, state)
            }
        }
    }
}

/// Writes the export of the host's `is-healthy`.
fn is_healthy(health: &IsHealthy, ty: &Type, module: &Ident) -> TokenStream {
    let wait = health.is_async.then(|| quote!(.await));
    let answer = quote_spanned! {health.output=>
        <#ty>::is_healthy(__state()) #wait .map_err(::chainlet::__private::message)
    };
    quote! {
        impl wit::#module::exports::chainlet::host::health::Guest for __Chainlet {
            async fn is_healthy() -> ::core::result::Result<(), ::std::string::String> {
                #answer
            }
        }
    }
}
