//! The names of the WIT's types in the author's scope.

#![expect(clippy::indexing_slicing, reason = "ids index the `Resolve` that they come from")]

use std::collections::HashMap;

use heck::ToUpperCamelCase as _;
use syn::Ident;
use wit_bindgen_core::wit_parser::{Function, Type};

use super::rust_type::RustType;
use crate::bindings;
use crate::world::World;

/// The types that the macro brings into the author's scope, by their names.
pub struct Names(HashMap<String, Vec<RustType>>);

impl Names {
    /// Collects those of `world`, whose `run-remote` is `function`.
    pub fn new(world: &World, function: &Function) -> Self {
        let mut names: HashMap<_, Vec<_>> = HashMap::new();
        for id in bindings::types_in_scope(world, function) {
            let Some(name) = &world.resolve.types[id].name else { continue };
            let name = name.to_upper_camel_case();
            if !bindings::PRELUDE.contains(&name.as_str()) {
                names.entry(name).or_default().push(RustType::of(&world.resolve, Type::Id(id)));
            }
        }
        Names(names)
    }

    /// Returns the types that `name` may stand for; `None` if the world has no
    /// type of that name.
    pub fn get(&self, name: &Ident) -> Option<&[RustType]> {
        self.0.get(&name.to_string()).map(Vec::as_slice)
    }
}
