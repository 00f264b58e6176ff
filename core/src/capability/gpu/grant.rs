//! Checks a chainlet's GPU setting in chain.toml against its component and the machine.

use std::fmt::Write as _;
use std::sync::Arc;

use super::GrantRequest;
use crate::config::{self, ConfigError};
use crate::gpu::{Gpus, Grant, NoGpu};

/// The interface that a component with a GPU imports.
pub(super) const INTERFACES: &[&str] = &["chainlet:host/gpu"];

/// Returns the GPU of a chainlet; `None` if chain.toml gives it none and its component imports none.
///
/// # Errors
///
/// Fails if the component wants a GPU that chain.toml does not give it, or if the machine has none that fits.
pub(super) async fn grant(gpus: &Arc<Gpus>, chainlet: &GrantRequest<'_>) -> Result<Option<Grant>, ConfigError> {
    let Some(gpu) = &chainlet.chainlet.resources.gpu else {
        return if chainlet.import_of(INTERFACES).is_some() { Err(missing(chainlet)) } else { Ok(None) };
    };
    let isolation = chainlet.chain.gpu.isolation;
    // The first look at the machine's GPUs may take a second, which would hold up the runtime.
    let found = tokio::task::spawn_blocking({
        let (gpus, name, gpu) = (gpus.clone(), chainlet.name.clone(), gpu.clone());
        move || gpus.grant(&name, &gpu, isolation)
    });
    let place = chainlet.chain.at(chainlet.key().key("resources").key("gpu"));
    let found = found.await.map_err(|error| {
        let message = format!("the look for GPUs was cut short: {error}");
        ConfigError::new(place.clone(), message, "report this as a bug of chainhost")
    })?;
    found.map(Some).map_err(|error| {
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
        ConfigError::new(place, error.to_string(), help)
    })
}

/// Returns the error of a component that imports the interface without a GPU in chain.toml.
pub(super) fn missing(chainlet: &GrantRequest<'_>) -> ConfigError {
    let (name, import) = (chainlet.name, chainlet.import_of(INTERFACES).unwrap_or("chainlet:host/gpu"));
    ConfigError::new(
        chainlet.chain.at(chainlet.key().key("resources")),
        format!("the component imports {import}, and chain.toml gives {name} no GPU"),
        format!("write `gpu = true` in [chainlets.{name}.resources]"),
    )
}

/// Describes in a few words what a replica may use of a GPU.
pub(super) fn in_words(gpu: &config::GpuResources) -> String {
    let mut text = gpu.memory.to_string();
    if let Some(adapter) = &gpu.adapter {
        // Writing to a string cannot fail.
        let _ = write!(text, ", adapter {adapter}");
    }
    if gpu.optional {
        text.push_str(", optional");
    }
    if !gpu.replace_on_loss {
        text.push_str(", kept after a loss");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_of_check_names_every_limit_that_is_set() {
        let mut gpu = config::GpuResources::default();
        assert_eq!(in_words(&gpu), "1GiB");
        gpu.adapter = "cpu".parse().ok();
        assert_eq!(in_words(&gpu), "1GiB, adapter cpu");
        gpu.adapter = "RTX 4090".parse().ok();
        gpu.optional = true;
        gpu.replace_on_loss = false;
        assert_eq!(in_words(&gpu), "1GiB, adapter \"RTX 4090\", optional, kept after a loss");
    }
}
