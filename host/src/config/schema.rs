//! The JSON Schema of chain.toml, made from the types into which the file is read.

use std::borrow::Cow;

use indexmap::IndexMap;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::chainlet::ChainletSpec;
use super::gpu::GpuHost;
use super::name::{ChainName, ChainletName, EnvironmentName, InterfaceName, SecretName, StoreName};
use super::policy::Rollout;
use super::row_type::RowType;
use crate::capability::keyvalue::StoreSpec;

pub(super) fn json_schema() -> serde_json::Value {
    SchemaSettings::draft07().into_generator().into_root_schema_for::<ChainFile>().to_value()
}

/// A chain.toml: a chain of chainlets. The reference is `docs/chain-toml.md`.
#[derive(JsonSchema)]
#[schemars(title = "chain.toml", deny_unknown_fields)]
#[allow(dead_code, reason = "only its schema is used")]
struct ChainFile {
    /// The chain as a whole.
    chain: ChainTable,

    /// The settings of GPU work for the whole chain, for example `isolation = "process"`.
    #[schemars(default)]
    gpu: GpuHost,

    /// The stores of keys and values, each in a table of its name, for example `[stores.sessions]`.
    #[schemars(default)]
    stores: IndexMap<StoreName, StoreSpec>,

    /// The chainlets, each in a table of its name, for example `[chainlets.say-hello]`.
    #[schemars(extend("minProperties" = 1))]
    chainlets: IndexMap<ChainletName, ChainletSpec>,
}

/// The chain as a whole, for example
///
/// ```toml
/// [chain]
/// name = "hello-all"
/// entrypoint = "hello-all"
/// ```
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code, reason = "only its schema is used")]
struct ChainTable {
    /// The name of the chain, for people, logs and metrics, for example `name = "hello-all"`.
    name: ChainName,

    /// The chainlet that serves the chain's callers, for example `entrypoint = "hello-all"`. It may be left out if
    /// exactly one chainlet is nobody's dependency.
    #[schemars(default, with = "ChainletName", skip_serializing_if = "Option::is_none")]
    entrypoint: Option<ChainletName>,

    /// The environment in which the chain runs, as its chainlets are told, for example `environment = "production"`.
    #[schemars(default)]
    environment: EnvironmentName,

    /// The way in which a new version of the chain replaces the running one: `rollout = "atomic"` at once, `"canary"`
    /// for a share of the calls first, or `rollout = { canary = { share = 0.1, trial = "5m" } }`.
    #[schemars(default, schema_with = "row_type::<Rollout>")]
    rollout: Rollout,
}

/// Returns the JSON Schema of a type that says it itself.
fn row_type<T: RowType>(generator: &mut SchemaGenerator) -> Schema {
    T::schema(&T::Bounds::default(), generator)
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
