//! Reads `[chainlets.NAME]`, key by key.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use toml::de::DeValue;

use super::super::name::SecretName;
use super::super::network::NetworkAccess;
use super::super::reader::{Expected, Node, Problems};
use super::super::row_type::RowType;
use super::super::spec::{Assets, Build, ChainletSpec, FileMount};
use super::expected::*;
use super::settings;
use crate::capability::keyvalue;

/// Help for keys that users put into `[chainlets.NAME]` itself by mistake.
const HINTS_FOR_A_CHAINLET: [(&str, &str); 12] = [
    ("cpu", "move it to the table resources"),
    ("memory", "move it to the table resources"),
    ("value_limit", "move it to the table resources"),
    ("values_limit", "move it to the table resources"),
    ("gpu", "move it to the table resources"),
    ("secrets", "move it to the table assets"),
    ("files", "move it to the table assets"),
    ("data", "move it to the table assets"),
    ("timeout", "move it to a dependency, as in depends.NAME = { timeout = \"10s\" }"),
    ("attempts", "move it to a dependency, as in depends.NAME = { attempts = 3 }"),
    ("hosts", "move it to the table network, as in network = { hosts = [\"api.example.com\"] }"),
    ("entrypoint", "move it to the table [chain], as entrypoint = \"NAME\""),
];

/// Reads a chainlet. Every key that cannot be read gets its default, so that other chainlets can still be checked
/// against this one.
pub(super) fn read_chainlet(problems: &mut Problems<'_>, node: &Node<'_>) -> Option<ChainletSpec> {
    let mut table = node.table(problems, CHAINLET)?;
    let component = table.required("component", COMPONENT).and_then(|node| node.text(problems, COMPONENT));
    let mut chainlet = ChainletSpec::new(component.unwrap_or_default());
    chainlet.export = table.optional("export").and_then(|node| node.name(problems, EXPORT));
    chainlet.build = table.optional("build").and_then(|node| read_build(problems, &node));
    if let Some(replicas) = table.optional("replicas").and_then(|node| RowType::read(&node, problems, REPLICAS)) {
        chainlet.replicas = replicas;
    }
    if let Some(concurrency) = table.optional("concurrency").and_then(|node| node.count(problems, CONCURRENCY)) {
        chainlet.concurrency = concurrency;
    }
    if let Some(queue) = table.optional("queue").and_then(|node| node.count(problems, QUEUE)) {
        chainlet.queue = queue;
    }
    if let Some(timeout) =
        table.optional("start_timeout").and_then(|node| RowType::read(&node, problems, START_TIMEOUT))
    {
        chainlet.start_timeout = timeout;
    }
    if let Some(stall) = table.optional("stall").and_then(|node| RowType::read(&node, problems, STALL)) {
        chainlet.stall = stall;
    }
    if let Some(grace) = table.optional("grace").and_then(|node| RowType::read(&node, problems, GRACE)) {
        chainlet.grace = grace;
    }
    if let Some(health) = table.optional("health").and_then(|node| RowType::read(&node, problems, HEALTH)) {
        chainlet.health = health;
    }
    if let Some(resources) = table.optional("resources").and_then(|node| RowType::read(&node, problems, RESOURCES)) {
        chainlet.resources = resources;
    }
    if let Some(assets) = table.optional("assets").and_then(|node| read_assets(problems, &node)) {
        chainlet.assets = assets;
    }
    if let Some(network) = table.optional("network").and_then(|node| read_network(problems, &node)) {
        chainlet.network = network;
    }
    if let Some(stores) = table.optional("stores").map(|node| keyvalue::read_chainlet_stores(problems, &node)) {
        chainlet.stores = stores;
    }
    if let Some(config) = table.optional("config").and_then(|node| settings::read(problems, &node, CONFIG)) {
        chainlet.config = config;
    }
    if let Some(node) = table.optional("capabilities") {
        for (name, node) in node.entries(problems, CAPABILITIES).unwrap_or_default() {
            let settings = settings::read(problems, &node, CAPABILITY);
            chainlet.capabilities.extend(settings.map(|settings| (name.to_owned(), settings)));
        }
    }
    if let Some(depends) = table.optional("depends").and_then(|node| RowType::read(&node, problems, DEPENDS)) {
        chainlet.depends = depends;
    }
    table.finish(problems, &HINTS_FOR_A_CHAINLET);
    Some(chainlet)
}

fn read_build(problems: &mut Problems<'_>, node: &Node<'_>) -> Option<Build> {
    if let DeValue::String(command) = node.value {
        return Some(Build::new(command.as_ref()));
    }
    let mut table = node.table(problems, BUILD)?;
    let command = table.required("command", COMMAND).and_then(|node| node.text(problems, COMMAND));
    let mut build = Build::new(command.unwrap_or_default());
    if let Some(workdir) = table.optional("workdir").and_then(|node| node.text(problems, WORKDIR)) {
        build.workdir = PathBuf::from(workdir);
    }
    table.finish(problems, &[]);
    Some(build)
}

fn read_assets(problems: &mut Problems<'_>, node: &Node<'_>) -> Option<Assets> {
    let mut table = node.table(problems, ASSETS)?;
    let assets = Assets {
        secrets: table.optional("secrets").map(|node| read_secrets(problems, &node)).unwrap_or_default(),
        files: table.optional("files").map(|node| read_files(problems, &node)).unwrap_or_default(),
        data: table.optional("data").and_then(|node| node.text(problems, DATA)).map(PathBuf::from),
    };
    table.finish(problems, &[]);
    Some(assets)
}

fn read_network(problems: &mut Problems<'_>, node: &Node<'_>) -> Option<NetworkAccess> {
    let mut table = node.table(problems, NETWORK)?;
    let mut network = NetworkAccess::default();
    if let Some(node) = table.optional("hosts") {
        network.hosts = read_rules(problems, &node, HOSTS, HOST);
    }
    if let Some(node) = table.optional("sockets") {
        network.sockets = read_rules(problems, &node, SOCKETS, SOCKET);
    }
    if let Some(node) = table.optional("concurrency") {
        network.concurrency = node.count(problems, NETWORK_CONCURRENCY)?;
    }
    table.finish(problems, &[]);
    Some(network)
}

fn read_rules<T: FromStr<Err: Display>>(
    problems: &mut Problems<'_>,
    node: &Node<'_>,
    all: Expected,
    one: Expected,
) -> Vec<T> {
    let elements = node.elements(problems, all).unwrap_or_default();
    elements.iter().filter_map(|element| element.parsed(problems, one, str::parse)).collect()
}

/// Reads the names. Returns no names at all if one of them is wrong, because validation finds an element by its index.
fn read_secrets(problems: &mut Problems<'_>, node: &Node<'_>) -> Vec<SecretName> {
    if !matches!(node.value, DeValue::Array(_)) {
        // The value may well be a secret that the author put here instead of its name.
        return node
            .mistyped_in_private(
                problems,
                "expected an array of the names of secrets, found another kind of value",
                "list the names, like secrets = [\"hf_access_token\"]; the values belong into the environment or a \
                 secrets file",
            )
            .unwrap_or_default();
    }
    let elements = node.elements(problems, SECRETS).unwrap_or_default();
    let names: Vec<Option<SecretName>> = elements.iter().map(|element| element.name(problems, SECRET)).collect();
    names.into_iter().collect::<Option<_>>().unwrap_or_default()
}

/// Reads the mounts. A mount that cannot be read becomes an empty one, because validation finds an element by its
/// index. The reader has reported it, so validation adds nothing.
fn read_files(problems: &mut Problems<'_>, node: &Node<'_>) -> Vec<FileMount> {
    let elements = node.elements(problems, FILES).unwrap_or_default();
    elements.iter().map(|element| read_file(problems, element)).collect()
}

fn read_file(problems: &mut Problems<'_>, node: &Node<'_>) -> FileMount {
    let mut mount = FileMount { source: PathBuf::new(), path: String::new(), writable: false };
    let Some(mut table) = node.table(problems, FILE) else { return mount };
    if let Some(source) = table.required("source", FILE_SOURCE).and_then(|node| node.text(problems, FILE_SOURCE)) {
        mount.source = PathBuf::from(source);
    }
    if let Some(path) = table.required("path", FILE_PATH).and_then(|node| node.text(problems, FILE_PATH)) {
        path.clone_into(&mut mount.path);
    }
    if let Some(writable) = table.optional("writable").and_then(|node| node.truth(problems, WRITABLE)) {
        mount.writable = writable;
    }
    table.finish(problems, &[]);
    mount
}
