//! Arguments that several commands share, and the functions that read them.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chainhost::component::CacheLimits;
use chainhost::config::{ByteSize, ChainSpec, ConfigErrors, EnvironmentName, SecretStore};
use chainhost::host::{Host, HostBuilder};
use clap::{Args, ValueHint};

use super::Failure;

/// The chain that a command is about.
#[derive(Clone, Debug, Args)]
pub struct ChainFileArg {
    /// The chain.toml, or the folder that it is in
    #[arg(value_name = "CHAIN.TOML", value_hint = ValueHint::AnyPath)]
    path: PathBuf,
}

/// The settings with which a chain is loaded.
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// A TOML file of `name = "value"` lines, for the secrets that no environment variable has
    #[arg(
        long,
        value_name = "FILE",
        env = "CHAINHOST_SECRETS",
        hide_env_values = true,
        value_hint = ValueHint::FilePath
    )]
    secrets: Option<PathBuf>,

    /// The environment that Chainlets are told they run in, in place of the one in chain.toml
    #[arg(long, value_name = "NAME", env = "CHAINHOST_ENVIRONMENT", hide_env_values = true)]
    environment: Option<EnvironmentName>,

    /// The most memory that the host holds for requests, calls and streams, beside the memory of the Chainlets; by
    /// default, half of what the process may have
    #[arg(long, value_name = "SIZE", env = "CHAINHOST_MEMORY_LIMIT", hide_env_values = true)]
    memory_limit: Option<ByteSize>,

    /// The most replicas that all Chainlets have together, those of a new version that starts included
    #[arg(long, value_name = "COUNT", env = "CHAINHOST_MAX_REPLICAS", hide_env_values = true, default_value = "1000")]
    max_replicas: NonZeroU32,

    /// The number of threads on which Chainlets compute; by default, one for each processor of the machine
    #[arg(long, value_name = "COUNT", env = "CHAINHOST_GUEST_THREADS", hide_env_values = true)]
    guest_threads: Option<NonZeroUsize>,

    /// Show the files and lines of a Chainlet's frames when it traps, if its component has line tables. Each trap then
    /// takes longer
    #[arg(long, env = "CHAINHOST_SOURCE_LINES", hide_env_values = true)]
    source_lines: bool,

    #[command(flatten)]
    cache: CacheLimit,
}

/// The limits of the compiled code that is kept for later starts.
#[derive(Debug, Clone, Args)]
pub struct CacheLimit {
    /// The largest size of the cache of compiled components; the least recently used component goes first
    #[arg(long, value_name = "SIZE", env = "CHAINHOST_CACHE_LIMIT", hide_env_values = true, default_value = "2GiB")]
    cache_limit: ByteSize,

    /// How long the cache keeps a compiled component after its last use
    #[arg(
        long,
        value_name = "DURATION",
        env = "CHAINHOST_CACHE_AGE",
        hide_env_values = true,
        value_parser = duration,
        default_value = "30days"
    )]
    cache_age: Duration,
}

impl ChainFileArg {
    /// Reads the file.
    pub fn read(&self) -> Result<ChainSpec, Failure> {
        Ok(ChainSpec::from_file(self.path())?)
    }

    /// Reads the file without what the sources of its chainlets declared at the last build.
    pub fn read_before_build(&self) -> Result<ChainSpec, Failure> {
        Ok(ChainSpec::from_file_before_build(self.path())?)
    }

    /// Returns the path of the file.
    pub fn path(&self) -> PathBuf {
        if self.path.is_dir() { self.path.join("chain.toml") } else { self.path.clone() }
    }
}

impl CacheLimit {
    /// Returns the limits in the form that a host takes.
    pub fn limits(&self) -> CacheLimits {
        let mut limits = CacheLimits::default();
        limits.bytes = self.cache_limit.as_bytes();
        limits.age = self.cache_age;
        limits
    }
}

impl LoadArgs {
    /// Overrides in `spec` what the command line says differently.
    pub fn apply(&self, spec: &mut ChainSpec) {
        if let Some(environment) = &self.environment {
            spec.environment = environment.clone();
        }
    }

    /// Returns the file of secrets.
    pub fn secrets_file(&self) -> Option<&Path> {
        self.secrets.as_deref()
    }

    /// Reads the secrets, as they are now.
    pub fn secrets(&self) -> Result<SecretStore, ConfigErrors> {
        SecretStore::from_env_and_file(self.secrets.as_deref())
    }

    /// Returns the limits of the cache of compiled code.
    pub fn cache_limits(&self) -> CacheLimits {
        self.cache.limits()
    }

    /// Makes a host that has the secrets.
    pub fn host(&self) -> Result<Host, Failure> {
        let secrets = self.secrets()?;
        let mut host = builder(secrets, self.cache_limits()).max_replicas(self.max_replicas.get());
        host = host.source_lines(self.source_lines);
        if let Some(count) = self.guest_threads {
            host = host.guest_threads(count.get());
        }
        if let Some(limit) = self.memory_limit {
            host = host.memory_limit(bytes(limit));
        }
        Ok(host.build()?)
    }
}

/// Makes a host in which every secret has a dummy value. That is enough to check types, which do not depend on values.
pub fn host_without_secrets(limits: CacheLimits) -> Result<Host, Failure> {
    let secrets = SecretStore::from_environment_and_file(|_| Some("unknown".into()), None)?;
    Ok(builder(secrets, limits).build()?)
}

/// Returns the builder of a host whose GPU workers are this program.
fn builder(secrets: SecretStore, limits: CacheLimits) -> HostBuilder {
    let builder = Host::builder().secrets(secrets).code_cache_limits(limits);
    // On Linux, this names the running program, even if another file has taken its path.
    let program = if cfg!(target_os = "linux") { Some("/proc/self/exe".into()) } else { std::env::current_exe().ok() };
    match program {
        Some(program) => builder.gpu_worker(program),
        None => builder,
    }
}

/// Returns a size as a number of bytes, or the largest number if the size exceeds it.
pub fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.as_bytes()).unwrap_or(usize::MAX)
}

/// Reads an address to listen on: `ADDRESS:PORT`, `NAME:PORT`, or a port of this machine alone.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Ok(port) = text.parse() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    if let Some(port) = text.strip_prefix(':') {
        return Err(format!("write 0.0.0.0:{port} to be reachable from everywhere, or 127.0.0.1:{port}"));
    }
    let found =
        text.to_socket_addrs().map_err(|error| format!("expected ADDRESS:PORT, such as 127.0.0.1:8080 ({error})"))?;
    found.into_iter().next().ok_or_else(|| "the name has no address".to_owned())
}

/// Reads a length of time above zero, such as `10s` or `1m 30s`.
pub fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("expected a time above zero, such as 10s".to_owned()),
        Ok(duration) => Ok(duration),
        Err(_) => Err("expected a number and a unit, such as 500ms, 10s or 1m".to_owned()),
    }
}

/// Reads a length of time that may be zero.
pub fn duration_or_none(text: &str) -> Result<Duration, String> {
    if matches!(text, "0" | "0s") { Ok(Duration::ZERO) } else { duration(text) }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn the_default_limits_of_the_cache_are_those_of_a_host() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            cache: CacheLimit,
        }
        let limits = |line: &[&str]| Line::try_parse_from(line).unwrap().cache.limits();
        assert_eq!(limits(&["chainhost"]), CacheLimits::default());
        let given = limits(&["chainhost", "--cache-limit", "0B", "--cache-age", "1h"]);
        assert_eq!((given.bytes, given.age), (0, Duration::from_secs(3600)));
    }

    #[test]
    fn a_port_alone_is_an_address_of_this_machine() {
        assert_eq!(address("8080").unwrap().to_string(), "127.0.0.1:8080");
        assert_eq!(address("[::1]:0").unwrap().to_string(), "[::1]:0");
        assert_eq!(address("localhost:80").unwrap().port(), 80);
    }

    #[test]
    fn an_address_without_a_host_or_a_valid_port_is_rejected() {
        assert!(address(":8080").unwrap_err().contains("0.0.0.0:8080"));
        assert!(address("127.0.0.1").is_err());
        assert!(address("99999").is_err());
        assert!(address("").is_err());
    }

    #[test]
    fn a_length_of_time_has_a_unit() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert!(duration("10").is_err());
        assert!(duration("0s").is_err());
        assert_eq!(duration_or_none("0"), Ok(Duration::ZERO));
    }
}
