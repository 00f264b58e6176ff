//! Reads `[chainlets.NAME]`, key by key.

use super::super::reader::{Node, Problems};
use super::super::row_type::RowType;
use super::super::spec::ChainletSpec;
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
    chainlet.build = table.optional("build").and_then(|node| RowType::read(&node, problems, BUILD));
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
    if let Some(assets) = table.optional("assets").and_then(|node| RowType::read(&node, problems, ASSETS)) {
        chainlet.assets = assets;
    }
    if let Some(network) = table.optional("network").and_then(|node| RowType::read(&node, problems, NETWORK)) {
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
