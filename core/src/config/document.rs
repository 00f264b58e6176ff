//! The tables at the top of chain.toml, and the table `[chain]`.

use indexmap::IndexMap;

use super::chainlet::ChainletSpec;
use super::name::{ChainName, ChainletName, EnvironmentName, StoreName};
use super::policy::Rollout;
use super::table::{Table, table};
use crate::capability::gpu::GpuHost;
use crate::capability::keyvalue::StoreSpec;

table! {
    /// A chain.toml: a chain of chainlets. The reference is `docs/chain-toml.md`.
    pub(super) struct ChainFile {
        /// The chain as a whole.
        pub(super) chain: ChainTable = ChainTable::with_defaults(), required, like "[chain] with name = \"hello-all\" in it";

        /// The chainlets, each in a table of its name, for example `[chainlets.say-hello]`.
        pub(super) chainlets: IndexMap<ChainletName, ChainletSpec> = IndexMap::new(), required,
            like "[chainlets.say-hello] with component = \"say_hello.wasm\" in it";

        /// The settings of GPU work for the whole chain, for example `isolation = "process"`.
        pub(super) gpu: GpuHost = GpuHost::default(),
            like "[gpu] with isolation = \"process\" in it; what a chainlet may use of a GPU is said in its resources.gpu";

        /// The stores of keys and values, each in a table of its name, for example `[stores.sessions]`.
        pub(super) stores: IndexMap<StoreName, StoreSpec> = IndexMap::new(),
            like "[stores.sessions] with type = \"memory\" in it";
    }
}

table! {
    /// The chain as a whole, for example
    ///
    /// ```toml
    /// [chain]
    /// name = "hello-all"
    /// entrypoint = "hello-all"
    /// ```
    pub(super) struct ChainTable {
        /// The name of the chain, for people, logs and metrics, for example `name = "hello-all"`.
        pub(super) name: Option<ChainName> = None, required, like "name = \"hello-all\"";

        /// The chainlet that serves the chain's callers, for example `entrypoint = "hello-all"`. It may be left out if
        /// exactly one chainlet is nobody's dependency.
        pub(super) entrypoint: Option<ChainletName> = None, like "entrypoint = \"hello-all\"";

        /// The environment in which the chain runs, as its chainlets are told, for example `environment = "production"`.
        pub(super) environment: EnvironmentName = EnvironmentName::default(), like "environment = \"production\"";

        /// The way in which a new version of the chain replaces the running one: `rollout = "atomic"` at once, `"canary"`
        /// for a share of the calls first, or `rollout = { canary = { share = 0.1, trial = "5m" } }`.
        pub(super) rollout: Rollout = Rollout::default(),
            like "rollout = { canary = { share = 0.1, trial = \"5m\" } }";
    }
}

impl Table for ChainTable {
    const WHAT: &'static str = "a table with the name of the chain";
}
