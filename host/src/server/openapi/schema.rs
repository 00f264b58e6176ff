//! The JSON Schemas of WIT types (2020-12, as OpenAPI 3.1 uses it).

use std::collections::BTreeMap;
use std::sync::Arc;

use chainhost_core::value::ty::{DeclaredType, Member, Type};
use serde_json::{Map, Value as Json, json};

use super::{describe, pattern};

/// The direction in which a value goes. Schemas differ by it, because the host reads more spellings than it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// From a client to the host.
    Input,
    /// From the host to a client.
    Output,
}

/// The schemas of declared types. A document has each schema once and refers to it by name.
#[derive(Debug, Default)]
pub(super) struct Schemas {
    named: BTreeMap<String, Named>,
}

/// A schema, and the name that WIT gives its type, if it has one. So two types of the same shape have two schemas.
#[derive(Debug, PartialEq)]
struct Named {
    wit: Option<Arc<str>>,
    schema: Json,
}

impl Schemas {
    pub(super) fn new() -> Self {
        Schemas::default()
    }

    /// Reserves `name` for `schema`. A type that comes later cannot take the name.
    pub(super) fn reserve(&mut self, name: &str, schema: Json) {
        self.named.insert(name.to_owned(), Named { wit: None, schema });
    }

    /// Returns all schemas by name, for the document's components.
    pub(super) fn into_components(self) -> BTreeMap<String, Json> {
        self.named.into_iter().map(|(name, named)| (name, named.schema)).collect()
    }

    /// Returns the schema of `ty`. If `ty` is declared under a name, that is a reference.
    pub(super) fn of(&mut self, ty: &Type, direction: Direction) -> Json {
        match ty {
            Type::Bool => json!({ "type": "boolean" }),
            Type::S8 => integer("int8", i8::MIN, i8::MAX),
            Type::U8 => integer("uint8", u8::MIN, u8::MAX),
            Type::S16 => integer("int16", i16::MIN, i16::MAX),
            Type::U16 => integer("uint16", u16::MIN, u16::MAX),
            Type::S32 => integer("int32", i32::MIN, i32::MAX),
            Type::U32 => integer("uint32", u32::MIN, u32::MAX),
            Type::S64 => wide(ty, integer("int64", i64::MIN, i64::MAX), direction),
            Type::U64 => wide(ty, integer("uint64", u64::MIN, u64::MAX), direction),
            // These are the bounds of f32 in their shortest digits, as the host writes them.
            Type::F32 => float(json!({
                "type": "number", "format": "float", "minimum": -3.4028235e38, "maximum": 3.4028235e38,
            })),
            Type::F64 => float(json!({ "type": "number", "format": "double" })),
            Type::Char => json!({ "type": "string", "format": "char", "minLength": 1, "maxLength": 1 }),
            Type::String => json!({ "type": "string" }),
            Type::List(inner) | Type::Stream(inner) if **inner == Type::U8 => {
                // `format: byte` is how older versions of OpenAPI named base64; some generators know only that.
                json!({ "type": "string", "format": "byte", "contentEncoding": "base64", "pattern": pattern::BASE64 })
            }
            Type::Future(inner) => self.of(inner, direction),
            Type::List(inner) | Type::Stream(inner) => json!({ "type": "array", "items": self.of(inner, direction) }),
            Type::Map { key, value } => {
                let mut schema = json!({ "type": "object", "additionalProperties": self.of(value, direction) });
                if let (Some(names), Some(object)) = (key_names(key), schema.as_object_mut()) {
                    object.insert("propertyNames".to_owned(), names);
                }
                schema
            }
            Type::Tuple(types) => {
                let items: Vec<_> = types.iter().map(|ty| self.of(ty, direction)).collect();
                // The fixed length means the same as `items: false`, which some generators do not know.
                let count = items.len();
                json!({ "type": "array", "prefixItems": items, "minItems": count, "maxItems": count })
            }
            Type::Option(inner) => {
                let schema = self.of(inner, direction);
                nullable(if matches!(**inner, Type::Option(_)) { entry("some", schema) } else { schema })
            }
            Type::Result { ok, err } => {
                let mut side = |ty: &Option<_>| ty.as_deref().map_or_else(null, |ty| self.of(ty, direction));
                json!({ "oneOf": [entry("ok", side(ok)), entry("err", side(err))] })
            }
            Type::Record(declared) => {
                let schema = self.members(&declared.members, direction);
                self.declared(ty, declared, schema, direction)
            }
            Type::Variant(declared) => {
                let cases: Vec<_> = declared.members.iter().map(|case| self.case(case, direction)).collect();
                self.declared(ty, declared, json!({ "oneOf": cases }), direction)
            }
            Type::Enum(declared) => self.declared(ty, declared, names(&declared.members), direction),
            Type::Flags(declared) => {
                let schema = json!({ "type": "array", "items": names(&declared.members), "uniqueItems": true });
                self.declared(ty, declared, schema, direction)
            }
            // No value has such a type. A chain whose entrypoint has one is rejected at load.
            Type::Unsupported(text) => json!({ "not": {}, "description": format!("{text}, which JSON cannot carry") }),
        }
    }

    /// Returns the schema of an object keyed by the names of `members`: a record, or the parameters of a call.
    pub(super) fn members(&mut self, members: &[Member], direction: Direction) -> Json {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for member in members {
            let Some(ty) = &member.ty else { continue };
            let mut schema = self.of(ty, direction);
            describe(&mut schema, member.docs.as_deref());
            properties.insert(member.name.snake().to_owned(), schema);
            if !matches!(ty, Type::Option(_)) {
                required.push(member.name.snake());
            }
        }
        json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
    }

    fn case(&mut self, case: &Member, direction: Direction) -> Json {
        let name = case.name.snake();
        let mut schema = match &case.ty {
            None => json!({ "type": "string", "const": name }),
            Some(ty) => entry(name, self.of(ty, direction)),
        };
        describe(&mut schema, case.docs.as_deref());
        schema
    }

    /// Returns a reference to `schema` if its type has a name, and `schema` itself if not. If another schema has taken
    /// the name, a number is added to it.
    fn declared(&mut self, ty: &Type, declared: &DeclaredType, mut schema: Json, direction: Direction) -> Json {
        describe(&mut schema, declared.docs.as_deref());
        let Some(wit) = &declared.name else { return schema };
        let suffix = if direction == Direction::Input && differs_by_direction(ty) { "Input" } else { "" };
        let base = format!("{}{suffix}", pascal_case(wit));
        let named = Named { wit: Some(wit.clone()), schema };
        let mut name = base.clone();
        let mut number = 1;
        while self.named.get(&name).is_some_and(|taken| *taken != named) {
            number += 1;
            name = format!("{base}{number}");
        }
        let reference = json!({ "$ref": format!("#/components/schemas/{name}") });
        self.named.insert(name, named);
        reference
    }
}

fn null() -> Json {
    json!({ "type": "null" })
}

fn integer(format: &str, minimum: impl Into<Json>, maximum: impl Into<Json>) -> Json {
    json!({ "type": "integer", "format": format, "minimum": minimum.into(), "maximum": maximum.into() })
}

/// Returns the schema of a 64-bit integer of type `ty`. A client may send it as a string, because many JSON libraries
/// cannot hold such a number.
fn wide(ty: &Type, number: Json, direction: Direction) -> Json {
    match direction {
        Direction::Output => number,
        Direction::Input => json!({ "anyOf": [number, { "type": "string", "pattern": digits(ty) }] }),
    }
}

/// Returns the schema of the keys of a map, which are strings in JSON. Returns `None` if they are strings in WIT, too,
/// because those may be any.
fn key_names(key: &Type) -> Option<Json> {
    match key {
        Type::Bool => Some(json!({ "enum": ["true", "false"] })),
        Type::Char => Some(json!({ "minLength": 1, "maxLength": 1 })),
        _ => digits(key).map(|pattern| json!({ "pattern": pattern })),
    }
}

/// Returns the pattern of an integer of type `ty` as a text, or `None` if `ty` is no integer.
fn digits(ty: &Type) -> Option<String> {
    let (minimum, maximum) = match ty {
        Type::S8 => (i8::MIN.into(), i8::MAX.into()),
        Type::U8 => (0, u8::MAX.into()),
        Type::S16 => (i16::MIN.into(), i16::MAX.into()),
        Type::U16 => (0, u16::MAX.into()),
        Type::S32 => (i32::MIN.into(), i32::MAX.into()),
        Type::U32 => (0, u32::MAX.into()),
        Type::S64 => (i64::MIN.into(), i64::MAX.into()),
        Type::U64 => (0, u64::MAX.into()),
        _ => return None,
    };
    Some(pattern::integers(minimum, maximum))
}

fn float(number: Json) -> Json {
    json!({ "anyOf": [number, { "enum": ["NaN", "Infinity", "-Infinity"] }] })
}

/// Returns the schema of an object with exactly one entry.
fn entry(key: &str, schema: Json) -> Json {
    json!({ "type": "object", "properties": { key: schema }, "required": [key], "additionalProperties": false })
}

/// Returns the schema of null and of everything that fits `schema`.
fn nullable(mut schema: Json) -> Json {
    // An `enum` would still exclude null.
    if let Some(object) = schema.as_object_mut().filter(|object| !object.contains_key("enum")) {
        if let Some(ty @ Json::String(_)) = object.get_mut("type") {
            *ty = json!([ty.take(), "null"]);
            return schema;
        }
        if let Some(Json::Array(any)) = object.get_mut("anyOf") {
            any.push(null());
            return schema;
        }
    }
    json!({ "anyOf": [schema, { "type": "null" }] })
}

/// Returns the schema of one of the names of `members`. If any of them has docs, each name has its own.
fn names(members: &[Member]) -> Json {
    if members.iter().all(|member| member.docs.is_none()) {
        let names: Vec<_> = members.iter().map(|member| member.name.snake()).collect();
        return json!({ "type": "string", "enum": names });
    }
    let name = |member: &Member| {
        let mut schema = json!({ "const": member.name.snake() });
        describe(&mut schema, member.docs.as_deref());
        schema
    };
    json!({ "anyOf": members.iter().map(name).collect::<Vec<_>>() })
}

/// Returns true if the host reads a `ty` in more spellings than it writes, because there is a 64-bit integer in it.
fn differs_by_direction(ty: &Type) -> bool {
    match ty {
        Type::S64 | Type::U64 => true,
        Type::List(inner) | Type::Option(inner) => differs_by_direction(inner),
        // A key has one spelling, because it is always a string in JSON.
        Type::Map { value, .. } => differs_by_direction(value),
        Type::Tuple(types) => types.iter().any(differs_by_direction),
        Type::Result { ok, err } => [ok, err].into_iter().flatten().any(|ty| differs_by_direction(ty)),
        Type::Record(declared) | Type::Variant(declared) => {
            declared.members.iter().filter_map(|member| member.ty.as_ref()).any(differs_by_direction)
        }
        _ => false,
    }
}

/// Turns `search-hit` into `SearchHit`.
fn pascal_case(kebab: &str) -> String {
    kebab
        .split('-')
        .flat_map(|word| {
            let mut chars = word.chars();
            chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars)
        })
        .collect()
}
