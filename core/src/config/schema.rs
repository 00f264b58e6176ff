//! The JSON Schema of chain.toml, made from the types into which the file is read.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::document::ChainFile;
use super::name::{ChainName, ChainletName, EnvironmentName, InterfaceName, SecretName, StoreName};

pub(super) fn json_schema() -> serde_json::Value {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<ChainFile>();
    schema.insert("title".to_owned(), "chain.toml".into());
    schema.to_value()
}

macro_rules! name_schemas {
    ($($Name:ident: $description:literal;)+) => {$(
        impl JsonSchema for $Name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($Name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $Name::PATTERN, "description": $description })
            }
        }
    )+};
}

name_schemas! {
    ChainName: "The name of a chain: lowercase words joined by hyphens.";
    EnvironmentName: "The name of an environment.";
    ChainletName: "The name of a chainlet: lowercase words joined by hyphens.";
    StoreName: "The name of a store: lowercase words joined by hyphens.";
    SecretName: "The name of a secret, never its value.";
    InterfaceName: "The id of an exported interface, or the plain name of an inline one.";
}
