//! Builds the chainlets that are classes in Python.
//!
//! The package `chainlet` of the SDK does the work: it reads the classes of a file, and makes components of them with
//! componentize-py. This module brings what that needs ([`tools`]), runs it, and writes what the classes declare where
//! the host and the user find it ([`described`]).

mod described;
mod tools;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use chainhost::config::{ChainSpec, ChainletName, ComponentSource, PythonClass};

use self::described::{Chainlet, Description};
use self::tools::Tools;
use super::Purpose;
use crate::cli::{Exit, Failure, output};

/// A chainlet that is a class in Python.
struct Source<'s> {
    name: &'s ChainletName,
    class: &'s PythonClass,
    /// The file of the class.
    file: PathBuf,
}

/// A component that loads the sources of its class when a replica starts. It is made for a signature, so most edits
/// need no other one.
#[derive(Debug)]
pub struct LiveComponent {
    /// The chainlet.
    pub chainlet: ChainletName,
    /// The file of the component.
    pub component: PathBuf,
    /// The folder of the sources, which the component sees at [`SOURCE_FOLDER`].
    pub sources: PathBuf,
}

/// The folder in which a component of the SDK's live mode looks for the sources.
pub const SOURCE_FOLDER: &str = "/source";

/// Builds those of `chainlets` that are classes in Python. Returns the components that stand in for those of chain.toml,
/// if `purpose` wants such.
pub async fn build(
    spec: &ChainSpec,
    chainlets: &[ChainletName],
    purpose: Purpose,
) -> Result<Vec<LiveComponent>, Failure> {
    let sources: Vec<Source<'_>> = spec
        .chainlets
        .iter()
        .filter(|(name, _)| chainlets.contains(name))
        .filter_map(|(name, chainlet)| {
            let class = chainlet.python.as_ref()?;
            Some(Source { name, class, file: spec.resolve(&class.file) })
        })
        .collect();
    let mut files: Vec<&Path> = sources.iter().map(|source| source.file.as_path()).collect();
    files.dedup();
    let mut live = Vec::new();
    if files.is_empty() {
        return Ok(live);
    }
    let tools = Tools::prepare(&spec.base_dir).await?;
    for file in files {
        let of_file: Vec<&Source<'_>> = sources.iter().filter(|source| source.file == file).collect();
        build_file(spec, &tools, file, &of_file, purpose, &mut live).await?;
    }
    Ok(live)
}

/// Builds `sources`, the classes in `file`.
async fn build_file(
    spec: &ChainSpec,
    tools: &Tools,
    file: &Path,
    sources: &[&Source<'_>],
    purpose: Purpose,
    live: &mut Vec<LiveComponent>,
) -> Result<(), Failure> {
    let answer = tools.run(&["describe".as_ref(), file.as_os_str(), "--json".as_ref()]).await?;
    let description = Description::read(&answer)?;
    for warning in &description.warnings {
        output::note(format_args!("warning: {}", warning.message()));
    }
    let described = sources.iter().map(|source| Ok((*source, described(spec, &description, source)?)));
    let described = described.collect::<Result<Vec<_>, Failure>>()?;
    derive_wit(spec, &description, purpose).await?;
    for (source, chainlet) in described {
        let declared = chainlet.to_toml(spec, &source.class.file, &description)?;
        write_if_changed(&spec.resolve(source.name.derived("toml")), declared.as_bytes()).await?;
        let Some(ComponentSource::File(out)) = spec.chainlets.get(source.name).map(|spec| &spec.component) else {
            continue;
        };
        if purpose == Purpose::Watch {
            let component = tools.live_component(&chainlet.key)?;
            if !component.is_file() {
                build_class(tools, source, &component, &["--live".as_ref()]).await?;
            }
            let sources = folder_of(file).to_owned();
            live.push(LiveComponent { chainlet: source.name.clone(), component, sources });
        } else {
            build_class(tools, source, &spec.resolve(out), &[]).await?;
        }
    }
    Ok(())
}

/// Returns the folder of a file of Python, from which it imports its own modules.
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

/// Makes the component `out` of the class of `source`.
async fn build_class(tools: &Tools, source: &Source<'_>, out: &Path, options: &[&OsStr]) -> Result<(), Failure> {
    let start = Instant::now();
    output::note(format_args!("{}: building {}", source.name, source.class));
    let mut class = source.file.as_os_str().to_owned();
    class.push(format!(":{}", source.class.class));
    let mut arguments = vec!["component".as_ref(), class.as_os_str(), "--out".as_ref(), out.as_os_str()];
    arguments.extend(["--site".as_ref(), tools.packages().as_os_str()]);
    arguments.extend(options);
    arguments.push("--json".as_ref());
    tools.run(&arguments).await?;
    output::note(format_args!("{}: built in {:.1} s", source.name, start.elapsed().as_secs_f64()));
    Ok(())
}

/// Returns what the file says about the class of `source`.
fn described<'d>(spec: &ChainSpec, description: &'d Description, source: &Source<'_>) -> Result<&'d Chainlet, Failure> {
    description.chainlets.iter().find(|chainlet| chainlet.class == source.class.class).ok_or_else(|| {
        let known: Vec<_> = description.chainlets.iter().map(|chainlet| chainlet.class.as_str()).collect();
        let help = match known.as_slice() {
            [] => "write a class that inherits from `chainlet.Chainlet`".to_owned(),
            known => format!("it reaches: {}; let one of them depend on it, or correct the name", known.join(", ")),
        };
        let at = spec.at(["chainlets", source.name.as_str(), "python"]);
        let (file, class) = (source.file.display(), &source.class.class);
        let what = format!("{file} has no chainlet of the class {class} that its entrypoint reaches");
        chainhost::config::ConfigError::new(at, what, help).into()
    })
}

/// Writes the WIT of a file to `wit/FILE.wit`, or compares it.
async fn derive_wit(spec: &ChainSpec, description: &Description, purpose: Purpose) -> Result<(), Failure> {
    let path = spec.resolve(Path::new("wit").join(&description.name).with_extension("wit"));
    let committed = tokio::fs::read_to_string(&path).await.ok();
    if committed.as_ref() == Some(&description.wit) {
        return Ok(());
    }
    if purpose != Purpose::Check {
        return write(&path, description.wit.as_bytes()).await;
    }
    let what = match committed {
        Some(_) => "is not the interface of the source any more",
        None => "is missing",
    };
    let help = "run `chainhost build`, look at what changed, and commit it";
    Err(Failure::new(Exit::Config, format_args!("{} {what}\nhelp: {help}", path.display())))
}

/// Does what [`write`] does, unless the file has these bytes already: a watcher need not see it change.
async fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    match tokio::fs::read(path).await {
        Ok(there) if there == bytes => Ok(()),
        _ => write(path, bytes).await,
    }
}

/// Writes a file whole or not at all, because a running host may read it. Makes its folder.
async fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Exit::System, format_args!("{} cannot be written: {error}", path.display()))
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    tokio::fs::create_dir_all(folder).await.map_err(failed)?;
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    tokio::fs::write(&partial, bytes).await.map_err(failed)?;
    tokio::fs::rename(&partial, path).await.map_err(failed)
}
