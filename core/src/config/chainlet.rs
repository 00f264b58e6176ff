//! `[chainlets.NAME]`: one chainlet of the chain.

use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use schemars::{Schema, SchemaGenerator};

use super::assets::Assets;
use super::build::Build;
use super::builder::ChainletBuilder;
use super::component::ComponentSource;
use super::name::{ChainletName, DependencyName, InterfaceName};
use super::network::NetworkAccess;
use super::place::Place;
use super::policy::{DependencySpec, Health, Replicas};
use super::python::PythonClass;
use super::reader::{Expected, Node, Problems};
use super::resources::Resources;
use super::row_type::{Count, RowType};
use super::settings::Settings;
use super::table::{Rows, Table, table};
use crate::capability::keyvalue::ChainletStores;

table! {
    /// One chainlet of the chain, for example
    ///
    /// ```toml
    /// [chainlets.say-hello]
    /// component = "say_hello.wasm"
    /// replicas = 2
    /// ```
    #[derive(Debug, Clone, PartialEq)]
    #[non_exhaustive]
    pub struct ChainletSpec {
        /// The component file, relative to chain.toml, for example `component = "say_hello.wasm"`. With `python`, it is
        /// `build/NAME.wasm` by default.
        pub component: ComponentSource = ComponentSource::File(PathBuf::new()), required, unless "python",
            like "component = \"say_hello.wasm\"";

        /// The exported interface whose `run-remote` is served, for example `export = "demo:hello/greeter@1.0.0"`. It is
        /// needed only if the component exports several.
        pub export: Option<InterfaceName> = None, like "export = \"demo:hello/greeter@1.0.0\"";

        /// The way to build the component file, for `chainhost build` and `serve --build`. Either the command alone,
        /// `build = "cargo build --release --target wasm32-wasip2"`, or with its folder,
        /// `build = { command = "make", workdir = "say-hello" }`.
        pub build: Option<Build> = None, like "build = \"cargo build --release --target wasm32-wasip2\"";

        /// The Python class that the chainlet is, for example `python = "chain.py:SayHello"`. `chainhost build` and
        /// `serve --build` make the component of it. They also add what the class declares and chain.toml does not say:
        /// resources, secrets, hosts, stores, settings and dependencies.
        pub python: Option<PythonClass> = None, like "python = \"chain.py:SayHello\"";

        /// The number of live instances, each of which runs `init` once. Either a number, `replicas = 2`, or bounds between
        /// which it follows the load, `replicas = { min = 1, max = 4 }`.
        pub replicas: Replicas = Replicas::default(), like "replicas = 2 or replicas = { min = 1, max = 4 }";

        /// The most calls that one replica serves at once, for example `concurrency = 4`. A `run-remote` that is not async
        /// serves one call at a time, whatever this says.
        pub concurrency: u32 = 16, bounds Count::AtLeastOne("calls at once"), like "concurrency = 16";

        /// The most calls that may wait for a replica, for example `queue = 64`. Further calls are rejected as overloaded.
        /// With `queue = 0`, every call that cannot start at once is rejected.
        pub queue: u32 = 1024, like "queue = 1024";

        // Loading a model from a slow disk takes minutes. But a start that hangs should come to light before somebody
        // gives up on it.
        /// The longest time that a replica may take to start, including its `init`, for example `start_timeout = "10m"`. A
        /// replica that takes longer is ended.
        pub start_timeout: Duration = Duration::from_secs(5 * 60), like "start_timeout = \"5m\"";

        // Longer than most calls take: a client that leaves, or that waits only for a moment, must not cause the end of
        // a replica.
        /// The longest time for which a guest may hold a call that nobody waits for any more, for example `grace = "2m"`.
        /// After that, another replica takes its place. The guest is told at once that the call is over.
        pub grace: Duration = Duration::from_secs(30), like "grace = \"30s\"";

        // Longer than a guest should compute in one piece, and short enough that a chainlet which hangs is soon back.
        /// The longest time for which a guest may compute without returning to its event loop while a call of it is over,
        /// for example `stall = "5s"`. After that, another replica takes its place. A guest that computes can let go of no
        /// call meanwhile.
        pub stall: Duration = Duration::from_secs(1), like "stall = \"1s\"";

        /// The health checks, for a component that exports `chainlet:host/health`, for example
        /// `health = { interval = "1s", failures = 3 }`.
        pub health: Health = Health::default(), like "health = { interval = \"1s\", failures = 3 }";

        /// The parts of the machine that the chainlet may use, for example `resources = { memory = "256MiB" }`.
        pub resources: Resources = Resources::default(), like "resources = { memory = \"256MiB\" }";

        /// The parts of its surroundings that the chainlet may see, for example
        /// `assets = { secrets = ["hf_access_token"] }`. It sees nothing that is not named here.
        pub assets: Assets = Assets::default(), like "assets = { secrets = [\"hf_access_token\"] }";

        /// The hosts and addresses that the chainlet may reach over the network, for example
        /// `network = { hosts = ["api.example.com"] }`. It reaches nothing that is not named here.
        pub network: NetworkAccess = NetworkAccess::default(), like "network = { hosts = [\"api.example.com\"] }";

        /// The stores of keys and values that the chainlet may open through `wasi:keyvalue`: their names, for example
        /// `stores = ["sessions"]`, or the names that the chainlet has for them, `stores = { default = "sessions" }`.
        pub stores: ChainletStores = ChainletStores::default(),
            like "stores = [\"sessions\"] or stores = { default = \"sessions\" }";

        /// Plain settings of any shape, which the chainlet reads as JSON, for example `config = { greeting = "Hello" }`. Do
        /// not put secrets here. Put their names into `assets.secrets`.
        pub config: Settings = Settings::default(), like "config = { greeting = \"Hello\" }";

        /// Settings of capabilities that the program which embeds the host adds, each in a table of the capability's name, for
        /// example `capabilities.search = { index = "products" }`.
        pub capabilities: IndexMap<String, Settings> = IndexMap::new(),
            like "capabilities.search = { index = \"products\" }";

        /// The chainlet's dependencies, by the name under which it imports them. A dependency that is not listed here is
        /// the chainlet of the same name, or else the only one that exports the imported interface.
        pub depends: IndexMap<DependencyName, DependencySpec> = IndexMap::new(),
            like "depends = { say-hello = \"say-hello\" }";
    }
}

impl ChainletSpec {
    /// Begins a chainlet in code, from the path or the bytes of its component.
    pub fn builder(component: impl Into<ComponentSource>) -> ChainletBuilder {
        ChainletBuilder::new(component.into())
    }

    /// Returns a chainlet with defaults for everything but its component.
    #[must_use]
    pub fn new(component: impl Into<ComponentSource>) -> Self {
        Self { component: component.into(), ..Self::with_defaults() }
    }
}

impl Table for ChainletSpec {
    const WHAT: &'static str = "a table that describes a chainlet";
    const HINTS: &'static [(&'static str, &'static str)] = &[
        ("cpu", "move it to the table resources"),
        ("memory", "move it to the table resources"),
        ("value_limit", "move it to the table resources"),
        ("values_limit", "move it to the table resources"),
        ("gpu", "move it to the table resources"),
        ("secrets", "move it to the table assets"),
        ("files", "move it to the table assets"),
        ("data", "move it to the table assets"),
        ("timeout", "move it to a dependency, as in depends.NAME = { timeout = \"10s\" }"),
        ("attempts", "move it to a dependency, as in depends.NAME = { attempts = 3 }"),
        ("hosts", "move it to the table network, as in network = { hosts = [\"api.example.com\"] }"),
        ("entrypoint", "move it to the table [chain], as entrypoint = \"NAME\""),
    ];

    fn check_rules(&self, place: &mut Place<'_>) {
        if self.python.is_some() && self.build.is_some() {
            place.error(
                &place.at.key("build"),
                "expected no build command where `python` says what the component is made of, found one",
                "remove one of the two keys",
            );
        }
        if self.replicas.min == 0 && self.queue == 0 {
            place.error(
                &place.at.key("queue"),
                "expected at least 1 where replicas.min = 0, found 0: the call that starts a replica has to wait for it",
                "raise queue, or replicas.min",
            );
        }
    }
}

impl RowType for ComponentSource {
    type Bounds = ();

    fn what((): &()) -> &'static str {
        "the path of a component file"
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        node.text(problems, expected).map(Self::from)
    }

    fn schema((): &(), generator: &mut SchemaGenerator) -> Schema {
        PathBuf::schema(&(), generator)
    }

    fn check(&self, (): &(), place: &mut Place<'_>) {
        if let Self::File(path) = self {
            path.check(&(), place);
        }
    }
}

impl RowType for IndexMap<ChainletName, ChainletSpec> {
    type Bounds = ();

    fn what((): &()) -> &'static str {
        "a table of chainlets"
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        node.named(problems, expected, Expected { what: ChainletSpec::WHAT, ..expected })
    }

    fn schema((): &(), generator: &mut SchemaGenerator) -> Schema {
        let mut schema = generator.subschema_for::<Self>();
        schema.insert("minProperties".to_owned(), 1.into());
        schema
    }

    fn check(&self, (): &(), place: &mut Place<'_>) {
        if self.is_empty() {
            place.error(
                &place.at.clone(),
                "a chain needs at least one chainlet, found none",
                "add one: [chainlets.say-hello] with component = \"say_hello.wasm\" in it",
            );
        }
        for (name, chainlet) in self {
            chainlet.check(&(), &mut place.inner(place.at.key(name)));
        }
    }
}
