//! Translates the types of guests into those of a backend, and back.

use super::wit;
use crate::gpu::ReplicaGpu;
use crate::gpu::protocol::{self, BindingKind, DeviceDescriptor, GpuFailure, GpuFailureKind, LayoutEntry};

impl From<GpuFailure> for wit::Error {
    fn from(GpuFailure { kind, message }: GpuFailure) -> Self {
        let kind = match kind {
            GpuFailureKind::Invalid => wit::ErrorKind::Invalid,
            GpuFailureKind::Unsupported => wit::ErrorKind::Unsupported,
            GpuFailureKind::Quota => wit::ErrorKind::Quota,
            GpuFailureKind::OutOfMemory => wit::ErrorKind::OutOfMemory,
            GpuFailureKind::Timeout => wit::ErrorKind::Timeout,
            GpuFailureKind::DeviceLost => wit::ErrorKind::DeviceLost,
        };
        wit::Error { kind, message }
    }
}

pub(super) fn info(info: &wgpu::AdapterInfo) -> wit::AdapterInfo {
    wit::AdapterInfo {
        name: info.name.clone(),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => wit::AdapterKind::Discrete,
            wgpu::DeviceType::IntegratedGpu => wit::AdapterKind::Integrated,
            wgpu::DeviceType::VirtualGpu => wit::AdapterKind::Virtual,
            wgpu::DeviceType::Cpu => wit::AdapterKind::Cpu,
            wgpu::DeviceType::Other => wit::AdapterKind::Other,
        },
        backend: info.backend.to_str().to_owned(),
        driver: info.driver.clone(),
        driver_info: info.driver_info.clone(),
        vendor: info.vendor,
        device: info.device,
        subgroup_min_size: info.subgroup_min_size,
        subgroup_max_size: info.subgroup_max_size,
    }
}

/// Pairs of features: the guest's and wgpu's.
const FEATURES: [(wit::Features, wgpu::Features); 11] = [
    (wit::Features::TIMESTAMP_QUERY, wgpu::Features::TIMESTAMP_QUERY),
    (wit::Features::SHADER_F16, wgpu::Features::SHADER_F16),
    (wit::Features::SHADER_F64, wgpu::Features::SHADER_F64),
    (wit::Features::SHADER_I16, wgpu::Features::SHADER_I16),
    (wit::Features::SHADER_INT64, wgpu::Features::SHADER_INT64),
    (wit::Features::SHADER_INT64_ATOMIC_MIN_MAX, wgpu::Features::SHADER_INT64_ATOMIC_MIN_MAX),
    (wit::Features::SHADER_INT64_ATOMIC_ALL_OPS, wgpu::Features::SHADER_INT64_ATOMIC_ALL_OPS),
    (wit::Features::SHADER_FLOAT32_ATOMIC, wgpu::Features::SHADER_FLOAT32_ATOMIC),
    (wit::Features::SUBGROUP, wgpu::Features::SUBGROUP),
    (wit::Features::SUBGROUP_BARRIER, wgpu::Features::SUBGROUP_BARRIER),
    (wit::Features::IMMEDIATES, wgpu::Features::IMMEDIATES),
];

pub(super) fn features_of(features: wgpu::Features) -> wit::Features {
    let has = FEATURES.iter().filter(|(_, ours)| features.contains(*ours));
    has.fold(wit::Features::empty(), |all, (theirs, _)| all | *theirs)
}

fn features(features: wit::Features) -> wgpu::Features {
    let wanted = FEATURES.iter().filter(|(theirs, _)| features.contains(*theirs));
    wanted.fold(wgpu::Features::empty(), |all, (_, ours)| all | *ours)
}

macro_rules! limits {
    ($($name:ident)+) => {
        pub(super) fn limits_of(limits: &wgpu::Limits) -> wit::Limits {
            wit::Limits { $($name: limits.$name,)+ }
        }

        fn set_limits(limits: &mut wgpu::Limits, wanted: &wit::Limits) {
            $(limits.$name = wanted.$name;)+
        }
    };
}

limits! {
    max_bind_groups
    max_bindings_per_bind_group
    max_dynamic_uniform_buffers_per_pipeline_layout
    max_dynamic_storage_buffers_per_pipeline_layout
    max_storage_buffers_per_shader_stage
    max_uniform_buffers_per_shader_stage
    max_uniform_buffer_binding_size
    max_storage_buffer_binding_size
    max_buffer_size
    min_uniform_buffer_offset_alignment
    min_storage_buffer_offset_alignment
    max_compute_workgroup_storage_size
    max_compute_invocations_per_workgroup
    max_compute_workgroup_size_x
    max_compute_workgroup_size_y
    max_compute_workgroup_size_z
    max_compute_workgroups_per_dimension
    max_immediate_size
}

pub(super) fn device_descriptor(descriptor: wit::DeviceDescriptor, share: &ReplicaGpu) -> DeviceDescriptor {
    let offered = share.limits();
    let wanted = descriptor.required_limits.unwrap_or_else(|| {
        let guaranteed = limits_of(&wgpu::Limits::default());
        wit::Limits { max_buffer_size: guaranteed.max_buffer_size.min(offered.max_buffer_size), ..guaranteed }
    });
    // Limits that guests cannot name stay those of the adapter.
    let mut limits = offered;
    set_limits(&mut limits, &wanted);
    DeviceDescriptor {
        label: descriptor.label,
        features: features(descriptor.required_features),
        limits,
        compiled: None,
    }
}

/// Pairs of usages: the guest's and wgpu's.
const USAGES: [(wit::BufferUsages, wgpu::BufferUsages); 8] = [
    (wit::BufferUsages::MAP_READ, wgpu::BufferUsages::MAP_READ),
    (wit::BufferUsages::MAP_WRITE, wgpu::BufferUsages::MAP_WRITE),
    (wit::BufferUsages::COPY_SRC, wgpu::BufferUsages::COPY_SRC),
    (wit::BufferUsages::COPY_DST, wgpu::BufferUsages::COPY_DST),
    (wit::BufferUsages::UNIFORM, wgpu::BufferUsages::UNIFORM),
    (wit::BufferUsages::STORAGE, wgpu::BufferUsages::STORAGE),
    (wit::BufferUsages::INDIRECT, wgpu::BufferUsages::INDIRECT),
    (wit::BufferUsages::QUERY_RESOLVE, wgpu::BufferUsages::QUERY_RESOLVE),
];

pub(super) fn usages(usages: wit::BufferUsages) -> wgpu::BufferUsages {
    let wanted = USAGES.iter().filter(|(theirs, _)| usages.contains(*theirs));
    wanted.fold(wgpu::BufferUsages::empty(), |all, (_, ours)| all | *ours)
}

pub(super) fn layout_entry(entry: wit::BindGroupLayoutEntry) -> LayoutEntry {
    LayoutEntry {
        binding: entry.binding,
        kind: match entry.kind {
            wit::BufferBindingKind::Uniform => BindingKind::Uniform,
            wit::BufferBindingKind::Storage => BindingKind::Storage,
            wit::BufferBindingKind::ReadOnlyStorage => BindingKind::ReadOnlyStorage,
        },
        has_dynamic_offset: entry.has_dynamic_offset,
        min_binding_size: entry.min_binding_size,
    }
}

/// Returns `result` in the guest's types.
pub(super) fn told<T>(result: protocol::Result<T>) -> Result<T, wit::Error> {
    result.map_err(wit::Error::from)
}
