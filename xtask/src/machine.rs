//! What the tests need of the machine beside Rust, found out before anything is built, and fetched where it is missing.
//!
//! The tests compute on a GPU, on one in software where the machine has none: that takes Vulkan's loader and a driver. Debian's
//! packages have both. Root installs them; anyone else unpacks them into the cache, and the tests are pointed to that.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::Failure;
use crate::step::say;

/// Debian's packages with Vulkan's loader and a driver in software.
const VULKAN: [&str; 2] = ["libvulkan1", "mesa-vulkan-drivers"];
/// Where drivers say where they are.
const DRIVERS: [&str; 2] = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];

/// What the tests are told of the machine.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Variables for what runs the tests.
    pub variables: Vec<(&'static str, OsString)>,
    /// Why the tests of GPUs are left out, if they are.
    pub without_gpu: Option<String>,
}

/// Looks what is missing, fetches it, and says all at once what cannot be had.
///
/// # Errors
/// Without a C++ compiler nothing can be fuzzed, and without python3, or curl and unzip, the model of examples/embeddings cannot
/// be taken apart.
pub fn prepare() -> Result<Machine, Failure> {
    let mut packages = missing();
    if !packages.is_empty() {
        say(format_args!("missing: {}", packages.join(" ")));
        install(&packages);
        packages = missing();
    }
    if packages.is_empty() {
        say("the compiler, python3 or curl and unzip, and a Vulkan driver are here");
        return Ok(Machine::default());
    }
    let others: Vec<_> = packages.iter().filter(|package| !VULKAN.contains(package)).copied().collect();
    if !others.is_empty() {
        return Err(Failure::new(
            format_args!("this machine lacks what the tests need: {}", packages.join(" ")),
            format_args!("as root: apt-get install --no-install-recommends {}", packages.join(" ")),
        ));
    }
    match unpack() {
        Ok(folder) => Ok(pointing_to(&folder)),
        Err(why) => {
            let command = format!("apt-get install --no-install-recommends {}", VULKAN.join(" "));
            say(format_args!("no Vulkan driver ({why}): the tests of GPUs are left out"));
            Ok(Machine { without_gpu: Some(command), ..Machine::default() })
        }
    }
}

/// The packages of Debian that have what the machine lacks.
fn missing() -> Vec<&'static str> {
    let mut packages = Vec::new();
    if !runs(&compiler(), "--version") {
        packages.push("g++");
    }
    if !(runs("python3", "--version") || runs("curl", "--version") && runs("unzip", "-v")) {
        packages.extend(["curl", "unzip"]);
    }
    if !has_driver() {
        packages.extend(VULKAN);
    }
    packages
}

fn compiler() -> String {
    std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned())
}

fn runs(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Whether Vulkan's loader finds a driver, as far as that can be seen from outside. Other systems than Linux bring their own.
fn has_driver() -> bool {
    if !cfg!(target_os = "linux") {
        return true;
    }
    let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].iter().any(|name| std::env::var_os(name).is_some());
    let libraries =
        Command::new("ldconfig").arg("-p").output().or_else(|_| Command::new("/sbin/ldconfig").arg("-p").output());
    let has_loader = libraries.is_ok_and(|list| String::from_utf8_lossy(&list.stdout).contains("libvulkan.so.1"));
    named || has_loader && DRIVERS.iter().any(|folder| driver_in(Path::new(folder)).is_some())
}

/// The description of a driver in `folder`.
fn driver_in(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    let mut found: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    // The one in software works everywhere.
    found.sort_by_key(|path| !path.to_string_lossy().contains("lvp"));
    found.into_iter().next()
}

/// Installs packages where the user is root and the system has apt-get. What comes of it is seen by looking again.
pub fn install(packages: &[&str]) {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"));
    if !is_root || !runs("apt-get", "--version") {
        return;
    }
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
        command.status().is_ok_and(|status| status.success())
    };
    let install = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    // Without a fresh list of packages there may be nothing to install.
    let _ = apt(&install) || apt(&["update"]) && apt(&install);
}

/// Unpacks Vulkan's loader, a driver and the libraries that they need into the cache, and returns where.
fn unpack() -> Result<PathBuf, String> {
    let folder = cache().ok_or("there is no home for a cache")?.join("vulkan");
    if driver_in(&folder.join("usr/share/vulkan/icd.d")).is_some() {
        return Ok(folder);
    }
    for program in ["apt-get", "dpkg-deb"] {
        if !runs(program, "--version") {
            return Err(format!("there is no {program} to fetch one with"));
        }
    }
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let simulated = Command::new("apt-get")
        .args(["--simulate", "--option", "Debug::NoLocking=1", "install", "--no-install-recommends"])
        .args(VULKAN)
        .output()
        .map_err(|error| error.to_string())?;
    // A line for each package: `Inst mesa-vulkan-drivers (25.0.7-2 Debian:13 [amd64])`.
    let list = String::from_utf8_lossy(&simulated.stdout).into_owned();
    let mut packages: Vec<&str> =
        list.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next()).collect();
    if packages.is_empty() {
        // They are installed, and cannot be found.
        packages.extend(VULKAN);
    }
    let fetched = Command::new("apt-get").current_dir(&folder).arg("download").args(&packages).status();
    if !fetched.is_ok_and(|status| status.success()) {
        return Err("apt-get download failed".to_owned());
    }
    let archives = std::fs::read_dir(&folder).map_err(|error| error.to_string())?;
    for archive in archives.flatten().map(|entry| entry.path()) {
        if archive.extension().is_some_and(|extension| extension == "deb") {
            let unpacked = Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(&folder).status();
            if !unpacked.is_ok_and(|status| status.success()) {
                return Err(format!("dpkg-deb does not unpack {}", archive.display()));
            }
            // What was unpacked is all that is needed of it.
            let _ = std::fs::remove_file(&archive);
        }
    }
    match driver_in(&folder.join("usr/share/vulkan/icd.d")) {
        Some(_) => Ok(folder),
        None => Err("the packages hold no driver".to_owned()),
    }
}

/// The folder in which tasks keep what they have fetched.
pub fn cache() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(base.join("chainhost"))
}

/// What points to the driver that was unpacked into `folder`.
fn pointing_to(folder: &Path) -> Machine {
    let library = folder.join("usr/lib");
    let mut folders = vec![library.clone()];
    // Debian has a folder for each kind of processor.
    let entries = std::fs::read_dir(&library).into_iter().flatten().flatten();
    folders.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
    folders.extend(std::env::var_os("LD_LIBRARY_PATH").iter().flat_map(std::env::split_paths));
    let mut variables = Vec::new();
    if let Ok(paths) = std::env::join_paths(folders) {
        variables.push(("LD_LIBRARY_PATH", paths));
    }
    if let Some(driver) = driver_in(&folder.join("usr/share/vulkan/icd.d")) {
        variables.push(("VK_DRIVER_FILES", driver.into_os_string()));
    }
    Machine { variables, without_gpu: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_that_was_unpacked_is_pointed_to() {
        let folder = std::env::temp_dir().join(format!("xtask-machine-{}", std::process::id()));
        let drivers = folder.join("usr/share/vulkan/icd.d");
        assert_eq!(driver_in(&drivers), None);
        std::fs::create_dir_all(&drivers).unwrap();
        std::fs::create_dir_all(folder.join("usr/lib/x86_64-linux-gnu")).unwrap();
        for name in ["radeon_icd.json", "lvp_icd.json", "readme.txt"] {
            std::fs::write(drivers.join(name), "").unwrap();
        }
        let machine = pointing_to(&folder);
        let [(libraries, paths), (driver, file)] = &machine.variables[..] else { panic!("{machine:?}") };
        assert_eq!((*libraries, *driver), ("LD_LIBRARY_PATH", "VK_DRIVER_FILES"));
        assert!(std::env::split_paths(paths).any(|path| path.ends_with("usr/lib/x86_64-linux-gnu")));
        assert!(Path::new(file).ends_with("lvp_icd.json"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
