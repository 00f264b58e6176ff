//! The host: what all chains of one process share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::capability::{self, Capabilities, Capability};
use crate::chain::{self, Chain, LoadError, Plan, StartProgress};
use crate::chainlet::errors::ErrorCounts;
use crate::component::CacheLimits;
use crate::component::cache::Cache;
use crate::config::{ChainSpec, ConfigErrors, SecretStore};
use crate::engine::{self, Shared};
use crate::gpu::Gpus;
use crate::machine::MachineError;
use crate::memory::{self, MemoryBudget};
use crate::offload::Offload;
use crate::threads::GuestThreads;

/// Compiles components and runs chains. Clones share everything.
#[derive(Clone)]
pub struct Host {
    shared: Shared,
    gpus: Arc<Gpus>,
    secrets: Arc<SecretStore>,
}

/// Why there is no host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The machine, or the process's limits, do not let wasmtime run.
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
    /// Two capabilities have the same name, or add the same interface.
    #[error("the capability {name} cannot be added: {error}")]
    Capability {
        /// The name of the capability.
        name: &'static str,
        /// The reason.
        error: String,
    },
    /// The machine, or a limit of this process, refuses something that every host needs, such as threads.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The folder for compiled code can't be used.
    #[error("the code cache {path} cannot be used: {error}", path = path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        error: std::io::Error,
    },
}

/// How a [`Host`] is to be.
#[must_use = "a builder does nothing until `build` is called"]
pub struct HostBuilder {
    cache: CodeCache,
    cache_limits: CacheLimits,
    secrets: Option<SecretStore>,
    guest_threads: Option<usize>,
    gpu_worker: Option<PathBuf>,
    memory_limit: Option<usize>,
    max_replicas: u32,
    source_lines: bool,
    capabilities: Capabilities,
}

enum CodeCache {
    Default,
    Folder(PathBuf),
    None,
}

impl Host {
    /// A host that keeps compiled code in this user's cache folder, and takes secrets from environment variables.
    ///
    /// # Errors
    ///
    /// As [`HostBuilder::build`].
    pub fn new() -> Result<Self, HostError> {
        Self::builder().build()
    }

    /// Begins a host.
    pub fn builder() -> HostBuilder {
        HostBuilder {
            cache: CodeCache::Default,
            cache_limits: CacheLimits::default(),
            secrets: None,
            guest_threads: None,
            gpu_worker: None,
            memory_limit: None,
            max_replicas: engine::REPLICAS,
            source_lines: false,
            capabilities: Capabilities::default(),
        }
    }

    /// The same host with other secrets, for chains that are loaded from now on.
    #[must_use]
    pub fn with_secrets(&self, secrets: SecretStore) -> Self {
        Host { shared: self.shared.clone(), gpus: self.gpus.clone(), secrets: Arc::new(secrets) }
    }

    /// Checks `spec` as far as that goes without running guests: its files, its components, the type of every edge, its
    /// secrets.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, each with its place in chain.toml.
    pub async fn check(&self, spec: &ChainSpec) -> Result<Plan, LoadError> {
        let plan = chain::plan(&self.shared, spec, &StartProgress::default()).await?;
        self.secrets.resolve(spec)?;
        Ok(plan)
    }

    /// Loads `spec` and starts its chainlets; it returns when each has run its `init`.
    ///
    /// # Errors
    ///
    /// As [`Host::check`], and where a chainlet does not start.
    pub async fn load(&self, spec: &ChainSpec) -> Result<Chain, LoadError> {
        self.load_with_progress(spec, &StartProgress::default()).await
    }

    /// As [`Host::load`]; `progress` tells meanwhile how far that has come.
    ///
    /// # Errors
    ///
    /// As [`Host::load`].
    pub async fn load_with_progress(&self, spec: &ChainSpec, progress: &StartProgress) -> Result<Chain, LoadError> {
        let plan = chain::plan(&self.shared, spec, progress).await?;
        let secrets = self.secrets.resolve(spec)?;
        chain::start(&self.shared, spec, plan, secrets, progress).await
    }

    /// The GPUs of this machine, each as a line that begins with the number by which chain.toml can name it. The first time
    /// it may take a second.
    pub fn gpus(&self) -> Vec<String> {
        self.gpus.list()
    }

    /// As [`Host::load`], of a chain.toml.
    ///
    /// # Errors
    ///
    /// As [`Host::load`], and where the file is not a valid chain.toml.
    pub async fn load_file(&self, path: impl AsRef<Path>) -> Result<Chain, LoadError> {
        self.load(&ChainSpec::from_file(path)?).await
    }
}

impl HostBuilder {
    /// Keeps compiled code in `folder`, which must belong to this user and be writable by no one else.
    pub fn code_cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = CodeCache::Folder(folder.into());
        self
    }

    /// Lets the folder of compiled code hold no more than `limits`, which have defaults. What other hosts have put
    /// there counts, too.
    pub fn code_cache_limits(mut self, limits: CacheLimits) -> Self {
        self.cache_limits = limits;
        self
    }

    /// Compiles every component anew at each start.
    pub fn without_code_cache(mut self) -> Self {
        self.cache = CodeCache::None;
        self
    }

    /// Takes secrets from `secrets` rather than from environment variables alone.
    pub fn secrets(mut self, secrets: SecretStore) -> Self {
        self.secrets = Some(secrets);
        self
    }

    /// Lets all guests together use at most `count` processors, at least one; as many as the machine has unless it is
    /// said. They are threads of the host's own, beside those of the runtime that embeds it. Guests whose calls take
    /// microseconds run on the threads of their callers, too.
    pub fn guest_threads(mut self, count: usize) -> Self {
        self.guest_threads = Some(count);
        self
    }

    /// Lets the host hold at most `bytes` at once for guests, clients and peers: bodies of requests, values on their way between
    /// chainlets, streams, answers that are not yet taken. What there is no room for is refused. Half of the memory that the
    /// process may have, by its control group or the machine, unless it is said. The memory of the guests themselves is not
    /// counted in it: `resources.memory` of chain.toml limits that.
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// Lets all chains of the host have `count` replicas together, 1,000 unless it is said. While a new version of a chain
    /// starts, those of both versions count. Each reserves 4 GiB of address space, which is not memory.
    pub fn max_replicas(mut self, count: u32) -> Self {
        self.max_replicas = count.max(1);
        self
    }

    /// Has the frames of a guest's trap tell files and lines, for components with line tables. By default they do not:
    /// each trap of such a component then costs tens of milliseconds, for which nothing interrupts it.
    pub fn source_lines(mut self, wanted: bool) -> Self {
        self.source_lines = wanted;
        self
    }

    /// Adds a capability: interfaces that guests may import, beside those of this crate. See [`Capability`].
    pub fn capability(mut self, capability: impl Capability) -> Self {
        self.capabilities.add(capability);
        self
    }

    /// Starts `program` for chains that say `[gpu] isolation = "process"`. It must be a program that calls
    /// [`gpu_worker`](crate::gpu_worker) first of all: the one that embeds the host may do so and name itself, by
    /// `/proc/self/exe` or [`std::env::current_exe`]. There is none unless it is said, and such chains do not load.
    pub fn gpu_worker(mut self, program: impl Into<PathBuf>) -> Self {
        self.gpu_worker = Some(program.into());
        self
    }

    /// Starts the host.
    ///
    /// # Errors
    ///
    /// Where the engine or the threads of the guests do not start, or a folder that was asked for as code cache can't
    /// be used. The default folder is done without where it can't be used, with a warning in the log.
    pub fn build(self) -> Result<Host, HostError> {
        let engine = engine::new(self.max_replicas, self.source_lines)
            .map_err(|error| HostError::Engine(format!("{error:#}")))?;
        engine::tick(&engine)?;
        let limits = self.cache_limits;
        let cache = match self.cache {
            CodeCache::None => None,
            CodeCache::Folder(path) => {
                Some(Cache::open(&path, limits).map_err(|error| HostError::Cache { path, error })?)
            }
            CodeCache::Default => Cache::default_folder().and_then(|path| {
                Cache::open(&path, limits)
                    .inspect_err(|error| {
                        tracing::warn!(file = %path.display(), %error, "no code cache: every start compiles anew");
                    })
                    .ok()
            }),
        };
        let secrets = match self.secrets {
            Some(secrets) => secrets,
            None => environment_secrets()?,
        };
        let gpus = Arc::new(Gpus::new(self.gpu_worker));
        let mut capabilities = capability::built_in(&gpus);
        if !self.capabilities.is_empty() {
            capabilities
                .append(self.capabilities)
                .map_err(|name| HostError::Capability { name, error: "another capability has this name".to_owned() })?;
            capabilities
                .check_linker(&engine)
                .map_err(|(name, error)| HostError::Capability { name, error: format!("{error:#}") })?;
        }
        let threads = Arc::new(GuestThreads::start(self.guest_threads)?);
        let shared = Shared {
            engine,
            max_replicas: self.max_replicas,
            cache: cache.map(Arc::new),
            threads,
            memory: MemoryBudget::new(self.memory_limit.unwrap_or_else(memory::default_limit)),
            errors: ErrorCounts::default(),
            offload: Offload::new(),
            capabilities,
        };
        Ok(Host { shared, gpus, secrets: Arc::new(secrets) })
    }
}

/// Secrets from environment variables alone; only a secrets file could be wrong.
fn environment_secrets() -> Result<SecretStore, HostError> {
    SecretStore::from_env_and_file(None).map_err(|errors: ConfigErrors| HostError::Engine(errors.to_string()))
}
