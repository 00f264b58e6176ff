//! The place from which a new chain takes the guest SDK.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The SDK of the checkout that this program was built in.
const BESIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-sdk");

/// The version of the published SDK that a new chain requires.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));

const HELP: &str = "name the folder `guest-sdk` of a checkout of chainhost";

/// The crate `chainlet`, as a dependency.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sdk {
    /// The crate is in this folder.
    Folder(String),
    /// The crate is the one on crates.io that belongs to this chainhost.
    Published,
}

/// The reason why a folder is not the SDK.
#[derive(Debug, thiserror::Error)]
pub(super) enum SdkError {
    #[error("{} is not the crate `chainlet`: {error}; {HELP}", folder.display())]
    Unreadable {
        folder: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("{} is not the crate `chainlet` but `{found}`; {HELP}", folder.display())]
    Other { folder: PathBuf, found: String },
    #[error("{} is not UTF-8, as a path in Cargo.toml must be; move the SDK elsewhere", folder.display())]
    NotText { folder: PathBuf },
}

impl Sdk {
    /// Returns the SDK in `chosen`, else the one in the checkout that this program was built in, else the published
    /// one.
    pub(super) fn find(chosen: Option<&Path>) -> Result<Self, SdkError> {
        match chosen {
            Some(folder) => Self::in_folder(folder),
            None => Ok(Self::in_folder(BESIDE.as_ref()).unwrap_or(Sdk::Published)),
        }
    }

    fn in_folder(folder: &Path) -> Result<Self, SdkError> {
        let unreadable = |error| SdkError::Unreadable { folder: folder.to_owned(), error };
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).map_err(unreadable)?;
        let manifest: toml::Table = manifest.parse().map_err(|error| unreadable(io::Error::other(error)))?;
        let found = manifest.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
        if found != Some("chainlet") {
            let found = found.unwrap_or("a workspace").to_owned();
            return Err(SdkError::Other { folder: folder.to_owned(), found });
        }
        let whole = folder.canonicalize().map_err(unreadable)?;
        match whole.to_str() {
            Some(path) => Ok(Sdk::Folder(path.to_owned())),
            None => Err(SdkError::NotText { folder: whole }),
        }
    }

    /// Returns the right side of `chainlet = …` in Cargo.toml.
    pub(super) fn dependency(&self) -> String {
        match self {
            Sdk::Folder(path) => format!("{{ path = {} }}", toml::Value::from(path.as_str())),
            Sdk::Published => format!("{VERSION:?}"),
        }
    }

    /// Returns the Python package `chainlet` as a requirement (PEP 508).
    pub(super) fn python_requirement(&self) -> String {
        match self {
            Sdk::Folder(path) => format!("chainlet @ file://{path}/python"),
            Sdk::Published => format!("chainlet=={}", env!("CARGO_PKG_VERSION")),
        }
    }

    /// Returns the version of Rust that builds the SDK. A checkout names its own version, which is installed already if
    /// chainhost was built in it.
    pub(super) fn toolchain(&self) -> String {
        let named = match self {
            Sdk::Folder(path) => named_toolchain(&Path::new(path).join("../rust-toolchain.toml")),
            Sdk::Published => None,
        };
        named.unwrap_or_else(|| "stable".to_owned())
    }

    /// Returns the Cargo.lock of the checkout with the SDK. A new chain that begins with it has the dependencies that
    /// the SDK is tested with and that are downloaded already. Cargo drops the other entries at the first build.
    pub(super) fn lock_file(&self) -> Option<PathBuf> {
        match self {
            Sdk::Folder(path) => Some(Path::new(path).join("../Cargo.lock")).filter(|file| file.is_file()),
            Sdk::Published => None,
        }
    }
}

/// Returns the toolchain that a rust-toolchain.toml names, if there is one.
fn named_toolchain(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let table: toml::Table = text.parse().ok()?;
    table.get("toolchain")?.get("channel")?.as_str().map(str::to_owned)
}

impl fmt::Display for Sdk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sdk::Folder(path) => write!(f, "the one in {path}"),
            Sdk::Published => write!(f, "chainlet {VERSION} from crates.io"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_the_sdk_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = || Sdk::find(Some(folder.path())).unwrap_err();
        assert!(matches!(refusal(), SdkError::Unreadable { .. }));
        std::fs::write(folder.path().join("Cargo.toml"), "[package]\nname = \"other\"\n").unwrap();
        assert!(matches!(refusal(), SdkError::Other { found, .. } if found == "other"));
    }

    #[test]
    fn a_new_chain_is_built_by_the_rust_that_built_the_sdk() {
        let checkout = tempfile::tempdir().unwrap();
        let sdk = Sdk::Folder(checkout.path().join("guest-sdk").to_str().unwrap().to_owned());
        assert_eq!(sdk.toolchain(), "stable");
        std::fs::create_dir(checkout.path().join("guest-sdk")).unwrap();
        std::fs::write(checkout.path().join("rust-toolchain.toml"), "[toolchain]\nchannel = \"1.95.0\"\n").unwrap();
        assert_eq!(sdk.toolchain(), "1.95.0");
        assert_eq!(Sdk::Published.toolchain(), "stable");
    }

    #[test]
    fn a_dependency_is_valid_toml_whatever_the_folder_is_called() {
        for sdk in [Sdk::Folder(r#"/a "b"\c"#.to_owned()), Sdk::Published] {
            let line = format!("chainlet = {}", sdk.dependency());
            assert!(line.parse::<toml::Table>().is_ok(), "{line}");
        }
    }
}
