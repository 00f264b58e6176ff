//! The instance, which finds adapters and knows all devices.

use std::future::ready;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};

use wgpu::custom::{DispatchAdapter, DispatchSurface, EnumerateAdapterFuture, InstanceInterface, RequestAdapterFuture};
use wgpu::{Backends, PowerPreference, RequestAdapterError, WgslLanguageFeatures};

use super::adapter::Adapter;
use super::render::Surface;
use super::shared::{Shared, lock};
use crate::gpu::{AdapterKind, adapters};

/// The devices of an instance that are still alive.
#[derive(Debug, Clone, Default)]
pub struct Devices(Arc<Mutex<Vec<Weak<Shared>>>>);

impl Devices {
    pub fn add(&self, device: &Arc<Shared>) {
        let mut devices = lock(&self.0);
        devices.retain(|device| device.strong_count() > 0);
        devices.push(Arc::downgrade(device));
    }

    fn all(&self) -> Vec<Arc<Shared>> {
        lock(&self.0).iter().filter_map(Weak::upgrade).collect()
    }
}

#[derive(Debug, Default)]
pub struct Instance {
    devices: Devices,
}

impl Instance {
    fn adapters(&self) -> impl Iterator<Item = Adapter> {
        adapters().into_iter().map(|adapter| Adapter::new(adapter, self.devices.clone()))
    }

    /// Returns the adapter that fits best. The host lists the most powerful adapter first.
    fn adapter(&self, options: &wgpu::RequestAdapterOptions<'_, '_>) -> Option<Adapter> {
        if options.compatible_surface.is_some() {
            return None;
        }
        let fallback = options.force_fallback_adapter;
        let mut adapters: Vec<_> =
            self.adapters().filter(|adapter| !fallback || adapter.kind() == AdapterKind::Cpu).collect();
        if options.power_preference == PowerPreference::LowPower {
            adapters.sort_by_key(|adapter| adapter.kind() != AdapterKind::Integrated);
        }
        adapters.into_iter().next()
    }
}

impl InstanceInterface for Instance {
    fn new(_: wgpu::InstanceDescriptor) -> Self {
        Self::default()
    }

    unsafe fn create_surface(&self, _: wgpu::SurfaceTargetUnsafe) -> Result<DispatchSurface, wgpu::CreateSurfaceError> {
        // Only wgpu can make its error. Using this surface is an error.
        Ok(DispatchSurface::custom(Surface))
    }

    fn request_adapter(&self, options: &wgpu::RequestAdapterOptions<'_, '_>) -> Pin<Box<dyn RequestAdapterFuture>> {
        let all = Backends::all();
        let adapter = self.adapter(options).map(DispatchAdapter::custom).ok_or(RequestAdapterError::NotFound {
            active_backends: all,
            requested_backends: all,
            supported_backends: all,
            no_fallback_backends: if options.force_fallback_adapter { all } else { Backends::empty() },
            no_adapter_backends: all,
            incompatible_surface_backends: Backends::empty(),
        });
        Box::pin(ready(adapter))
    }

    fn poll_all_devices(&self, force_wait: bool) -> bool {
        self.devices.all().iter().fold(true, |empty, device| {
            if force_wait {
                device.wait_for_all();
            }
            device.complete();
            empty & device.is_idle()
        })
    }

    fn wgsl_language_features(&self) -> WgslLanguageFeatures {
        // The host reads shaders with naga, so these are naga's extensions.
        WgslLanguageFeatures::all()
    }

    fn enumerate_adapters(&self, backends: Backends) -> Pin<Box<dyn EnumerateAdapterFuture>> {
        // Code for wasm asks for the backend WebGPU by name. This interface is WebGPU, whichever backend the host uses.
        let any = backends.contains(Backends::BROWSER_WEBGPU);
        let fits = |adapter: &Adapter| any || backends.contains(adapter.backend().into());
        let adapters: Vec<_> = self.adapters().filter(fits).map(DispatchAdapter::custom).collect();
        Box::pin(ready(adapters))
    }
}
