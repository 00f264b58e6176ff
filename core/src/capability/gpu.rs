//! `chainlet:host/gpu`: compute on the GPU that chain.toml gives a chainlet. [`crate::gpu`] does the work.
//!
//! - This module has the capability, the state of a store, and the functions of the adapter.
//! - [`grant`] checks what chain.toml says against the component and the machine.
//! - [`config`] has the keys of chain.toml.
//! - [`calls`] has the functions of devices and buffers. [`handles`] turns the handles in their arguments into numbers
//!   of objects, and [`plain`] turns plain values into those of a backend.
//! - [`bulk`] moves the bytes of buffers straight out of a guest's memory and into it.

mod bulk;
mod calls;
mod config;
mod grant;
mod handles;
mod plain;

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::WasiCtxBuilder;

use self::bindings::chainlet::host::gpu as wit;
pub use self::config::{AdapterChoice, AdapterChoiceError, AdapterKind, GpuHost, GpuResources, Isolation};
use super::{Capability, GrantRequest, Loss, Measure, Row, StateError};
use crate::chainlet::state::ReplicaState;
use crate::config::ConfigError;
use crate::gpu::device::{Buffer, Device, Object};
use crate::gpu::{Gpus, Grant, ReplicaGpu};

mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        interfaces: "import chainlet:host/gpu@0.1.0;",
        with: {
            "chainlet:host/gpu.adapter": super::AdapterHandle,
            "chainlet:host/gpu.device": super::DeviceHandle,
            "chainlet:host/gpu.buffer": super::BufferHandle,
            "chainlet:host/gpu.bind-group-layout": super::BindGroupLayout,
            "chainlet:host/gpu.bind-group": super::BindGroupHandle,
            "chainlet:host/gpu.pipeline-layout": super::PipelineLayout,
            "chainlet:host/gpu.shader-module": super::ShaderModuleHandle,
            "chainlet:host/gpu.compute-pipeline": super::ComputePipeline,
            "chainlet:host/gpu.query-set": super::QuerySet,
        },
        imports: {
            "chainlet:host/gpu.[method]adapter.request-device": async | trappable,
            "chainlet:host/gpu.[method]device.create-buffer": async | trappable,
            "chainlet:host/gpu.[method]device.create-bind-group-layout": async | trappable,
            "chainlet:host/gpu.[method]device.create-bind-group": async | trappable,
            "chainlet:host/gpu.[method]device.create-pipeline-layout": async | trappable,
            "chainlet:host/gpu.[method]device.create-shader-module": async | trappable,
            "chainlet:host/gpu.[method]device.create-compute-pipeline": async | trappable,
            "chainlet:host/gpu.[method]device.create-query-set": async | trappable,
            "chainlet:host/gpu.[method]device.submit": async | trappable,
            "chainlet:host/gpu.[method]device.wait-blocking": async | trappable,
            "chainlet:host/gpu.[method]buffer.write": async | trappable,
            "chainlet:host/gpu.[method]buffer.read-blocking": async | trappable,
            "chainlet:host/gpu.[method]compute-pipeline.get-bind-group-layout": async | trappable,
            default: trappable,
        },
        trappable_error_type: {},
    });
}

/// The most objects that a guest may hold. One more is a trap, as for all handles.
const HANDLES: usize = 16_384;

pub struct AdapterHandle;
pub struct DeviceHandle(Arc<Device>);
pub struct BufferHandle(Arc<Buffer>);
pub struct BindGroupLayout(Object);
/// A bind group, and the buffers that it keeps alive.
pub struct BindGroupHandle(Object, #[expect(dead_code, reason = "they are only held")] Vec<Arc<Buffer>>);
pub struct PipelineLayout(Object);
pub struct ShaderModuleHandle(Object);
pub struct ComputePipeline(Object);
pub struct QuerySet(Object);

/// The capability, on the GPUs of this machine.
pub(super) struct Gpu(pub(super) Arc<Gpus>);

/// The part of a GPU that the store of one replica holds.
pub(super) struct GpuState {
    /// Dropped before the share, from which its entries were made.
    table: ResourceTable,
    share: ReplicaGpu,
}

impl Capability for Gpu {
    type Grant = Grant;
    type State = GpuState;

    fn name(&self) -> &'static str {
        "gpu"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        grant::INTERFACES
    }

    fn add_to_linker(&self, linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
        wit::add_to_linker::<_, HasGpu>(linker, ReplicaState::of_mut::<Gpu>)?;
        bulk::add_to_linker(linker)
    }

    async fn allows(&self, chainlet: &GrantRequest<'_>) -> Result<bool, ConfigError> {
        Ok(grant::grant(&self.0, chainlet).await?.is_some())
    }

    async fn grant(&self, chainlet: &GrantRequest<'_>) -> Result<Grant, ConfigError> {
        let grant = grant::grant(&self.0, chainlet).await?.ok_or_else(|| grant::missing(chainlet))?;
        grant.announce();
        Ok(grant)
    }

    fn state(&self, grant: &Arc<Grant>, _: u32, _: &mut WasiCtxBuilder) -> Result<GpuState, StateError> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES);
        Ok(GpuState { table, share: ReplicaGpu::new(grant) })
    }

    fn lost(&self, state: &GpuState) -> Option<BoxFuture<'static, Loss>> {
        let loss = Loss { reason: "device-lost", message: "replica has lost its GPU device" };
        Some(state.share.loss().map(move |()| loss).boxed())
    }

    fn rows(&self, chainlet: &GrantRequest<'_>) -> Vec<Row> {
        chainlet.chainlet.resources.gpu.iter().map(|gpu| Row::new("gpu", grant::in_words(gpu))).collect()
    }

    fn measures(&self, grant: &Grant) -> Vec<Measure> {
        grant.meter().measures()
    }
}

impl GpuState {
    fn buffer(&self, handle: &Resource<BufferHandle>) -> wasmtime::Result<Arc<Buffer>> {
        Ok(self.table.get(handle)?.0.clone())
    }
}

impl wit::Host for GpuState {
    fn adapters(&mut self) -> wasmtime::Result<Vec<Resource<AdapterHandle>>> {
        match self.share.info() {
            Some(_) => Ok(vec![self.table.push(AdapterHandle)?]),
            None => Ok(Vec::new()),
        }
    }
}

impl wit::HostAdapter for GpuState {
    fn info(&mut self, _: Resource<AdapterHandle>) -> wasmtime::Result<wit::AdapterInfo> {
        let info = self.share.info().ok_or_else(|| wasmtime::format_err!("there is no adapter"))?;
        Ok(plain::info(info))
    }

    fn features(&mut self, _: Resource<AdapterHandle>) -> wasmtime::Result<wit::Features> {
        Ok(plain::features_of(self.share.features()))
    }

    fn limits(&mut self, _: Resource<AdapterHandle>) -> wasmtime::Result<wit::Limits> {
        Ok(plain::limits_of(&self.share.limits()))
    }

    async fn request_device(
        &mut self,
        _: Resource<AdapterHandle>,
        descriptor: wit::DeviceDescriptor,
    ) -> wasmtime::Result<Result<Resource<DeviceHandle>, wit::Error>> {
        let share = &self.share;
        match share.open(plain::device_descriptor(descriptor, share)).await {
            Ok(device) => Ok(Ok(self.table.push(DeviceHandle(device))?)),
            Err(failure) => Ok(Err(failure.into())),
        }
    }

    fn drop(&mut self, adapter: Resource<AdapterHandle>) -> wasmtime::Result<()> {
        self.table.delete(adapter)?;
        Ok(())
    }
}

/// Gives the functions of wasmtime's bindings the state.
struct HasGpu;

impl HasData for HasGpu {
    type Data<'a> = &'a mut GpuState;
}
