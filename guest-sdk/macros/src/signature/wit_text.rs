//! The types of the WIT, in the text of WIT.

#![expect(clippy::indexing_slicing, reason = "ids index the `Resolve` that they come from")]

use wit_bindgen_core::wit_parser::{Handle, Resolve, Type, TypeDefKind, TypeId};

/// Returns the text of `ty`.
pub fn of(resolve: &Resolve, ty: Type) -> String {
    match ty {
        Type::Bool => "bool".to_owned(),
        Type::U8 => "u8".to_owned(),
        Type::U16 => "u16".to_owned(),
        Type::U32 => "u32".to_owned(),
        Type::U64 => "u64".to_owned(),
        Type::S8 => "s8".to_owned(),
        Type::S16 => "s16".to_owned(),
        Type::S32 => "s32".to_owned(),
        Type::S64 => "s64".to_owned(),
        Type::F32 => "f32".to_owned(),
        Type::F64 => "f64".to_owned(),
        Type::Char => "char".to_owned(),
        Type::String => "string".to_owned(),
        Type::ErrorContext => "error-context".to_owned(),
        Type::Id(id) => defined(resolve, id),
    }
}

fn defined(resolve: &Resolve, id: TypeId) -> String {
    let definition = &resolve.types[id];
    if let Some(name) = &definition.name {
        return name.clone();
    }
    let of = |ty: &Type| of(resolve, *ty);
    let maybe = |name: &str, ty: &Option<Type>| match ty {
        Some(ty) => format!("{name}<{}>", of(ty)),
        None => name.to_owned(),
    };
    match &definition.kind {
        TypeDefKind::List(ty) => format!("list<{}>", of(ty)),
        TypeDefKind::FixedLengthList(ty, length) => format!("list<{}, {length}>", of(ty)),
        TypeDefKind::Map(key, value) => format!("map<{}, {}>", of(key), of(value)),
        TypeDefKind::Option(ty) => format!("option<{}>", of(ty)),
        TypeDefKind::Tuple(tuple) => {
            format!("tuple<{}>", tuple.types.iter().map(of).collect::<Vec<_>>().join(", "))
        }
        TypeDefKind::Result(result) => match (&result.ok, &result.err) {
            (ok, None) => maybe("result", ok),
            (None, Some(error)) => format!("result<_, {}>", of(error)),
            (Some(ok), Some(error)) => format!("result<{}, {}>", of(ok), of(error)),
        },
        TypeDefKind::Stream(ty) => maybe("stream", ty),
        TypeDefKind::Future(ty) => maybe("future", ty),
        TypeDefKind::Type(ty) => of(ty),
        TypeDefKind::Handle(Handle::Own(id)) => defined(resolve, *id),
        TypeDefKind::Handle(Handle::Borrow(id)) => format!("borrow<{}>", defined(resolve, *id)),
        // All of these types have names.
        TypeDefKind::Record(_)
        | TypeDefKind::Variant(_)
        | TypeDefKind::Enum(_)
        | TypeDefKind::Flags(_)
        | TypeDefKind::Resource
        | TypeDefKind::Unknown => "_".to_owned(),
    }
}
