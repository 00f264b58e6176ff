//! Vulkan's loader and a driver: those of the machine, or those that were unpacked into the cache.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::VULKAN;
use super::apt::{self, entries, library_folders};
use crate::cache;

/// The folders in which drivers describe themselves to Vulkan's loader.
const DRIVERS: [&str; 4] =
    ["/usr/local/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/share/vulkan/icd.d"];
/// Variables that name the descriptions of drivers, the first before the second. With one of them, the loader looks
/// nowhere else.
const NAMED_BY: [&str; 2] = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"];
/// The description of the driver in the cache. It is written last, so that only a whole folder has it.
const DESCRIPTION: &str = "driver.json";

/// Whether Vulkan's loader finds a driver, as far as that can be seen from outside. Other systems than Linux bring their
/// own.
pub(super) fn is_found() -> bool {
    if !cfg!(target_os = "linux") {
        return true;
    }
    if let Some(named) = NAMED_BY.iter().find_map(std::env::var_os) {
        return std::env::split_paths(&named).any(|path| path.exists());
    }
    let libraries =
        Command::new("ldconfig").arg("-p").output().or_else(|_| Command::new("/sbin/ldconfig").arg("-p").output());
    let has_loader = libraries.is_ok_and(|list| String::from_utf8_lossy(&list.stdout).contains("libvulkan.so.1"));
    has_loader && DRIVERS.iter().any(|folder| described_in(Path::new(folder)).is_some())
}

/// The description of a driver in `folder`.
fn described_in(folder: &Path) -> Option<PathBuf> {
    let mut found: Vec<_> = entries(folder).filter(|path| path.extension() == Some(OsStr::new("json"))).collect();
    // The one in software works everywhere.
    found.sort_by_key(|path| !path.to_string_lossy().contains("lvp"));
    found.into_iter().next()
}

/// A folder with Vulkan's loader, a driver in software and the libraries that they need.
pub(super) struct Driver {
    folder: PathBuf,
}

/// The driver in the cache. It is fetched if it is not there.
pub(super) fn in_cache() -> Result<Driver, String> {
    let folder = cache::folder("vulkan").map_err(|failure| failure.to_string())?;
    let driver = Driver { folder };
    if !driver.description().is_file() {
        apt::unpack(&VULKAN, &driver.folder, |part| driver.describe(part))?;
    }
    Ok(driver)
}

impl Driver {
    /// The file that tells Vulkan's loader where the driver is.
    pub(super) fn description(&self) -> PathBuf {
        self.folder.join(DESCRIPTION)
    }

    /// The variables by which a program finds the loader, and the loader the driver.
    pub(super) fn variables(&self) -> Vec<(&'static str, OsString)> {
        let before = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let folders = library_folders(&self.folder).into_iter();
        let folders = folders.chain(std::env::split_paths(&before).filter(|path| !path.as_os_str().is_empty()));
        let mut variables = vec![("VK_DRIVER_FILES", self.description().into_os_string())];
        if let Ok(paths) = std::env::join_paths(folders) {
            variables.push(("LD_LIBRARY_PATH", paths));
        }
        variables
    }

    /// Describes the driver in `part`, as it will be found once `part` has become the folder. Debian's own description may
    /// name the place where the package would have been installed.
    fn describe(&self, part: &Path) -> Result<(), String> {
        let theirs = described_in(&part.join("usr/share/vulkan/icd.d")).ok_or("the packages hold no driver")?;
        let text = fs::read_to_string(&theirs).map_err(|error| format!("{}: {error}", theirs.display()))?;
        let unlike = || format!("{} does not describe a driver: {text}", theirs.display());
        let json: Value = serde_json::from_str(&text).map_err(|_| unlike())?;
        let driver = json.get("ICD").ok_or_else(unlike)?;
        let text_at = |key| driver.get(key).and_then(Value::as_str).ok_or_else(unlike);
        let name = Path::new(text_at("library_path")?).file_name().ok_or_else(unlike)?;
        let library = library_folders(part).iter().map(|folder| folder.join(name)).find(|path| path.is_file());
        let library = library.ok_or_else(|| format!("the packages lack {}", name.display()))?;
        let library = self.folder.join(library.strip_prefix(part).unwrap_or(&library));
        let ours = json!({
            "file_format_version": "1.0.0",
            "ICD": { "library_path": library.to_string_lossy(), "api_version": text_at("api_version")? },
        });
        let path = part.join(DESCRIPTION);
        fs::write(&path, ours.to_string()).map_err(|error| format!("{}: {error}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder in which packages were unpacked, and its description of the driver.
    fn unpacked(name: &str, description: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-driver-{}-{name}", std::process::id()));
        let drivers = folder.join("usr/share/vulkan/icd.d");
        fs::create_dir_all(&drivers).unwrap();
        fs::create_dir_all(folder.join("usr/lib/x86_64-linux-gnu")).unwrap();
        fs::write(folder.join("usr/lib/x86_64-linux-gnu/libvulkan_lvp.so"), "").unwrap();
        for (name, text) in [("radeon_icd.json", "{}"), ("lvp_icd.json", description), ("readme.txt", "")] {
            fs::write(drivers.join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn a_driver_is_described_by_the_place_where_it_was_unpacked() {
        // Debian 12 names the whole path, Debian 13 only the file.
        for (name, path) in [("12", "/usr/lib/x86_64-linux-gnu/libvulkan_lvp.so"), ("13", "libvulkan_lvp.so")] {
            let part = unpacked(name, &format!(r#"{{"ICD": {{"api_version": "1.4.305", "library_path": "{path}"}}}}"#));
            Driver { folder: "/cache/vulkan".into() }.describe(&part).unwrap();
            let description = fs::read_to_string(part.join(DESCRIPTION)).unwrap();
            let json: Value = serde_json::from_str(&description).unwrap();
            let library = json["ICD"]["library_path"].as_str().unwrap();
            assert_eq!(library, "/cache/vulkan/usr/lib/x86_64-linux-gnu/libvulkan_lvp.so");
            fs::remove_dir_all(&part).unwrap();
        }
    }

    #[test]
    fn packages_without_a_driver_are_refused() {
        let driver = Driver { folder: "/cache/vulkan".into() };
        let part = unpacked("other", r#"{"ICD": {"api_version": "1.4.305", "library_path": "libother.so"}}"#);
        assert_eq!(driver.describe(&part), Err("the packages lack libother.so".to_owned()));
        fs::remove_dir_all(part.join("usr/share")).unwrap();
        assert_eq!(driver.describe(&part), Err("the packages hold no driver".to_owned()));
        fs::remove_dir_all(&part).unwrap();
    }

    #[test]
    fn the_tests_are_pointed_to_the_loader_and_the_driver() {
        let folder = unpacked("pointed", "{}");
        let variables = Driver { folder: folder.clone() }.variables();
        let [(driver, file), (libraries, paths)] = &variables[..] else { panic!("{variables:?}") };
        assert_eq!((*driver, *libraries), ("VK_DRIVER_FILES", "LD_LIBRARY_PATH"));
        assert_eq!(Path::new(file), folder.join(DESCRIPTION));
        assert!(std::env::split_paths(paths).any(|path| path == folder.join("usr/lib/x86_64-linux-gnu")));
        fs::remove_dir_all(&folder).unwrap();
    }
}
