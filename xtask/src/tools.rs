//! Programs that are fetched into the cache, once for each list of requirements.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::failure::Failure;
use crate::step::say;

/// The file in a folder of tools that says from what they were fetched. It is written when all tools are there.
const DONE: &str = "fetched";

/// Makes `folder` hold the tools of `wanted`, which is a list of requirements. Unless they are there already, `fetch`
/// fetches them into the folder, which is then empty.
pub fn fetched(folder: &Path, wanted: &str, fetch: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let broken = |path: &Path, error: std::io::Error| {
        Failure::new(format_args!("{}: {error}", path.display()), "remove the folder, and run this again")
    };
    let parent = folder.parent().unwrap_or(folder);
    fs::create_dir_all(parent).map_err(|error| broken(parent, error))?;
    // A task in another checkout may want to fetch the same tools at the same time.
    let lock = folder.with_extension("lock");
    let _lock =
        fs::File::create(&lock).and_then(|file| file.lock().map(|()| file)).map_err(|error| broken(&lock, error))?;
    if fs::read_to_string(folder.join(DONE)).is_ok_and(|done| done == wanted) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| broken(folder, error))?;
    }
    fs::create_dir_all(folder).map_err(|error| broken(folder, error))?;
    fetch()?;
    fs::write(folder.join(DONE), wanted).map_err(|error| broken(folder, error))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_fetched_again_only_if_the_list_changes() {
        let folder = std::env::temp_dir().join(format!("xtask-tools-{}", std::process::id())).join("tools");
        let mut times = 0;
        let mut fetch = |wanted: &str| {
            fetched(&folder, wanted, || {
                times += 1;
                assert!(fs::read_dir(&folder).unwrap().next().is_none(), "the folder is not empty");
                Ok(())
            })
            .unwrap();
            times
        };
        assert_eq!([fetch("a==1"), fetch("a==1"), fetch("a==2"), fetch("a==2")], [1, 1, 2, 2]);
        fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    }

    #[test]
    fn tools_that_were_not_all_fetched_are_fetched_again() {
        let folder = std::env::temp_dir().join(format!("xtask-half-{}", std::process::id())).join("tools");
        assert!(fetched(&folder, "a==1", || Err(Failure::new("no network", "get one"))).is_err());
        let mut is_fetched = false;
        fetched(&folder, "a==1", || {
            is_fetched = true;
            Ok(())
        })
        .unwrap();
        assert!(is_fetched);
        fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    }
}
