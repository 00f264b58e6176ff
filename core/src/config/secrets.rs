//! The values of secrets. They are never in chain.toml and never shown.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, ConfigErrors};
use super::key::KeyPath;
use super::location::Location;
use super::name::{ChainletName, SecretName, StoreName};
use super::source::Source;
use super::spec::ChainSpec;
use crate::bounded_file;
use crate::capability::keyvalue::StoreBackend;

/// A value that must not be shown. Its `Debug` and `Display` say only that it exists.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Returns the value itself. Pass it only to code that may see it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// The source of the values of secrets: environment variables and, if there is one, a secrets file.
///
/// The value of the secret `hf_access_token` is the first of these that is set and not empty: the environment variable
/// `hf_access_token`, the environment variable `HF_ACCESS_TOKEN` (in capitals, with `_` for each `-`), the key
/// `hf_access_token` of the secrets file.
///
/// A secrets file is TOML with one `name = "value"` a line. It may hold more secrets than one chain needs.
pub struct SecretStore {
    environment: Box<Environment>,
    file: Option<SecretsFile>,
}

type Environment = dyn Fn(&str) -> Option<OsString> + Send + Sync;

struct SecretsFile {
    path: PathBuf,
    values: HashMap<String, Secret>,
}

/// The reason why a secret has no value. It says where the host looked, and never any part of a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secret {name} is not set: {looked}")]
pub struct SecretUnavailable {
    name: SecretName,
    looked: String,
    help: String,
}

/// The secrets of all chainlets of a chain, by the chainlet's name and the secret's.
#[derive(Debug, Clone, Default)]
pub struct ChainSecrets {
    chainlets: HashMap<ChainletName, IndexMap<SecretName, Secret>>,
    /// The URLs of the stores whose URL is a secret.
    pub(crate) store_urls: IndexMap<StoreName, Secret>,
}

impl ChainSecrets {
    /// Returns the secret `name` of `chainlet`, or `None` if the chainlet did not declare it.
    #[must_use]
    pub fn get(&self, chainlet: &str, name: &str) -> Option<&Secret> {
        self.chainlets.get(chainlet)?.get(name)
    }

    /// Takes out all secrets of `chainlet`, in the order in which it declares them.
    #[must_use]
    pub fn take(&mut self, chainlet: &str) -> IndexMap<SecretName, Secret> {
        self.chainlets.remove(chainlet).unwrap_or_default()
    }
}

impl SecretStore {
    /// Takes secrets from this process's environment and, if given, from the secrets file at `path`.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or if anything is wrong with it. The errors show no part of its text.
    pub fn from_env_and_file(path: Option<&Path>) -> Result<Self, ConfigErrors> {
        Self::from_environment_and_file(|name| std::env::var_os(name), path)
    }

    /// Does the same with another environment than the process's, such as a vault's.
    ///
    /// # Errors
    /// Fails in the same cases as [`SecretStore::from_env_and_file`].
    pub fn from_environment_and_file(
        environment: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static,
        path: Option<&Path>,
    ) -> Result<Self, ConfigErrors> {
        let file = path.map(SecretsFile::read).transpose()?;
        Ok(Self { environment: Box::new(environment), file })
    }

    /// Returns the value of one secret.
    ///
    /// # Errors
    /// Fails if the secret has no value. The error says where the host looked.
    pub fn get(&self, name: &SecretName) -> Result<Secret, SecretUnavailable> {
        let mut unreadable = Vec::new();
        let variables = variables_of(name);
        for variable in &variables {
            match (self.environment)(variable).map(OsString::into_string) {
                None => {}
                Some(Ok(value)) if value.is_empty() => unreadable.push(format!("the variable {variable} is empty")),
                Some(Ok(value)) => return Ok(Secret::from(value)),
                Some(Err(_)) => unreadable.push(format!("the variable {variable} is not UTF-8 text")),
            }
        }
        if let Some(file) = &self.file {
            match file.values.get(name.as_str()) {
                Some(value) if !value.expose().is_empty() => return Ok(value.clone()),
                Some(_) => unreadable.push(format!("it is empty in {}", file.path.display())),
                None => {}
            }
        }
        Err(self.unavailable(name, &variables, &unreadable))
    }

    /// Returns the values of all secrets that the chainlets and the stores of `spec` declare.
    ///
    /// # Errors
    /// Fails if a secret has no value. The errors name every such secret, the chainlet and the place that declare it,
    /// and how to set it.
    pub fn resolve(&self, spec: &ChainSpec) -> Result<ChainSecrets, ConfigErrors> {
        let mut secrets = ChainSecrets::default();
        let mut errors = Vec::new();
        for (chainlet, chainlet_spec) in &spec.chainlets {
            let own = secrets.chainlets.entry(chainlet.clone()).or_default();
            let declared = KeyPath::from(["chainlets", chainlet.as_str(), "assets", "secrets"]);
            for (index, name) in chainlet_spec.assets.secrets.iter().enumerate() {
                match self.get(name) {
                    Ok(secret) => {
                        own.insert(name.clone(), secret);
                    }
                    Err(error) => {
                        let message = format!("{error}; the chainlet {chainlet} needs it");
                        errors.push(ConfigError::new(spec.at(declared.index(index)), message, error.help));
                    }
                }
            }
        }
        for (store, store_spec) in &spec.stores {
            let StoreBackend::Redis { url_secret: Some(name), .. } = &store_spec.backend else { continue };
            match self.get(name) {
                Ok(secret) => drop(secrets.store_urls.insert(store.clone(), secret)),
                Err(error) => {
                    let declared = KeyPath::from(["stores", store.as_str(), "url_secret"]);
                    let message = format!("{error}; the store {store} needs it");
                    errors.push(ConfigError::new(spec.at(declared), message, error.help));
                }
            }
        }
        ConfigErrors::check(errors).map(|()| secrets)
    }

    fn unavailable(&self, name: &SecretName, variables: &[String], unreadable: &[String]) -> SecretUnavailable {
        let mut looked = format!("found neither in the environment, as {}", variables.join(" or "));
        match &self.file {
            Some(file) => looked.push_str(&format!(", nor in {}", file.path.display())),
            None => looked.push_str(", nor in a secrets file, as none was given (--secrets FILE)"),
        }
        for reason in unreadable {
            looked.push_str("; ");
            looked.push_str(reason);
        }
        let variable = variables.last().map_or(name.as_str(), String::as_str);
        let file = match &self.file {
            Some(file) => format!("add {name} = \"…\" to {}", file.path.display()),
            None => format!("put {name} = \"…\" into a secrets file and give it by --secrets FILE"),
        };
        SecretUnavailable { name: name.clone(), looked, help: format!("set {variable} in the environment, or {file}") }
    }
}

/// Shows the secrets file and the number of values in it, but no value.
impl fmt::Debug for SecretStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_ref().map(|file| (&file.path, file.values.len()));
        f.debug_struct("SecretStore").field("file", &file).finish_non_exhaustive()
    }
}

/// Returns the environment variables that may hold the secret, in the order in which they are tried.
fn variables_of(name: &SecretName) -> Vec<String> {
    let exact = name.as_str().to_owned();
    let capitals = exact.to_ascii_uppercase().replace('-', "_");
    if capitals == exact { vec![exact] } else { vec![exact, capitals] }
}

impl SecretsFile {
    fn read(path: &Path) -> Result<Self, ConfigErrors> {
        let read = || {
            let text = bounded_file::read(path, bounded_file::TEXT)?;
            String::from_utf8(text).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
        };
        let text = read().map_err(|error| {
            let help = "check the path; it is a TOML file of name = \"value\" that this user may read";
            ConfigError::of_file(Location::in_file(path), "cannot read the secrets file", &error, help)
        })?;
        let source = Source::new(path, &text);
        let (document, syntax_errors) = DeTable::parse_recoverable(&text);
        let mut errors = Vec::new();
        for error in &syntax_errors {
            let place = source.locate_range(&KeyPath::root(), &error.span().unwrap_or(0..0));
            // Both the parser's message and the line itself could repeat a value.
            errors.push(ConfigError::new(
                place.without_snippet(),
                "expected a line of name = \"value\", found something that is not TOML",
                "put the value in quotes; https://toml.io explains the syntax",
            ));
        }
        let mut values = HashMap::new();
        for (name, value) in document.get_ref() {
            let name: &str = name.get_ref();
            match value.get_ref() {
                DeValue::String(value) => {
                    values.insert(name.to_owned(), Secret(value.as_ref().into()));
                }
                _ if syntax_errors.is_empty() => {
                    let place = source.locate_in(document.get_ref(), &KeyPath::from([name])).without_snippet();
                    let message = "expected a text in quotes, found another kind of value";
                    errors.push(ConfigError::new(place, message, format!("write it like {name} = \"…\"")));
                }
                _ => {}
            }
        }
        ConfigErrors::check(errors)?;
        Ok(Self { path: path.to_owned(), values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "hunter2-do-not-show";

    fn store(variables: &'static [(&str, &str)], file: Option<&str>) -> Result<SecretStore, ConfigErrors> {
        let environment = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.toml");
        if let Some(text) = file {
            std::fs::write(&path, text).unwrap();
        }
        SecretStore::from_environment_and_file(environment, file.map(|_| path.as_path()))
    }

    fn value(store: &SecretStore, name: &str) -> Option<String> {
        store.get(&name.parse().unwrap()).ok().map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn the_exact_variable_is_used_before_capitals_and_these_before_the_file() {
        let file = Some("my-token = \"file\"");
        let all = store(&[("my-token", "exact"), ("MY_TOKEN", "capitals")], file).unwrap();
        assert_eq!(value(&all, "my-token").as_deref(), Some("exact"));
        let capitals = store(&[("my-token", ""), ("MY_TOKEN", "capitals")], file).unwrap();
        assert_eq!(value(&capitals, "my-token").as_deref(), Some("capitals"));
        assert_eq!(value(&store(&[], file).unwrap(), "my-token").as_deref(), Some("file"));
        assert_eq!(value(&store(&[], None).unwrap(), "my-token"), None);
    }

    #[test]
    fn a_secret_that_is_not_set_names_chainlet_place_and_remedy() {
        let text = "[chain]\nname = \"c\"\n[chainlets.a]\ncomponent = \"a.wasm\"\n\
            assets.secrets = [\"there\", \"hf_token\"]\n";
        let spec = ChainSpec::from_toml(text, Path::new("chain.toml")).unwrap();
        let errors = store(&[("THERE", VALUE), ("HF_TOKEN", "")], None).unwrap().resolve(&spec).unwrap_err();
        let expected = "chain.toml:5:28: chainlets.a.assets.secrets[1]: the secret hf_token is not set: found neither \
            in the environment, as hf_token or HF_TOKEN, nor in a secrets file, as none was given (--secrets FILE); \
            the variable HF_TOKEN is empty; the chainlet a needs it\n\
            5 | assets.secrets = [\"there\", \"hf_token\"]\n  |                            ^^^^^^^^^^\n\
            help: set HF_TOKEN in the environment, or put hf_token = \"…\" into a secrets file and give it by \
            --secrets FILE";
        assert_eq!(errors.to_string(), expected);
    }

    #[test]
    fn a_chainlet_gets_the_secrets_that_it_declares_and_no_others() {
        let spec = ChainSpec::builder("c")
            .chainlet("a", super::super::ChainletSpec::builder("a.wasm").secret("x"))
            .chainlet("b", super::super::ChainletSpec::builder("b.wasm"))
            .build()
            .unwrap();
        let mut secrets = store(&[("X", VALUE), ("Y", VALUE)], None).unwrap().resolve(&spec).unwrap();
        assert_eq!(secrets.get("a", "x").map(Secret::expose), Some(VALUE));
        assert_eq!(secrets.get("a", "y"), None);
        assert_eq!(secrets.get("b", "x"), None);
        assert_eq!(secrets.take("a").len(), 1);
    }

    #[test]
    fn no_value_appears_in_debug_or_display() {
        let secret = Secret::from(VALUE.to_owned());
        let store = store(&[], Some("a = \"hunter2-do-not-show\"")).unwrap();
        for shown in [format!("{secret:?}"), format!("{secret}"), format!("{store:?}")] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn a_broken_secrets_file_is_rejected_without_showing_any_of_it() {
        for (text, place) in [
            ("a = hunter2-do-not-show", "secrets.toml:1:5: "),
            ("ok = \"x\"\na = \"hunter2-do-not-show", "secrets.toml:2:"),
            ("a = [\"hunter2-do-not-show\"]", "secrets.toml:1:5: a: "),
            ("[hunter]\na = \"hunter2-do-not-show\"", "secrets.toml:1:2: hunter: "),
            ("a = \"hunter2-do-not-show\"\na = \"x\"", "secrets.toml:2:1: "),
        ] {
            let error = store(&[], Some(text)).unwrap_err().to_string();
            assert!(error.contains(place) && !error.contains("hunter2"), "{text:?} gave\n{error}");
        }
    }

    #[test]
    fn a_missing_secrets_file_is_named() {
        let error = SecretStore::from_env_and_file(Some(Path::new("no-such/secrets.toml"))).unwrap_err();
        assert!(error.to_string().starts_with("no-such/secrets.toml: cannot read the secrets file: "), "{error}");
    }
}
