//! `cargo xtask readme`: runs the commands that the documents tell a newcomer to type, and compares the output that
//! they show.
//!
//! A block marked `console` has commands, each after `$ `, and below each its output on stdout. `…` stands for any part
//! of a line, or on a line of its own for any lines. If there is nothing below a command, its output does not matter.

mod block;
mod how;
mod reader;

use std::fs;
use std::path::Path;

use self::block::commands;
use self::reader::Reader;
use crate::cargo::build_host;
use crate::failure::Failure;
use crate::step::Steps;
use crate::toolchain;

/// The documents that are followed. A reader of the second document has read the first.
const DOCUMENTS: [&str; 2] = ["README.md", "examples/answer/README.md"];

/// Follows the documents.
pub fn run(root: &Path) -> Result<(), Failure> {
    let mut steps = Steps::new(2 + DOCUMENTS.len());
    steps.run("Check the toolchain", || toolchain::ensure(root))?;
    steps.run("Build chainhost (many minutes the first time)", || build_host(root))?;
    let mut reader = Reader::new(root)?;
    for document in DOCUMENTS {
        steps.run(&format!("Follow {document}"), || {
            let shown = commands(&read(&root.join(document))?);
            shown.iter().try_for_each(|shown| reader.follow(document, shown))?;
            reader.end()
        })?;
    }
    steps.finish(format_args!("{} are true.", DOCUMENTS.join(" and ")));
    Ok(())
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::new(format_args!("{} cannot be read: {error}", path.display()), "restore the file"))
}

#[cfg(test)]
mod tests {
    use super::how::How;
    use super::*;

    #[test]
    fn every_command_of_the_readme_is_run_here_or_by_ci() {
        let root = crate::root();
        let ci = read(&root.join(".ci/run")).unwrap();
        let shown = commands(&read(&root.join("README.md")).unwrap());
        let first: Vec<_> =
            shown.iter().map(|shown| shown.command.as_str()).filter(|c| c.starts_with("cargo xtask")).collect();
        assert!(first.contains(&"cargo xtask demo") && first.contains(&"cargo xtask test"), "{first:?}");
        for command in first {
            assert!(ci.lines().any(|line| line.trim() == command), ".ci/run has no line `{command}`");
        }
        assert!(ci.lines().any(|line| line.trim() == "cargo xtask readme"), ".ci/run does not follow README.md");
        let documents = DOCUMENTS.map(|document| commands(&read(&root.join(document)).unwrap()));
        for shown in documents.iter().flatten() {
            let has_port = shown.command.contains("--listen");
            assert!(!(How::of(&shown.command) == How::Serve && has_port), "this task chooses the port of {shown:?}");
        }
    }
}
