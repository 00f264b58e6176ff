//! `chainhost serve`: serves a chain over HTTP until a signal ends it.

mod credentials;
mod open_files;
mod reload;
mod sources;

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chainhost::chain::{Chain, StartProgress};
use chainhost::config::{ByteSize, ChainSpec};
use chainhost::host::Host;
use chainhost::live::LiveChain;
use chainhost::machine;
use chainhost::server::{HttpOptions, Listening, ServeError, ServeOptions, Server};
use clap::Args;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing_appender::non_blocking::ErrorCounter;

use self::credentials::{Credentials, LoadedCredentials};
use super::args::{self, ChainFileArg, LoadArgs};
use super::blocking::{self, blocking};
use super::build::{Built, Purpose};
use super::signals::{CaughtSignal, Hangups, Signals};
use super::{Exit, Failure, build, output};
use crate::allocator;
use crate::telemetry::{Log, LogFormat};

/// Serve a chain as JSON over HTTP
///
/// Starts every Chainlet, listens, and then says on stderr at which URL. POST a JSON object with a member for each
/// parameter of the entrypoint to /run_remote; /openapi.json describes it, /healthz and /readyz tell how it is.
///
/// SIGTERM and SIGINT (Ctrl-C) end it: no new connection is taken, accepted calls are answered, for at most the time of
/// --drain. A second signal ends it at once.
///
/// SIGHUP, a POST to /reload of the admin listener and, with --watch, a changed file load a new version of the chain
/// beside the running one, which takes its place when it is ready. One that does not load changes nothing.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  chainhost serve chain.toml
  chainhost serve --build chain.toml --listen 0.0.0.0:80 --admin 9090 --log json
  curl http://127.0.0.1:8080/run_remote -H 'content-type: application/json' -d '{"names": ["Ada"]}'
  curl http://127.0.0.1:9090/metrics

Secrets:
  A Chainlet gets the secrets that chain.toml names in its `assets`. The value of the secret
  `api_key` is the first of these that is set: the variable api_key, the variable API_KEY, the
  line `api_key = "…"` in the file of --secrets.

Exit codes:
  0 ended by a signal, with every accepted call answered   3 the chain is wrong   4 --build failed
  5 the address cannot be listened on                      6 a Chainlet's init failed
  7 the system refuses threads, open files or memory       130, 143 ended at once by a second signal
  others: see `chainhost --help`"#)]
pub struct Serve {
    #[command(flatten)]
    file: ChainFileArg,

    /// The address to listen on: ADDRESS:PORT, or a port of this machine alone; port 0 takes a free one
    #[arg(
        long,
        value_name = "ADDR",
        env = "CHAINHOST_LISTEN",
        hide_env_values = true,
        value_parser = args::address,
        default_value = "127.0.0.1:8080"
    )]
    listen: SocketAddr,

    /// The address to listen on for admins, with metrics, the state of the chain, and calls to any Chainlet; off by
    /// default
    #[arg(long, value_name = "ADDR", env = "CHAINHOST_ADMIN", hide_env_values = true, value_parser = args::address)]
    admin: Option<SocketAddr>,

    /// Run the build commands first
    #[arg(long)]
    build: bool,

    /// Load a new version whenever chain.toml, a component or the file of --secrets has changed. With --build, build what
    /// has changed when a source of a Chainlet has
    #[arg(long)]
    watch: bool,

    /// The longest time from a request to its answer
    #[arg(long, value_name = "DURATION", value_parser = args::duration, default_value = "60s")]
    timeout: Duration,

    /// The largest body of a request
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize::mib(16))]
    body_limit: ByteSize,

    /// The most memory that all requests and answers hold together: bodies, WebSocket messages, answers that clients
    /// have not taken; by default, half of --memory-limit
    #[arg(long, value_name = "SIZE")]
    bodies_limit: Option<ByteSize>,

    /// The longest time for accepted calls to end after the chain is asked to end; 0s drops them
    #[arg(long, value_name = "DURATION", value_parser = args::duration_or_none, default_value = "30s")]
    drain: Duration,

    /// The most connections that clients have at once; a few more are answered with 503, and further ones are closed.
    /// The listener of --admin has 256 of its own
    #[arg(long, value_name = "COUNT", default_value = "10000")]
    max_connections: NonZeroUsize,

    /// How long a connection may be idle, or take to send the head of a request
    #[arg(long, value_name = "DURATION", value_parser = args::duration, default_value = "75s")]
    idle_timeout: Duration,

    /// A name, beside `localhost`, by which clients may call a listener on a loopback address, such as the name that a
    /// proxy passes on; may be given several times
    #[arg(long, value_name = "HOST")]
    allowed_host: Vec<String>,

    /// An origin of web pages, such as https://app.example, that may open WebSockets, and call a listener on a loopback
    /// address; may be given several times
    #[arg(long, value_name = "ORIGIN")]
    allowed_origin: Vec<String>,

    #[command(flatten)]
    credentials: Credentials,

    #[command(flatten)]
    setting: LoadArgs,
}

impl Serve {
    /// Serves until a signal comes.
    pub async fn run(self, log: LogFormat, left_out: ErrorCounter) -> Result<(), Failure> {
        let mut signals = Signals::catch()?;
        let hangups = Hangups::catch()?;
        let (file, setting) = (self.file.clone(), self.setting.clone());
        let (credentials, builds) = (self.credentials.clone(), self.build);
        let read = blocking(move || {
            let mut spec = if builds { file.read_before_build()? } else { file.read()? };
            setting.apply(&mut spec);
            Ok::<_, Failure>((spec, credentials.load()?, setting.host()?))
        });
        let (spec, credentials, host) = tokio::select! {
            read = read => read?,
            signal = signals.next() => return Err(Failure::signal(signal.number)),
        };
        // The addresses are taken before the chain starts. The start may take long, and would be in vain if an address
        // is in use.
        let connections = open_files::connections(self.max_connections.get(), open_files::allow_all());
        let server = Server::bind(self.options(&credentials, connections))?;
        if let Some(admin) = self.admin.filter(|admin| !admin.ip().is_loopback()) {
            tracing::warn!(%admin, "the admin listener has no authentication and can be reached from other machines");
        }
        if self.credentials.admit_anyone(&credentials) && !self.listen.ip().is_loopback() {
            tracing::warn!(listen = %self.listen, "other machines may call the chain without an API key or a certificate");
        }
        let begun = Instant::now();
        let files = Arc::new(reload::Files::default());
        files.set(&self.file.path(), &spec, self.setting.secrets_file(), self.purpose() == Purpose::Watch);
        let starting = server.open()?;
        let progress = StartProgress::default();
        starting.follow(&progress);
        let chain = tokio::select! {
            chain = starting.until(self.load(&host, &spec, &progress)) => chain?,
            // Nothing was accepted yet, so there is nothing to wait for.
            signal = signals.next() => return Err(Failure::signal(signal.number)),
        };
        let live = self.live(chain.clone(), host, files.clone(), credentials.clone());
        let listening = starting.serve(live.clone());
        announce(&chain, &listening, begun.elapsed(), log);
        drop(chain);
        let reloads = async {
            tokio::join!(
                Log::tell_left_out(left_out),
                give_memory_back(),
                reload::on_hangup(live.clone(), hangups),
                reload::on_change_of_credentials(self.credentials.clone(), credentials),
                async {
                    match self.watch {
                        true => reload::on_change(live.clone(), files).await,
                        false => std::future::pending().await,
                    }
                }
            )
        };
        let stop = CancellationToken::new();
        tokio::select! {
            () = listening.run(stop.clone().cancelled_owned()) => Ok(()),
            signal = second(&mut signals, &stop) => Err(Failure::signal(signal.number)),
            (never, ..) = reloads => match never {},
        }
    }

    async fn load(&self, host: &Host, spec: &ChainSpec, progress: &StartProgress) -> Result<Chain, Failure> {
        if !self.build {
            return Ok(host.load_with_progress(spec, progress).await?);
        }
        let built = build::all(spec, self.purpose()).await?;
        let (file, setting) = (self.file.clone(), self.setting.clone());
        let read = move || {
            let mut spec = file.read()?;
            setting.apply(&mut spec);
            built.apply(&mut spec);
            Ok::<_, Failure>(spec)
        };
        Ok(host.load_with_progress(&blocking(read).await?, progress).await?)
    }

    /// Returns the purpose of the builds.
    fn purpose(&self) -> Purpose {
        if self.build && self.watch { Purpose::Watch } else { Purpose::Release }
    }

    /// Returns the live chain. It loads a new version from the same files, which it reads again. If changes of sources
    /// are watched, it builds them first.
    fn live(&self, chain: Chain, host: Host, files: Arc<reload::Files>, loaded: LoadedCredentials) -> LiveChain {
        let (file, setting, credentials) = (self.file.clone(), self.setting.clone(), self.credentials.clone());
        let builds = self.purpose() == Purpose::Watch;
        LiveChain::from_source(chain, move || {
            let (file, setting, host, files) = (file.clone(), setting.clone(), host.clone(), files.clone());
            let (credentials, loaded) = (credentials.clone(), loaded.clone());
            let before = file.clone();
            let read = move |built: Built| {
                credentials.renew(&loaded)?;
                let mut spec = ChainSpec::from_file(file.path())?;
                setting.apply(&mut spec);
                files.set(&file.path(), &spec, setting.secrets_file(), builds);
                built.apply(&mut spec);
                spec.check_files()?;
                Ok::<_, Box<dyn Error + Send + Sync>>((spec, setting.secrets()?))
            };
            async move {
                let mut built = Built::default();
                if builds {
                    let spec = blocking::within(move || ChainSpec::from_file_before_build(before.path())).await??;
                    built = build::all(&spec, Purpose::Watch).await.map_err(|failure| failure.to_string())?;
                }
                let (spec, secrets) = blocking::within(move || read(built)).await??;
                let chain = host.with_secrets(secrets).load(&spec).await?;
                Ok::<_, Box<dyn Error + Send + Sync>>((chain, spec.rollout))
            }
        })
    }

    fn options(&self, credentials: &LoadedCredentials, connections: usize) -> ServeOptions {
        let mut http = HttpOptions::default();
        http.body_limit = args::bytes(self.body_limit);
        http.bodies_limit = self.bodies_limit.map(args::bytes);
        http.request_timeout = self.timeout;
        http.api_keys = credentials.api_keys.clone();
        http.allowed_hosts.clone_from(&self.allowed_host);
        http.allowed_origins.clone_from(&self.allowed_origin);
        let mut options = ServeOptions::default();
        options.listen = self.listen;
        options.admin = self.admin;
        options.tls = credentials.tls.clone();
        options.max_connections = connections;
        options.http = http;
        options.idle_timeout = self.idle_timeout;
        options.shutdown_grace = self.drain;
        options
    }
}

/// Makes the allocator give free memory back once a second. Never returns.
async fn give_memory_back() -> Infallible {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        allocator::collect();
    }
}

/// Asks the server to stop at the first signal, and waits for the second.
async fn second(signals: &mut Signals, stop: &CancellationToken) -> CaughtSignal {
    let signal = signals.next().await;
    tracing::info!(signal = %signal.name, "{} received; a second signal ends the chain at once", signal.name);
    stop.cancel();
    signals.next().await
}

/// Tells that the chain is served, and at which URL.
fn announce(chain: &Chain, server: &Listening, took: Duration, log: LogFormat) {
    let url = server.url();
    let admin = server.admin_addr().map(|address| format!("http://{address}"));
    let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match log {
        // A program that reads a log of JSON lines must find nothing else in it.
        LogFormat::Json => {
            tracing::info!(chain = chain.name(), url, admin, duration_ms = milliseconds, "ready");
        }
        LogFormat::Pretty => {
            let admin = admin.map(|admin| format!(", admin at {admin}")).unwrap_or_default();
            output::note(format_args!("{} is served at {url}{admin} (ready in {milliseconds} ms)", chain.name()));
        }
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let exit = if machine::remedy(&error.error).is_some() { Exit::System } else { Exit::Listen };
        Failure::new(exit, error)
    }
}
