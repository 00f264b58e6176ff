//! Ways to break JSON that fits its type.

use serde_json::{Value as Json, json};

use crate::value::ty::Type;

/// A way to break a document: put `with` at the place `at`. The rejection must give `pointer`.
pub(crate) struct Break {
    pub at: String,
    pub with: Json,
    pub pointer: String,
}

/// Adds to `breaks` every known way to break `json`, which is of type `ty` and stands at `at`.
pub(crate) fn find_breaks(ty: &Type, json: &Json, at: String, breaks: &mut Vec<Break>) {
    let mut add = |with: Json, step: Option<String>| {
        let pointer = at.clone() + &step.map(|step| format!("/{step}")).unwrap_or_default();
        breaks.push(Break { at: at.clone(), with, pointer });
    };
    match ty {
        Type::Bool => add(json!(1), None),
        Type::S8 | Type::U8 => add(json!(256), None),
        Type::S16 | Type::U16 => add(json!(65536), None),
        Type::S32 | Type::U32 => {
            add(json!(4_294_967_296u64), None);
            add(json!(1.5), None);
        }
        Type::S64 | Type::U64 => {
            add(json!(1e30), None);
            add(json!("1.5"), None);
            add(json!(false), None);
        }
        Type::F32 => {
            add(json!(1e39), None);
            add(json!("nan"), None);
        }
        Type::F64 => add(json!("1.5"), None),
        Type::Char => add(json!("ab"), None),
        Type::String => add(json!(["a"]), None),
        Type::Enum(_) => add(json!("nope"), None),
        Type::List(inner) if **inner == Type::U8 => add(json!([1]), None),
        Type::List(inner) => {
            add(json!({}), None);
            for (index, item) in json.as_array().unwrap().iter().enumerate() {
                find_breaks(inner, item, format!("{at}/{index}"), breaks);
            }
        }
        Type::Map { key, value } => {
            add(json!([]), None);
            let object = json.as_object().unwrap();
            if **key != Type::String {
                let (name, entry) = ("nope", object.values().next().cloned().unwrap_or_default());
                let more = object.clone().into_iter().chain([(name.to_owned(), entry)]);
                add(Json::Object(more.collect()), Some(name.to_owned()));
            }
            for (key, item) in object {
                let step = key.replace('~', "~0").replace('/', "~1");
                // The pointers of messages cut longer keys, so those cannot be compared.
                if step.len() <= 256 {
                    find_breaks(value, item, format!("{at}/{step}"), breaks);
                }
            }
        }
        Type::Tuple(types) => {
            let items = json.as_array().unwrap();
            add(Json::Array(items.iter().cloned().chain([json!(0)]).collect()), Some(items.len().to_string()));
            add(json!([]), None);
            for (index, (ty, item)) in types.iter().zip(items).enumerate() {
                find_breaks(ty, item, format!("{at}/{index}"), breaks);
            }
        }
        Type::Flags(_) => {
            let names = json.as_array().unwrap();
            let more = |name| Json::Array(names.iter().cloned().chain([name]).collect());
            add(more(json!("nope")), Some(names.len().to_string()));
            if let Some(name) = names.first() {
                add(more(name.clone()), Some(names.len().to_string()));
            }
        }
        Type::Option(inner) => match (&**inner, json) {
            (_, Json::Null) => {}
            (Type::Option(_), _) => {
                add(json!({"nope": null}), Some("nope".into()));
                find_breaks(inner, &json["some"], at + "/some", breaks);
            }
            _ => find_breaks(inner, json, at, breaks),
        },
        Type::Result { ok, err } => {
            add(json!({"nope": null}), Some("nope".into()));
            add(json!({}), None);
            let (key, payload) = json.as_object().unwrap().iter().next().unwrap();
            match if key == "ok" { ok } else { err } {
                Some(ty) => find_breaks(ty, payload, format!("{at}/{key}"), breaks),
                None => add(json!({ key: 0 }), Some(key.clone())),
            }
        }
        Type::Variant(declared) => {
            add(json!("nope"), None);
            add(json!({"nope": 1}), Some("nope".into()));
            if let Some((key, payload)) = json.as_object().and_then(|object| object.iter().next()) {
                let case = declared.members.iter().find(|case| case.name.snake() == key).unwrap();
                find_breaks(case.ty.as_ref().unwrap(), payload, format!("{at}/{key}"), breaks);
            }
        }
        Type::Record(declared) => {
            let object = json.as_object().unwrap();
            let mut more = object.clone();
            more.insert("nope".into(), json!(1));
            add(Json::Object(more), Some("nope".into()));
            for field in declared.members.iter().filter(|field| !matches!(field.ty, Some(Type::Option(_)))) {
                let mut less = object.clone();
                less.remove(field.name.snake());
                add(Json::Object(less), None);
            }
            for field in &declared.members {
                let name = field.name.snake();
                find_breaks(field.ty.as_ref().unwrap(), &object[name], format!("{at}/{name}"), breaks);
            }
        }
        Type::Stream(_) | Type::Future(_) | Type::Unsupported(_) => {}
    }
}
