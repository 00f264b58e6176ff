//! The types in a component file, with the names that they have there.
//!
//! wasmtime's component types are structural: if WIT declares two types of one shape, `point` and `size`, wasmtime has
//! one type for both, and cannot tell by which name a parameter was declared. The file can. In the file, each export or
//! import of a type makes an identity of its own, to which functions and other types refer. So the types are read from
//! the file itself, by the same validator that wasmtime uses. Function bodies are not validated again, because wasmtime
//! has done so.

use std::collections::HashMap;
use std::fmt;
use std::iter::successors;
use std::sync::Arc;

use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType};
use wasmparser::types::{Types, TypesRef};
use wasmparser::{Parser, Payload, ValidPayload, Validator, WasmFeatures};

use super::ComponentError;

/// The prefix of names that wit-component makes. It puts an exported interface into a component of its own. That
/// component imports the types that the interface takes from others, under their names with this prefix. These types
/// have no other name if the interface does not `use` them itself.
const BORROWED: &str = "import-type-";

/// The imports and exports of a component, and the names of its types.
pub(super) struct ComponentTypes {
    types: Types,
    imports: Vec<String>,
    exports: Vec<String>,
    names: HashMap<ComponentAnyTypeId, Arc<str>>,
}

impl ComponentTypes {
    /// Reads the types of the component `wasm`.
    ///
    /// # Errors
    ///
    /// Fails if `wasm` is not a valid component.
    pub(super) fn read(wasm: &[u8]) -> Result<Self, ComponentError> {
        let mut validator = Validator::new_with_features(WasmFeatures::all());
        let mut borrowed = HashMap::new();
        // The imports and exports of each module and component that is open, the outermost first.
        let mut open: Vec<(Vec<String>, Vec<String>)> = Vec::new();
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload.map_err(unreadable)?;
            match (&payload, open.last_mut()) {
                (Payload::Version { .. }, _) => open.push(Default::default()),
                (Payload::ComponentImportSection(section), Some((imports, _))) => {
                    for import in section.clone() {
                        imports.push(import.map_err(unreadable)?.name.name.to_owned());
                    }
                }
                (Payload::ComponentExportSection(section), Some((_, exports))) => {
                    for export in section.clone() {
                        exports.push(export.map_err(unreadable)?.name.name.to_owned());
                    }
                }
                _ => {}
            }
            if let ValidPayload::End(types) = validator.payload(&payload).map_err(unreadable)? {
                let (imports, exports) = open.pop().unwrap_or_default();
                if !open.is_empty() {
                    borrowed.extend(borrowed_names(&types, &imports));
                    continue;
                }
                let mut read = ComponentTypes { types, imports, exports, names: HashMap::new() };
                read.names = read.own_names();
                for (id, name) in borrowed {
                    read.names.entry(id).or_insert(name);
                }
                return Ok(read);
            }
        }
        Err(unreadable("the file ends early"))
    }

    /// Returns all types, by their identities.
    pub(super) fn types(&self) -> TypesRef<'_> {
        self.types.as_ref()
    }

    /// Returns the imports, in the order of the file.
    pub(super) fn imports(&self) -> impl Iterator<Item = (&str, ComponentEntityType)> {
        self.imports.iter().filter_map(|name| Some((name.as_str(), self.types.component_item_for_import(name)?.ty)))
    }

    /// Returns the exports, in the order of the file.
    pub(super) fn exports(&self) -> impl Iterator<Item = (&str, ComponentEntityType)> {
        self.exports.iter().filter_map(|name| Some((name.as_str(), self.types.component_item_for_export(name)?.ty)))
    }

    /// Returns the name under which the type `id` was exported or imported, or else the name of the type that it is an
    /// alias of.
    pub(super) fn name(&self, id: impl Into<ComponentAnyTypeId>) -> Option<Arc<str>> {
        successors(Some(id.into()), |id| self.types.peel_alias(*id)).find_map(|id| self.names.get(&id).cloned())
    }

    /// Returns the names of the types at the root, and in the instances there.
    fn own_names(&self) -> HashMap<ComponentAnyTypeId, Arc<str>> {
        let mut names = HashMap::new();
        let mut add = |name: &str, ty: &ComponentEntityType| {
            if let ComponentEntityType::Type { created, .. } = ty {
                names.entry(*created).or_insert_with(|| Arc::from(name));
            }
        };
        for (name, ty) in self.exports().chain(self.imports()) {
            match ty {
                ComponentEntityType::Instance(id) => {
                    for (name, item) in self.types().get(id).into_iter().flat_map(|instance| &instance.exports) {
                        add(name, &item.ty);
                    }
                }
                ty => add(name, &ty),
            }
        }
        names
    }
}

/// Returns the types among `imports`, the imports of an inner component, that have their names from wit-component.
fn borrowed_names(types: &Types, imports: &[String]) -> Vec<(ComponentAnyTypeId, Arc<str>)> {
    let named = imports.iter().filter_map(|import| match types.component_item_for_import(import)?.ty {
        ComponentEntityType::Type { created, .. } => Some((created, Arc::from(import.strip_prefix(BORROWED)?))),
        _ => None,
    });
    named.collect()
}

fn unreadable(why: impl fmt::Display) -> ComponentError {
    ComponentError::new(format_args!("the types of the component cannot be read: {why}"))
        .help("build it again with the current toolchain; a component must be valid for wasmtime 48")
}
