//! A reader who follows the documents.
//!
//! The reader's clone is a folder of links to the entries of this one. Files that the documents write beside the clone
//! go to `target/readme`.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::block::{Shown, agrees};
use super::how::{How, split_variables};
use crate::cargo::{build, cargo, forget_this_package, target_dir};
use crate::failure::Failure;
use crate::served::Served;
use crate::step::say;

/// The addresses at which the documents say that a chain is served.
const SERVED_AT: [&str; 2] = ["127.0.0.1:8080", "localhost:8080"];

/// A reader who follows the documents.
pub struct Reader<'r> {
    root: &'r Path,
    install: PathBuf,
    folder: PathBuf,
    variables: Vec<(String, OsString)>,
    served: Option<Served>,
    /// Programs that run beside the chain.
    left: Vec<Left>,
}

impl<'r> Reader<'r> {
    /// Makes a reader who is in the clone.
    pub fn new(root: &'r Path) -> Result<Self, Failure> {
        let place = target_dir(root).join("readme");
        // The reader begins in the clone, and writes beside it.
        let folder = place.join("chainhost");
        let emptied = match fs::remove_dir_all(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::create_dir_all(&folder),
        };
        emptied.and_then(|()| link_entries(root, &folder)).map_err(|error| {
            Failure::new(format_args!("{} cannot be made anew: {error}", place.display()), "remove it by hand")
        })?;
        Ok(Reader {
            root,
            install: place.join("installed"),
            folder,
            variables: Vec::new(),
            served: None,
            left: Vec::new(),
        })
    }

    /// Follows a command of `document`.
    pub fn follow(&mut self, document: &str, shown: &Shown) -> Result<(), Failure> {
        let how = How::of(&shown.command);
        say(format_args!("\n$ {}", shown.command));
        match how {
            How::Already => say("  (done before)"),
            How::InCi => say("  (a step of .ci/run)"),
            How::Install => {
                let mut install = cargo(self.root, "install");
                install.args(["--path", "host", "--debug", "--root"]).arg(&self.install);
                build(&mut install)?;
            }
            How::Enter(folder) => self.folder.push(folder),
            How::Export(name) => self.export(&shown.command, name)?,
            How::Serve => {
                self.stop_chain()?;
                let (variables, program) = split_variables(&shown.command);
                let mut serve = Command::new("/bin/sh");
                // The arguments for a served chain come after those of the document.
                serve.arg("-c").arg(format!("{variables}exec {program} \"$@\"")).arg("sh");
                self.served = Some(Served::start(self.prepare(&mut serve))?);
            }
            How::Leave => self.leave(&shown.command)?,
            How::Run => self.run(document, shown)?,
        }
        Ok(())
    }

    /// Runs the command in a shell and compares its output.
    fn run(&self, document: &str, shown: &Shown) -> Result<(), Failure> {
        let line = match &self.served {
            Some(served) => {
                let address = served.address().to_string();
                SERVED_AT.iter().fold(shown.command.clone(), |line, place| line.replace(place, &address))
            }
            None => shown.command.clone(),
        };
        let printed = self.shell(&line)?;
        if !printed.trim().is_empty() {
            say(printed.trim_end());
        }
        if agrees(&shown.output, &printed) {
            return Ok(());
        }
        Err(Failure::new(
            format_args!("{document} says that `{}` prints\n{}", shown.command, shown.output.join("\n")),
            "correct the document, or what it describes; what the command really prints is above",
        ))
    }

    /// Runs the command, and sets its variable for the later commands.
    fn export(&mut self, command: &str, name: &str) -> Result<(), Failure> {
        let value = self.shell(&format!("{command}\nprintf %s \"${name}\""))?;
        self.variables.push((name.to_owned(), value.into()));
        Ok(())
    }

    /// Runs `line` in a shell, and returns its output on stdout. Fails if the line fails.
    fn shell(&self, line: &str) -> Result<String, Failure> {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(line);
        let output = self.prepare(&mut shell).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output =
            output.map_err(|error| Failure::new(format_args!("/bin/sh does not start: {error}"), "install it"))?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(printed);
        }
        let failure = Failure::new(
            format_args!("`{line}` failed ({}): {printed}", output.status),
            "correct the document, or what it describes",
        );
        Err(match &self.served {
            Some(served) => served.explain(failure),
            None => failure,
        })
    }

    /// Sets the folder of the reader and the variables that the reader has set for `command`.
    fn prepare<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        forget_this_package(command);
        // If PWD is set and valid, a shell takes it for the path of the folder.
        command.current_dir(&self.folder).env_remove("PWD");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)))
    }

    /// Starts a program of this repository with `cargo run`, and waits until it prints its address.
    fn leave(&mut self, command: &str) -> Result<(), Failure> {
        // It runs in the repository itself, because cargo would treat the folder of links as another workspace.
        let shell = |line: String| {
            let mut shell = Command::new("/bin/sh");
            forget_this_package(shell.arg("-c").arg(line).current_dir(self.root).stdin(Stdio::null()));
            shell
        };
        build(&mut shell(command.replacen("cargo run", "cargo build", 1)))?;
        let started = shell(format!("exec {command}")).stdout(Stdio::piped()).spawn();
        let mut process =
            started.map_err(|error| Failure::new(format_args!("/bin/sh does not start: {error}"), "install it"))?;
        let stdout = process.stdout.take();
        self.left.push(Left(process));
        let mut lines = stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines().map_while(Result::ok));
        match lines.find(|line| line.contains(" listens on ")) {
            Some(line) => {
                say(line);
                Ok(())
            }
            None => Err(Failure::new(
                format_args!("`{command}` ended before it listened"),
                "read what it printed above; another program may have its port",
            )),
        }
    }

    fn stop_chain(&mut self) -> Result<(), Failure> {
        self.served.take().map_or(Ok(()), Served::stop)
    }

    /// Stops the running programs.
    pub fn end(&mut self) -> Result<(), Failure> {
        self.left.clear();
        self.stop_chain()
    }
}

/// A process that ends when this value is dropped.
struct Left(Child);

impl Drop for Left {
    fn drop(&mut self) {
        // An error means that the process has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes a link in `folder` to each entry of `root`.
fn link_entries(root: &Path, folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        link(&entry.path(), &folder.join(entry.file_name()))?;
    }
    Ok(())
}

#[cfg(unix)]
fn link(to: &Path, place: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, place)
}

/// The commands of README.md are for a shell, which other systems lack.
#[cfg(not(unix))]
fn link(_to: &Path, _place: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
