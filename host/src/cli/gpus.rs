//! `chainhost gpus`: lists the adapters that chain.toml can name.

use chainhost::component::CacheLimits;
use clap::Args;

use super::{Exit, Failure, args, output};

/// List the GPUs of this machine that chainlets can have
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  chainhost gpus

Each line begins with the number by which `resources.gpu.adapter` in chain.toml can name the GPU; a part of its name, or \
its kind, does as well.")]
pub struct Gpus {}

impl Gpus {
    /// Prints the list.
    pub fn run(&self) -> Result<(), Failure> {
        let gpus = args::host_without_secrets(CacheLimits::default())?.gpus();
        if gpus.is_empty() {
            return Err(Failure::new(
                Exit::Start,
                "this machine has no GPU that the host can use; install a Vulkan driver (in software: Debian's \
                 mesa-vulkan-drivers)",
            ));
        }
        let lines: String = gpus.iter().map(|gpu| format!("{gpu}\n")).collect();
        output::answer(lines.as_bytes())
    }
}
