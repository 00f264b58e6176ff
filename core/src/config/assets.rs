//! `assets` of a chainlet: the parts of its surroundings that it may see.

use std::collections::HashMap;
use std::path::PathBuf;

use schemars::{Schema, SchemaGenerator, json_schema};
use toml::de::DeValue;

use super::key::KeyPath;
use super::name::SecretName;
use super::place::Place;
use super::reader::{Expected, Node, Problems};
use super::row_type::{RowType, Text};
use super::table::{Table, table};

table! {
    /// The parts of its surroundings that a chainlet may see.
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct Assets {
        /// The names of the secrets that the chainlet may read, for example `secrets = ["hf_access_token"]`. The values
        /// come from environment variables or from a secrets file, never from chain.toml.
        pub secrets: Vec<SecretName> = Vec::new(), like "secrets = [\"hf_access_token\"]";

        /// The folders that the chainlet may open, for example
        /// `files = [{ source = "models/", path = "/models" }]`.
        pub files: Vec<FileMount> = Vec::new(), is "an array of folders",
            like "files = [{ source = \"models/\", path = \"/models\" }]";

        /// A folder in which the chainlet keeps its own files, relative to chain.toml, for example `data = "data/index"`.
        /// It is made if it is missing. All replicas see it at `/data` and may write to it.
        pub data: Option<PathBuf> = None, like "data = \"data/index\"";
    }
}

table! {
    /// A folder of the host that a chainlet may open.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct FileMount {
        /// The folder of the host, relative to chain.toml, for example `source = "models/"`.
        pub source: PathBuf = PathBuf::new(), required, is "the path of a folder of this machine",
            like "source = \"models/\"";

        /// The path at which the chainlet sees it, for example `path = "/models"`.
        pub path: String = String::new(), required, is "the path under which the chainlet sees it",
            bounds Text::Matches("^/"), like "path = \"/models\"";

        /// True if the chainlet may also write to it, for example `writable = true`.
        pub writable: bool = false, like "writable = true";
    }
}

impl Assets {
    /// The path at which a chainlet sees its data folder.
    pub const DATA_PATH: &str = "/data";
}

impl Table for Assets {
    const WHAT: &'static str = "a table of assets";

    fn check_rules(&self, place: &mut Place<'_>) {
        let mut seen = HashMap::new();
        for (index, mount) in self.files.iter().enumerate() {
            let at = place.at.key("files").index(index).key("path");
            let Some(path) = guest_path(place, &at, &mount.path) else { continue };
            let is_data = path.first().is_some_and(|first| Self::DATA_PATH.strip_prefix('/') == Some(first));
            if self.data.is_some() && is_data {
                let message = format!("the data folder is at {} already, found {:?}", Self::DATA_PATH, mount.path);
                place.error(&at, message, "choose another path, or remove assets.data");
            }
            if let Some(first) = seen.insert(path, index) {
                let message = format!("another file or folder is at {:?} already: files[{first}]", mount.path);
                place.error(&at, message, "give each its own path");
            }
        }
    }
}

impl Table for FileMount {
    const WHAT: &'static str = "a table with a source and a path";
}

/// Splits a mount's path into its parts, so that `/models` and `/models/` are the same. Rejects relative paths, and
/// paths with `.`, `..`, `\` or a NUL.
fn guest_path<'p>(place: &mut Place<'_>, at: &KeyPath, path: &'p str) -> Option<Vec<&'p str>> {
    let help = "write it like path = \"/models\"";
    if !path.starts_with('/') {
        place.error(at, format!("expected a path that begins with /, found {path:?}"), help);
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.iter().any(|part| *part == "." || *part == "..") || path.contains(['\0', '\\']) {
        place.error(at, format!("expected a plain path without `.`, `..` and `\\`, found {path:?}"), help);
        return None;
    }
    Some(parts)
}

/// The names of secrets. They are apart from other lists because a message about one may not show its value, and each
/// name stands in the list once.
impl RowType for Vec<SecretName> {
    type Bounds = ();

    fn what((): &()) -> &'static str {
        "an array of names of secrets"
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        if !matches!(node.value, DeValue::Array(_)) {
            // The value may well be a secret that the author put here instead of its name.
            return node.mistyped_in_private(
                problems,
                "expected an array of the names of secrets, found another kind of value",
                "list the names, like secrets = [\"hf_access_token\"]; the values belong into the environment or a \
                 secrets file",
            );
        }
        let of_name = Expected { what: "the name of a secret", ..expected };
        let elements = node.elements(problems, expected)?.into_iter();
        let names: Vec<_> = elements.map(|element| element.name(problems, of_name)).collect();
        // With a name left out, the check would name the wrong index.
        names.into_iter().collect()
    }

    fn schema((): &(), generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": generator.subschema_for::<SecretName>(), "uniqueItems": true })
    }

    fn is_nothing(&self) -> bool {
        self.is_empty()
    }

    fn check(&self, (): &(), place: &mut Place<'_>) {
        let mut seen = HashMap::new();
        for (index, name) in self.iter().enumerate() {
            if let Some(first) = seen.insert(name, index) {
                let message = format!("the secret {name} is listed already, as secrets[{first}]");
                place.error(&place.at.index(index), message, "remove one of the two");
            }
        }
    }
}
