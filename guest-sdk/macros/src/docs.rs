//! Writes the docs of a contract in the form of the section `chainlet:docs`.
//!
//! The tools that make components drop the doc comments of WIT. This section
//! keeps them for the host's OpenAPI document. `guest-sdk/DOCS-SECTION.md`
//! describes the format.

#![expect(clippy::indexing_slicing, reason = "ids index the `Resolve` that they come from")]

use anyhow::Result;
use indexmap::{IndexMap, IndexSet};
use serde::Serialize;
use wit_bindgen_core::wit_parser::{Docs, Resolve, Type, TypeDefKind, TypeId};

use crate::bindings::collect;
use crate::world::World;

#[derive(Serialize, Default)]
#[serde(rename_all = "kebab-case")]
struct Section {
    #[serde(skip_serializing_if = "Entry::is_empty")]
    run_remote: Entry,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    types: IndexMap<String, Entry>,
}

#[derive(Serialize, Default, PartialEq)]
struct Entry {
    #[serde(skip_serializing_if = "String::is_empty")]
    docs: String,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    members: IndexMap<String, String>,
}

impl Entry {
    fn is_empty(&self) -> bool {
        self.docs.is_empty() && self.members.is_empty()
    }
}

/// Returns the bytes of the section, or `None` if nothing is documented.
pub fn section(world: &World) -> Result<Option<Vec<u8>>> {
    let function = world.run_remote()?;
    let mut section = Section::default();
    section.run_remote.docs = text(&function.docs);
    let mut types = IndexSet::new();
    collect(&world.resolve, function, &mut types);
    let mut ambiguous = Vec::new();
    for id in types {
        let Some(name) = world.resolve.types[id].name.clone() else { continue };
        let entry = entry(&world.resolve, id);
        match section.types.get(&name) {
            Some(known) if *known != entry => ambiguous.push(name),
            _ => {
                section.types.insert(name, entry);
            }
        }
    }
    // If two types share a name, the docs of one would be wrong for the other.
    section.types.retain(|name, entry| !entry.is_empty() && !ambiguous.contains(name));
    if section.run_remote.is_empty() && section.types.is_empty() {
        return Ok(None);
    }
    Ok(Some(serde_json::to_vec(&section)?))
}

/// Returns the docs of one type. An alias has its own docs if it has any, and
/// else those of its type.
fn entry(resolve: &Resolve, id: TypeId) -> Entry {
    let definition = &resolve.types[id];
    let mut entry = Entry { docs: text(&definition.docs), members: IndexMap::new() };
    let mut member = |name: &str, docs: &Docs| {
        let docs = text(docs);
        if !docs.is_empty() {
            entry.members.insert(name.to_owned(), docs);
        }
    };
    match &definition.kind {
        TypeDefKind::Record(record) => {
            record.fields.iter().for_each(|field| member(&field.name, &field.docs));
        }
        TypeDefKind::Variant(variant) => {
            variant.cases.iter().for_each(|case| member(&case.name, &case.docs));
        }
        TypeDefKind::Enum(cases) => {
            cases.cases.iter().for_each(|case| member(&case.name, &case.docs));
        }
        TypeDefKind::Flags(flags) => {
            flags.flags.iter().for_each(|flag| member(&flag.name, &flag.docs));
        }
        TypeDefKind::Type(Type::Id(original)) => {
            let original = self::entry(resolve, *original);
            entry.members = original.members;
            if entry.docs.is_empty() {
                entry.docs = original.docs;
            }
        }
        _ => {}
    }
    entry
}

fn text(docs: &Docs) -> String {
    docs.contents.as_deref().unwrap_or_default().trim().to_owned()
}
