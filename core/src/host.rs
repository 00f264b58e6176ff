//! The host: everything that all chains of one process share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::capability::{self, Capabilities, Capability};
use crate::chain::{self, Chain, LoadError, Plan, StartProgress};
use crate::chainlet::errors::ErrorCounts;
use crate::component::CacheLimits;
use crate::component::cache::Cache;
use crate::config::{ChainSpec, ConfigErrors, SecretStore};
use crate::engine::{self, HostParts};
use crate::gpu::Gpus;
use crate::machine::MachineError;
use crate::memory::{self, MemoryBudget};
use crate::offload::Offload;
use crate::threads::GuestThreads;

/// Compiles components and runs chains. Clones share everything.
#[derive(Clone)]
pub struct Host {
    shared: HostParts,
    gpus: Arc<Gpus>,
    secrets: Arc<SecretStore>,
}

/// The reason why a host does not start.
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
        /// The error of the system.
        error: std::io::Error,
    },
}

/// The settings of a [`Host`].
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
    /// Makes a host that keeps compiled code in this user's cache folder, and takes secrets from environment variables.
    ///
    /// # Errors
    ///
    /// Fails like [`HostBuilder::build`].
    pub fn new() -> Result<Self, HostError> {
        Self::builder().build()
    }

    /// Returns a builder with the default settings.
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

    /// Returns the same host with other secrets, for chains that are loaded from now on.
    #[must_use]
    pub fn with_secrets(&self, secrets: SecretStore) -> Self {
        Host { shared: self.shared.clone(), gpus: self.gpus.clone(), secrets: Arc::new(secrets) }
    }

    /// Checks everything in `spec` that can be checked without running guests: its files, its components, the type of
    /// every edge, its secrets.
    ///
    /// # Errors
    ///
    /// Fails with everything that is wrong, each with its place in chain.toml.
    pub async fn check(&self, spec: &ChainSpec) -> Result<Plan, LoadError> {
        let plan = chain::plan(&self.shared, spec, &StartProgress::default()).await?;
        self.secrets.resolve(spec)?;
        Ok(plan)
    }

    /// Loads `spec` and starts its chainlets. Returns after each has run its `init`.
    ///
    /// # Errors
    ///
    /// Fails like [`Host::check`], and if a chainlet does not start.
    pub async fn load(&self, spec: &ChainSpec) -> Result<Chain, LoadError> {
        self.load_with_progress(spec, &StartProgress::default()).await
    }

    /// Like [`Host::load`]. Meanwhile `progress` tells how far the load has come.
    ///
    /// # Errors
    ///
    /// Fails like [`Host::load`].
    pub async fn load_with_progress(&self, spec: &ChainSpec, progress: &StartProgress) -> Result<Chain, LoadError> {
        let plan = chain::plan(&self.shared, spec, progress).await?;
        let secrets = self.secrets.resolve(spec)?;
        chain::start(&self.shared, spec, plan, secrets, progress).await
    }

    /// Returns the GPUs of this machine, each as a line that begins with the number by which chain.toml can name it.
    /// The first call may take a second.
    pub fn gpus(&self) -> Vec<String> {
        self.gpus.list()
    }

    /// Like [`Host::load`], for a chain.toml.
    ///
    /// # Errors
    ///
    /// Fails like [`Host::load`], and if the file is not a valid chain.toml.
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

    /// Lets the folder of compiled code hold at most `limits`, which have defaults. Code that other hosts have put
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

    /// Takes secrets from `secrets` instead of only from environment variables.
    pub fn secrets(mut self, secrets: SecretStore) -> Self {
        self.secrets = Some(secrets);
        self
    }

    /// Lets all guests together use at most `count` processors, at least one. By default, they use as many as the
    /// machine has. The host starts that many threads of its own, beside those of the runtime that embeds it. Guests
    /// whose calls take microseconds run on the threads of their callers, too.
    pub fn guest_threads(mut self, count: usize) -> Self {
        self.guest_threads = Some(count);
        self
    }

    /// Lets the host hold at most `bytes` at once for guests, clients and peers: bodies of requests, values on their
    /// way between chainlets, streams, answers that are not yet taken. The host rejects everything for which there is
    /// no room. By default, the limit is half of the memory that the process may have, by its control group or the
    /// machine. The memory of the guests themselves does not count, because `resources.memory` of chain.toml limits it.
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// Lets all chains of the host have `count` replicas together, 1,000 by default. While a new version of a chain
    /// starts, the replicas of both versions count. Each reserves 4 GiB of address space, which is not memory.
    pub fn max_replicas(mut self, count: u32) -> Self {
        self.max_replicas = count.max(1);
        self
    }

    /// If `wanted`, the frames of a guest's trap show files and lines, for components with line tables. By default they
    /// do not, because each trap of such a component then costs tens of milliseconds, which nothing interrupts.
    pub fn source_lines(mut self, wanted: bool) -> Self {
        self.source_lines = wanted;
        self
    }

    /// Adds a capability: interfaces that guests may import, beside those of this crate. See [`Capability`].
    pub fn capability(mut self, capability: impl Capability) -> Self {
        self.capabilities.add(capability);
        self
    }

    /// Starts `program` for chains that say `[gpu] isolation = "process"`. The program must call
    /// [`gpu_worker`](crate::gpu_worker) first of all. The program that embeds the host may do so and name itself, by
    /// `/proc/self/exe` or [`std::env::current_exe`]. By default there is no such program, and such chains do not load.
    pub fn gpu_worker(mut self, program: impl Into<PathBuf>) -> Self {
        self.gpu_worker = Some(program.into());
        self
    }

    /// Starts the host.
    ///
    /// # Errors
    ///
    /// Fails if the engine or the threads of the guests do not start, or if the folder of [`HostBuilder::code_cache`]
    /// can't be used. If the default folder can't be used, the host has no code cache, and a warning in the log says
    /// so.
    pub fn build(self) -> Result<Host, HostError> {
        let (engine, compiler_config) = engine::new(self.max_replicas, self.source_lines)
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
        let shared = HostParts {
            engine,
            compiler_config,
            max_replicas: self.max_replicas,
            cache: cache.map(Arc::new),
            threads,
            memory: MemoryBudget::new(self.memory_limit.unwrap_or_else(memory::default_limit)),
            errors: ErrorCounts::default(),
            offload: Offload::default(),
            capabilities,
        };
        Ok(Host { shared, gpus, secrets: Arc::new(secrets) })
    }
}

/// Returns secrets from environment variables alone. It does not fail, because only a secrets file could be wrong.
fn environment_secrets() -> Result<SecretStore, HostError> {
    SecretStore::from_env_and_file(None).map_err(|errors: ConfigErrors| HostError::Engine(errors.to_string()))
}
