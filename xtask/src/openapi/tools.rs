//! Programs that are fetched into the cache, once for each list of requirements.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache;
use crate::failure::Failure;
use crate::step::say;

/// The file in a folder of tools with the list from which they were fetched. It is written when all tools are there.
const DONE: &str = "fetched";

/// Returns the folder of the tools `name` in the cache, after making it agree with `list`. `fetch` fetches the tools
/// into the folder, which is then empty.
pub fn fetched(name: &str, list: &Path, fetch: impl FnOnce(&Path) -> Result<(), Failure>) -> Result<PathBuf, Failure> {
    let broken = |path: &Path, error: std::io::Error| {
        Failure::new(format_args!("{}: {error}", path.display()), "remove the folder, and run this again")
    };
    let folder = cache::folder("openapi")?.join(name);
    let wanted = fs::read_to_string(list).map_err(|error| broken(list, error))?;
    if fs::read_to_string(folder.join(DONE)).is_ok_and(|done| done == wanted) {
        return Ok(folder);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| broken(&folder, error))?;
    }
    fs::create_dir_all(&folder).map_err(|error| broken(&folder, error))?;
    fetch(&folder)?;
    fs::write(folder.join(DONE), wanted).map_err(|error| broken(&folder, error))?;
    Ok(folder)
}

/// Runs `command`. Shows its output only if it fails.
pub fn quietly(command: &mut Command, help: &str) -> Result<(), Failure> {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let output =
        command.output().map_err(|error| Failure::new(format_args!("{program} does not start: {error}"), help))?;
    if output.status.success() {
        return Ok(());
    }
    say(String::from_utf8_lossy(&output.stdout));
    say(String::from_utf8_lossy(&output.stderr));
    Err(Failure::new(format_args!("{program} failed ({}); what it said is above", output.status), help))
}
