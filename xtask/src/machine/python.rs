//! The machine's Python, for tests and tools that are written in it.

use std::process::Command;

use super::{install_as_root, install_command};
use crate::failure::Failure;
use crate::step::say;

/// The program.
pub const PROGRAM: &str = "python3";

/// Debian's packages with the program, and with the modules that make virtual environments.
pub(super) const PACKAGES: [&str; 2] = ["python3", "python3-venv"];

/// The oldest version with which the tests run. Chains may use `asyncio.timeout`, which is new in it.
const OLDEST: (u32, u32) = (3, 11);

/// Prints the version, and on the next line all that tells two Pythons apart. It fails if Python cannot make an
/// environment with pip.
const QUESTION: &str = "import ensurepip, platform, sys, venv
print(*sys.version_info[:2])
print(sys.base_prefix, platform.machine(), ' '.join(sys.version.split()))";

/// Returns true if the machine has Python, of any version, with its module venv.
pub(super) fn is_found() -> bool {
    ask().is_some()
}

/// Returns a line that is different for each Python. As root, installs Python if it is missing.
///
/// # Errors
/// Fails without Python, or if it is too old.
pub fn ensure() -> Result<String, Failure> {
    if !is_found() {
        say("missing: python3 with its module venv");
        install_as_root(&PACKAGES);
    }
    let answer = ask().ok_or_else(|| {
        Failure::new(
            "this machine has no python3 with its module venv",
            format_args!("as root: {}", install_command(&PACKAGES)),
        )
    })?;
    judge(&answer)
}

fn ask() -> Option<String> {
    let output = Command::new(PROGRAM).args(["-c", QUESTION]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns the second line of an `answer`, if the version in the first is new enough.
fn judge(answer: &str) -> Result<String, Failure> {
    let (version, identity) = answer.split_once('\n').unwrap_or((answer, ""));
    let version = version.trim();
    let numbers = version.split_once(' ').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    if numbers.is_some_and(|numbers: (u32, u32)| numbers >= OLDEST) {
        return Ok(identity.trim().to_owned());
    }
    let (major, minor) = OLDEST;
    Err(Failure::new(
        format_args!("the {PROGRAM} of this machine has version {}", version.replace(' ', ".")),
        format_args!("install Python {major}.{minor} or later, and put it before that one in PATH"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_that_is_too_old_is_named_with_its_version() {
        let failure = judge("3 9\n/usr x86_64 3.9.2 (default)\n").unwrap_err().to_string();
        assert_eq!(
            failure,
            "the python3 of this machine has version 3.9\n  what to do: install Python 3.11 or later, and put it before \
             that one in PATH"
        );
    }

    #[test]
    fn a_python_that_is_new_enough_is_identified() {
        assert_eq!(judge("3 11\n/usr x86_64 3.11.2\n").unwrap(), "/usr x86_64 3.11.2");
        assert_eq!(judge("4 0\r\n/usr arm64 4.0\r\n").unwrap(), "/usr arm64 4.0");
    }
}
