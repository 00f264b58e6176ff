//! A chainlet's settings, secrets, and the place where it runs.
//!
//! A setting is any TOML value. A chainlet reads it as any type that serde can
//! deserialize:
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
//! Outside a host, such as in a unit test on the developer's machine, there are
//! no settings and no secrets, the names in [`deployment`] are empty, and the
//! environment is `development`.

use std::fmt::{self, Debug};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use thiserror::Error;

#[cfg(target_arch = "wasm32")]
use crate::host::chainlet::host::context as host;
#[cfg(not(target_arch = "wasm32"))]
use absent as host;

/// The reason why a setting could not be read.
#[derive(Debug, Error)]
pub enum SettingError {
    /// There is no setting of this name.
    #[error("there is no setting `{name}`; add it to `[chainlets.{}.config]` in chain.toml", chainlet())]
    Missing {
        /// The requested name.
        name: String,
    },
    /// The setting does not fit the requested type.
    #[error("setting `{name}` does not fit: {source}")]
    Mismatch {
        /// The requested name.
        name: String,
        /// The mismatch, and its place.
        source: serde_json::Error,
    },
    /// All settings together do not fit the requested type.
    #[error("the settings in `[chainlets.{}.config]` do not fit: {source}", chainlet())]
    AllMismatch {
        /// The mismatch, and its place.
        source: serde_json::Error,
    },
}

/// The reason why a secret could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SecretError {
    /// chain.toml does not give this chainlet a secret of this name.
    #[error(
        "secret `{name}` is not declared; add it to `secrets` in `[chainlets.{}.assets]` in chain.toml",
        chainlet()
    )]
    Undeclared {
        /// The requested name.
        name: String,
    },
    /// The host has no value for the secret now.
    #[error("secret `{name}` is not available: {reason}")]
    Unavailable {
        /// The requested name.
        name: String,
        /// A sentence that says where the host looked for it.
        reason: String,
    },
}

/// The value of a secret. Debug output does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Returns the value. Keep it out of logs and errors.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The place of this instance: its chain, chainlet, replica and environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The name of the chain.
    pub chain: String,
    /// The name of this chainlet in the chain. It tells apart two chainlets
    /// made from one component.
    pub chainlet: String,
    /// The number of this replica of the chainlet, counted from 0.
    pub replica: u32,
    /// The environment that the operator named, or `development` by default.
    pub environment: String,
    /// The folder for data that the chainlet keeps; `None` unless chain.toml
    /// has `assets.data`.
    pub data_folder: Option<PathBuf>,
}

/// Returns the setting `name`. A dot in the name steps into a table.
///
/// # Errors
/// Fails if there is no such setting, or if it does not fit `T`.
pub fn setting<T: DeserializeOwned>(name: &str) -> Result<T, SettingError> {
    optional_setting(name)?.ok_or_else(|| SettingError::Missing { name: name.to_owned() })
}

/// Returns the setting `name`, or `None` if there is no such setting.
///
/// # Errors
/// Fails if the setting does not fit `T`.
pub fn optional_setting<T: DeserializeOwned>(name: &str) -> Result<Option<T>, SettingError> {
    host::setting(name)
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|source| SettingError::Mismatch { name: name.to_owned(), source })
}

/// Returns all settings at once, as one struct or map.
///
/// # Errors
/// Fails if they do not fit `T`.
pub fn settings<T: DeserializeOwned>() -> Result<T, SettingError> {
    serde_json::from_str(&host::settings()).map_err(|source| SettingError::AllMismatch { source })
}

/// Returns the names of the settings at the top level, in the order of
/// chain.toml.
pub fn setting_names() -> Vec<String> {
    host::setting_names()
}

/// Returns the secret `name`.
///
/// # Errors
/// Fails if chain.toml does not declare the secret for this chainlet, or if the
/// host has no value for it.
pub fn secret(name: &str) -> Result<Secret, SecretError> {
    host::secret(name).map(Secret).map_err(|error| match error {
        host::SecretError::Undeclared => SecretError::Undeclared { name: name.to_owned() },
        host::SecretError::Unavailable(reason) => SecretError::Unavailable { name: name.to_owned(), reason },
    })
}

/// Returns the names of the secrets that chain.toml declares for this chainlet.
pub fn secret_names() -> Vec<String> {
    host::secret_names()
}

/// Returns the place of this instance: its chain, chainlet, replica and
/// environment.
pub fn deployment() -> Deployment {
    let host::Deployment { chain, chainlet, replica, environment, data_folder } = host::get_deployment();
    Deployment { chain, chainlet, replica, environment, data_folder: data_folder.map(PathBuf::from) }
}

/// Returns the name of the chain.
pub fn chain() -> String {
    deployment().chain
}

/// Returns the name of this chainlet in the chain.
pub fn chainlet() -> String {
    deployment().chainlet
}

/// Returns the number of this replica of the chainlet, counted from 0.
pub fn replica() -> u32 {
    deployment().replica
}

/// Returns the environment that the operator named, or `development` by
/// default.
pub fn environment() -> String {
    deployment().environment
}

/// Returns the folder for data that the chainlet keeps; `None` unless
/// chain.toml has `assets.data`. All replicas share it and may write to it.
pub fn data_folder() -> Option<PathBuf> {
    deployment().data_folder
}

/// Replaces the host where there is none, with the same functions.
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
    fn an_error_names_the_missing_setting() {
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
