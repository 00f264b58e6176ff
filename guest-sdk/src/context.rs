//! What a chainlet may know about its configuration and deployment.
//!
//! A setting is anything that TOML can say, and is read as any type that serde
//! can deserialize:
//!
//! ```toml
//! [chainlets.search.config]
//! language = "en"
//! retry = { limit = 3, pause_ms = 20 }
//! ```
//!
//! ```no_run
//! # #[derive(serde::Deserialize)] struct Retry { limit: u32, pause_ms: u64 }
//! # fn init() -> chainlet::Result<()> {
//! let language: String = chainlet::context::setting("language")?;
//! let retry: Retry = chainlet::context::setting("retry")?;
//! let limit: u32 = chainlet::context::setting("retry.limit")?;
//! let verbose: Option<bool> = chainlet::context::optional_setting("verbose")?;
//! # Ok(()) }
//! ```
//!
//! Outside a host, in a unit test on the developer's machine, there are no
//! settings and no secrets, the names in [`deployment`] are empty, and the
//! environment is `development`.

use std::fmt::{self, Debug};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use thiserror::Error;

#[cfg(target_arch = "wasm32")]
use crate::host::chainlet::host::context as host;
#[cfg(not(target_arch = "wasm32"))]
use absent as host;

/// Why a setting could not be read.
#[derive(Debug, Error)]
pub enum SettingError {
    /// There is none of this name.
    #[error("there is no setting `{name}`; add it to `[chainlets.{}.config]` in chain.toml", chainlet())]
    Missing {
        /// The name that was asked for.
        name: String,
    },
    /// It is of another shape than the type it was asked for as.
    #[error("setting `{name}` does not fit: {source}")]
    Mismatch {
        /// The name that was asked for.
        name: String,
        /// What does not fit, and where.
        source: serde_json::Error,
    },
    /// The settings as a whole are of another shape.
    #[error("the settings in `[chainlets.{}.config]` do not fit: {source}", chainlet())]
    AllMismatch {
        /// What does not fit, and where.
        source: serde_json::Error,
    },
}

/// Why a secret could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SecretError {
    /// chain.toml does not give this chainlet a secret of this name.
    #[error(
        "secret `{name}` is not declared; add it to `secrets` in `[chainlets.{}.assets]` in chain.toml",
        chainlet()
    )]
    Undeclared {
        /// The name that was asked for.
        name: String,
    },
    /// The host has no value for it now.
    #[error("secret `{name}` is not available: {reason}")]
    Unavailable {
        /// The name that was asked for.
        name: String,
        /// Where the host looked for it.
        reason: String,
    },
}

/// The value of a secret, which no debug output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value. Keep it out of logs and errors.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where and as what this instance runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The name of the chain.
    pub chain: String,
    /// The name of this chainlet in the chain. Two chainlets made from one
    /// component differ in it.
    pub chainlet: String,
    /// Which replica of the chainlet this is, counted from 0.
    pub replica: u32,
    /// The environment that the operator named, or `development`.
    pub environment: String,
    /// The folder for what the chainlet keeps itself; none unless chain.toml
    /// says `assets.data`.
    pub data_folder: Option<PathBuf>,
}

/// The setting `name`, where a dot steps into a table.
///
/// # Errors
/// If there is none, or if it is of another shape than `T`.
pub fn setting<T: DeserializeOwned>(name: &str) -> Result<T, SettingError> {
    optional_setting(name)?.ok_or_else(|| SettingError::Missing { name: name.to_owned() })
}

/// The setting `name`, or none if there is none of this name.
///
/// # Errors
/// If it is of another shape than `T`.
pub fn optional_setting<T: DeserializeOwned>(name: &str) -> Result<Option<T>, SettingError> {
    host::setting(name)
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|source| SettingError::Mismatch { name: name.to_owned(), source })
}

/// All settings at once, as one struct or map.
///
/// # Errors
/// If they are of another shape than `T`.
pub fn settings<T: DeserializeOwned>() -> Result<T, SettingError> {
    serde_json::from_str(&host::settings()).map_err(|source| SettingError::AllMismatch { source })
}

/// The names of the settings at the top, in the order of chain.toml.
pub fn setting_names() -> Vec<String> {
    host::setting_names()
}

/// The secret `name`.
///
/// # Errors
/// If chain.toml does not declare it for this chainlet, or if the host has no
/// value for it.
pub fn secret(name: &str) -> Result<Secret, SecretError> {
    host::secret(name).map(Secret).map_err(|error| match error {
        host::SecretError::Undeclared => SecretError::Undeclared { name: name.to_owned() },
        host::SecretError::Unavailable(reason) => SecretError::Unavailable { name: name.to_owned(), reason },
    })
}

/// The names of the secrets that chain.toml declares for this chainlet.
pub fn secret_names() -> Vec<String> {
    host::secret_names()
}

/// Where and as what this instance runs.
pub fn deployment() -> Deployment {
    let host::Deployment { chain, chainlet, replica, environment, data_folder } = host::get_deployment();
    Deployment { chain, chainlet, replica, environment, data_folder: data_folder.map(PathBuf::from) }
}

/// The name of the chain.
pub fn chain() -> String {
    deployment().chain
}

/// The name of this chainlet in the chain.
pub fn chainlet() -> String {
    deployment().chainlet
}

/// Which replica of the chainlet this is, counted from 0.
pub fn replica() -> u32 {
    deployment().replica
}

/// The environment that the operator named, or `development`.
pub fn environment() -> String {
    deployment().environment
}

/// The folder for what the chainlet keeps itself, which all its replicas share
/// and may write to; none unless chain.toml says `assets.data`.
pub fn data_folder() -> Option<PathBuf> {
    deployment().data_folder
}

/// What stands in for the host where there is none.
#[cfg(not(target_arch = "wasm32"))]
mod absent {
    #[expect(dead_code, reason = "the host makes both")]
    pub enum SecretError {
        Undeclared,
        Unavailable(String),
    }

    pub struct Deployment {
        pub chain: String,
        pub chainlet: String,
        pub replica: u32,
        pub environment: String,
        pub data_folder: Option<String>,
    }

    pub fn setting(_: &str) -> Option<String> {
        None
    }

    pub fn settings() -> String {
        "{}".to_owned()
    }

    pub fn setting_names() -> Vec<String> {
        Vec::new()
    }

    pub fn secret(_: &str) -> Result<String, SecretError> {
        Err(SecretError::Undeclared)
    }

    pub fn secret_names() -> Vec<String> {
        Vec::new()
    }

    pub fn get_deployment() -> Deployment {
        Deployment {
            chain: String::new(),
            chainlet: String::new(),
            replica: 0,
            environment: "development".to_owned(),
            data_folder: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_setting_is_an_error_unless_it_is_optional() {
        let error = setting::<u32>("limit").unwrap_err();
        assert!(error.to_string().starts_with("there is no setting `limit`"), "{error}");
        assert_eq!(optional_setting::<u32>("limit").unwrap(), None);
    }

    #[test]
    fn settings_that_do_not_fit_say_what_is_missing() {
        #[derive(Debug, serde::Deserialize)]
        struct Settings {
            #[expect(dead_code, reason = "it is only asked for")]
            limit: u32,
        }
        let error = settings::<Settings>().unwrap_err();
        assert!(error.to_string().contains("missing field `limit`"), "{error}");
    }

    #[test]
    fn a_secret_is_not_in_debug_output() {
        let secret = Secret("hunter2".to_owned());
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert!(matches!(super::secret("token"), Err(SecretError::Undeclared { name }) if name == "token"));
    }
}
