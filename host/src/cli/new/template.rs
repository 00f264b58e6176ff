//! The files of a new chain. They are real files in the folder `template`. `{{…}}` marks a blank in them.
//!
//! The manifests end in `.in`, so that Cargo does not take the folder for packages of this workspace.

use chainhost::config::ChainName;

use super::sdk::Sdk;

/// Each file's path in the new folder, and its text.
pub(super) const FILES: [(&str, &str); 12] = [
    ("Cargo.toml", include_str!("template/Cargo.toml.in")),
    ("README.md", include_str!("template/README.md")),
    (".gitignore", include_str!("template/gitignore")),
    ("rust-toolchain.toml", include_str!("template/rust-toolchain.toml")),
    ("chain.toml", include_str!("template/chain.toml")),
    ("wit/chain.wit", include_str!("template/wit/chain.wit")),
    ("say-hello/Cargo.toml", include_str!("template/say-hello/Cargo.toml.in")),
    ("say-hello/src/lib.rs", include_str!("template/say-hello/src/lib.rs")),
    ("hello-all/Cargo.toml", include_str!("template/hello-all/Cargo.toml.in")),
    ("hello-all/src/lib.rs", include_str!("template/hello-all/src/lib.rs")),
    ("tests/Cargo.toml", include_str!("template/tests/Cargo.toml.in")),
    ("tests/chain.rs", include_str!("template/tests/chain.rs")),
];

/// Fills in the blanks of `text`.
pub(super) fn render(text: &str, name: &ChainName, sdk: &Sdk) -> String {
    text.replace("{{name}}", name.as_str())
        .replace("{{sdk}}", &sdk.dependency())
        .replace("{{toolchain}}", &toml::Value::from(sdk.toolchain()).to_string())
}
