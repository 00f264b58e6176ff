//! The GPUs of this machine, and the choice of one for a chainlet.

use std::fmt;
use std::sync::{Arc, OnceLock};

use futures::FutureExt;
use serde::{Deserialize, Serialize};

use super::turns::Turns;
use crate::config::{AdapterChoice, AdapterKind};

/// The properties of an adapter that are known without opening it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AdapterFacts {
    pub info: wgpu::AdapterInfo,
    pub features: wgpu::Features,
    pub limits: wgpu::Limits,
}

/// An adapter, and the turns that devices take on it.
pub(crate) struct Adapter {
    /// Its index in the list of adapters.
    pub index: usize,
    pub facts: AdapterFacts,
    pub way: AdapterAccess,
    pub turns: Arc<Turns>,
}

/// The way to an adapter.
pub(crate) enum AdapterAccess {
    /// Through wgpu in this process.
    Here(wgpu::Adapter),
    /// Through a worker that runs this program.
    #[cfg(unix)]
    Worker(std::path::PathBuf),
}

/// Returns all adapters of this machine that can compute, in an order that is the same each time.
pub(super) fn enumerate() -> Vec<wgpu::Adapter> {
    /// Kept until the process ends. A driver that is unloaded earlier leaves functions behind that are called at the
    /// end.
    static INSTANCE: OnceLock<wgpu::Instance> = OnceLock::new();
    let instance = INSTANCE.get_or_init(|| {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        // Sets only the flag that keeps indirect dispatches within their limits. The other flags are for debugging.
        descriptor.flags = wgpu::InstanceFlags::VALIDATION_INDIRECT_CALL;
        wgpu::Instance::new(descriptor)
    });
    // On a native machine, the future is ready at once.
    let mut adapters = instance.enumerate_adapters(wgpu::Backends::all()).now_or_never().unwrap_or_default();
    adapters
        .retain(|adapter| adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS));
    adapters
}

impl AdapterFacts {
    pub(super) fn of(adapter: &wgpu::Adapter) -> Self {
        AdapterFacts { info: adapter.get_info(), features: adapter.features(), limits: adapter.limits() }
    }

    /// Returns the kind of the adapter, in the words of chain.toml.
    pub(super) fn kind(&self) -> &'static str {
        match self.info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "cpu",
            wgpu::DeviceType::Other => "other",
        }
    }

    /// Returns the rank of its kind: the lower, the faster it is likely to be.
    fn rank(&self) -> u8 {
        match self.info.device_type {
            wgpu::DeviceType::DiscreteGpu => 0,
            wgpu::DeviceType::IntegratedGpu => 1,
            wgpu::DeviceType::VirtualGpu => 2,
            wgpu::DeviceType::Other => 3,
            wgpu::DeviceType::Cpu => 4,
        }
    }

    fn fits(&self, index: usize, choice: &AdapterChoice) -> bool {
        match choice {
            AdapterChoice::Index(wanted) => usize::try_from(*wanted) == Ok(index),
            AdapterChoice::Name(part) => self.info.name.to_lowercase().contains(&part.to_lowercase()),
            AdapterChoice::Kind(AdapterKind::Discrete) => self.info.device_type == wgpu::DeviceType::DiscreteGpu,
            AdapterChoice::Kind(AdapterKind::Integrated) => self.info.device_type == wgpu::DeviceType::IntegratedGpu,
            AdapterChoice::Kind(AdapterKind::Virtual) => self.info.device_type == wgpu::DeviceType::VirtualGpu,
            AdapterChoice::Kind(AdapterKind::Cpu) => self.info.device_type == wgpu::DeviceType::Cpu,
        }
    }
}

impl fmt::Display for AdapterFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.info.name, self.kind(), self.info.backend)
    }
}

/// Returns the adapter that `choice` names. If several fit, returns the one that is likely the fastest.
pub(super) fn choose<'a>(adapters: &'a [Arc<Adapter>], choice: Option<&AdapterChoice>) -> Option<&'a Arc<Adapter>> {
    let fits = |adapter: &&Arc<Adapter>| choice.is_none_or(|choice| adapter.facts.fits(adapter.index, choice));
    adapters.iter().filter(fits).min_by_key(|adapter| (adapter.facts.rank(), adapter.index))
}
