//! The functions of devices, buffers and pipelines.
//!
//! A guest's mistake returns an error to it. A handle that it does not have is a trap, by wasmtime's own check.

use std::sync::Arc;

use wasmtime::component::{Accessor, Resource};

use super::handles::{GpuRefusal, Made, Refusable};
use super::{
    BindGroupHandle, BindGroupLayout, BufferHandle, ComputePipeline, DeviceHandle, GpuState, HasGpu, PipelineLayout,
    QuerySet, ShaderModuleHandle, plain, wit,
};
use crate::gpu::device::{Buffer, Device, Object};
use crate::gpu::protocol::{GpuFailure, ObjectDescriptor};
use plain::told;

/// The result of a function. The outer error ends the guest.
type GuestResult<T> = wasmtime::Result<Result<T, wit::Error>>;

fn answer<T>(asked: Refusable<T>) -> GuestResult<T> {
    match asked {
        Ok(value) => Ok(Ok(value)),
        Err(GpuRefusal::Failure(failure)) => Ok(Err(failure.into())),
        Err(GpuRefusal::Trap(error)) => Err(error),
    }
}

impl GpuState {
    /// Makes an object and gives the guest its handle.
    async fn make<T: Send + 'static>(
        &mut self,
        device: &Arc<Device>,
        label: Option<String>,
        what: ObjectDescriptor,
        wrap: impl FnOnce(Object) -> T,
    ) -> Refusable<Resource<T>> {
        let object = device.create(label, what).await?;
        Ok(self.table.push(wrap(object))?)
    }
}

impl wit::HostDevice for GpuState {
    fn features(&mut self, device: Resource<DeviceHandle>) -> wasmtime::Result<wit::Features> {
        Ok(plain::features_of(self.device(&device)?.features))
    }

    fn limits(&mut self, device: Resource<DeviceHandle>) -> wasmtime::Result<wit::Limits> {
        Ok(plain::limits_of(&self.device(&device)?.limits))
    }

    fn timestamp_period(&mut self, device: Resource<DeviceHandle>) -> wasmtime::Result<f32> {
        Ok(self.device(&device)?.timestamp_period)
    }

    async fn create_buffer(
        &mut self,
        device: Resource<DeviceHandle>,
        descriptor: wit::BufferDescriptor,
    ) -> GuestResult<Resource<BufferHandle>> {
        let device = self.device(&device)?;
        let usage = plain::usages(descriptor.usage);
        match Buffer::create(&device, descriptor.label, descriptor.size, usage).await {
            Ok(buffer) => Ok(Ok(self.table.push(BufferHandle(buffer))?)),
            Err(failure) => Ok(Err(failure.into())),
        }
    }

    async fn create_bind_group_layout(
        &mut self,
        device: Resource<DeviceHandle>,
        label: Option<String>,
        entries: Vec<wit::BindGroupLayoutEntry>,
    ) -> GuestResult<Resource<BindGroupLayout>> {
        let entries = entries.into_iter().map(plain::layout_entry).collect();
        let device = self.device(&device)?;
        answer(self.make(&device, label, ObjectDescriptor::BindGroupLayout(entries), BindGroupLayout).await)
    }

    async fn create_bind_group(
        &mut self,
        device: Resource<DeviceHandle>,
        label: Option<String>,
        layout: Resource<BindGroupLayout>,
        entries: Vec<wit::BindGroupEntry>,
    ) -> GuestResult<Resource<BindGroupHandle>> {
        let device = self.device(&device)?;
        match self.group(&device, &layout, entries) {
            Ok((what, buffers)) => {
                answer(self.make(&device, label, what, |object| BindGroupHandle(object, buffers)).await)
            }
            Err(refusal) => answer(Err(refusal)),
        }
    }

    async fn create_pipeline_layout(
        &mut self,
        device: Resource<DeviceHandle>,
        label: Option<String>,
        bind_group_layouts: Vec<Option<Resource<BindGroupLayout>>>,
        immediate_size: u32,
    ) -> GuestResult<Resource<PipelineLayout>> {
        let device = self.device(&device)?;
        match self.layouts(&device, &bind_group_layouts, immediate_size) {
            Ok(what) => answer(self.make(&device, label, what, PipelineLayout).await),
            Err(refusal) => answer(Err(refusal)),
        }
    }

    async fn create_shader_module(
        &mut self,
        device: Resource<DeviceHandle>,
        label: Option<String>,
        wgsl: String,
    ) -> GuestResult<Resource<ShaderModuleHandle>> {
        let device = self.device(&device)?;
        answer(self.make(&device, label, ObjectDescriptor::ShaderModule { wgsl }, ShaderModuleHandle).await)
    }

    async fn create_compute_pipeline(
        &mut self,
        device: Resource<DeviceHandle>,
        descriptor: wit::ComputePipelineDescriptor,
    ) -> GuestResult<Resource<ComputePipeline>> {
        let device = self.device(&device)?;
        let label = descriptor.label.clone();
        match self.pipeline(&device, descriptor) {
            Ok(what) => answer(self.make(&device, label, what, ComputePipeline).await),
            Err(refusal) => answer(Err(refusal)),
        }
    }

    async fn create_query_set(
        &mut self,
        device: Resource<DeviceHandle>,
        label: Option<String>,
        count: u32,
    ) -> GuestResult<Resource<QuerySet>> {
        let device = self.device(&device)?;
        if !device.features.contains(wgpu::Features::TIMESTAMP_QUERY) {
            let failure = GpuFailure::unsupported("the device was requested without the feature `timestamp-query`");
            return Ok(Err(failure.into()));
        }
        answer(self.make(&device, label, ObjectDescriptor::QuerySet { count }, QuerySet).await)
    }

    async fn submit(&mut self, device: Resource<DeviceHandle>, commands: Vec<wit::Command>) -> GuestResult<u64> {
        let device = self.device(&device)?;
        match self.commands(&device, commands) {
            Ok(commands) => Ok(told(device.submit(commands).await)),
            Err(refusal) => answer(Err(refusal)),
        }
    }

    async fn wait_blocking(&mut self, device: Resource<DeviceHandle>, submission: Option<u64>) -> GuestResult<()> {
        Ok(told(self.device(&device)?.wait(submission).await))
    }

    fn completed(&mut self, device: Resource<DeviceHandle>) -> wasmtime::Result<u64> {
        Ok(self.device(&device)?.completed())
    }

    fn destroy(&mut self, device: Resource<DeviceHandle>) -> wasmtime::Result<()> {
        self.device(&device)?.destroy();
        Ok(())
    }

    fn drop(&mut self, device: Resource<DeviceHandle>) -> wasmtime::Result<()> {
        self.table.delete(device)?;
        Ok(())
    }
}

impl<T: 'static> wit::HostDeviceWithStore<T> for HasGpu {
    async fn wait(
        accessor: &Accessor<T, Self>,
        device: Resource<DeviceHandle>,
        submission: Option<u64>,
    ) -> GuestResult<()> {
        let device = accessor.with(|mut access| access.get().device(&device))?;
        Ok(told(device.wait(submission).await))
    }
}

/// The body of functions that the bindings need and that `bulk` replaces in the linker, so it is never called.
fn misled<T, U>(_: U) -> GuestResult<T> {
    Err(wasmtime::format_err!("a call of a buffer went the wrong way, which is a bug of chainhost"))
}

impl wit::HostBuffer for GpuState {
    async fn write(&mut self, buffer: Resource<BufferHandle>, offset: u64, data: Vec<u8>) -> GuestResult<()> {
        misled((buffer, offset, data))
    }

    async fn read_blocking(&mut self, buffer: Resource<BufferHandle>, offset: u64, size: u64) -> GuestResult<Vec<u8>> {
        misled((buffer, offset, size))
    }

    fn destroy(&mut self, buffer: Resource<BufferHandle>) -> wasmtime::Result<()> {
        self.table.get(&buffer)?.0.destroy();
        Ok(())
    }

    fn drop(&mut self, buffer: Resource<BufferHandle>) -> wasmtime::Result<()> {
        self.table.delete(buffer)?;
        Ok(())
    }
}

impl<T: 'static> wit::HostBufferWithStore<T> for HasGpu {
    async fn read(
        accessor: &Accessor<T, Self>,
        buffer: Resource<BufferHandle>,
        offset: u64,
        size: u64,
    ) -> GuestResult<Vec<u8>> {
        misled((accessor, buffer, offset, size))
    }
}

impl wit::HostComputePipeline for GpuState {
    async fn get_bind_group_layout(
        &mut self,
        pipeline: Resource<ComputePipeline>,
        index: u32,
    ) -> GuestResult<Resource<BindGroupLayout>> {
        let pipeline = self.table.get(&pipeline)?;
        let (device, id) = (pipeline.device().clone(), pipeline.id());
        answer(self.make(&device, None, ObjectDescriptor::LayoutOf { pipeline: id, index }, BindGroupLayout).await)
    }

    fn drop(&mut self, pipeline: Resource<ComputePipeline>) -> wasmtime::Result<()> {
        self.table.delete(pipeline)?;
        Ok(())
    }
}

macro_rules! only_dropped {
    ($($Trait:ident: $Type:ty;)+) => {
        $(impl wit::$Trait for GpuState {
            fn drop(&mut self, object: Resource<$Type>) -> wasmtime::Result<()> {
                self.table.delete(object)?;
                Ok(())
            }
        })+
    };
}

only_dropped! {
    HostBindGroupLayout: BindGroupLayout;
    HostBindGroup: BindGroupHandle;
    HostPipelineLayout: PipelineLayout;
    HostShaderModule: ShaderModuleHandle;
    HostQuerySet: QuerySet;
}
