//! The parts of the toolchain that must be installed before a build.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::WASM;
use crate::failure::Failure;
use crate::quiet;
use crate::step::say;

/// Makes sure that components can be compiled. Installs the target if only that is missing.
pub fn ensure(root: &Path) -> Result<(), Failure> {
    let libraries = target_libraries(root)?;
    if has_std(&libraries) {
        return Ok(());
    }
    say(format_args!("{WASM} is missing: rustup target add {WASM}"));
    let help = format!(
        "run `rustup target add {WASM}` where rustup can reach its server, or install the standard library of {WASM} \
         of this version of Rust in {}",
        libraries.display()
    );
    let rustup = quiet::run(Command::new("rustup").current_dir(root).args(["target", "add", WASM]));
    let quiet::Finished { status, output } = rustup.map_err(|error| {
        Failure::new(format_args!("the target {WASM} is missing, and rustup cannot be run to add it: {error}"), &help)
    })?;
    if status.success() && has_std(&libraries) {
        return Ok(());
    }
    let failure =
        Failure::new(format_args!("the target {WASM} is missing, and rustup did not install it ({status})"), help);
    Err(failure.with_output(&output))
}

/// Returns the folder in which this toolchain has, or would have, the standard library of the target.
fn target_libraries(root: &Path) -> Result<PathBuf, Failure> {
    let help = "install Rust 1.95 or later from https://rustup.rs";
    let output = Command::new("rustc")
        .current_dir(root)
        .args(["--print", "target-libdir", "--target", WASM])
        .output()
        .map_err(|error| Failure::new(format_args!("rustc does not start: {error}"), help))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Failure::new(format_args!("this rustc does not know the target {WASM}: {message}"), help));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

fn has_std(libraries: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(libraries) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_installed_if_its_standard_library_exists() {
        let folder = std::env::temp_dir().join(format!("xtask-target-{}", std::process::id()));
        assert!(!has_std(&folder));
        std::fs::create_dir_all(&folder).unwrap();
        assert!(!has_std(&folder));
        std::fs::write(folder.join("libstd-0123.rlib"), "").unwrap();
        assert!(has_std(&folder));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
