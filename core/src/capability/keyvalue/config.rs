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
use super::options::StoreOptions;
use crate::config::place::Place;
use crate::config::reader::{Expected, Node, Problems, named_key};
use crate::config::row_type::{AtMost, RowType, Sizes, Text};
use crate::config::table::{Rows, table};
use crate::config::{ByteSize, SecretName, StoreName};

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
    #[serde(serialize_with = "RowType::write")]
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

/// The place where a store keeps its entries, as the key `type` names it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum StoreType {
    Memory,
    File,
    Redis,
}

table! {
    /// A store of keys and values, which the chainlets that name it share, for example
    ///
    /// ```toml
    /// [stores.sessions]
    /// type = "file"
    /// path = "data/sessions.redb"
    /// ```
    struct StoreTable {
        /// The place of the entries: `type = "memory"` for the memory of the host, whose entries survive a reload but not the
        /// end of the host; `"file"` for a file on this machine; `"redis"` for a Redis server.
        r#type: Option<StoreType> = None, required, like "type = \"memory\"";

        /// The file of a store in a file, relative to chain.toml, for example `path = "data/sessions.redb"`. The host makes it
        /// if it is missing. One host opens it at a time.
        path: Option<PathBuf> = None, is "the path of a file", like "path = \"data/sessions.redb\"";

        /// The server of a store in Redis, for example `url = "redis://127.0.0.1:6379/0"`. A URL with a password is a secret:
        /// name it by `url_secret` instead.
        url: Option<String> = None, is "the URL of a Redis server", bounds Text::Any,
            like "url = \"redis://127.0.0.1:6379\"";

        /// The secret that holds the URL of a store in Redis, for example `url_secret = "redis_url"`.
        url_secret: Option<UrlSecret> = None, like "url_secret = \"redis_url\"";

        /// The text before each key on a Redis server, for example `prefix = "shop:"`. By default it is the name of the chain
        /// and the name of the store, each with a colon.
        prefix: Option<String> = None, is "a text before each key", bounds Text::Any, like "prefix = \"shop:\"";

        /// The most bytes that all entries may have together, with a unit, for example `limit = "256MiB"`. Each entry counts 128
        /// bytes beside its key and value. A store in Redis has the limit of its server instead.
        limit: ByteSize = ByteSize::bytes(StoreOptions::DEFAULT_LIMIT), is "a size with a unit",
            like "limit = \"256MiB\"";

        /// The most bytes that one value may have, for example `value_limit = "4MiB"`.
        value_limit: ByteSize = ByteSize::bytes(StoreOptions::DEFAULT_VALUE_LIMIT), is "a size with a unit",
            bounds Sizes::FromTo(LEAST_VALUE, MOST_VALUE), like "value_limit = \"4MiB\"",
            help "choose a size in these bounds, or keep long values in files";

        /// The longest time that one operation may take, for example `timeout = "500ms"`. After it the operation fails.
        timeout: Duration = StoreOptions::DEFAULT_TIMEOUT, bounds AtMost(LONGEST_TIMEOUT), like "timeout = \"5s\"";
    }
}

/// The name of one secret. A list of such names is a type of its own, with messages of its own.
#[derive(Serialize)]
struct UrlSecret(SecretName);

impl JsonSchema for StoreSpec {
    fn schema_name() -> Cow<'static, str> {
        "Store".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        StoreTable::json_schema(generator)
    }
}

impl StoreSpec {
    /// Makes a store with the default limits.
    #[must_use]
    pub fn new(backend: StoreBackend) -> Self {
        let StoreTable { limit, value_limit, timeout, .. } = StoreTable::with_defaults();
        StoreSpec { backend, limit, value_limit, timeout }
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

impl RowType for StoreType {
    type Bounds = ();

    fn what((): &()) -> &'static str {
        "\"memory\", \"file\" or \"redis\""
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        node.parsed(problems, expected, |text| match text {
            "memory" => Ok(Self::Memory),
            "file" => Ok(Self::File),
            "redis" => Ok(Self::Redis),
            _ => Err("there are these three"),
        })
    }

    fn schema((): &(), _: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": [Self::Memory, Self::File, Self::Redis] })
    }
}

impl RowType for UrlSecret {
    type Bounds = ();

    fn what((): &()) -> &'static str {
        "the name of a secret"
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        node.name(problems, expected).map(Self)
    }

    fn schema((): &(), generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<SecretName>()
    }
}

/// Reads the keys of [`StoreTable`] that fit the `type`. The others are unknown there.
impl RowType for StoreSpec {
    type Bounds = ();

    fn what((): &()) -> &'static str {
        "a table that describes a store"
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        let mut table = node.table(problems, expected)?;
        let (kind, path, url, url_secret, prefix, limit, value_limit, timeout) = StoreTable::rows();
        let backend = match kind.read(&mut table, problems) {
            Some(StoreType::Memory) => Some(StoreBackend::Memory),
            Some(StoreType::File) => path.required().read(&mut table, problems).map(|path| StoreBackend::File { path }),
            Some(StoreType::Redis) => Some(StoreBackend::Redis {
                url: url.read(&mut table, problems),
                url_secret: url_secret.read(&mut table, problems).map(|UrlSecret(name)| name),
                prefix: prefix.read(&mut table, problems),
            }),
            // The type is unknown, so any of these keys may be right.
            None => {
                for key in ["path", "url", "url_secret", "prefix"] {
                    let _ = table.optional(key);
                }
                None
            }
        };
        let limit = limit.read(&mut table, problems);
        let value_limit = value_limit.read(&mut table, problems);
        let timeout = timeout.read(&mut table, problems);
        table.finish(problems, &HINTS);
        Some(Self { backend: backend?, limit, value_limit, timeout })
    }

    fn schema((): &(), generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }

    fn check(&self, (): &(), place: &mut Place<'_>) {
        self.backend.check(place);
        let (.., limit, value_limit, timeout) = StoreTable::rows();
        limit.check(&self.limit, place);
        value_limit.check(&self.value_limit, place);
        timeout.check(&self.timeout, place);
        if self.limit < self.value_limit {
            let message = format!("expected at least value_limit = {}, found {}", self.value_limit, self.limit);
            place.error(&place.at.key("limit"), message, "raise it");
        }
    }
}

/// Keys that other systems have in this table, and what to write here.
const HINTS: [(&str, &str); 3] = [
    ("kind", "write type, as in type = \"memory\""),
    ("ttl", "entries do not expire: delete them, or let Redis expire them"),
    ("password", "put the whole URL into a secret, and name it by url_secret"),
];

impl StoreBackend {
    fn check(&self, place: &mut Place<'_>) {
        match self {
            Self::File { path } => {
                let (_, row, ..) = StoreTable::rows();
                row.check(&Some(path.clone()), place);
            }
            Self::Redis { url: None, url_secret: None, .. } => place.error(
                &place.at.key("url"),
                "a store in Redis needs the URL of its server",
                "add url, or url_secret with the name of a secret",
            ),
            Self::Redis { url: Some(_), url_secret: Some(_), .. } => {
                place.error(
                    &place.at.key("url"),
                    "expected either url or url_secret, found both",
                    "remove one of them",
                );
            }
            _ => {}
        }
        if let Self::Redis { url: Some(url), .. } = self
            && has_password(url)
        {
            place.error_in_private(
                &place.at.key("url"),
                "the URL has a password, which does not belong into chain.toml",
                "put the whole URL into a secret, and name it by url_secret",
            );
        }
    }
}

impl RowType for IndexMap<StoreName, StoreSpec> {
    type Bounds = ();

    fn what((): &()) -> &'static str {
        "a table of stores"
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        let of_store = Expected { what: StoreSpec::what(&()), ..expected };
        let mut stores = Self::new();
        for (key, node) in node.entries(problems, expected)? {
            let name = named_key(key, &node, problems, expected);
            let store = StoreSpec::read(&node, problems, of_store);
            if let Some(name) = name {
                // A store that could not be read still has its name, so that no chainlet is told that there is none.
                stores.insert(name, store.unwrap_or_else(|| StoreSpec::new(StoreBackend::Memory)));
            }
        }
        Some(stores)
    }

    fn schema((): &(), generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }

    fn check(&self, (): &(), place: &mut Place<'_>) {
        for (name, store) in self {
            let at = place.at.key(name);
            store.check(&(), &mut place.inner(at.clone()));
            let StoreBackend::File { path } = &store.backend else { continue };
            let twin = self.iter().find(
                |(_, other)| matches!(&other.backend, StoreBackend::File { path: of } if plain(of) == plain(path)),
            );
            if let Some((first, _)) = twin.filter(|(first, _)| *first != name) {
                let message = format!("expected a file of its own, found that of the store {first}");
                place.error(&at.key("path"), message, "choose another file, or use one store");
            }
        }
    }
}

/// Returns `path` without the components that change nothing, such as the `.` of `./data`.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}

/// Reads a list of names of stores, or a table that gives each store the name that the chainlet has for it.
impl RowType for ChainletStores {
    type Bounds = ();

    fn what((): &()) -> &'static str {
        "names of stores"
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        let of_name = Expected { what: StoreName::what(&()), example: "stores = [\"sessions\"]" };
        let mut stores = IndexMap::new();
        if let DeValue::Table(_) = node.value {
            for (identifier, node) in node.entries(problems, expected)? {
                stores.extend(StoreName::read(&node, problems, of_name).map(|name| (identifier.to_owned(), name)));
            }
        } else {
            for element in node.elements(problems, expected)? {
                stores.extend(StoreName::read(&element, problems, of_name).map(|name| (name.to_string(), name)));
            }
        }
        Some(Self(stores))
    }

    fn schema((): &(), generator: &mut SchemaGenerator) -> Schema {
        let name = generator.subschema_for::<StoreName>();
        json_schema!({
            "anyOf": [
                { "type": "array", "items": name, "uniqueItems": true },
                { "type": "object", "additionalProperties": name },
            ],
        })
    }

    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}

impl ChainletStores {
    /// Notes each name that is not one of `stores`. The place is that of these names.
    pub(crate) fn check_names(&self, stores: &IndexMap<StoreName, StoreSpec>, place: &mut Place<'_>) {
        let unknown = self.0.iter().enumerate().filter(|(_, (_, name))| !stores.contains_key(*name));
        for (index, (identifier, name)) in unknown {
            // The short form is an array: its keys are the places.
            let at = match identifier == name.as_str() {
                true => place.at.index(index),
                false => place.at.key(identifier),
            };
            let known = stores.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let help = match stores.is_empty() {
                true => format!("add [stores.{name}] with type = \"memory\" in it"),
                false => format!("add [stores.{name}], or name one of: {known}"),
            };
            place.error(&at, format!("expected a store of this chain, found {name:?}"), help);
        }
    }
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
/// A guest does nothing else while it waits for a store.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

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
