//! `chainhost build`: runs the build commands of a chain.

mod python;
mod steps;
mod written;

use std::process::{ExitStatus, Stdio};
use std::time::Instant;

use chainhost::config::{ChainSpec, ChainletName, ChainletSpec, ComponentSource, ConfigError, FileMount};
use chainhost::machine;
use clap::Args;
use tokio::process::Command;

use self::python::LiveComponent;
pub use self::python::folder_of;
use self::steps::Step;
use super::args::{self, CacheLimit, ChainFileArg};
use super::{Exit, Failure, near, output};

/// Build the components of a chain
///
/// Runs the build command of each Chainlet, in a shell and in its workdir, callees before callers as far as `depends`
/// tells; Chainlets that share a command and a workdir are built once. What the commands print goes to stderr. Before
/// that, makes components of the Chainlets that are classes in Python, and writes their WIT to wit/. Then checks that the components fit, as `chainhost check` does, but without asking for secrets.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  chainhost build chain.toml
  chainhost build chain.toml say-hello --no-check

In chain.toml, either of:
  build = \"cargo build --release --target wasm32-wasip2 -p say-hello\"
  build = { command = \"make\", workdir = \"say-hello\" }
  python = \"chain.py:SayHello\"

Exit codes:
  0 all is built and fits   3 something does not fit   4 a command failed   others: see `chainhost --help`")]
pub struct BuildCommand {
    #[command(flatten)]
    file: ChainFileArg,

    /// Build only these Chainlets
    #[arg(value_name = "CHAINLET")]
    chainlets: Vec<String>,

    /// Do not check whether the components fit together
    #[arg(long)]
    no_check: bool,

    /// Fail if an interface that is derived from a source, in wit/, is not the one that is there, instead of writing it
    #[arg(long)]
    check: bool,

    #[command(flatten)]
    cache: CacheLimit,
}

/// The purpose of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Components that need nothing else.
    Release,
    /// The same. It is a mistake if an interface that is derived from a source differs from its file.
    Check,
    /// Components of which an edit of their sources makes no new ones, as far as that is possible.
    Watch,
}

/// What a chain has after its build beside what chain.toml says.
#[derive(Debug, Default)]
pub struct Built {
    live: Vec<LiveComponent>,
}

impl Built {
    /// Changes `spec` to what was built.
    pub fn apply(self, spec: &mut ChainSpec) {
        for LiveComponent { chainlet, component, sources } in self.live {
            let Some(chainlet) = spec.chainlets.get_mut(&chainlet) else { continue };
            chainlet.component = component.into();
            let (source, path) = (std::path::absolute(&sources).unwrap_or(sources), python::SOURCE_FOLDER.to_owned());
            chainlet.assets.files.push(FileMount { source, path, writable: false });
        }
    }
}

impl BuildCommand {
    /// Runs the build commands, then checks the chain.
    pub async fn run(self) -> Result<(), Failure> {
        let spec = self.file.read_before_build()?;
        let purpose = if self.check { Purpose::Check } else { Purpose::Release };
        if self.chainlets.is_empty() {
            all(&spec, purpose).await?;
        } else {
            let named = self.chainlets.iter().map(|name| near::chainlet(&spec, name).cloned());
            let named = named.collect::<Result<Vec<_>, _>>()?;
            for name in &named {
                has_command(&spec, name)?;
            }
            build(&spec, &named, purpose).await?;
        }
        // What the sources declare is there now.
        let spec = self.file.read()?;
        if self.no_check {
            return Ok(());
        }
        let missing: Vec<&str> = without_component(&spec).map(|(name, _)| name.as_str()).collect();
        if !self.chainlets.is_empty() && !missing.is_empty() {
            output::note(format_args!(
                "the fit of the components is not checked, because these chainlets are not built yet: {}",
                missing.join(", ")
            ));
            return Ok(());
        }
        let plan = args::host_without_secrets(self.cache.limits())?.check(&spec).await?;
        output::note(format_args!(
            "the chain `{}` fits together: {}",
            spec.name,
            super::check::counts(plan.chainlets.len(), plan.edges.len())
        ));
        Ok(())
    }
}

/// Builds every chainlet that has a build command; the others must have their component already.
pub async fn all(spec: &ChainSpec, purpose: Purpose) -> Result<Built, Failure> {
    let (built, given): (Vec<_>, Vec<_>) =
        spec.chainlets.keys().cloned().partition(|name| spec.chainlets.get(name).is_some_and(can_be_built));
    for (name, _) in without_component(spec).filter(|(name, _)| given.contains(name)) {
        has_command(spec, name)?;
    }
    if built.is_empty() {
        output::note(format_args!("nothing to build: no chainlet of `{}` has a build command", spec.name));
    }
    build(spec, &built, purpose).await
}

/// Returns true if chain.toml says how the component is made.
fn can_be_built(chainlet: &ChainletSpec) -> bool {
    chainlet.build.is_some() || chainlet.python.is_some()
}

/// Builds `chainlets`, all of which have a command or a source.
async fn build(spec: &ChainSpec, chainlets: &[ChainletName], purpose: Purpose) -> Result<Built, Failure> {
    spec.check_build_folders()?;
    let live = python::build(spec, chainlets, purpose).await?;
    let steps = steps::of(spec, chainlets);
    for (index, step) in steps.iter().enumerate() {
        let names = step.names();
        output::note(format_args!("[{}/{}] {names}: {}", index + 1, steps.len(), step.command));
        let components = written::before(spec, step);
        let start = Instant::now();
        let status = run(step).await?;
        if !status.success() {
            return Err(Failure::new(
                Exit::Build,
                format_args!(
                    "the build command of {names} failed ({status}), in {}: {}",
                    step.folder.display(),
                    step.command
                ),
            ));
        }
        for component in components {
            component.check(spec, step).await.map_err(|error| Failure::new(Exit::Build, error))?;
        }
        output::note(format_args!(
            "[{}/{}] {names}: built in {:.1} s",
            index + 1,
            steps.len(),
            start.elapsed().as_secs_f64()
        ));
    }
    Ok(Built { live })
}

/// Runs the command to its end. Its output goes to stderr, because stdout is for the answer.
async fn run(step: &Step) -> Result<ExitStatus, Failure> {
    let mut command = shell(&step.command);
    command
        .current_dir(&step.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::from(std::io::stderr()))
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    let not_run = |error: std::io::Error| {
        let what = format!("the build command of {} cannot be run: {error}: {}", step.names(), step.command);
        match machine::remedy_of_start(&error) {
            Some(help) => Failure::new(Exit::System, format_args!("{what}; {help}")),
            None => Failure::new(Exit::Build, what),
        }
    };
    command.spawn().map_err(not_run)?.wait().await.map_err(not_run)
}

#[cfg(not(windows))]
fn shell(line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(line);
    command
}

#[cfg(windows)]
fn shell(line: &str) -> Command {
    let mut command = Command::new("cmd");
    // The shell has its own rules for quotes, so the line must reach it unchanged.
    command.arg("/C").raw_arg(line);
    command
}

/// Returns the chainlets whose component file does not exist, with its path.
fn without_component(spec: &ChainSpec) -> impl Iterator<Item = (&ChainletName, std::path::PathBuf)> {
    spec.chainlets.iter().filter_map(|(name, chainlet)| match &chainlet.component {
        ComponentSource::File(path) => Some((name, spec.resolve(path))).filter(|(_, path)| !path.is_file()),
        ComponentSource::Bytes(_) => None,
    })
}

/// Fails if `name` has no build command.
fn has_command(spec: &ChainSpec, name: &ChainletName) -> Result<(), Failure> {
    let Some(chainlet) = spec.chainlets.get(name).filter(|chainlet| !can_be_built(chainlet)) else { return Ok(()) };
    let missing = match without_component(spec).any(|(missing, _)| missing == name) {
        true => format!(", and there is no component at {}", chainlet.component),
        false => String::new(),
    };
    let error = ConfigError::new(
        spec.at(["chainlets", name.as_str()]),
        format!("{name} has no build command{missing}"),
        "add one, such as build = \"cargo build --release --target wasm32-wasip2\"",
    );
    Err(error.into())
}
