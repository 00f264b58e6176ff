//! `chainhost new`: writes a chain that builds, serves and has a test.

mod sdk;
mod template;

use std::io;
use std::path::{Path, PathBuf};

use chainhost::config::ChainName;
use clap::{Args, ValueHint};

use self::sdk::Sdk;
use self::template::Language;
use super::{Exit, Failure, output};

/// Write a first chain: two Chainlets, their interfaces, and a test
///
/// Makes a folder that is ready for `chainhost build` and `chainhost serve`, with tests: a Cargo workspace, or one file of
/// Python.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  chainhost new hello
  chainhost new hello --lang python
  chainhost new services/hello --sdk ../chainhost/guest-sdk

The SDK:
  The Chainlets depend on the crate `chainlet`, which also brings the interfaces of the host, so
  that no WIT has to be copied. It is taken from --sdk, else from the checkout that this chainhost
  was built in if that is still there, else from crates.io.")]
pub struct New {
    /// The folder to make; its last part is the chain's name, lowercase words joined by hyphens
    #[arg(value_name = "NAME", value_hint = ValueHint::DirPath)]
    folder: PathBuf,

    /// The language of the Chainlets
    #[arg(long, value_name = "LANGUAGE", value_enum, default_value_t)]
    lang: Language,

    /// The folder of the crate `chainlet` that the Chainlets are to depend on
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    sdk: Option<PathBuf>,
}

/// The reason why no new chain was written.
#[derive(Debug, thiserror::Error)]
enum NewError {
    #[error("{found:?} has no name for a chain in it: expected lowercase words joined by hyphens, such as `hello`")]
    NoName { found: PathBuf },
    #[error("{rule}{suggestion}")]
    BadName { rule: chainhost::config::NameError, suggestion: String },
    #[error("{} is there already and not empty; choose another name, or remove it", folder.display())]
    NotEmpty { folder: PathBuf },
    #[error("{} is there already and no folder; choose another name", folder.display())]
    NotAFolder { folder: PathBuf },
    #[error("{} cannot be read: {error}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("{} cannot be written: {error}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error(transparent)]
    Sdk(#[from] sdk::SdkError),
}

impl From<NewError> for Failure {
    fn from(error: NewError) -> Self {
        let exit = match error {
            NewError::Read { .. } | NewError::Write { .. } => Exit::System,
            _ => Exit::Usage,
        };
        Failure::of(exit, &error)
    }
}

impl New {
    /// Writes the chain.
    pub fn run(&self) -> Result<(), Failure> {
        let name = name(&self.folder)?;
        let sdk = Sdk::find(self.sdk.as_deref()).map_err(NewError::from)?;
        is_free(&self.folder)?;
        write(&self.folder, &name, &sdk, self.lang)?;
        output::answer(next_steps(&self.folder, &name, &sdk, self.lang).as_bytes())
    }
}

/// Returns the name of a chain in `folder`.
fn name(folder: &Path) -> Result<ChainName, NewError> {
    let Some(name) = folder.file_name().and_then(|name| name.to_str()) else {
        return Err(NewError::NoName { found: folder.to_owned() });
    };
    ChainName::new(name).map_err(|rule| {
        let suggestion = rule.suggestion().map(|name| format!("; try `{}`", folder.with_file_name(name).display()));
        NewError::BadName { suggestion: suggestion.unwrap_or_default(), rule }
    })
}

/// Fails if `folder` exists and is not an empty folder, because nothing is ever overwritten.
fn is_free(folder: &Path) -> Result<(), NewError> {
    let mut entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let folder = folder.to_owned();
            return match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                io::ErrorKind::NotADirectory => Err(NewError::NotAFolder { folder }),
                _ => Err(NewError::Read { path: folder, error }),
            };
        }
    };
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(NewError::NotEmpty { folder: folder.to_owned() }),
    }
}

fn write(folder: &Path, name: &ChainName, sdk: &Sdk, language: Language) -> Result<(), NewError> {
    for (path, text) in language.files() {
        let path = folder.join(path);
        let failed = |error| NewError::Write { path: path.clone(), error };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::write(&path, template::render(text, name, sdk)).map_err(failed)?;
    }
    if let Some(theirs) = sdk.lock_file().filter(|_| language == Language::Rust) {
        let text = std::fs::read(&theirs).map_err(|error| NewError::Read { path: theirs, error })?;
        let ours = folder.join("Cargo.lock");
        std::fs::write(&ours, text).map_err(|error| NewError::Write { path: ours, error })?;
    }
    Ok(())
}

fn next_steps(folder: &Path, name: &ChainName, sdk: &Sdk, language: Language) -> String {
    format!(
        "The chain `{name}` is in {folder}. Its SDK is {sdk}. Next:

  cd {folder}
  chainhost build chain.toml
  chainhost call chain.toml '{{\"names\": [\"Ada\", \"Alan\"]}}'
{next}",
        folder = folder.display(),
        next = language.next_steps(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(folder: PathBuf) -> New {
        New { folder, sdk: None, lang: Language::Rust }
    }

    #[test]
    fn a_new_chain_has_every_file_with_every_blank_filled_in() {
        let folder = tempfile::tempdir().unwrap();
        let chain = folder.path().join("services/tea-time");
        for language in [Language::Python, Language::Rust] {
            write(&chain, &name(&chain).unwrap(), &Sdk::Published, language).unwrap();
            for (path, _) in language.files() {
                let text = std::fs::read_to_string(chain.join(path)).unwrap();
                assert!(!text.contains("{{") && !text.contains("}}"), "{path} has a blank left: {text}");
            }
        }
        let spec = chainhost::config::ChainSpec::from_file(chain.join("chain.toml")).unwrap();
        assert_eq!(spec.name, "tea-time");
        for chainlet in spec.chainlets.keys() {
            assert!(chain.join(chainlet.as_str()).join("Cargo.toml").is_file(), "{chainlet} has no crate");
        }
        let manifest = std::fs::read_to_string(chain.join("Cargo.toml")).unwrap();
        assert!(manifest.parse::<toml::Table>().is_ok(), "{manifest}");
    }

    #[test]
    fn a_new_chain_begins_with_the_versions_of_the_checkout_with_the_sdk() {
        let folder = tempfile::tempdir().unwrap();
        let sdk = Sdk::Folder(folder.path().join("guest-sdk").to_str().unwrap().to_owned());
        std::fs::create_dir(folder.path().join("guest-sdk")).unwrap();
        let (bare, locked) = (folder.path().join("bare"), folder.path().join("locked"));
        write(&bare, &name(&bare).unwrap(), &sdk, Language::Rust).unwrap();
        assert!(!bare.join("Cargo.lock").exists());
        std::fs::write(folder.path().join("Cargo.lock"), "version = 4\n").unwrap();
        write(&locked, &name(&locked).unwrap(), &sdk, Language::Rust).unwrap();
        assert_eq!(std::fs::read_to_string(locked.join("Cargo.lock")).unwrap(), "version = 4\n");
    }

    #[test]
    fn a_chain_is_only_written_to_a_new_or_empty_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("notes"), "x").unwrap();
        assert!(matches!(is_free(folder.path()), Err(NewError::NotEmpty { .. })));
        assert!(matches!(is_free(&folder.path().join("notes")), Err(NewError::NotAFolder { .. })));
        assert!(matches!(is_free(&folder.path().join("notes/below")), Err(NewError::NotAFolder { .. })));
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        assert!(is_free(&folder.path().join("empty")).is_ok());
        assert!(is_free(&folder.path().join("new")).is_ok());
    }

    #[test]
    fn a_bad_name_is_rejected_and_a_good_one_is_suggested() {
        let message = new("services/TeaTime".into()).run().unwrap_err().to_string();
        assert!(message.ends_with("; try `services/tea-time`"), "{message}");
        for bad in ["..", "/", "", "9lives", "a b/…"] {
            assert!(new(bad.into()).run().is_err(), "{bad:?} was accepted");
        }
    }
}
