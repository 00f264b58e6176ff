//! Debian's packages: installed by root, or fetched and unpacked by anyone.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::runs;
use crate::quiet;
use crate::step::say;

/// Installs packages if the user is root and the system has apt-get. Its success is seen by looking for them again.
pub fn install_as_root(packages: &[&str]) {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"));
    if !is_root || !runs("apt-get", "--version") {
        return;
    }
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
        output_of(&mut command)
    };
    let install = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    // Without a fresh list of packages there may be nothing to install.
    if let Err(why) = apt(&install).or_else(|_| apt(&["update"]).and_then(|_| apt(&install))) {
        say(format_args!("apt-get does not install {}: {why}", packages.join(" ")));
    }
}

/// Fetches `packages`, and those that they need and the system lacks, and unpacks all into `folder`. `finish` completes the
/// folder before it has its name. So the folder is there either whole or not at all.
pub(super) fn unpack(
    packages: &[&str],
    folder: &Path,
    finish: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<(), String> {
    let part = folder.with_extension(format!("part-{}", std::process::id()));
    let unpacked = unpack_here(packages, &part).and_then(|()| finish(&part)).and_then(|()| {
        // An older version of this task may have left one there, and another process may have made one meanwhile.
        let _ = fs::remove_dir_all(folder);
        fs::rename(&part, folder).map_err(|error| format!("{}: {error}", folder.display()))
    });
    if unpacked.is_err() {
        // The reason for the failure is the error to show.
        let _ = fs::remove_dir_all(&part);
    }
    unpacked
}

/// The folders with libraries in `root`, where packages were unpacked. Debian has a folder for each kind of processor.
pub(super) fn library_folders(root: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for parent in ["usr/lib", "lib"].map(|parent| root.join(parent)).into_iter().filter(|parent| parent.is_dir()) {
        folders.extend(entries(&parent).filter(|path| entries(path).any(|entry| is_library(&entry))));
        folders.push(parent);
    }
    folders
}

fn is_library(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("lib") && name.contains(".so")
}

/// The entries of `folder`; none if it cannot be read.
pub(super) fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn unpack_here(packages: &[&str], folder: &Path) -> Result<(), String> {
    for program in ["apt-get", "dpkg-deb"] {
        if !runs(program, "--version") {
            return Err(format!("there is no {program} to fetch one with"));
        }
    }
    let archives = folder.join("archives");
    make(&archives)?;
    // The system may have no lists of packages, as an image of a container has none, or old ones.
    let with_lists_of_the_system = Lists { options: Vec::new() }.download(packages, &archives);
    with_lists_of_the_system.or_else(|_| Lists::fetch(&folder.join("apt"))?.download(packages, &archives))?;
    for archive in entries(&archives).filter(|path| is_package(path)) {
        output_of(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(folder))?;
    }
    for done in [archives, folder.join("apt")].iter().filter(|folder| folder.exists()) {
        fs::remove_dir_all(done).map_err(|error| format!("{}: {error}", done.display()))?;
    }
    Ok(())
}

fn is_package(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "deb")
}

/// Lists of the packages that Debian has.
struct Lists {
    /// The arguments that make apt-get use them; none for those of the system.
    options: Vec<OsString>,
}

impl Lists {
    /// Fetches fresh lists into `folder`, as only root may write to the system's.
    fn fetch(folder: &Path) -> Result<Self, String> {
        let mut options = Vec::new();
        for (name, part) in [("Dir::State::Lists", "lists"), ("Dir::Cache", "cache")] {
            let path: PathBuf = folder.join(part);
            make(&path.join("partial"))?;
            let mut option = OsString::from(format!("{name}="));
            option.push(path);
            options.extend(["--option".into(), option]);
        }
        let lists = Lists { options };
        output_of(&mut lists.apt_get("update"))?;
        Ok(lists)
    }

    /// Puts `packages`, and those that they need and the system lacks, into `folder`.
    fn download(&self, packages: &[&str], folder: &Path) -> Result<(), String> {
        let mut simulate = self.apt_get("install");
        simulate.args(["--simulate", "--option", "Debug::NoLocking=1", "--no-install-recommends"]).args(packages);
        let simulated = output_of(&mut simulate)?;
        let mut needed = to_install(&simulated);
        // Those that are installed, and yet are not found, are fetched as well.
        needed.extend(packages.iter().filter(|package| !to_install(&simulated).contains(package)));
        output_of(self.apt_get("download").args(needed).current_dir(folder)).map(drop)
    }

    fn apt_get(&self, subcommand: &str) -> Command {
        let mut command = Command::new("apt-get");
        command.args(&self.options).arg(subcommand).env("LC_ALL", "C");
        command
    }
}

/// The packages that apt-get would install, of which it has a line each: `Inst libvulkan1 (1.4.309 Debian:13 [amd64])`.
/// The C library is not among them, because a running program has that of the system.
fn to_install(simulated: &str) -> Vec<&str> {
    let names = simulated.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    names.filter(|name| *name != "libc6").collect()
}

fn make(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

/// Runs `command` and returns what it printed; if it fails, its last line as the reason.
fn output_of(command: &mut Command) -> Result<String, String> {
    let finished = quiet::run(command).map_err(|error| error.to_string())?;
    if finished.status.success() {
        return Ok(finished.output);
    }
    let last = finished.output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(format!("{} failed ({}): {}", command.get_program().display(), finished.status, last.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packages_to_install_are_read_from_a_simulation() {
        let simulated = "Reading package lists...\nThe following NEW packages will be installed:\n  libvulkan1\n\
                         Inst libc6 [2.36-9] (2.36-10 Debian:12 [amd64])\n\
                         Inst libvulkan1 (1.3.239.0-1 Debian:12.1/stable [amd64])\n\
                         Inst libdrm2 (2.4.114-1+b1 Debian:12.1/stable [amd64]) []\n\
                         Conf libvulkan1 (1.3.239.0-1 Debian:12.1/stable [amd64])\n";
        assert_eq!(to_install(simulated), ["libvulkan1", "libdrm2"]);
        assert!(to_install("").is_empty());
    }
}
