//! The folders with the sources of components.

use std::path::{Path, PathBuf};

use chainhost::config::{ChainSpec, ChainletSpec};

use crate::cli::build;

/// The most files of one folder that are watched. A folder with more holds something else than sources.
const MOST_FILES: usize = 20_000;

/// Folders in which builds and package managers write.
const WRITTEN: [&str; 5] = ["target", "build", "dist", "node_modules", "__pycache__"];

/// The files that name packages of Python. The build reads those beside chain.toml.
pub(super) const PACKAGE_LISTS: [&str; 3] = ["pyproject.toml", "requirements.txt", "uv.lock"];

/// A folder with sources, and below it the files that count.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SourceFolder {
    path: PathBuf,
    language: Language,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Language {
    /// Modules of Python, and the lists of their packages.
    Python,
    /// Whatever the build command reads.
    Any,
}

impl SourceFolder {
    /// Returns the folder of the sources of `chainlet`; `None` if chain.toml does not say how it is built.
    pub(super) fn of(spec: &ChainSpec, chainlet: &ChainletSpec) -> Option<Self> {
        if let Some(class) = &chainlet.python {
            let path = build::folder_of(&spec.resolve(&class.file)).to_owned();
            return Some(SourceFolder { path, language: Language::Python });
        }
        let build = chainlet.build.as_ref()?;
        Some(SourceFolder { path: spec.resolve(&build.workdir), language: Language::Any })
    }

    /// Returns the files that are there now.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut open = vec![self.path.clone()];
        while let Some(folder) = open.pop() {
            // A folder that cannot be read has no sources either; the build says so.
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let (path, name) = (entry.path(), entry.file_name());
                let name = name.to_string_lossy();
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_folder && !name.starts_with('.') && !WRITTEN.contains(&&*name) && !is_environment(&path) {
                    open.push(path);
                } else if !is_folder && self.counts(&name) {
                    files.push(path);
                }
                if files.len() >= MOST_FILES {
                    return files;
                }
            }
        }
        files
    }

    fn counts(&self, name: &str) -> bool {
        match self.language {
            Language::Python => name.ends_with(".py") || PACKAGE_LISTS.contains(&name),
            Language::Any => !name.starts_with('.') && !name.ends_with(".wasm"),
        }
    }
}

/// Returns true for a folder with a virtual environment of Python.
fn is_environment(folder: &Path) -> bool {
    folder.join("pyvenv.cfg").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_watched_and_what_builds_write_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            "chain.py",
            "inner/words.py",
            "pyproject.toml",
            "notes.txt",
            "build/x.py",
            "venv/pyvenv.cfg",
            "venv/a.py",
            ".git/b.py",
            "inner/__pycache__/c.py",
            "src/lib.rs",
            "target/d.rs",
            "x.wasm",
        ];
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let text = "chain.name = \"c\"\nchainlets.p = { python = \"chain.py:P\" }\n\
                    chainlets.r = { component = \"x.wasm\", build = \"make\" }\nchainlets.w = { component = \"w.wasm\" }\n";
        let spec = ChainSpec::from_toml(text, &folder.path().join("chain.toml")).unwrap();
        let found = |name: &str| {
            let mut files = SourceFolder::of(&spec, &spec.chainlets[name])?.files();
            files.sort();
            let relative = |file: &PathBuf| file.strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned();
            Some(files.iter().map(relative).collect::<Vec<_>>())
        };
        assert_eq!(found("p").unwrap(), ["chain.py", "inner/words.py", "pyproject.toml"]);
        let all = ["chain.py", "inner/words.py", "notes.txt", "pyproject.toml", "src/lib.rs"];
        assert_eq!(found("r").unwrap(), all);
        assert_eq!(found("w"), None);
    }
}
