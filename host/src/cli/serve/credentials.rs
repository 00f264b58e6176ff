//! The credentials of `chainhost serve`: the API keys and certificates of its clients, and its own certificate. They
//! come from files that may change.

use std::path::{Path, PathBuf};

use chainhost::server::{ApiKeys, ApiKeysError, Tls, TlsError};
use clap::{Args, ValueHint};

use crate::cli::{Exit, Failure};

/// The environment variable with API keys. They count beside those in the file.
const API_KEY: &str = "CHAINHOST_API_KEY";

/// The files with API keys and certificates.
#[derive(Debug, Clone, Args)]
pub(super) struct Credentials {
    /// A TOML file of `name = "key"` lines: the API keys of which each client must show one
    #[arg(long, value_name = "FILE", env = "CHAINHOST_API_KEYS", hide_env_values = true, value_hint = ValueHint::FilePath)]
    api_keys: Option<PathBuf>,

    /// The certificate for HTTPS, with those that lead to its authority: a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "CHAINHOST_TLS_CERT", hide_env_values = true, value_hint = ValueHint::FilePath)]
    tls_cert: Option<PathBuf>,

    /// The private key of the certificate: a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "CHAINHOST_TLS_KEY", hide_env_values = true, value_hint = ValueHint::FilePath)]
    tls_key: Option<PathBuf>,

    /// The certificates of authorities, a PEM file: only clients with a certificate from one of them are served
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "CHAINHOST_TLS_CLIENT_CA", hide_env_values = true, value_hint = ValueHint::FilePath)]
    tls_client_ca: Option<PathBuf>,
}

/// Credentials that were read. Clones are handles to the same credentials.
#[derive(Debug, Clone)]
pub(super) struct LoadedCredentials {
    pub api_keys: Option<ApiKeys>,
    pub tls: Option<Tls>,
}

/// The reason why credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CredentialsError {
    #[error(transparent)]
    ApiKeys(#[from] ApiKeysError),
    #[error("the variable {API_KEY}: {0}")]
    Variable(#[source] ApiKeysError),
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
}

impl Credentials {
    /// Reads the credentials.
    pub(super) fn load(&self) -> Result<LoadedCredentials, CredentialsError> {
        // A variable that is set but holds no key is a mistake. Ignoring it would let everyone in.
        let listed = match std::env::var_os(API_KEY) {
            Some(text) => Some(ApiKeys::from_list(&text.to_string_lossy()).map_err(CredentialsError::Variable)?),
            None => None,
        };
        let in_file = self.api_keys.as_ref().map(ApiKeys::from_file).transpose()?;
        let api_keys = match (in_file, listed) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => {
                let tls = Tls::from_files(certificate, key)?;
                match &self.tls_client_ca {
                    Some(authorities) => Some(tls.with_client_ca_file(authorities)?),
                    None => Some(tls),
                }
            }
            _ => None,
        };
        Ok(LoadedCredentials { api_keys, tls })
    }

    /// Reads the credentials again, for all handles of `loaded`.
    pub(super) fn renew(&self, loaded: &LoadedCredentials) -> Result<(), CredentialsError> {
        let LoadedCredentials { api_keys, tls } = self.load()?;
        if let (Some(old), Some(new)) = (&loaded.api_keys, api_keys) {
            old.replace(new);
        }
        if let (Some(old), Some(new)) = (&loaded.tls, tls) {
            old.replace(&new);
        }
        Ok(())
    }

    /// Returns true if a client needs no credentials to call.
    pub(super) fn admit_anyone(&self, loaded: &LoadedCredentials) -> bool {
        loaded.api_keys.is_none() && self.tls_client_ca.is_none()
    }

    /// Returns the files of the credentials.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        [&self.api_keys, &self.tls_cert, &self.tls_key, &self.tls_client_ca]
            .into_iter()
            .flatten()
            .map(PathBuf::as_path)
            .map(Path::to_owned)
            .collect()
    }
}

impl From<CredentialsError> for Failure {
    fn from(error: CredentialsError) -> Self {
        Failure::of(Exit::Config, &error)
    }
}
