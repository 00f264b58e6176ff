//! `cargo xtask readme`: what README.md tells a newcomer to type is typed, and what it shows is compared.
//!
//! A block marked `console` holds commands, each after `$ `, and under each what it prints on stdout; `…` stands for any
//! part of a line, and a line of its own for any lines. Where nothing stands under a command, what it prints does not
//! matter.

mod block;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use self::block::{Shown, agrees, commands};
use crate::cargo::{build_host, cargo, forget_this_package, succeed, target_dir};
use crate::failure::Failure;
use crate::served::Served;
use crate::step::{Steps, say};
use crate::toolchain;

/// Where README.md says that a chain is served.
const SERVED_AT: &str = "127.0.0.1:8080";

/// How a command of README.md is tried.
#[derive(Debug, PartialEq, Eq)]
enum How<'c> {
    /// Not here: it is how a newcomer comes to the state that this task starts in.
    Already,
    /// By a step of CI of its own.
    InCi,
    /// As it is, but with the profile of the tests, so that nothing is compiled twice.
    Install,
    /// By going on in another folder.
    Enter(&'c str),
    /// By going back to where a newcomer has the clone.
    Return,
    /// By leaving it running, until the next one is served or the text ends.
    Serve,
    /// As it is.
    Run,
}

impl How<'_> {
    fn of(command: &str) -> How<'_> {
        match command.split(' ').collect::<Vec<_>>().as_slice() {
            ["git", "clone", ..] | ["cd", "chainhost"] => How::Already,
            ["cargo", "xtask", ..] => How::InCi,
            ["cargo", "install", "--path", "host"] => How::Install,
            ["cd", "../chainhost"] => How::Return,
            ["cd", folder] => How::Enter(folder),
            ["chainhost", "serve", ..] => How::Serve,
            _ => How::Run,
        }
    }
}

/// Follows README.md.
pub fn run(root: &Path) -> Result<(), Failure> {
    let shown = commands(&read(&root.join("README.md"))?);
    let mut steps = Steps::new(3);
    steps.run("Check the toolchain", || toolchain::ensure(root))?;
    steps.run("Build chainhost (the first time takes many minutes)", || build_host(root))?;
    steps.run("Follow README.md", || {
        let mut reader = Reader::new(root)?;
        shown.iter().try_for_each(|shown| reader.follow(shown))?;
        reader.end()
    })?;
    steps.finish("README.md is true.");
    Ok(())
}

/// Somebody who reads README.md and does what it says.
struct Reader<'r> {
    root: &'r Path,
    install: PathBuf,
    folder: PathBuf,
    served: Option<Served>,
}

impl<'r> Reader<'r> {
    fn new(root: &'r Path) -> Result<Self, Failure> {
        let place = target_dir(root).join("readme");
        // A reader begins in the clone, and writes beside it.
        let folder = place.join("chainhost");
        let emptied = match fs::remove_dir_all(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::create_dir_all(&folder),
        };
        emptied.map_err(|error| {
            Failure::new(format_args!("{} cannot be emptied: {error}", place.display()), "remove it by hand")
        })?;
        Ok(Reader { root, install: place.join("installed"), folder, served: None })
    }

    fn follow(&mut self, shown: &Shown) -> Result<(), Failure> {
        let how = How::of(&shown.command);
        say(format_args!("\n$ {}", shown.command));
        match how {
            How::Already => say("  (done before)"),
            How::InCi => say("  (a step of .ci/run)"),
            How::Install => {
                let mut install = cargo(self.root, "install");
                install.args(["--path", "host", "--debug", "--locked", "--root"]).arg(&self.install);
                succeed(&mut install)?;
            }
            How::Enter(folder) => self.folder.push(folder),
            How::Return => self.folder = self.root.to_owned(),
            How::Serve => {
                self.end()?;
                let mut serve = Command::new("/bin/sh");
                // The arguments that a served chain gets follow those of README.md.
                serve.arg("-c").arg(format!("exec {} \"$@\"", shown.command)).arg("sh");
                self.served = Some(Served::start(self.prepare(&mut serve)?)?);
            }
            How::Run => self.run(shown)?,
        }
        Ok(())
    }

    /// Runs the command in a shell and compares what it prints.
    fn run(&self, shown: &Shown) -> Result<(), Failure> {
        let line = match &self.served {
            Some(served) => shown.command.replace(SERVED_AT, &served.address().to_string()),
            None => shown.command.clone(),
        };
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(&line);
        let output = self.prepare(&mut shell)?.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output =
            output.map_err(|error| Failure::new(format_args!("/bin/sh does not start: {error}"), "install it"))?;
        let printed = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(Failure::new(
                format_args!("`{line}` failed ({}): {printed}", output.status),
                "correct README.md, or what it describes",
            ));
        }
        say(printed.trim_end());
        if agrees(&shown.output, &printed) {
            return Ok(());
        }
        Err(Failure::new(
            format_args!("README.md says that `{}` prints\n{}", shown.command, shown.output.join("\n")),
            "correct README.md, or what it describes; what it really prints is above",
        ))
    }

    /// Runs `command` where the reader is, with the installed program in the path.
    fn prepare<'c>(&self, command: &'c mut Command) -> Result<&'c mut Command, Failure> {
        forget_this_package(command);
        let mut path = OsString::from(self.install.join("bin"));
        path.push(if cfg!(windows) { ";" } else { ":" });
        path.push(std::env::var_os("PATH").unwrap_or_default());
        command.current_dir(&self.folder).env("PATH", path);
        Ok(command)
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.served.take().map_or(Ok(()), Served::stop)
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::new(format_args!("{} cannot be read: {error}", path.display()), "restore the file"))
}

#[cfg(test)]
mod tests {
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
        for served in shown.iter().filter(|shown| How::of(&shown.command) == How::Serve) {
            assert!(!served.command.contains("--listen"), "{}: the walk-through chooses the port", served.command);
        }
    }

    #[test]
    fn each_command_is_tried_in_the_way_that_fits_it() {
        assert_eq!(How::of("cargo xtask demo"), How::InCi);
        assert_eq!(How::of("cargo install --path host"), How::Install);
        assert_eq!(How::of("cd hello"), How::Enter("hello"));
        assert_eq!(How::of("cd chainhost"), How::Already);
        assert_eq!(How::of("cd ../chainhost"), How::Return);
        assert_eq!(How::of("chainhost serve chain.toml"), How::Serve);
        assert_eq!(How::of("chainhost build chain.toml"), How::Run);
        assert_eq!(How::of("cargo test"), How::Run);
    }
}
