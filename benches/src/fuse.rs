//! Fuses two components into one, so that no host is between them.

use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions};

/// Lets the callee serve these imports of the caller: with its export of the same name, or with all its exports if it
/// has none of that name.
pub fn fuse(caller: &[u8], callee: &[u8], imports: &[&str]) -> anyhow::Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let package = Package::from_bytes("bench:callee", None, callee.to_vec(), graph.types_mut())?;
    let callee = graph.register_package(package)?;
    let package = Package::from_bytes("bench:caller", None, caller.to_vec(), graph.types_mut())?;
    let caller = graph.register_package(package)?;
    let callee = graph.instantiate(callee);
    let caller = graph.instantiate(caller);
    for import in imports {
        let export = graph.alias_instance_export(callee, import).unwrap_or(callee);
        graph.set_instantiation_argument(caller, import, export)?;
    }
    let run_remote = graph.alias_instance_export(caller, "run-remote")?;
    graph.export(run_remote, "run-remote")?;
    Ok(graph.encode(EncodeOptions::default())?)
}
