//! Checks a chainlet's GPU setting in chain.toml against its component and the machine.

use crate::component::Component;
use crate::config::{ChainSpec, ChainletName, ChainletSpec, ConfigError, Isolation, KeyPath};
use crate::engine::Shared;
use crate::gpu::{Grant, NoGpu};

/// The interface that a component with a GPU imports.
const INTERFACE: &str = "chainlet:host/gpu@";

/// Looks for the machine's GPUs on a blocking thread, so that the runtime is not held up.
pub(super) async fn find(shared: &Shared, isolation: Isolation) {
    let gpus = shared.gpus.clone();
    let found = tokio::task::spawn_blocking(move || gpus.find(isolation).map(<[_]>::len)).await;
    // Errors are only logged here: `grant` reports them for each chainlet that wants a GPU.
    match found {
        Ok(Ok(count)) => tracing::debug!(gpus = count, "looked for GPUs"),
        Ok(Err(error)) => tracing::debug!(%error, "there is no GPU that can be used"),
        Err(error) => tracing::debug!(%error, "the look for GPUs was cut short"),
    }
}

/// Returns the GPU of a chainlet; `None` if chain.toml gives it none.
///
/// # Errors
///
/// The component wants a GPU that chain.toml does not give it, or the machine has none that fits.
pub(super) fn grant(
    shared: &Shared,
    spec: &ChainSpec,
    name: &ChainletName,
    chainlet: &ChainletSpec,
    component: &Component,
) -> Result<Option<Grant>, ConfigError> {
    let resources = KeyPath::root().key("chainlets").key(name).key("resources");
    let Some(gpu) = &chainlet.resources.gpu else {
        return match component.capabilities.iter().find(|import| import.starts_with(INTERFACE)) {
            None => Ok(None),
            Some(import) => Err(ConfigError::new(
                spec.at(resources),
                format!("the component imports {import}, and chain.toml gives {name} no GPU"),
                format!("write `gpu = true` in [chainlets.{name}.resources]"),
            )),
        };
    };
    shared.gpus.grant(name, gpu, spec.gpu.isolation).map(Some).map_err(|error| {
        let help = match &error {
            NoGpu::Isolation(_) => {
                "write `[gpu] isolation = \"in-process\"`, or where the host is embedded see HostBuilder::gpu_worker"
            }
            NoGpu::None => {
                "install a Vulkan driver (in software: Debian's mesa-vulkan-drivers), \
                            or write `gpu = { optional = true }` if the chainlet can do without"
            }
            NoGpu::OtherOnly { .. } => {
                "name one of these by its number, a part of its name or its kind, \
                                        or leave `adapter` out for the fastest"
            }
        };
        ConfigError::new(spec.at(resources.key("gpu")), error.to_string(), help)
    })
}
