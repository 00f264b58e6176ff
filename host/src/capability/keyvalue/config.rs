//! The keys of chain.toml about stores: `[stores.NAME]`, and `stores` of a chainlet.
//!
//! The text on these items is also the text of the JSON Schema that editors show, so it speaks to the author of a
//! chain.toml.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use toml::de::DeValue;

use super::limits::MIN_VALUE_LIMIT;
use crate::config::reader::{Expected, Node, Problems, named_key};
use crate::config::{ByteSize, ChainletSpec, ConfigError, KeyPath, Location, SecretName, StoreName, policy};

/// A store of keys and values, which the chainlets that name it share, for example
///
/// ```toml
/// [stores.sessions]
/// type = "file"
/// path = "data/sessions.redb"
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoreSpec {
    /// The place of the entries.
    #[serde(flatten)]
    pub backend: StoreBackend,
    /// The most bytes that all entries may have together.
    pub limit: ByteSize,
    /// The most bytes that one value may have.
    pub value_limit: ByteSize,
    /// The longest time that one operation may take.
    #[serde(serialize_with = "policy::duration")]
    pub timeout: Duration,
}

/// The place where a store keeps its entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
#[non_exhaustive]
pub enum StoreBackend {
    /// In the memory of the host. The entries survive a reload of the chain, but not the end of the host.
    Memory,
    /// In a file on this machine, which one host opens at a time. The entries survive the end of the host.
    File {
        /// The file, relative to chain.toml.
        path: PathBuf,
    },
    /// On a Redis server, which hosts on other machines can share.
    Redis {
        /// The URL of the server, without a password. Either this or `url_secret` is set.
        #[serde(skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        /// The secret that holds the URL of the server.
        #[serde(skip_serializing_if = "Option::is_none")]
        url_secret: Option<SecretName>,
        /// The text before each key on the server. By default it is `CHAIN:STORE:`.
        #[serde(skip_serializing_if = "Option::is_none")]
        prefix: Option<String>,
    },
}

/// A store of keys and values, which the chainlets that name it share, for example
///
/// ```toml
/// [stores.sessions]
/// type = "file"
/// path = "data/sessions.redb"
/// ```
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code, reason = "only its schema is used")]
struct StoreTable {
    /// The place of the entries: `type = "memory"` for the memory of the host, whose entries survive a reload but not the
    /// end of the host; `"file"` for a file on this machine; `"redis"` for a Redis server.
    #[schemars(schema_with = "types")]
    r#type: String,

    /// The file of a store in a file, relative to chain.toml, for example `path = "data/sessions.redb"`. The host makes it
    /// if it is missing. One host opens it at a time.
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "String", length(min = 1))]
    path: Option<PathBuf>,

    /// The server of a store in Redis, for example `url = "redis://127.0.0.1:6379/0"`. A URL with a password is a secret:
    /// name it by `url_secret` instead.
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "String")]
    url: Option<String>,

    /// The secret that holds the URL of a store in Redis, for example `url_secret = "redis_url"`.
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "SecretName")]
    url_secret: Option<SecretName>,

    /// The text before each key on a Redis server, for example `prefix = "shop:"`. By default it is the name of the chain
    /// and the name of the store, each with a colon.
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "String")]
    prefix: Option<String>,

    /// The most bytes that all entries may have together, with a unit, for example `limit = "256MiB"`. Each entry counts 128
    /// bytes beside its key and value. A store in Redis has the limit of its server instead.
    #[schemars(
        default = "defaults::limit",
        with = "String",
        regex(pattern = r"^\s*[0-9][0-9_]*(\.[0-9]+)?\s*([KMGTPE]i?)?B\s*$")
    )]
    limit: ByteSize,

    /// The most bytes that one value may have, for example `value_limit = "4MiB"`.
    #[schemars(
        default = "defaults::value_limit",
        with = "String",
        regex(pattern = r"^\s*[0-9][0-9_]*(\.[0-9]+)?\s*([KMGTPE]i?)?B\s*$")
    )]
    value_limit: ByteSize,

    /// The longest time that one operation may take, for example `timeout = "500ms"`. After it the operation fails.
    #[schemars(default = "defaults::timeout_text", with = "String")]
    timeout: Duration,
}

impl JsonSchema for StoreSpec {
    fn schema_name() -> Cow<'static, str> {
        "Store".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        StoreTable::json_schema(generator)
    }
}

fn types(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": ["memory", "file", "redis"] })
}

impl StoreSpec {
    /// Makes a store with the default limits.
    #[must_use]
    pub fn new(backend: StoreBackend) -> Self {
        StoreSpec {
            backend,
            limit: defaults::limit(),
            value_limit: defaults::value_limit(),
            timeout: defaults::TIMEOUT,
        }
    }
}

/// The stores that a chainlet may open: for each identifier that its guest opens, the name of the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChainletStores(pub IndexMap<String, StoreName>);

impl ChainletStores {
    /// Returns true if the chainlet may open no store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for ChainletStores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl JsonSchema for ChainletStores {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ChainletStores".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let name = generator.subschema_for::<StoreName>();
        json_schema!({
            "anyOf": [
                { "type": "array", "items": name, "uniqueItems": true },
                { "type": "object", "additionalProperties": name },
            ],
        })
    }
}

const STORES: Expected =
    Expected { what: "a table of stores", example: "[stores.sessions] with type = \"memory\" in it" };
const STORE: Expected =
    Expected { what: "a table that describes a store", example: "[stores.sessions] with type = \"memory\" in it" };
const TYPE: Expected = Expected { what: "\"memory\", \"file\" or \"redis\"", example: "type = \"memory\"" };
const PATH: Expected = Expected { what: "the path of a file", example: "path = \"data/sessions.redb\"" };
const URL: Expected = Expected { what: "the URL of a Redis server", example: "url = \"redis://127.0.0.1:6379\"" };
const URL_SECRET: Expected = Expected { what: "the name of a secret", example: "url_secret = \"redis_url\"" };
const PREFIX: Expected = Expected { what: "a text before each key", example: "prefix = \"shop:\"" };
const LIMIT: Expected = Expected { what: "a size with a unit", example: "limit = \"256MiB\"" };
const VALUE_LIMIT: Expected = Expected { what: "a size with a unit", example: "value_limit = \"4MiB\"" };
const TIMEOUT: Expected = Expected { what: "a length of time with a unit", example: "timeout = \"500ms\"" };
const NAMES: Expected =
    Expected { what: "names of stores", example: "stores = [\"sessions\"] or stores = { default = \"sessions\" }" };
const NAME: Expected = Expected { what: "the name of a store", example: "stores = [\"sessions\"]" };

/// Says where keys belong that other systems have in this table.
const HINTS: [(&str, &str); 3] = [
    ("kind", "write type, as in type = \"memory\""),
    ("ttl", "entries do not expire: delete them, or let Redis expire them"),
    ("password", "put the whole URL into a secret, and name it by url_secret"),
];

/// Reads `[stores]`.
pub(crate) fn read_stores(problems: &mut Problems<'_>, node: &Node<'_>) -> IndexMap<StoreName, StoreSpec> {
    let mut stores = IndexMap::new();
    for (key, node) in node.entries(problems, STORES).unwrap_or_default() {
        let name = named_key(key, &node, problems, STORES);
        let store = read_store(problems, &node);
        if let Some(name) = name {
            // A store that could not be read still has its name, so that no chainlet is told that there is none.
            stores.insert(name, store.unwrap_or_else(|| StoreSpec::new(StoreBackend::Memory)));
        }
    }
    stores
}

fn read_store(problems: &mut Problems<'_>, node: &Node<'_>) -> Option<StoreSpec> {
    let mut table = node.table(problems, STORE)?;
    let kind = table.required("type", TYPE).and_then(|node| {
        node.parsed(problems, TYPE, |text| match text {
            "memory" | "file" | "redis" => Ok(text.to_owned()),
            _ => Err("there are these three"),
        })
    });
    let backend = match kind.as_deref() {
        Some("memory") => Some(StoreBackend::Memory),
        Some("file") => {
            let path = table.required("path", PATH).and_then(|node| node.text(problems, PATH));
            path.map(|path| StoreBackend::File { path: PathBuf::from(path) })
        }
        Some("redis") => Some(StoreBackend::Redis {
            url: table.optional("url").and_then(|node| node.text(problems, URL)).map(str::to_owned),
            url_secret: table.optional("url_secret").and_then(|node| node.name(problems, URL_SECRET)),
            prefix: table.optional("prefix").and_then(|node| node.text(problems, PREFIX)).map(str::to_owned),
        }),
        // The type is unknown, so any of these keys may be right.
        _ => {
            for key in ["path", "url", "url_secret", "prefix"] {
                let _ = table.optional(key);
            }
            None
        }
    };
    let mut store = StoreSpec::new(StoreBackend::Memory);
    if let Some(limit) = table.optional("limit").and_then(|node| node.parsed(problems, LIMIT, str::parse)) {
        store.limit = limit;
    }
    if let Some(limit) = table.optional("value_limit").and_then(|node| node.parsed(problems, VALUE_LIMIT, str::parse)) {
        store.value_limit = limit;
    }
    if let Some(node) = table.optional("timeout") {
        store.timeout = node.parsed(problems, TIMEOUT, humantime::parse_duration).unwrap_or(store.timeout);
    }
    table.finish(problems, &HINTS);
    Some(StoreSpec { backend: backend?, ..store })
}

/// Reads `stores` of a chainlet.
pub(crate) fn read_chainlet_stores(problems: &mut Problems<'_>, node: &Node<'_>) -> ChainletStores {
    if let DeValue::Table(_) = node.value {
        let entries = node.entries(problems, NAMES).unwrap_or_default();
        let named =
            entries.iter().filter_map(|(key, node)| Some(((*key).to_owned(), node.name::<StoreName>(problems, NAME)?)));
        return ChainletStores(named.collect());
    }
    let elements = node.elements(problems, NAMES).unwrap_or_default();
    let names = elements.iter().filter_map(|element| element.name::<StoreName>(problems, NAME));
    ChainletStores(names.map(|name| (name.to_string(), name)).collect())
}

/// Returns everything that is wrong with the stores of a chain and with the names that its chainlets use.
pub(crate) fn check<'a>(
    stores: &IndexMap<StoreName, StoreSpec>,
    chainlets: impl Iterator<Item = (KeyPath, &'a ChainletSpec)>,
    locate: &dyn Fn(&KeyPath) -> Location,
) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    for (name, store) in stores {
        let at = KeyPath::from(["stores", name.as_str()]);
        errors.extend(check_store(&at, store, locate));
        let StoreBackend::File { path } = &store.backend else { continue };
        let twin = stores
            .iter()
            .find(|(_, other)| matches!(&other.backend, StoreBackend::File { path: of } if plain(of) == plain(path)));
        if let Some((first, _)) = twin.filter(|(first, _)| *first != name) {
            let message = format!("expected a file of its own, found that of the store {first}");
            errors.push(ConfigError::new(locate(&at.key("path")), message, "choose another file, or use one store"));
        }
    }
    for (at, chainlet) in chainlets {
        for (index, (identifier, name)) in chainlet.stores.0.iter().enumerate() {
            if stores.contains_key(name) {
                continue;
            }
            // The short form is an array: its keys are the places.
            let place = if identifier == name.as_str() {
                at.key("stores").index(index)
            } else {
                at.key("stores").key(identifier)
            };
            let known = stores.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let help = match stores.is_empty() {
                true => format!("add [stores.{name}] with type = \"memory\" in it"),
                false => format!("add [stores.{name}], or name one of: {known}"),
            };
            errors.push(ConfigError::new(
                locate(&place),
                format!("expected a store of this chain, found {name:?}"),
                help,
            ));
        }
    }
    errors
}

/// Returns `path` without the components that change nothing, such as the `.` of `./data`.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}

fn check_store(at: &KeyPath, store: &StoreSpec, locate: &dyn Fn(&KeyPath) -> Location) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let mut error = |key: &str, message: String, help: &str| {
        errors.push(ConfigError::new(locate(&at.key(key)), message, help));
    };
    match &store.backend {
        StoreBackend::File { path } if path.as_os_str().is_empty() => {
            error(
                "path",
                "expected a path, found an empty text".to_owned(),
                "write it like path = \"data/sessions.redb\"",
            );
        }
        StoreBackend::Redis { url: None, url_secret: None, .. } => {
            error(
                "url",
                "a store in Redis needs the URL of its server".to_owned(),
                "add url, or url_secret with the name of a secret",
            );
        }
        StoreBackend::Redis { url: Some(_), url_secret: Some(_), .. } => {
            error("url", "expected either url or url_secret, found both".to_owned(), "remove one of them");
        }
        _ => {}
    }
    if let StoreBackend::Redis { url: Some(url), .. } = &store.backend
        && has_password(url)
    {
        // The line itself has the password.
        let place = locate(&at.key("url")).without_snippet();
        let message = "the URL has a password, which does not belong into chain.toml";
        errors.push(ConfigError::new(place, message, "put the whole URL into a secret, and name it by url_secret"));
    }
    let mut error = |key: &str, message: String, help: &str| {
        errors.push(ConfigError::new(locate(&at.key(key)), message, help));
    };
    let (limit, value) = (store.limit.as_bytes(), store.value_limit.as_bytes());
    if value < LEAST_VALUE.as_bytes() {
        error(
            "value_limit",
            format!("expected at least {LEAST_VALUE}, found {}", store.value_limit),
            "raise it, or remove it",
        );
    }
    if value > MOST_VALUE.as_bytes() {
        error(
            "value_limit",
            format!("expected at most {MOST_VALUE}, found {}", store.value_limit),
            "keep long values in files",
        );
    }
    if limit < value {
        error(
            "limit",
            format!("expected at least value_limit = {}, found {}", store.value_limit, store.limit),
            "raise it",
        );
    }
    if store.timeout.is_zero() || store.timeout > MOST_TIME {
        let (found, most) = (humantime::format_duration(store.timeout), humantime::format_duration(MOST_TIME));
        error(
            "timeout",
            format!("expected more than 0s and at most {most}, found {found}"),
            "write it like timeout = \"5s\"",
        );
    }
    errors
}

/// Describes the store that a chainlet opens as `identifier`, for `chainhost check`.
pub(super) fn in_words(identifier: &str, name: &StoreName, store: &StoreSpec) -> String {
    let mut text = name.to_string();
    if identifier != name.as_str() {
        text.push_str(&format!(" (as {identifier})"));
    }
    match &store.backend {
        StoreBackend::Memory => text.push_str(&format!(" in memory, at most {}", store.limit)),
        StoreBackend::File { path } => text.push_str(&format!(" in {}, at most {}", path.display(), store.limit)),
        StoreBackend::Redis { .. } => text.push_str(" in Redis"),
    }
    text
}

/// Returns true if the authority of `url` has a password.
fn has_password(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split(['/', '?']).next().unwrap_or_default();
    let named = authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    named || url.split(['?', '&']).any(|part| part.starts_with("pass="))
}

/// The least that one value may have: the longest number.
const LEAST_VALUE: ByteSize = ByteSize::bytes(MIN_VALUE_LIMIT);
/// The most that one value may have: the host holds it while it is read or written.
const MOST_VALUE: ByteSize = ByteSize::mib(64);
/// The longest timeout: a guest does nothing else while it waits for a store.
const MOST_TIME: Duration = Duration::from_secs(60);

/// The defaults of the keys.
mod defaults {
    use std::time::Duration;

    use super::super::options::StoreOptions;
    use super::{ByteSize, policy};

    pub(super) const TIMEOUT: Duration = StoreOptions::DEFAULT_TIMEOUT;

    pub(super) fn limit() -> ByteSize {
        ByteSize::bytes(StoreOptions::DEFAULT_LIMIT)
    }

    pub(super) fn value_limit() -> ByteSize {
        ByteSize::bytes(StoreOptions::DEFAULT_VALUE_LIMIT)
    }

    pub(super) fn timeout_text() -> String {
        policy::defaults::text(TIMEOUT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_with_a_password_is_known_as_one() {
        for url in ["redis://:secret@host", "rediss://user:secret@host:6379/0", "unix:///run/redis.sock?pass=secret"] {
            assert!(has_password(url), "{url}");
        }
        for url in
            ["redis://127.0.0.1:6379/0", "redis://user@host", "unix:///run/redis.sock?db=1", "redis://host/a:b@c"]
        {
            assert!(!has_password(url), "{url}");
        }
    }
}
