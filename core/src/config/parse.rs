//! Reads chain.toml, key by key.

mod derived;
mod settings;
mod syntax;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use self::derived::Declarations;
use super::document::ChainFile;
use super::error::{ConfigError, ConfigErrors};
use super::key::KeyPath;
use super::location::Location;
use super::reader::{Problems, TableReader};
use super::source::Source;
use super::spec::{ChainSpec, DEFAULT_WORKDIR};
use super::table::Rows;
use super::validate;
use crate::bounded_file;

/// The state of the sources from which chainlets are made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sources {
    /// They are built, or chainlets have none. The files that the build has written are read.
    Built,
    /// They are about to be built. What the last build has written is out of date.
    NotBuilt,
}

/// Reads the file at `path`.
pub(super) fn chain_file(path: &Path, sources: Sources) -> Result<ChainSpec, ConfigErrors> {
    let bytes = bounded_file::read(path, bounded_file::TEXT).map_err(|error| unreadable(path, &error))?;
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default());
            let place = Location::in_text(path, &valid, KeyPath::root(), valid.len(), valid.len());
            return Err(ConfigError::new(place, "the file is not UTF-8 text from here on", "save it as UTF-8").into());
        }
    };
    chain_text(text, path, sources)
}

fn unreadable(path: &Path, error: &std::io::Error) -> ConfigError {
    let help = if path.is_dir() {
        format!("name the file in it: {}", path.join("chain.toml").display())
    } else {
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                "check the path; `chainhost new NAME` makes a chain to begin with".to_owned()
            }
            _ => "make it a file that this user may read".to_owned(),
        }
    };
    ConfigError::of_file(Location::in_file(path), "cannot read the file", error, help)
}

/// Reads `text` as the file at `origin`.
pub(super) fn chain_text(text: &str, origin: &Path, sources: Sources) -> Result<ChainSpec, ConfigErrors> {
    let source = Source::new(origin, text);
    let (document, syntax_errors) = DeTable::parse_recoverable(text);
    ConfigErrors::check(syntax::errors(&source, text, document.get_ref(), &syntax_errors))?;
    let declarations = match sources {
        Sources::Built => Declarations::read(document.get_ref(), &folder_of(origin))?,
        Sources::NotBuilt => Declarations::default(),
    };
    let mut document = document.into_inner();
    declarations.add_to(&mut document);
    let document = &document;

    let mut problems = Problems::new(&source, document);
    let mut root = TableReader::new(KeyPath::root(), document);
    let file = ChainFile::read_rows(&mut root, &mut problems);
    root.finish(&mut problems, &[]);
    let locate = |key: &KeyPath| source.locate_in(document, key);
    let ChainFile { chain, gpu, stores, chainlets } = file;
    problems.add_independent(validate::check(&chainlets, &stores, chain.entrypoint.as_ref(), chain.rollout, &locate));

    let errors = problems.into_errors();
    match chain.name {
        Some(name) if errors.is_empty() => Ok(ChainSpec {
            name,
            entrypoint: chain.entrypoint,
            environment: chain.environment,
            rollout: chain.rollout,
            gpu,
            stores,
            chainlets,
            base_dir: folder_of(origin),
            source: Some(Arc::new(source)),
        }),
        _ => Err(ConfigErrors::all(errors)),
    }
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from(DEFAULT_WORKDIR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path) -> String {
        ChainSpec::from_file(path).unwrap_err().to_string()
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = refusal(Path::new("no-such/chain.toml"));
        assert!(error.starts_with("no-such/chain.toml: cannot read the file: "), "{error}");
        assert!(error.ends_with("help: check the path; `chainhost new NAME` makes a chain to begin with"), "{error}");
    }

    #[test]
    fn the_help_for_a_folder_names_the_file_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = refusal(folder.path());
        let expected = format!("help: name the file in it: {}", folder.path().join("chain.toml").display());
        assert!(error.ends_with(&expected), "{error}");
    }

    #[test]
    fn a_file_that_is_not_utf8_is_rejected_at_its_first_bad_byte() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chain.toml");
        std::fs::write(&file, b"[chain]\nname = \"h\xffllo\"\n").unwrap();
        let error = refusal(&file);
        assert!(error.contains("chain.toml:2:10: the file is not UTF-8 text from here on"), "{error}");
    }

    #[test]
    fn relative_paths_start_from_the_folder_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chain.toml");
        std::fs::write(&file, "[chain]\nname = \"c\"\n[chainlets.a]\ncomponent = \"a.wasm\"\n").unwrap();
        let spec = ChainSpec::from_file(&file).unwrap();
        assert_eq!(spec.resolve("a.wasm"), folder.path().join("a.wasm"));
        assert_eq!(spec.resolve("/a.wasm"), Path::new("/a.wasm"));
    }

    #[test]
    fn a_spec_that_was_changed_can_be_checked_again() {
        let text = "[chain]\nname = \"c\"\n[chainlets.a]\ncomponent = \"a.wasm\"\nqueue = 1\n";
        let mut spec = ChainSpec::from_toml(text, Path::new("chain.toml")).unwrap();
        spec.validate().unwrap();
        spec.chainlets[0].concurrency = 0;
        let error = spec.validate().unwrap_err().to_string();
        assert!(error.starts_with("chain.toml:3:12: chainlets.a.concurrency: expected at least 1"), "{error}");
    }
}
