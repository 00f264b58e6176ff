//! Builds a chain in code, instead of reading it from a file.

use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;

use super::assets::FileMount;
use super::build::Build;
use super::chainlet::ChainletSpec;
use super::component::ComponentSource;
use super::error::{ConfigError, ConfigErrors};
use super::key::KeyPath;
use super::location::Location;
use super::name::{
    ChainName, ChainletName, DependencyName, EnvironmentName, InterfaceName, NameError, SecretName, StoreName,
};
use super::network::NetworkAccess;
use super::policy::{DependencySpec, Health, Replicas, Rollout};
use super::resources::Resources;
use super::settings::SettingValue;
use super::spec::{ChainSpec, DEFAULT_WORKDIR};
use super::validate;
use crate::capability::gpu::GpuHost;
use crate::capability::keyvalue::StoreSpec;

/// Collects a chain. [`ChainBuilder::build`] checks it in the same way as a file.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ChainBuilder {
    name: String,
    entrypoint: Option<String>,
    environment: Option<String>,
    rollout: Rollout,
    gpu: GpuHost,
    stores: Vec<(String, StoreSpec)>,
    base_dir: PathBuf,
    chainlets: Vec<(String, ChainletBuilder)>,
}

/// Collects a chainlet for [`ChainBuilder::chainlet`]. Everything that is not set has the default of chain.toml.
#[derive(Debug, Clone)]
#[must_use = "a chainlet does nothing until it is added to a chain"]
pub struct ChainletBuilder {
    spec: ChainletSpec,
    /// The names that were rejected, each with the key at which it was given, as seen from the chainlet.
    misnamed: Vec<(KeyPath, NameError)>,
}

impl ChainBuilder {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            entrypoint: None,
            environment: None,
            rollout: Rollout::default(),
            gpu: GpuHost::default(),
            stores: Vec::new(),
            base_dir: PathBuf::from(DEFAULT_WORKDIR),
            chainlets: Vec::new(),
        }
    }

    /// Sets the chainlet that serves the chain's callers. By default, it is the only one that is nobody's dependency.
    pub fn entrypoint(mut self, chainlet: impl Into<String>) -> Self {
        self.entrypoint = Some(chainlet.into());
        self
    }

    /// Sets the environment that the chainlets are told they run in. By default, it is `development`.
    pub fn environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = Some(environment.into());
        self
    }

    /// Sets the way in which the chain replaces an older version of it. By default, it does so at once.
    pub fn rollout(mut self, rollout: Rollout) -> Self {
        self.rollout = rollout;
        self
    }

    /// Sets where the host does GPU work for the chain. By default, it does it in this process.
    pub fn gpu(mut self, gpu: GpuHost) -> Self {
        self.gpu = gpu;
        self
    }

    /// Adds a store of keys and values.
    pub fn store(mut self, name: impl Into<String>, store: StoreSpec) -> Self {
        self.stores.push((name.into(), store));
        self
    }

    /// Sets the folder from which relative paths start. By default, it is the current folder of the process.
    pub fn base_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.base_dir = folder.into();
        self
    }

    /// Adds a chainlet.
    pub fn chainlet(mut self, name: impl Into<String>, chainlet: ChainletBuilder) -> Self {
        self.chainlets.push((name.into(), chainlet));
        self
    }

    /// Checks the chain, and returns it as a spec.
    ///
    /// # Errors
    /// Fails if anything is wrong with the chain. Each error has the key that the setting would have in chain.toml. If
    /// any names are wrong, only these are reported.
    pub fn build(self) -> Result<ChainSpec, ConfigErrors> {
        let mut errors = Vec::new();
        let mut checked = |key: KeyPath, error: NameError| errors.push(misnamed(key, &error));
        let name = ChainName::new(&self.name).map_err(|error| checked(["chain", "name"].into(), error)).ok();
        let entrypoint = self.entrypoint.as_deref().and_then(|name| {
            ChainletName::new(name).map_err(|error| checked(["chain", "entrypoint"].into(), error)).ok()
        });
        let environment = self.environment.as_deref().and_then(|name| {
            EnvironmentName::new(name).map_err(|error| checked(["chain", "environment"].into(), error)).ok()
        });
        let mut stores = IndexMap::new();
        for (name, store) in self.stores {
            match StoreName::new(&name) {
                Ok(name) => drop(stores.insert(name, store)),
                Err(error) => checked(["stores", name.as_str()].into(), error),
            }
        }
        let mut chainlets = IndexMap::new();
        let mut repeated = Vec::new();
        for (name, chainlet) in self.chainlets {
            let at = KeyPath::from(["chainlets", name.as_str()]);
            for (key, error) in chainlet.misnamed {
                checked(at.join(&key), error);
            }
            match ChainletName::new(&name) {
                Ok(name) => {
                    if chainlets.insert(name, chainlet.spec).is_some() {
                        repeated.push(at);
                    }
                }
                Err(error) => checked(at, error),
            }
        }
        errors.extend(repeated.into_iter().map(|at| {
            let help = "give each chainlet its own name; one component may serve several";
            ConfigError::new(Location::in_code(at), "a chainlet of this name was added already", help)
        }));
        // Wrong names are reported alone, because other mistakes may only follow from them.
        match name {
            Some(name) if errors.is_empty() => {
                let rollout = self.rollout;
                let locate = |key: &KeyPath| Location::in_code(key.clone());
                ConfigErrors::check(validate::check(&chainlets, &stores, entrypoint.as_ref(), rollout, &locate))?;
                Ok(ChainSpec {
                    name,
                    entrypoint,
                    environment: environment.unwrap_or_default(),
                    rollout,
                    gpu: self.gpu,
                    stores,
                    chainlets,
                    base_dir: self.base_dir,
                    source: None,
                })
            }
            _ => Err(ConfigErrors::all(errors)),
        }
    }
}

impl ChainletBuilder {
    pub(super) fn new(component: ComponentSource) -> Self {
        Self { spec: ChainletSpec::new(component), misnamed: Vec::new() }
    }

    /// Sets the exported interface whose `run-remote` is served. It is needed only if the component exports several.
    pub fn export(mut self, interface: impl AsRef<str>) -> Self {
        self.spec.export = self.name(["export"].into(), InterfaceName::new(interface));
        self
    }

    /// Sets the way to build the component file.
    pub fn build_with(mut self, build: Build) -> Self {
        self.spec.build = Some(build);
        self
    }

    /// Lets the chainlet read the secret of this name.
    pub fn secret(mut self, name: impl AsRef<str>) -> Self {
        let key = KeyPath::from(["assets", "secrets"]).index(self.spec.assets.secrets.len());
        let secret = self.name(key, SecretName::new(name));
        self.spec.assets.secrets.extend(secret);
        self
    }

    /// Lets the chainlet open a folder of the host.
    pub fn file(mut self, mount: FileMount) -> Self {
        self.spec.assets.files.push(mount);
        self
    }

    /// Sets the folder in which the chainlet keeps its own files.
    pub fn data(mut self, folder: impl Into<PathBuf>) -> Self {
        self.spec.assets.data = Some(folder.into());
        self
    }

    /// Lets the chainlet open the store `store` as `identifier`.
    pub fn store(mut self, identifier: impl Into<String>, store: impl AsRef<str>) -> Self {
        let identifier = identifier.into();
        let key = KeyPath::from(["stores", identifier.as_str()]);
        if let Some(name) = self.name(key, StoreName::new(store)) {
            self.spec.stores.0.insert(identifier, name);
        }
        self
    }

    /// Sets a plain setting.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<SettingValue>) -> Self {
        self.spec.config.insert(name, value);
        self
    }

    /// Sets a setting of a capability.
    pub fn capability(
        mut self,
        capability: impl Into<String>,
        name: impl Into<String>,
        value: impl Into<SettingValue>,
    ) -> Self {
        self.spec.capabilities.entry(capability.into()).or_default().insert(name, value);
        self
    }

    /// Resolves the dependency that the component imports as `dependency` to `chainlet`, with the default edge.
    pub fn depends(mut self, dependency: impl AsRef<str>, chainlet: impl AsRef<str>) -> Self {
        let key = KeyPath::from(["depends", dependency.as_ref(), "chainlet"]);
        match self.name(key, ChainletName::new(chainlet)) {
            Some(chainlet) => {
                let edge = DependencySpec { chainlet: Some(chainlet), ..DependencySpec::default() };
                self.edge(dependency, edge)
            }
            None => self,
        }
    }

    /// Sets the edge for the dependency that the component imports as `dependency`.
    pub fn edge(mut self, dependency: impl AsRef<str>, edge: DependencySpec) -> Self {
        let key = KeyPath::from(["depends", dependency.as_ref()]);
        if let Some(name) = self.name(key, DependencyName::new(dependency)) {
            self.spec.depends.insert(name, edge);
        }
        self
    }

    fn name<T>(&mut self, key: KeyPath, name: Result<T, NameError>) -> Option<T> {
        name.map_err(|error| self.misnamed.push((key, error))).ok()
    }
}

/// Makes a setter for each key whose value needs no check of its own.
macro_rules! setters {
    ($($key:ident: $Type:ty),+ $(,)?) => {
        impl ChainletBuilder {$(
            #[doc = concat!("Sets [`", stringify!($key), "`](ChainletSpec::", stringify!($key), ").")]
            pub fn $key(mut self, $key: $Type) -> Self {
                self.spec.$key = $key;
                self
            }
        )+}
    };
}

setters! {
    replicas: Replicas,
    concurrency: u32,
    queue: u32,
    start_timeout: Duration,
    grace: Duration,
    stall: Duration,
    health: Health,
    resources: Resources,
    network: NetworkAccess,
}

fn misnamed(key: KeyPath, error: &NameError) -> ConfigError {
    let help = match error.suggestion() {
        Some(suggestion) => format!("did you mean {suggestion:?}?"),
        None => "choose another name".to_owned(),
    };
    ConfigError::new(Location::in_code(key), error.to_string(), help)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::size::ByteSize;
    use super::*;
    use crate::capability::gpu::{AdapterChoice, GpuResources, Isolation};

    #[test]
    fn a_chain_in_code_equals_the_same_chain_in_a_file() {
        let text = r#"
            [chain]
            name = "hello"
            entrypoint = "hello-all"
            [chainlets.say-hello]
            component = "say_hello.wasm"
            replicas = 2
            assets = { secrets = ["token"], files = [{ source = "m", path = "/m" }] }
            config = { greeting = "Hello", times = 2 }
            [chainlets.hello-all]
            component = "hello_all.wasm"
            depends = { greeter = { chainlet = "say-hello", timeout = "10s", attempts = 3 } }
        "#;
        let from_file = ChainSpec::from_toml(text, Path::new("chain.toml")).unwrap();
        let edge = DependencySpec {
            chainlet: Some("say-hello".parse().unwrap()),
            timeout: Some(Duration::from_secs(10)),
            attempts: 3,
            ..DependencySpec::default()
        };
        let in_code = ChainSpec::builder("hello")
            .entrypoint("hello-all")
            .chainlet(
                "say-hello",
                ChainletSpec::builder("say_hello.wasm")
                    .replicas(Replicas::exactly(2))
                    .secret("token")
                    .file(FileMount { source: "m".into(), path: "/m".into(), writable: false })
                    .setting("greeting", "Hello")
                    .setting("times", 2),
            )
            .chainlet("hello-all", ChainletSpec::builder("hello_all.wasm").edge("greeter", edge))
            .build()
            .unwrap();
        assert_eq!(in_code.chainlets, from_file.chainlets);
        assert_eq!((in_code.name, in_code.entrypoint), (from_file.name, from_file.entrypoint));
        assert_eq!((in_code.environment, in_code.base_dir), (from_file.environment, from_file.base_dir));
    }

    #[test]
    fn every_wrong_name_is_reported_with_the_key_it_would_have() {
        let errors = ChainSpec::builder("My Chain")
            .chainlet("a", ChainletSpec::builder("a.wasm").secret("x y").depends("B", "Not_A_Name").export("?"))
            .chainlet("a", ChainletSpec::builder("a.wasm"))
            .build()
            .unwrap_err();
        let keys: Vec<_> = errors.iter().map(|error| error.location().to_string()).collect();
        let expected = [
            "chain.name",
            "chainlets.a.assets.secrets[0]",
            "chainlets.a.depends.B.chainlet",
            "chainlets.a.export",
            "chainlets.a",
        ];
        assert_eq!(keys, expected, "{errors}");
    }

    #[test]
    fn a_gpu_in_code_equals_the_same_gpu_in_a_file() {
        let text = r#"
            [chain]
            name = "hello"
            [gpu]
            isolation = "process"
            [chainlets.a]
            component = "a.wasm"
            resources.gpu = { adapter = 1, memory = "8GiB" }
        "#;
        let from_file = ChainSpec::from_toml(text, Path::new("chain.toml")).unwrap();
        let gpu = GpuResources {
            adapter: Some(AdapterChoice::Index(1)),
            memory: ByteSize::gib(8),
            ..GpuResources::default()
        };
        let resources = Resources { gpu: Some(gpu), ..Resources::default() };
        let in_code = ChainSpec::builder("hello")
            .gpu(GpuHost::new(Isolation::Process))
            .chainlet("a", ChainletSpec::builder("a.wasm").resources(resources))
            .build()
            .unwrap();
        assert_eq!((in_code.gpu, in_code.chainlets), (from_file.gpu, from_file.chainlets));
    }

    #[test]
    fn an_adapter_without_a_name_is_rejected_in_code_too() {
        let gpu =
            GpuResources { adapter: Some(AdapterChoice::Name(" ".to_owned())), queue: 0, ..GpuResources::default() };
        let resources = Resources { gpu: Some(gpu), ..Resources::default() };
        let chainlet = ChainletSpec::builder("a.wasm").resources(resources);
        let errors = ChainSpec::builder("c").chainlet("a", chainlet).build().unwrap_err();
        let expected = "chainlets.a.resources.gpu.adapter: expected a part of an adapter's name, found \" \": every \
            adapter's name holds it, so it chooses none\n\
            help: write it like adapter = \"RTX\", or remove it for the best adapter that there is\n\n\
            chainlets.a.resources.gpu.queue: expected at least 1, found 0 submissions\n\
            help: raise it, or remove it for the default";
        assert_eq!(errors.to_string(), expected);
    }

    #[test]
    fn a_chain_in_code_is_checked_like_a_file() {
        let errors = ChainSpec::builder("c")
            .chainlet("a", ChainletSpec::builder("").replicas(Replicas::between(3, 2)).depends("b", "c"))
            .build()
            .unwrap_err();
        let expected = "chainlets.a.component: expected a path, found an empty text\n\
            help: write it like component = \"say_hello.wasm\"\n\n\
            chainlets.a.replicas.min: expected at most as many as max = 2, found 3\n\
            help: raise max, or lower min\n\n\
            chainlets.a.depends.b.chainlet: expected a chainlet of this chain, found \"c\"\n\
            help: add [chainlets.c], or name one of: a";
        assert_eq!(errors.to_string(), expected);
    }
}
