//! Compares the signature of the author's `run_remote` with the WIT's.

use std::env;
use std::path::{Path, PathBuf};

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Error, Result};
use wit_bindgen_core::wit_parser::{Function, Span};

mod names;
mod rust_type;
#[cfg(test)]
mod tests;
mod wit_text;
mod written;

use self::names::Names;
use self::rust_type::RustType;
use crate::author::{Author, RunRemote};
use crate::world::{self, Outcome, World};

/// Rejects a `run_remote` that differs from the world's in the number of parameters or in `async`.
pub fn check_shape(author: &Author, world: &World, function: &Function) -> Result<()> {
    let written = &author.run_remote;
    if written.parameters.len() != function.params.len() {
        let names: Vec<_> = function.params.iter().map(|p| p.name.as_str()).collect();
        return Err(Error::new(
            written.inputs,
            format!(
                "`run-remote` of world `{}` takes {} after `&self` ({}), but this takes {}",
                world.name,
                count(names.len()),
                names.join(", "),
                written.parameters.len(),
            ),
        ));
    }
    if let Some(asyncness) = written.asyncness
        && !world::is_async(function)
    {
        return Err(Error::new(
            asyncness,
            format!(
                "`run-remote` of world `{}` is a plain `func`; \
                 declare it `async func` there, or take `async` out here",
                world.name
            ),
        ));
    }
    if !world::is_async(function) && world::returns_streams(&world.resolve, function) {
        return Err(Error::new(
            written.output,
            format!(
                "`run-remote` of world `{}` is a plain `func` and returns a stream or a future, which nobody would write \
                 after it has returned; declare it `async func`",
                world.name
            ),
        ));
    }
    Ok(())
}

/// Rejects all types that certainly differ from those of the WIT, in one error.
///
/// A macro knows the name of a type, but not what the name stands for. So a name that may be an alias passes here, and
/// the compiler checks it.
pub fn check_types(author: &Author, world: &World, function: &Function) -> Result<()> {
    let names = Names::new(world, function);
    let parameters = parameter_errors(&author.run_remote, world, function, &names);
    let errors = parameters.into_iter().chain(output_error(&author.run_remote, world, function, &names));
    match errors.reduce(|mut all, error| {
        all.combine(error);
        all
    }) {
        Some(errors) => Err(errors),
        None => Ok(()),
    }
}

fn parameter_errors(written: &RunRemote, world: &World, function: &Function, names: &Names) -> Vec<Error> {
    let both = function.params.iter().zip(&written.parameters);
    both.filter_map(|(parameter, ty)| {
        let expected = RustType::of(&world.resolve, parameter.ty);
        let wrong = written::mismatch(ty, &expected, names)?;
        let wit = wit_text::of(&world.resolve, parameter.ty);
        let declared = declared(&wit, &expected.to_string());
        let (name, place, found) = (&parameter.name, place(world, parameter.span), text(ty));
        Some(Error::new_spanned(wrong, format!("`{name}` is {declared} in {place}, and `{found}` here")))
    })
    .collect()
}

fn output_error(written: &RunRemote, world: &World, function: &Function, names: &Names) -> Option<Error> {
    let resolve = &world.resolve;
    let outcome = world::outcome(resolve, function);
    let expected = function.result.map_or(RustType::UNIT, |ty| RustType::of(resolve, ty));
    let (expected, rust) = match expected {
        RustType::Generic(name, arguments) if outcome != Outcome::Plain => {
            let whole = RustType::Generic(name, arguments.clone()).to_string();
            let ok = arguments.into_iter().next().unwrap_or(RustType::UNIT);
            let rust = if outcome == Outcome::Typed { whole } else { format!("chainlet::Result<{ok}>") };
            // The author's error may be any type that turns into the WIT's type.
            (RustType::Generic(name, vec![ok, RustType::Unknown]), rust)
        }
        expected => {
            let rust = expected.to_string();
            (expected, rust)
        }
    };
    let unit: syn::Type = syn::parse_quote!(());
    let found = written.returned.as_ref().unwrap_or(&unit);
    let wrong = written::mismatch(found, &expected, names)?;
    let returns = match function.result {
        Some(ty) => declared(&wit_text::of(resolve, ty), &rust),
        None => "nothing".to_owned(),
    };
    let (place, text) = (place(world, function.span), text(found));
    let mut message = format!("`run-remote` returns {returns} in {place}, and `{text}` here");
    if outcome == Outcome::Plain && written::is_result(found) {
        message.push_str("; to return errors, declare a `result<…>` there");
    }
    Some(match written.returned {
        Some(_) => Error::new_spanned(wrong, message),
        None => Error::new(written.output, message),
    })
}

fn count(parameters: usize) -> String {
    match parameters {
        0 => "nothing".to_owned(),
        1 => "1 parameter".to_owned(),
        n => format!("{n} parameters"),
    }
}

/// Describes a type of the WIT: its name in the WIT, and its name in Rust if that differs.
fn declared(wit: &str, rust: &str) -> String {
    if wit == rust { format!("`{wit}`") } else { format!("`{wit}` (in Rust `{rust}`)") }
}

/// Returns the author's type as the author wrote it. The spaces between tokens depend on the compiler.
fn text(ty: &syn::Type) -> String {
    let tokens: TokenStream = ty.to_token_stream();
    let mut text = tokens.to_string();
    for (spaced, tight) in [
        (" < ", "<"),
        ("< ", "<"),
        (" <", "<"),
        (" >", ">"),
        (" ,", ","),
        (" :: ", "::"),
        ("& ", "&"),
        ("( ", "("),
        (" )", ")"),
    ] {
        text = text.replace(spaced, tight);
    }
    text
}

/// Returns the file and the line of a place in the WIT.
fn place(world: &World, span: Span) -> String {
    if !span.is_known() {
        return "the WIT".to_owned();
    }
    let location = world.resolve.render_location(span);
    // Remove the column.
    let location = location.rsplit_once(':').map_or(location.as_str(), |(line, _)| line);
    let manifest = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    // The compiler shows the author's files relative to the folder in which it runs.
    shorten(location, env::current_dir().ok().as_deref(), manifest.as_deref())
}

/// Returns `location` relative to the folder `current` if it is in there, else relative to `manifest` or to the folder
/// above that.
fn shorten(location: &str, current: Option<&Path>, manifest: Option<&Path>) -> String {
    let path = Path::new(location);
    let within = |folder: Option<&Path>| path.strip_prefix(folder?.canonicalize().ok()?).ok().map(Path::to_owned);
    let above = || Some(Path::new("..").join(within(manifest?.parent())?));
    let short = within(current).or_else(|| within(manifest)).or_else(above);
    short.as_deref().unwrap_or(path).display().to_string()
}
