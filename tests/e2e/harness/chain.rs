//! A chain in its own folder.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Finished, Process, Served, chainhost, component};

/// A folder with a chain.toml. Dropping it removes the folder.
pub struct Chain {
    folder: TempDir,
}

impl Chain {
    /// Writes `text` as chain.toml. Each `<name>` becomes the path of the component `name`.
    pub fn new(text: &str) -> Self {
        let chain = Chain { folder: tempfile::tempdir().unwrap() };
        chain.write("chain.toml", Self::filled(text));
        chain
    }

    /// Writes a chain of the two chainlets of `examples/hello`.
    pub fn hello() -> Self {
        Self::new(
            r#"
[chain]
name = "hello"
entrypoint = "hello-all"

[chainlets.say-hello]
component = "<say_hello>"
config = { greeting = "Hello" }

[chainlets.hello-all]
component = "<hello_all>"
"#,
        )
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes another file into the folder.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::write(&path, contents).unwrap();
        path
    }

    /// Writes a component, given in the text format of WebAssembly, into the folder.
    pub fn write_component(&self, name: &str, text: &str) -> PathBuf {
        self.write(name, wat::parse_str(text).unwrap())
    }

    /// Returns the command `chainhost COMMAND…`, which runs in the folder.
    pub fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = chainhost();
        command.args(arguments).current_dir(self.folder());
        command
    }

    /// Runs `chainhost COMMAND…` in the folder to its end.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        Process::start(self.command(arguments)).finish()
    }

    /// Serves the chain.
    pub fn serve(&self) -> Served {
        self.serve_with(&[])
    }

    /// Serves the chain with more `options` on the command line.
    pub fn serve_with(&self, options: &[&str]) -> Served {
        Served::start(self.serve_command(options))
    }

    /// Returns the command that serves the chain on free ports.
    pub fn serve_command(&self, options: &[&str]) -> std::process::Command {
        let mut command = self.command(&["serve", "chain.toml", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.args(options);
        command
    }

    /// Returns `text`, where each `<name>` is replaced by the path of the component `name`.
    pub fn filled(text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('<') {
            let (name, after) = after.split_once('>').expect("each `<` has its `>`");
            filled.push_str(before);
            filled.push_str(component(name).to_str().unwrap());
            rest = after;
        }
        filled + rest
    }
}
