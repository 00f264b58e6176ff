//! A GPU that the chainlet may use.

use std::future::ready;
use std::pin::Pin;

use wgpu::custom::{AdapterInterface, DispatchDevice, DispatchQueue, DispatchSurface, RequestDeviceFuture};
use wgpu::{
    AdapterInfo, Backend, DeviceType, DownlevelCapabilities, DownlevelFlags, Features, Limits, RequestDeviceError,
    TextureFormatFeatureFlags, TextureFormatFeatures, TextureUsages,
};

use super::capabilities::{features_of, limits_of, required_features, required_limits};
use super::device::Device;
use super::instance::Devices;
use super::queue::Queue;
use super::shared::Shared;
use crate::gpu::AdapterKind;
use crate::host::chainlet::host::gpu as host;

#[derive(Debug)]
pub struct Adapter {
    host: host::Adapter,
    info: host::AdapterInfo,
    devices: Devices,
}

impl Adapter {
    pub fn new(host: host::Adapter, devices: Devices) -> Self {
        let info = host.info();
        Adapter { host, info, devices }
    }

    pub fn kind(&self) -> AdapterKind {
        self.info.kind
    }

    /// Returns the interface through which the host uses the GPU.
    pub fn backend(&self) -> Backend {
        match self.info.backend.as_str() {
            "vulkan" => Backend::Vulkan,
            "metal" => Backend::Metal,
            "dx12" => Backend::Dx12,
            "gl" => Backend::Gl,
            _ => Backend::BrowserWebGpu,
        }
    }

    fn info(&self) -> AdapterInfo {
        let info = self.info.clone();
        AdapterInfo {
            name: info.name,
            vendor: info.vendor,
            device: info.device,
            device_type: match info.kind {
                AdapterKind::Discrete => DeviceType::DiscreteGpu,
                AdapterKind::Integrated => DeviceType::IntegratedGpu,
                AdapterKind::Virtual => DeviceType::VirtualGpu,
                AdapterKind::Cpu => DeviceType::Cpu,
                AdapterKind::Other => DeviceType::Other,
            },
            device_pci_bus_id: String::new(),
            driver: info.driver,
            driver_info: info.driver_info,
            backend: self.backend(),
            subgroup_min_size: info.subgroup_min_size,
            subgroup_max_size: info.subgroup_max_size,
            transient_saves_memory: None,
            limit_bucket: None,
        }
    }

    fn device(
        &self,
        descriptor: &wgpu::DeviceDescriptor<'_>,
    ) -> Result<(DispatchDevice, DispatchQueue), RequestDeviceError> {
        let required_features = required_features(descriptor.required_features).map_err(|absent| {
            RequestDeviceError::from_message(format!("a chainlet's GPU does not have the features {absent:?}"))
        })?;
        let device = self
            .host
            .request_device(&host::DeviceDescriptor {
                label: descriptor.label.map(str::to_owned),
                required_features,
                required_limits: Some(required_limits(&descriptor.required_limits, &self.host.limits())),
            })
            .map_err(|error| RequestDeviceError::from_message(error.message))?;
        let features = features_of(device.features());
        let limits = limits_of(&device.limits(), descriptor.required_limits.clone());
        let shared = Shared::new(device, self.info(), features, limits);
        self.devices.add(&shared);
        let queue = DispatchQueue::custom(Queue::new(shared.clone()));
        Ok((DispatchDevice::custom(Device::new(shared)), queue))
    }
}

impl AdapterInterface for Adapter {
    fn request_device(&self, descriptor: &wgpu::DeviceDescriptor<'_>) -> Pin<Box<dyn RequestDeviceFuture>> {
        Box::pin(ready(self.device(descriptor)))
    }

    fn is_surface_supported(&self, _: &DispatchSurface) -> bool {
        false
    }

    fn features(&self) -> Features {
        features_of(self.host.features())
    }

    fn limits(&self) -> Limits {
        limits_of(&self.host.limits(), Limits::default())
    }

    fn downlevel_capabilities(&self) -> DownlevelCapabilities {
        let flags = DownlevelFlags::COMPUTE_SHADERS
            | DownlevelFlags::INDIRECT_EXECUTION
            | DownlevelFlags::BUFFER_BINDINGS_NOT_16_BYTE_ALIGNED;
        DownlevelCapabilities { flags, ..DownlevelCapabilities::default() }
    }

    fn get_info(&self) -> AdapterInfo {
        self.info()
    }

    fn get_texture_format_features(&self, _: wgpu::TextureFormat) -> TextureFormatFeatures {
        TextureFormatFeatures { allowed_usages: TextureUsages::empty(), flags: TextureFormatFeatureFlags::empty() }
    }

    fn get_presentation_timestamp(&self) -> wgpu::PresentationTimestamp {
        wgpu::PresentationTimestamp::INVALID_TIMESTAMP
    }

    fn cooperative_matrix_properties(&self) -> Vec<wgpu::wgt::CooperativeMatrixProperties> {
        Vec::new()
    }
}
