//! The doc comments of a component's WIT.
//!
//! Components keep the names of a WIT file and lose its comments. So a guest may carry them in a custom section named
//! `chainlet:docs`: UTF-8 JSON, `{"run-remote": {"docs": …}, "types": {NAME: {"docs": …, "members": {NAME: …}}}}`, with
//! every name as WIT spells it. The guest SDK writes this section. The comments are shown in the OpenAPI document, and
//! calls do not depend on them, so a section that cannot be read is ignored.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use wasmparser::{Parser, Payload};

const SECTION: &str = "chainlet:docs";

/// The doc comments of one component.
#[derive(Default, Deserialize)]
pub(super) struct ComponentDocs {
    #[serde(rename = "run-remote", default)]
    run_remote: ItemDocs,
    #[serde(default)]
    types: HashMap<String, ItemDocs>,
}

#[derive(Default, Deserialize)]
struct ItemDocs {
    docs: Option<Arc<str>>,
    #[serde(default)]
    members: HashMap<String, Arc<str>>,
}

impl ComponentDocs {
    /// Reads the doc comments that `wasm` carries.
    pub(super) fn of(wasm: &[u8]) -> Self {
        let sections = Parser::new(0).parse_all(wasm).map_while(Result::ok).filter_map(|payload| match payload {
            Payload::CustomSection(section) if section.name() == SECTION => Some(section.data()),
            _ => None,
        });
        sections.filter_map(|data| serde_json::from_slice(data).ok()).next().unwrap_or_default()
    }

    pub(super) fn run_remote(&self) -> Option<Arc<str>> {
        self.run_remote.docs.clone()
    }

    pub(super) fn ty(&self, name: &str) -> Option<Arc<str>> {
        self.types.get(name)?.docs.clone()
    }

    pub(super) fn member(&self, ty: &str, member: &str) -> Option<Arc<str>> {
        self.types.get(ty)?.members.get(member).cloned()
    }
}
