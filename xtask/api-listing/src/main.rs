//! Prints the public items of a crate, one a line, from the JSON that rustdoc wrote about it. `cargo xtask api` runs it.
//! It is a program of its own, because xtask has few dependencies.

use std::process::ExitCode;

use public_api::{Builder, PublicApi};

fn main() -> ExitCode {
    let Some(json) = std::env::args_os().nth(1) else {
        eprintln!("usage: api-listing RUSTDOC.json");
        return ExitCode::FAILURE;
    };
    match listing(json.into()) {
        Ok(items) => {
            print!("{items}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("api-listing: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the listing without what every type has (auto traits, blanket implementations) and without derives.
fn listing(json: std::path::PathBuf) -> Result<PublicApi, public_api::Error> {
    Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
}
