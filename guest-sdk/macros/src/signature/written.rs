//! The types that the author wrote, as far as their names tell what they are.

use syn::{GenericArgument, Path, PathArguments, PathSegment, Type};

use super::names::Names;
use super::rust_type::RustType;

/// The types without arguments that every Rust file knows.
const PLAIN: [&str; 18] = [
    "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "str", "String", "u8", "u16", "u32",
    "u64", "u128", "usize",
];
/// The generic types that every Rust file knows, and that have a form in WIT.
const GENERIC: [&str; 3] = ["Vec", "Option", "Result"];

/// Returns the innermost part of `written` that certainly differs from the part of `expected` in its place.
pub fn mismatch<'a>(written: &'a Type, expected: &RustType, names: &Names) -> Option<&'a Type> {
    if matches!(expected, RustType::Unknown) {
        return None;
    }
    match written {
        Type::Paren(inner) => mismatch(&inner.elem, expected, names),
        Type::Group(inner) => mismatch(&inner.elem, expected, names),
        Type::Tuple(tuple) => match expected {
            RustType::Tuple(types) if types.len() == tuple.elems.len() => first_mismatch(&tuple.elems, types, names),
            _ => Some(written),
        },
        Type::Array(array) => match expected {
            RustType::Array(element) => mismatch(&array.elem, element, names),
            _ => Some(written),
        },
        // The bindings pass only owned values.
        Type::Reference(_) | Type::Slice(_) => Some(written),
        Type::Path(path) if path.qself.is_none() => path_mismatch(written, &path.path, expected, names),
        _ => None,
    }
}

fn path_mismatch<'a>(written: &'a Type, path: &'a Path, expected: &RustType, names: &Names) -> Option<&'a Type> {
    let last = path.segments.last()?;
    if let RustType::Generic(name, arguments) = expected
        && last.ident == name
    {
        return first_mismatch(type_arguments(last), arguments, names);
    }
    let is_expected = match expected {
        RustType::Plain(name) => last.ident == name,
        RustType::Named(_, name) => last.ident == name,
        _ => false,
    };
    if is_expected {
        return None;
    }
    if path.segments.len() == 1
        && last.arguments.is_none()
        && let Some(types) = names.get(&last.ident)
    {
        return types.iter().all(|ty| !ty.may_be(expected)).then_some(written);
    }
    is_known(path, last).then_some(written)
}

/// Returns the first mismatch of types with the expected types in their places.
fn first_mismatch<'a>(
    written: impl IntoIterator<Item = &'a Type>,
    expected: &[RustType],
    names: &Names,
) -> Option<&'a Type> {
    written.into_iter().zip(expected).find_map(|(written, expected)| mismatch(written, expected, names))
}

fn type_arguments(segment: &PathSegment) -> impl Iterator<Item = &Type> {
    let arguments = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(arguments.args.iter()),
        _ => None,
    };
    arguments.into_iter().flatten().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// Returns true if a path names a type of the language or of its standard library, and not another type of the same
/// name.
fn is_known(path: &Path, last: &PathSegment) -> bool {
    let in_std =
        path.segments.first().is_some_and(|first| ["std", "core", "alloc"].iter().any(|name| first.ident == name));
    if path.segments.len() > 1 && !in_std {
        return false;
    }
    match last.arguments {
        PathArguments::None => PLAIN.iter().any(|name| last.ident == name),
        // A module of the standard library may have an alias of this name, such as `std::io::Result`.
        _ => path.segments.len() == 1 && GENERIC.iter().any(|name| last.ident == name),
    }
}

/// Returns true if `written` has the name of the standard library's `Result`.
pub fn is_result(written: &Type) -> bool {
    match written {
        Type::Paren(inner) => is_result(&inner.elem),
        Type::Group(inner) => is_result(&inner.elem),
        Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == "Result"),
        _ => false,
    }
}
