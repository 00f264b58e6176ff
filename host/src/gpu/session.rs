//! The devices of one replica in this process: what is asked of them is done by wgpu.
//!
//! A session trusts who asks to keep to the quotas; it does not trust what is asked. Whatever a guest can say becomes a
//! result, and a panic of wgpu's the loss of the device.

mod bytes;
mod commands;
mod compiled;
mod objects;
mod poller;
mod scopes;
mod shader;

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;

pub(crate) use self::bytes::Bytes;
use self::bytes::Spare;
use self::objects::{Buffer, Object, Objects};
use self::poller::Poller;
use self::scopes::{caught, scoped};
use super::protocol::{
    BindingKind, Blueprint, Command, Create, DeviceDescriptor, DeviceFacts, DeviceId, Events, Failure, ObjectId,
    Pipeline, Result,
};

/// What a read gives, or why it does not.
pub(crate) type Read = Box<dyn FnOnce(Result<Bytes>) + Send>;

/// For how long whoever reads looks itself whether the GPU is done.
const MOMENT: Duration = Duration::from_micros(100);

/// All devices of one replica.
pub(crate) struct Session {
    adapter: wgpu::Adapter,
    events: Arc<dyn Events>,
    devices: Mutex<HashMap<DeviceId, Arc<Device>>>,
}

struct Device {
    raw: wgpu::Device,
    queue: wgpu::Queue,
    poller: Arc<Poller>,
    objects: Mutex<Objects>,
    cache: Option<wgpu::PipelineCache>,
    spare: Spare,
    /// How many bytes of the cache are known to others.
    known: AtomicUsize,
}

impl Session {
    pub(crate) fn new(adapter: wgpu::Adapter, events: Arc<dyn Events>) -> Self {
        Session { adapter, events, devices: Mutex::default() }
    }

    /// Opens a device. It takes from a millisecond to seconds.
    pub(crate) fn open(&self, id: DeviceId, descriptor: &DeviceDescriptor) -> Result<DeviceFacts> {
        caught(|| self.try_open(id, descriptor))?
    }

    fn try_open(&self, id: DeviceId, descriptor: &DeviceDescriptor) -> Result<DeviceFacts> {
        let requested = self.adapter.request_device(&wgpu::DeviceDescriptor {
            label: descriptor.label.as_deref(),
            required_features: descriptor.features | self.cache_feature(),
            required_limits: descriptor.limits.clone(),
            experimental_features: wgpu::ExperimentalFeatures::disabled(),
            // Guests are many, and each block that the allocator keeps for one is not there for another.
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            trace: wgpu::Trace::Off,
        });
        // On the machine itself it is there at once.
        let (raw, queue) = requested
            .now_or_never()
            .ok_or_else(|| Failure::unsupported("the adapter does not give a device"))?
            .map_err(|error| Failure::unsupported(format_args!("the adapter gives no such device: {error}")))?;
        // Every call has scopes of its own; what comes outside of them has no caller who could be told.
        raw.on_uncaptured_error(Arc::new(
            |error| tracing::error!(%error, "a GPU reported an error that no call caused"),
        ));
        let events = self.events.clone();
        raw.set_device_lost_callback(move |reason, message| {
            // A device that was destroyed was closed, or said so itself.
            if reason != wgpu::DeviceLostReason::Destroyed {
                events.lost(id, Failure::lost(format_args!("the GPU stopped working: {message}")));
            }
        });
        let facts = DeviceFacts { timestamp_period: queue.get_timestamp_period() };
        let poller = Poller::start(raw.clone(), id, self.events.clone()).map_err(|error| {
            Failure::new(
                super::protocol::FailureKind::OutOfMemory,
                format_args!("no thread waits for the GPU: {error}"),
            )
        })?;
        let before = descriptor.compiled.as_deref();
        let cache = scoped(&raw, || compiled::open(&raw, before))?;
        let known = AtomicUsize::new(before.map_or(0, <[u8]>::len));
        let device = Device { raw, queue, poller, objects: Mutex::default(), cache, spare: Spare::default(), known };
        self.devices().insert(id, Arc::new(device));
        Ok(facts)
    }

    /// What a device needs to share what is compiled. Drivers in software have nothing to share.
    fn cache_feature(&self) -> wgpu::Features {
        match self.adapter.get_info().device_type {
            wgpu::DeviceType::Cpu => wgpu::Features::empty(),
            _ => self.adapter.features() & wgpu::Features::PIPELINE_CACHE,
        }
    }

    fn devices(&self) -> MutexGuard<'_, HashMap<DeviceId, Arc<Device>>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn device(&self, id: DeviceId) -> Result<Arc<Device>> {
        self.devices().get(&id).cloned().ok_or_else(|| Failure::lost("the device has been destroyed"))
    }

    /// Lets a device go, with everything that was made from it. That the GPU may have to finish first holds nobody up.
    pub(crate) fn close(&self, id: DeviceId) {
        let device = self.devices().remove(&id);
        if let Some(device) = device {
            device.objects().clear();
            device.poller.close();
        }
    }

    /// Makes an object. Shaders and pipelines take long.
    pub(crate) fn create(&self, device: DeviceId, id: ObjectId, create: &Create) -> Result<()> {
        let device = self.device(device)?;
        let object = device.create(create)?;
        device.objects().insert(id, object);
        if let (Blueprint::ComputePipeline(_), Some(cache)) = (&create.what, &device.cache)
            && let Some(compiled) = compiled::take(cache, device.known.load(Ordering::Relaxed))
        {
            device.known.store(compiled.len(), Ordering::Relaxed);
            self.events.compiled(compiled);
        }
        Ok(())
    }

    /// Lets an object go, once nothing uses it.
    pub(crate) fn drop_object(&self, device: DeviceId, id: ObjectId) {
        if let Ok(device) = self.device(device) {
            device.objects().remove(id);
        }
    }

    /// Frees a buffer's memory, even if bind groups have it.
    pub(crate) fn destroy_buffer(&self, device: DeviceId, id: ObjectId) {
        if let Ok(device) = self.device(device) {
            let object = device.objects().remove(id);
            if let Some(Object::Buffer(buffer)) = object {
                device.poller.destroy(buffer.raw);
            }
        }
    }

    /// Writes `data` before the next submission.
    pub(crate) fn write(&self, device: DeviceId, buffer: ObjectId, offset: u64, data: &[u8]) -> Result<()> {
        let device = self.device(device)?;
        let buffer = device.objects().buffer(buffer)?.raw.clone();
        scoped(&device.raw, || device.queue.write_buffer(&buffer, offset, data))
    }

    /// Submits `commands`, and all writes before. Returns the number of the submission.
    pub(crate) fn submit(&self, device: DeviceId, commands: &[Command]) -> Result<u64> {
        let device = self.device(device)?;
        let buffer = {
            let objects = device.objects();
            scoped(&device.raw, || commands::encode(&device.raw, &objects, commands))??
        };
        device.submit([buffer])
    }

    /// Reads a part of a buffer as it is after all that was submitted and written before. `done` comes later, where an
    /// error is not returned at once. Returns the number of the submission that this took, if any.
    pub(crate) fn read(
        &self,
        device: DeviceId,
        buffer: ObjectId,
        offset: u64,
        size: u64,
        done: Read,
    ) -> Result<Option<u64>> {
        let device = self.device(device)?;
        let buffer = device.objects().buffer(buffer)?.clone();
        match buffer.usage.contains(wgpu::BufferUsages::MAP_READ) {
            true => device.map(buffer.raw, offset, size, None, done).map(|()| None),
            false => device.copy_and_map(&buffer.raw, offset, size, done).map(Some),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for device in self.devices().drain().map(|(_, device)| device) {
            device.objects().clear();
            device.poller.close();
        }
    }
}

impl Device {
    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn create(&self, Create { label, what }: &Create) -> Result<Object> {
        let label = label.as_deref();
        match what {
            Blueprint::Buffer { size, usage } => {
                let descriptor =
                    wgpu::BufferDescriptor { label, size: *size, usage: real_usage(*usage), mapped_at_creation: false };
                let raw = scoped(&self.raw, || self.raw.create_buffer(&descriptor))?;
                Ok(Object::Buffer(Buffer { raw, usage: *usage }))
            }
            Blueprint::BindGroupLayout(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|entry| wgpu::BindGroupLayoutEntry {
                        binding: entry.binding,
                        visibility: wgpu::ShaderStages::COMPUTE,
                        ty: wgpu::BindingType::Buffer {
                            ty: match entry.kind {
                                BindingKind::Uniform => wgpu::BufferBindingType::Uniform,
                                BindingKind::Storage => wgpu::BufferBindingType::Storage { read_only: false },
                                BindingKind::ReadOnlyStorage => wgpu::BufferBindingType::Storage { read_only: true },
                            },
                            has_dynamic_offset: entry.has_dynamic_offset,
                            min_binding_size: NonZeroU64::new(entry.min_binding_size),
                        },
                        count: None,
                    })
                    .collect();
                let descriptor = wgpu::BindGroupLayoutDescriptor { label, entries: &entries };
                scoped(&self.raw, || self.raw.create_bind_group_layout(&descriptor)).map(Object::BindGroupLayout)
            }
            Blueprint::BindGroup { layout, entries } => {
                let objects = self.objects();
                let entries = entries
                    .iter()
                    .map(|entry| {
                        let size = match entry.size {
                            Some(size) => Some(NonZeroU64::new(size).ok_or_else(|| {
                                Failure::invalid(format_args!("binding {} would have no bytes", entry.binding))
                            })?),
                            None => None,
                        };
                        let buffer = &objects.buffer(entry.buffer)?.raw;
                        let resource =
                            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset: entry.offset, size });
                        Ok(wgpu::BindGroupEntry { binding: entry.binding, resource })
                    })
                    .collect::<Result<Vec<_>>>()?;
                let layout = objects.bind_group_layout(*layout)?;
                let descriptor = wgpu::BindGroupDescriptor { label, layout, entries: &entries };
                scoped(&self.raw, || self.raw.create_bind_group(&descriptor)).map(Object::BindGroup)
            }
            Blueprint::PipelineLayout { groups, immediate_size } => {
                let most = usize::try_from(self.raw.limits().max_bind_groups).unwrap_or(usize::MAX);
                if groups.len() > most {
                    let words = format_args!("{} bind groups are more than the {most} of the device", groups.len());
                    return Err(Failure::invalid(words));
                }
                let objects = self.objects();
                let groups = groups
                    .iter()
                    .map(|group| group.map(|group| objects.bind_group_layout(group)).transpose())
                    .collect::<Result<Vec<_>>>()?;
                let descriptor = wgpu::PipelineLayoutDescriptor {
                    label,
                    bind_group_layouts: &groups,
                    immediate_size: *immediate_size,
                };
                scoped(&self.raw, || self.raw.create_pipeline_layout(&descriptor)).map(Object::PipelineLayout)
            }
            Blueprint::ShaderModule { wgsl } => {
                caught(|| shader::check(wgsl))??;
                let source = wgpu::ShaderSource::Wgsl(wgsl.as_str().into());
                let descriptor = wgpu::ShaderModuleDescriptor { label, source };
                // The safe kind, which bounds what a shader reaches and how long it loops; there is no other here.
                scoped(&self.raw, || self.raw.create_shader_module(descriptor)).map(Object::ShaderModule)
            }
            Blueprint::ComputePipeline(pipeline) => self.create_pipeline(label, pipeline).map(Object::ComputePipeline),
            Blueprint::LayoutOf { pipeline, index } => {
                let pipeline = self.objects().compute_pipeline(*pipeline)?.clone();
                scoped(&self.raw, || pipeline.get_bind_group_layout(*index)).map(Object::BindGroupLayout)
            }
            Blueprint::QuerySet { count } => {
                let descriptor = wgpu::QuerySetDescriptor { label, ty: wgpu::QueryType::Timestamp, count: *count };
                scoped(&self.raw, || self.raw.create_query_set(&descriptor)).map(Object::QuerySet)
            }
        }
    }

    fn create_pipeline(&self, label: Option<&str>, pipeline: &Pipeline) -> Result<wgpu::ComputePipeline> {
        // Compiling takes long, and the objects are wanted meanwhile.
        let (layout, module) = {
            let objects = self.objects();
            let layout = pipeline.layout.map(|layout| objects.pipeline_layout(layout).cloned()).transpose()?;
            (layout, objects.shader_module(pipeline.module)?.clone())
        };
        let constants: Vec<_> = pipeline.constants.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let descriptor = wgpu::ComputePipelineDescriptor {
            label,
            layout: layout.as_ref(),
            module: &module,
            entry_point: pipeline.entry_point.as_deref(),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                zero_initialize_workgroup_memory: pipeline.zero_workgroup_memory,
            },
            cache: self.cache.as_ref(),
        };
        scoped(&self.raw, || self.raw.create_compute_pipeline(&descriptor))
    }

    fn submit<const N: usize>(&self, buffers: [wgpu::CommandBuffer; N]) -> Result<u64> {
        self.poller.submitted(|| scoped(&self.raw, || self.queue.submit(buffers)))
    }

    /// Reads through a buffer that the processor can see.
    fn copy_and_map(&self, buffer: &wgpu::Buffer, offset: u64, size: u64, done: Read) -> Result<u64> {
        let descriptor = wgpu::BufferDescriptor {
            label: None,
            size,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        let (staging, commands) = scoped(&self.raw, || {
            let staging = self.spare.take(size).unwrap_or_else(|| self.raw.create_buffer(&descriptor));
            let mut encoder = self.raw.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
            encoder.copy_buffer_to_buffer(buffer, offset, &staging, 0, Some(size));
            (staging, encoder.finish())
        })?;
        let number = self.submit([commands])?;
        self.map(staging, 0, size, Some(self.spare.clone()), done)?;
        Ok(number)
    }

    /// Calls back at once what is done at once: being woken by the poller takes longer than much of what a GPU does. Only
    /// a thread that has nothing else to do comes here, as its guest waits.
    fn poll_for_a_moment(&self) {
        let until = Instant::now() + MOMENT;
        // An error is seen by the poller, too.
        while self.poller.has_reads() && self.raw.poll(wgpu::PollType::Poll).is_ok() && Instant::now() < until {
            std::thread::yield_now();
        }
    }

    fn map(&self, buffer: wgpu::Buffer, offset: u64, size: u64, spare: Option<Spare>, done: Read) -> Result<()> {
        // A mapping begins at a multiple of 8, where a read may begin at one of 4.
        let begin = offset & !(wgpu::MAP_ALIGNMENT - 1);
        let skip = usize::try_from(offset - begin).unwrap_or_default();
        let range = begin..offset + size;
        let poller = self.poller.clone();
        let mapped = buffer.clone();
        let take = {
            let range = range.clone();
            move |result: std::result::Result<(), wgpu::BufferAsyncError>| {
                poller.read();
                if result.is_err() {
                    return done(Err(Failure::invalid(
                        "the buffer is being read already, or it or its device is gone",
                    )));
                }
                done(Bytes::mapped(mapped, range, skip, spare));
            }
        };
        self.poller.reading();
        scoped(&self.raw, || buffer.map_async(wgpu::MapMode::Read, range, take))?;
        self.poll_for_a_moment();
        Ok(())
    }
}

/// What the real buffer may be used for, so that every buffer can be read and written.
fn real_usage(usage: wgpu::BufferUsages) -> wgpu::BufferUsages {
    use wgpu::BufferUsages as Usages;
    // Guests do not map: what they ask `MAP_WRITE` for is done by writes.
    let usage = usage.difference(Usages::MAP_WRITE);
    match usage.contains(Usages::MAP_READ) {
        true => usage | Usages::COPY_DST,
        false => usage | Usages::COPY_SRC | Usages::COPY_DST,
    }
}
