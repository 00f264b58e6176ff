//! Programs that can replace each other.

use std::process::{Command, Stdio};

/// Runs the commands one after the other, until one succeeds and `done` returns true. Otherwise, the error has one line
/// for each command, with the reason of its failure.
pub fn first_that_succeeds(commands: Vec<Command>, done: impl Fn() -> bool) -> Result<(), String> {
    let mut tried = Vec::new();
    for mut command in commands {
        let name = command.get_program().to_string_lossy().into_owned();
        let output = command.stdin(Stdio::null()).output();
        let why = match output {
            Ok(output) if output.status.success() && done() => return Ok(()),
            Ok(output) if output.status.success() => "did not do it".to_owned(),
            Ok(output) => {
                // The last line of a program's output usually names the mistake.
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
                format!("failed ({}): {}", output.status, last.trim())
            }
            Err(error) => format!("does not start: {error}"),
        };
        tried.push(format!("  {name} {why}"));
    }
    Err(tried.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rustc(arguments: &[&str]) -> Command {
        let mut command = Command::new("rustc");
        command.args(arguments);
        command
    }

    #[test]
    fn the_first_program_that_succeeds_is_used() {
        let commands = vec![Command::new("no-such-program"), rustc(&["--no-such-flag"]), rustc(&["--version"])];
        assert_eq!(first_that_succeeds(commands, || true), Ok(()));
    }

    #[test]
    fn if_all_programs_fail_each_reason_is_shown() {
        let commands = vec![Command::new("no-such-program"), rustc(&["--no-such-flag"]), rustc(&["--version"])];
        let tried = first_that_succeeds(commands, || false).unwrap_err();
        let lines: Vec<_> = tried.lines().collect();
        assert!(lines[0].starts_with("  no-such-program does not start: "), "{tried}");
        assert!(lines[1].starts_with("  rustc failed ("), "{tried}");
        assert_eq!(lines[2], "  rustc did not do it");
    }
}
