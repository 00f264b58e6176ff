//! Reads the keys about GPUs: `[gpu]`, and `gpu` of a chainlet's resources.

use toml::de::DeValue;

use super::super::gpu::{AdapterChoice, GpuHost, GpuResources, Isolation};
use super::super::reader::{Node, Problems};
use super::super::row_type::RowType;
use super::expected::*;

const TO_THE_CHAINLET: &str = "move it to the chainlet that it is about, as in resources.gpu = { memory = \"4GiB\" }";

/// Help for keys of a chainlet that users put into `[gpu]`.
const HINTS_FOR_THE_HOST: [(&str, &str); 6] = [
    ("adapter", TO_THE_CHAINLET),
    ("memory", TO_THE_CHAINLET),
    ("queue", TO_THE_CHAINLET),
    ("timeout", TO_THE_CHAINLET),
    ("optional", TO_THE_CHAINLET),
    ("replace_on_loss", TO_THE_CHAINLET),
];

/// Help for a key of the whole chain that users put into a chainlet.
const HINTS_FOR_A_CHAINLET: [(&str, &str); 1] =
    [("isolation", "move it to the table [gpu], as isolation = \"process\"; it holds for the whole chain")];

/// Reads `[gpu]`.
pub(super) fn read_host(problems: &mut Problems<'_>, node: &Node<'_>) -> Option<GpuHost> {
    let mut table = node.table(problems, GPU_HOST)?;
    let mut host = GpuHost::default();
    if let Some(isolation) = table.optional("isolation").and_then(|node| read_isolation(problems, &node)) {
        host.isolation = isolation;
    }
    table.finish(problems, &HINTS_FOR_THE_HOST);
    Some(host)
}

fn read_isolation(problems: &mut Problems<'_>, node: &Node<'_>) -> Option<Isolation> {
    node.parsed(problems, ISOLATION, |text| {
        Isolation::ALL.into_iter().find(|isolation| isolation.as_str() == text).ok_or("it is none of these")
    })
}

/// Reads `gpu` of a chainlet's resources. `false` means no GPU, and `true` means one with the default limits.
pub(super) fn read_gpu(problems: &mut Problems<'_>, node: &Node<'_>) -> Option<Option<GpuResources>> {
    if let DeValue::Boolean(wanted) = node.value {
        return Some(wanted.then(GpuResources::default));
    }
    let mut table = node.table(problems, GPU)?;
    let mut gpu = GpuResources {
        adapter: table.optional("adapter").and_then(|node| read_adapter(problems, &node)),
        ..GpuResources::default()
    };
    if let Some(memory) = table.optional("memory").and_then(|node| node.parsed(problems, GPU_MEMORY, str::parse)) {
        gpu.memory = memory;
    }
    if let Some(queue) = table.optional("queue").and_then(|node| node.count(problems, GPU_QUEUE)) {
        gpu.queue = queue;
    }
    if let Some(timeout) = table.optional("timeout").and_then(|node| RowType::read(&node, problems, GPU_TIMEOUT)) {
        gpu.timeout = timeout;
    }
    if let Some(optional) = table.optional("optional").and_then(|node| node.truth(problems, OPTIONAL)) {
        gpu.optional = optional;
    }
    if let Some(replace) = table.optional("replace_on_loss").and_then(|node| node.truth(problems, REPLACE_ON_LOSS)) {
        gpu.replace_on_loss = replace;
    }
    table.finish(problems, &HINTS_FOR_A_CHAINLET);
    Some(Some(gpu))
}

/// Reads the choice of an adapter. A number is a place in the list of adapters; a text is a kind, or else a part of a
/// name.
fn read_adapter(problems: &mut Problems<'_>, node: &Node<'_>) -> Option<AdapterChoice> {
    match node.value {
        DeValue::Integer(_) => node.count(problems, ADAPTER).map(AdapterChoice::Index),
        _ => node.parsed(problems, ADAPTER, str::parse),
    }
}
