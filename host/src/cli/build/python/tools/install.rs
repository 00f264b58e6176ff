//! Installs packages of Python into folders of our own, with `pip` or `uv`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::output;
use crate::cli::{Exit, Failure, output as shown};

/// The packages that a component has from the SDK, or that only tests and builds need. `pydantic` is in the SDK in pure
/// Python, because its own core is native code.
const OURS: [&str; 5] = ["chainlet", "componentize-py", "pydantic", "pydantic-core", "pytest"];

/// The file in a folder of packages that names what is in it. It is written last.
const COMPLETE: &str = ".complete";

/// A Python for which packages are installed.
pub(super) struct Installer {
    pub(super) python: OsString,
    /// Its version, such as `3.12`.
    pub(super) version: String,
}

/// The program that installs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Pip,
    Uv,
}

/// The kind of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// Packages for this machine.
    Tool,
    /// Packages for components, which run pure Python only.
    Component,
}

impl Installer {
    /// Returns pip if this Python has it, or else uv. pip comes first because it can be told to take wheels without
    /// native code where a package has both kinds.
    async fn program(&self) -> Result<Program, Failure> {
        if works(&self.python, &["-m", "pip"]).await {
            return Ok(Program::Pip);
        }
        if works("uv".as_ref(), &[]).await {
            return Ok(Program::Uv);
        }
        let what = format!("neither `{} -m pip` nor `uv` works", self.python.display());
        Err(Failure::new(
            Exit::Build,
            format_args!("{what}\nhelp: install pip (Debian: apt install python3-pip), or uv"),
        ))
    }

    /// Makes `folder` hold the packages in `requirements`, unless it does already.
    pub(super) async fn install(&self, requirements: &str, folder: &Path, what: What) -> Result<(), Failure> {
        let stamp = name_of(requirements, &self.version);
        if std::fs::read_to_string(folder.join(COMPLETE)).is_ok_and(|complete| complete == stamp) {
            return Ok(());
        }
        let failed =
            |error: std::io::Error| Failure::system(format_args!("{} cannot be written", folder.display()), &error);
        let parent = folder.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).map_err(failed)?;
        let place = tempfile::Builder::new().prefix("packages-").tempdir_in(parent).map_err(failed)?;
        let list = place.path().join("requirements.txt");
        std::fs::write(&list, requirements).map_err(failed)?;
        let partial = place.path().join("packages");
        shown::note(format_args!("installing {}", named(requirements).join(", ")));
        let program = self.program().await?;
        let mut command = self.command(program, &list, &partial, requirements.contains("--hash"), what);
        let done = output(&mut command).await?;
        if !done.status.success() {
            return Err(refusal(&String::from_utf8_lossy(&done.stderr), what));
        }
        std::fs::create_dir_all(&partial).map_err(failed)?;
        if what == What::Component
            && let Some(package) = with_native_code(&partial).map_err(failed)?
        {
            return Err(native(&package));
        }
        std::fs::write(partial.join(COMPLETE), stamp).map_err(failed)?;
        // A folder of an earlier list, or one that another process has just made.
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        std::fs::rename(&partial, folder).map_err(failed)
    }

    fn command(&self, program: Program, list: &Path, folder: &Path, has_hashes: bool, what: What) -> Command {
        let mut command = match program {
            Program::Pip => {
                let mut command = Command::new(&self.python);
                command.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input"]);
                command
            }
            Program::Uv => {
                let mut command = Command::new("uv");
                command.args(["pip", "install", "--python"]).arg(&self.python);
                command
            }
        };
        command.args(["--quiet", "--only-binary", ":all:"]);
        command.arg("--target").arg(folder).arg("--requirement").arg(list);
        if has_hashes {
            // The list then has every package.
            command.args(["--require-hashes", "--no-deps"]);
        }
        if what == What::Component {
            command.args(["--python-version", "3.14"]);
            if program == Program::Pip {
                // No wheel of these tags has native code.
                command.args(["--platform", "any", "--implementation", "py", "--abi", "none"]);
            }
        }
        command.env_remove("VIRTUAL_ENV").env_remove("PYTHONHOME").env_remove("PYTHONPATH");
        command
    }
}

/// Returns what names the content of a folder of packages.
pub(super) fn stamp(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join(COMPLETE)).unwrap_or_default()
}

/// Installs the packages of the chain in `folder`, if it names any, and returns where they are, or would be.
pub(super) async fn packages(folder: &Path, installer: &Installer) -> Result<PathBuf, Failure> {
    let packages = folder.join("build").join("packages");
    let requirements = requirements(folder).await?.map(|list| without_ours(&list)).unwrap_or_default();
    if !named(&requirements).is_empty() {
        installer.install(&requirements, &packages, What::Component).await?;
    } else if packages.exists() {
        // Of a list that is gone.
        std::fs::remove_dir_all(&packages)
            .map_err(|error| Failure::system(format_args!("{} cannot be removed", packages.display()), &error))?;
    }
    Ok(packages)
}

/// Returns the list of packages: from `uv.lock`, or else from `requirements.txt`.
async fn requirements(folder: &Path) -> Result<Option<String>, Failure> {
    let refuse = |what: String, help: &str| Err(Failure::new(Exit::Build, format!("{what}\nhelp: {help}")));
    let lock = folder.join("uv.lock");
    if lock.is_file() {
        if !works("uv".as_ref(), &[]).await {
            let help = "install uv, or run `uv export --no-dev --no-emit-project -o requirements.txt` where it is";
            return refuse(format!("only uv reads {}, and it is not installed", lock.display()), help);
        }
        let mut command = Command::new("uv");
        command.args(["export", "--quiet", "--frozen", "--no-dev", "--no-emit-project"]);
        command.args(["--no-emit-package", "chainlet", "--project"]).arg(folder);
        let done = output(&mut command).await?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
            return refuse(format!("uv does not read {}: {said}", lock.display()), "run `uv lock`");
        }
        return Ok(Some(String::from_utf8_lossy(&done.stdout).into_owned()));
    }
    let list = folder.join("requirements.txt");
    if list.is_file() {
        let text = std::fs::read_to_string(&list)
            .map_err(|error| Failure::system(format_args!("{} cannot be read", list.display()), &error))?;
        if let Some(loose) = named(&without_ours(&text)).into_iter().find(|line| !line.contains("==")) {
            let help = "pin it, as in NAME==1.2.3, so that a build has the same packages everywhere";
            return refuse(format!("{}: {loose} has no version", list.display()), help);
        }
        return Ok(Some(text));
    }
    let project = folder.join("pyproject.toml");
    let Ok(text) = std::fs::read_to_string(&project) else { return Ok(None) };
    let table: toml::Table = text.parse().map_err(|error| {
        Failure::new(Exit::Build, format_args!("{} is not TOML: {error}\nhelp: correct it", project.display()))
    })?;
    let dependencies = table.get("project").and_then(|project| project.get("dependencies")?.as_array());
    let mut names = dependencies.into_iter().flatten().filter_map(toml::Value::as_str);
    match names.find(|line| !is_ours(line)) {
        Some(name) => refuse(
            format!("{} depends on {name}, and there is no uv.lock or requirements.txt", project.display()),
            "run `uv lock`, or write requirements.txt with NAME==VERSION lines",
        ),
        None => Ok(None),
    }
}

/// Returns the failure that the words of an installer stand for.
fn refusal(said: &str, what: What) -> Failure {
    let missing = said.lines().find_map(|line| {
        let (_, rest) = line.split_once("No matching distribution found for ")?;
        Some(rest.split([' ', '(']).next().unwrap_or(rest).to_owned())
    });
    match missing {
        Some(package) if what == What::Component => native(&package),
        _ => Failure::new(Exit::Build, format_args!("the packages cannot be installed:\n{}", said.trim())),
    }
}

/// Makes the failure that a package has native code.
fn native(package: &str) -> Failure {
    Failure::new(
        Exit::Build,
        format_args!(
            "{package} has no wheel of pure Python, and a component runs no native code\n\
             help: docs/python.md says what to use instead, under \"Native code\""
        ),
    )
}

/// Returns the first package in `folder` that has a file of native code.
fn with_native_code(folder: &Path) -> std::io::Result<Option<String>> {
    let is_native =
        |path: &Path| path.extension().is_some_and(|end| ["so", "pyd", "dylib"].iter().any(|one| end == *one));
    let mut open = vec![folder.to_owned()];
    while let Some(inner) = open.pop() {
        for entry in std::fs::read_dir(inner)? {
            let path = entry?.path();
            if is_native(&path) {
                let first = path.strip_prefix(folder).unwrap_or(&path).components().next();
                return Ok(first.map(|name| name.as_os_str().display().to_string()));
            }
            if path.is_dir() && !path.is_symlink() {
                open.push(path);
            }
        }
    }
    Ok(None)
}

/// Returns true if `program` starts.
async fn works(program: &OsStr, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).arg("--version");
    output(&mut command).await.is_ok_and(|output| output.status.success())
}

/// Returns the lines of `requirements` that name packages, without their hashes.
fn named(requirements: &str) -> Vec<String> {
    let lines = requirements.lines().filter(|line| !line.starts_with([' ', '\t', '#', '-']) && !line.trim().is_empty());
    lines.map(|line| line.split([' ', ';', '\\']).next().unwrap_or(line).to_owned()).collect()
}

/// Returns `requirements` without the packages that come from elsewhere, and their hashes.
fn without_ours(requirements: &str) -> String {
    let mut kept = String::new();
    let mut is_kept = true;
    for line in requirements.lines() {
        if !line.starts_with([' ', '\t']) {
            is_kept = !is_ours(line);
        }
        if is_kept {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Returns true if `line` of a list of requirements names a package that comes from elsewhere.
fn is_ours(line: &str) -> bool {
    let name = line.split(|letter: char| !letter.is_alphanumeric() && !"-_.".contains(letter)).next().unwrap_or(line);
    OURS.contains(&name.to_ascii_lowercase().replace(['_', '.'], "-").as_str())
}

/// Returns a name for a folder with the packages in `requirements` for a version of Python.
pub(super) fn name_of(requirements: &str, version: &str) -> String {
    let hash = blake3::hash(requirements.as_bytes()).to_hex();
    format!("py{version}-{}", hash.chars().take(16).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# made by uv\nhttpx==0.28.1 \\\n    --hash=sha256:aa\npydantic==2.9.0 ; python_version > '3' \\\n    \
                        --hash=sha256:bb\npydantic_core==2.20\n-e ../sdk\nchainlet[build]\nidna==3.10\n";

    #[test]
    fn packages_that_the_sdk_brings_are_left_out_with_their_hashes() {
        let kept = without_ours(LIST);
        assert_eq!(named(&kept), ["httpx==0.28.1", "idna==3.10"]);
        assert!(kept.contains("sha256:aa") && !kept.contains("sha256:bb"), "{kept}");
    }

    #[test]
    fn the_builder_has_the_versions_with_which_the_sdk_is_tested() {
        let tested = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-sdk/python/requirements-dev.txt");
        let tested = std::fs::read_to_string(tested).unwrap();
        for line in super::super::BUILDER.lines() {
            assert!(tested.lines().any(|other| other == line), "{line}");
        }
        assert_eq!(named(super::super::BUILDER).len(), 6);
    }

    #[test]
    fn a_package_with_native_code_is_named() {
        let said = "ERROR: Could not find a version that satisfies the requirement numpy==2.1 (from versions: none)\n\
                    ERROR: No matching distribution found for numpy==2.1\n";
        let message = refusal(said, What::Component).to_string();
        assert!(message.starts_with("numpy==2.1 has no wheel of pure Python, and a component runs no native code"));
        let message = refusal("no network", What::Component).to_string();
        assert_eq!(message, "the packages cannot be installed:\nno network");
    }

    #[test]
    fn native_files_are_found_in_whatever_folder_they_are() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("yaml/inner")).unwrap();
        std::fs::write(folder.path().join("yaml/__init__.py"), "").unwrap();
        assert_eq!(with_native_code(folder.path()).unwrap(), None);
        std::fs::write(folder.path().join("yaml/inner/_yaml.cpython-314.so"), "").unwrap();
        assert_eq!(with_native_code(folder.path()).unwrap().as_deref(), Some("yaml"));
    }

    #[test]
    fn other_packages_or_another_python_have_another_folder() {
        assert_ne!(name_of("a==1", "3.12"), name_of("a==2", "3.12"));
        assert_ne!(name_of("a==1", "3.12"), name_of("a==1", "3.13"));
        assert!(name_of("a==1", "3.12").starts_with("py3.12-"));
    }
}
