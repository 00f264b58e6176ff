//! `chainlet:host/gpu`: compute on the GPU that chain.toml gives a chainlet. [`crate::gpu`] does the work.
//!
//! - This module has the state of a store, and the functions of the adapter.
//! - [`calls`] has the functions of devices and buffers, and [`plain`] turns their arguments into requests to a
//!   backend.
//! - [`bulk`] moves the bytes of buffers straight out of a guest's memory and into it.

mod bulk;
mod calls;
mod plain;

use std::future::{Future, pending};
use std::sync::Arc;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use self::bindings::chainlet::host::gpu as wit;
use crate::chainlet::state::State;
use crate::gpu::device::{Buffer, Device, Object};
use crate::gpu::{Grant, Share, protocol};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        interfaces: "import chainlet:host/gpu@0.1.0;",
        with: {
            "chainlet:host/gpu.adapter": super::Adapter,
            "chainlet:host/gpu.device": super::DeviceHandle,
            "chainlet:host/gpu.buffer": super::BufferHandle,
            "chainlet:host/gpu.bind-group-layout": super::BindGroupLayout,
            "chainlet:host/gpu.bind-group": super::BindGroup,
            "chainlet:host/gpu.pipeline-layout": super::PipelineLayout,
            "chainlet:host/gpu.shader-module": super::ShaderModule,
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

pub struct Adapter;
pub struct DeviceHandle(Arc<Device>);
pub struct BufferHandle(Arc<Buffer>);
pub struct BindGroupLayout(Object);
/// A bind group, and the buffers that it keeps alive.
pub struct BindGroup(Object, #[expect(dead_code, reason = "they are only held")] Vec<Arc<Buffer>>);
pub struct PipelineLayout(Object);
pub struct ShaderModule(Object);
pub struct ComputePipeline(Object);
pub struct QuerySet(Object);

/// The state of a GPU in the store of one replica.
pub(crate) struct Gpu {
    /// Dropped before `share`, from which its objects were made.
    table: ResourceTable,
    /// `None` without `resources.gpu`. Then the linker does not have this interface.
    share: Option<Share>,
}

impl Gpu {
    pub(super) fn new(grant: Option<&Arc<Grant>>) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES);
        Gpu { table, share: grant.map(Share::new) }
    }

    /// Returns when a device is lost and the replica should be replaced.
    pub(crate) fn loss(&self) -> impl Future<Output = ()> + Send + use<> {
        let loss = self.share.as_ref().map(Share::loss);
        async move {
            match loss {
                Some(loss) => loss.await,
                None => pending().await,
            }
        }
    }

    fn buffer(&self, handle: &Resource<BufferHandle>) -> wasmtime::Result<Arc<Buffer>> {
        Ok(self.table.get(handle)?.0.clone())
    }
}

impl wit::Host for Gpu {
    fn adapters(&mut self) -> wasmtime::Result<Vec<Resource<Adapter>>> {
        match self.share.as_ref().and_then(Share::info) {
            Some(_) => Ok(vec![self.table.push(Adapter)?]),
            None => Ok(Vec::new()),
        }
    }
}

impl wit::HostAdapter for Gpu {
    fn info(&mut self, _: Resource<Adapter>) -> wasmtime::Result<wit::AdapterInfo> {
        let info =
            self.share.as_ref().and_then(Share::info).ok_or_else(|| wasmtime::format_err!("there is no adapter"))?;
        Ok(plain::info(info))
    }

    fn features(&mut self, _: Resource<Adapter>) -> wasmtime::Result<wit::Features> {
        Ok(plain::features_of(self.share.as_ref().map_or(wgpu::Features::empty(), Share::features)))
    }

    fn limits(&mut self, _: Resource<Adapter>) -> wasmtime::Result<wit::Limits> {
        Ok(plain::limits_of(&self.share.as_ref().map(Share::limits).unwrap_or_default()))
    }

    async fn request_device(
        &mut self,
        _: Resource<Adapter>,
        descriptor: wit::DeviceDescriptor,
    ) -> wasmtime::Result<Result<Resource<DeviceHandle>, wit::Error>> {
        let Some(share) = &self.share else {
            return Ok(Err(protocol::Failure::unsupported("the chainlet has no GPU").into()));
        };
        match share.open(plain::device_descriptor(descriptor, share)).await {
            Ok(device) => Ok(Ok(self.table.push(DeviceHandle(device))?)),
            Err(failure) => Ok(Err(failure.into())),
        }
    }

    fn drop(&mut self, adapter: Resource<Adapter>) -> wasmtime::Result<()> {
        self.table.delete(adapter)?;
        Ok(())
    }
}

pub(super) struct HasGpu;

impl HasData for HasGpu {
    type Data<'a> = &'a mut Gpu;
}

/// Adds the interface, for chainlets with `resources.gpu`.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wit::add_to_linker::<_, HasGpu>(linker, |state| &mut state.capabilities.gpu)?;
    bulk::add_to_linker(linker)
}
