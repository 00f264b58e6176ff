//! The files of a new chain. They are real files in a folder for each language. `{{…}}` marks a blank in them.
//!
//! The manifests end in `.in`, so that Cargo and other tools do not take the folders for packages.

use chainhost::config::ChainName;
use clap::ValueEnum;

use super::sdk::Sdk;

/// The language of the Chainlets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// A crate for each Chainlet, and WIT for their interfaces
    #[default]
    Rust,
    /// A class for each Chainlet, in one file
    Python,
}

/// A file's path in the new folder, and its text.
pub(super) type File = (&'static str, &'static str);

const RUST: &[File] = &[
    ("Cargo.toml", include_str!("rust/Cargo.toml.in")),
    ("README.md", include_str!("rust/README.md")),
    (".gitignore", include_str!("rust/gitignore")),
    ("rust-toolchain.toml", include_str!("rust/rust-toolchain.toml")),
    ("chain.toml", include_str!("rust/chain.toml")),
    ("wit/chain.wit", include_str!("rust/wit/chain.wit")),
    ("say-hello/Cargo.toml", include_str!("rust/say-hello/Cargo.toml.in")),
    ("say-hello/src/lib.rs", include_str!("rust/say-hello/src/lib.rs")),
    ("hello-all/Cargo.toml", include_str!("rust/hello-all/Cargo.toml.in")),
    ("hello-all/src/lib.rs", include_str!("rust/hello-all/src/lib.rs")),
    ("tests/Cargo.toml", include_str!("rust/tests/Cargo.toml.in")),
    ("tests/chain.rs", include_str!("rust/tests/chain.rs")),
];

const PYTHON: &[File] = &[
    ("README.md", include_str!("python/README.md")),
    (".gitignore", include_str!("python/gitignore")),
    ("chain.toml", include_str!("python/chain.toml")),
    ("chain.py", include_str!("python/chain.py")),
    ("test_chain.py", include_str!("python/test_chain.py")),
    ("pyproject.toml", include_str!("python/pyproject.toml.in")),
];

impl Language {
    /// Returns the files of a new chain.
    pub(super) fn files(self) -> &'static [File] {
        match self {
            Language::Rust => RUST,
            Language::Python => PYTHON,
        }
    }

    /// Returns the commands that come after `chainhost new`, as lines.
    pub(super) fn next_steps(self) -> &'static str {
        match self {
            Language::Rust => "  chainhost serve chain.toml\n  cargo test\n",
            Language::Python => "  chainhost serve --watch --build chain.toml\n",
        }
    }
}

/// Fills in the blanks of `text`.
pub(super) fn render(text: &str, name: &ChainName, sdk: &Sdk) -> String {
    text.replace("{{name}}", name.as_str())
        .replace("{{sdk}}", &sdk.dependency())
        .replace("{{python-sdk}}", &toml::Value::from(sdk.python_requirement()).to_string())
        .replace("{{toolchain}}", &toml::Value::from(sdk.toolchain()).to_string())
}
