//! The devices of one replica in this process. wgpu does their work.
//!
//! A session trusts its caller to keep to the quotas. It does not trust the requests: everything that a guest can say
//! becomes a result, and a panic of wgpu becomes the loss of the device.

mod bytes;
mod commands;
mod compiled;
mod lane;
mod make;
mod objects;
mod poller;
mod scopes;
mod shader;
mod timer;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};

pub(crate) use self::bytes::Bytes;
use self::bytes::Spare;
use self::compiled::Compiled;
use self::lane::Lane;
use self::objects::Objects;
use self::poller::Poller;
use self::scopes::{caught, scoped};
use self::timer::{Timer, Timing};
use super::operation::{Bulk, GpuOperation, GpuReply, ReadCallback};
use super::protocol::{
    BufferPosition, Create, DeviceDescriptor, DeviceFacts, DeviceId, Events, GpuCommand, GpuFailure, GpuFailureKind,
    ObjectDescriptor, ObjectId, Result,
};

/// The time for which a thread that reads polls the GPU itself.
const READER_POLL: Duration = Duration::from_micros(100);

/// The features that the host adds for its own use to those that a guest requested, if the adapter has them.
const ADDED: wgpu::Features = wgpu::Features::PIPELINE_CACHE.union(timer::FEATURES);

/// All devices of one replica.
pub(crate) struct Session {
    adapter: wgpu::Adapter,
    events: Arc<dyn Events>,
    devices: Arc<Mutex<HashMap<DeviceId, Arc<Device>>>>,
}

struct Device {
    raw: wgpu::Device,
    queue: wgpu::Queue,
    poller: Arc<Poller>,
    lane: Lane,
    objects: Mutex<Objects>,
    cache: Compiled,
    spare: Spare,
    timer: Option<Arc<Timer>>,
}

impl Session {
    pub(crate) fn new(adapter: wgpu::Adapter, events: Arc<dyn Events>) -> Self {
        Session { adapter, events, devices: Arc::default() }
    }

    /// Does `operation` on this thread, which may take long.
    pub(crate) fn execute(&self, id: DeviceId, operation: &GpuOperation, bulk: Bulk<'_>) -> Result<GpuReply> {
        let done = |()| GpuReply::Done;
        match (operation, bulk) {
            (GpuOperation::Open(descriptor), _) => caught(|| self.open(id, descriptor))?.map(GpuReply::Opened),
            (GpuOperation::Close, _) => {
                self.close(id);
                Ok(GpuReply::Done)
            }
            (GpuOperation::Create(object, create), _) => self.create(id, *object, create).map(done),
            (GpuOperation::Drop(object), _) => self.drop_object(id, *object).map(done),
            (GpuOperation::DestroyBuffer(buffer), _) => self.destroy_buffer(id, *buffer).map(done),
            (GpuOperation::Write(to), Bulk::ToGpu(data)) => self.write(id, *to, &data).map(done),
            (GpuOperation::Submit(commands), _) => self.submit(id, commands).map(GpuReply::Submitted),
            (GpuOperation::Read { from, size }, Bulk::FromGpu(read)) => self.read(id, *from, *size, read),
            (GpuOperation::Write(_) | GpuOperation::Read { .. }, _) => {
                Err(GpuFailure::lost("no bytes came with an operation that moves some, which is a bug of chainhost"))
            }
        }
    }

    /// Does `operation` after all earlier ones that were begun with this function. Before this returns, the operation
    /// has its place in that order, and its data is taken. It never waits for the GPU on this thread.
    pub(crate) fn execute_in_order(
        self: Arc<Self>,
        id: DeviceId,
        operation: GpuOperation,
        bulk: Bulk<'_>,
    ) -> BoxFuture<'static, Result<GpuReply>> {
        match self.device(id) {
            Ok(device) if !device.lane.is_free() || device.may_block(&operation) => {
                let bulk = bulk.into_owned();
                device.lane.queue(move || self.execute(id, &operation, bulk))
            }
            _ => ready(self.execute(id, &operation, bulk)).boxed(),
        }
    }

    fn open(&self, id: DeviceId, descriptor: &DeviceDescriptor) -> Result<DeviceFacts> {
        let requested = self.adapter.request_device(&wgpu::DeviceDescriptor {
            label: descriptor.label.as_deref(),
            required_features: descriptor.features | (self.adapter.features() & ADDED),
            required_limits: descriptor.limits.clone(),
            experimental_features: wgpu::ExperimentalFeatures::disabled(),
            // There are many guests, and a block that the allocator keeps for one is missing for the others.
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            trace: wgpu::Trace::Off,
        });
        // On a native machine, the future is ready at once.
        let (raw, queue) = requested
            .now_or_never()
            .ok_or_else(|| GpuFailure::unsupported("the adapter does not give a device"))?
            .map_err(|error| GpuFailure::unsupported(format_args!("the adapter gives no such device: {error}")))?;
        // Every call has its own error scopes. An error outside of them belongs to no caller.
        raw.on_uncaptured_error(Arc::new(
            |error| tracing::error!(%error, "a GPU reported an error that no call caused"),
        ));
        let events = self.events.clone();
        raw.set_device_lost_callback(move |reason, message| {
            // A device that was destroyed needs no report: it was closed, or its loss is reported already.
            if reason != wgpu::DeviceLostReason::Destroyed {
                events.lost(id, GpuFailure::lost(format_args!("the GPU stopped working: {message}")));
            }
        });
        let facts = DeviceFacts { timestamp_period: queue.get_timestamp_period() };
        let timer = Timer::open(&raw, &queue);
        let cache = scoped(&raw, || Compiled::new(&raw, descriptor.compiled.as_deref()))?;
        // The poller starts last, because it drops the device, perhaps at once. It waits for this lock before it does.
        let mut devices = self.devices();
        let let_go = {
            let devices = self.devices.clone();
            move || {
                let device = devices.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                if let Some(device) = device {
                    device.let_go();
                }
            }
        };
        let poller = Poller::start(raw.clone(), queue.clone(), id, self.events.clone(), let_go)
            .map_err(GpuFailure::threadless)?;
        let device = Device {
            raw,
            queue,
            poller,
            lane: Lane::default(),
            objects: Mutex::default(),
            cache,
            spare: Spare::default(),
            timer,
        };
        devices.insert(id, Arc::new(device));
        Ok(facts)
    }

    fn devices(&self) -> MutexGuard<'_, HashMap<DeviceId, Arc<Device>>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn device(&self, id: DeviceId) -> Result<Arc<Device>> {
        self.devices().get(&id).cloned().ok_or_else(|| GpuFailure::lost("the device has been destroyed"))
    }

    /// Closes a device with everything that was made from it. Nobody waits for this, although the GPU may have to
    /// finish first.
    fn close(&self, id: DeviceId) {
        let device = self.devices().remove(&id);
        if let Some(device) = device {
            device.close();
        }
    }

    fn create(&self, device: DeviceId, id: ObjectId, create: &Create) -> Result<()> {
        let device = self.device(device)?;
        let object = device.create(create)?;
        device.objects().insert(id, object);
        if matches!(create.what, ObjectDescriptor::ComputePipeline(_))
            && let Some(compiled) = device.cache.take()
        {
            self.events.compiled(compiled);
        }
        Ok(())
    }

    fn drop_object(&self, device: DeviceId, id: ObjectId) -> Result<()> {
        let device = self.device(device)?;
        let object = device.objects().remove(id);
        drop(object);
        Ok(())
    }

    fn destroy_buffer(&self, device: DeviceId, id: ObjectId) -> Result<()> {
        let device = self.device(device)?;
        let remains = device.objects().destroy(id);
        drop(remains);
        Ok(())
    }

    fn write(&self, device: DeviceId, to: BufferPosition, data: &[u8]) -> Result<()> {
        let device = self.device(device)?;
        let buffer = device.objects().buffer(to.buffer)?.raw.clone();
        let written = scoped(&device.raw, || device.queue.write_buffer(&buffer, to.offset, data));
        if written.is_err() {
            device.write_nothing();
        }
        written
    }

    /// Returns the number of the submission.
    fn submit(&self, device: DeviceId, commands: &[GpuCommand]) -> Result<u64> {
        let (id, device) = (device, self.device(device)?);
        // An empty list only carries writes, so it is not timed.
        let timer = device.timer.as_ref().filter(|_| !commands.is_empty());
        let timing = timer.and_then(Timer::start);
        let buffer = {
            let objects = device.objects();
            scoped(&device.raw, || commands::encode(&device.raw, &objects, commands, timing.as_ref()))??
        };
        let number = device.submit([buffer])?;
        if let Some(timing) = timing {
            self.tell_time(id, &device, timing);
        }
        Ok(number)
    }

    /// Reports how long a submission took, when that is known.
    fn tell_time(&self, id: DeviceId, device: &Device, timing: Timing) {
        let (poller, events) = (device.poller.clone(), self.events.clone());
        device.poller.reading();
        let asked = timing.tell(&device.raw, move |time| {
            poller.read();
            if let Some(time) = time {
                events.timed(id, time);
            }
        });
        if let Err(failure) = asked
            && failure.kind != GpuFailureKind::DeviceLost
        {
            tracing::error!(error = %failure, "a GPU's clock cannot be read, which is a bug of chainhost");
        }
    }

    fn read(&self, device: DeviceId, from: BufferPosition, size: u64, done: ReadCallback) -> Result<GpuReply> {
        let device = self.device(device)?;
        let (buffer, is_mappable) = {
            let objects = device.objects();
            let buffer = objects.buffer(from.buffer)?;
            (buffer.raw.clone(), buffer.is_mappable())
        };
        match is_mappable {
            true => device.map(buffer, from.offset, size, None, done).map(|()| GpuReply::Done),
            false => device.copy_and_map(&buffer, from.offset, size, done).map(GpuReply::Submitted),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let all: Vec<_> = self.devices().drain().collect();
        all.into_iter().for_each(|(_, device)| device.close());
    }
}

/// Returns true if it takes long to record `commands`. A guest's thread must not do that, because other guests need it.
fn is_long(commands: &[GpuCommand]) -> bool {
    const LONG: usize = 256;
    let count = |command: &GpuCommand| match command {
        GpuCommand::ComputePass { commands, .. } => 1 + commands.len(),
        _ => 1,
    };
    commands.iter().map(count).sum::<usize>() > LONG
}

impl Device {
    /// Returns true if `operation` may take long on this thread, or wait there for the GPU.
    fn may_block(&self, operation: &GpuOperation) -> bool {
        match operation {
            GpuOperation::Submit(commands) => self.poller.is_busy() || is_long(commands),
            // A buffer that is not mappable is read through a submission.
            GpuOperation::Read { from, .. } => {
                self.poller.is_busy() && self.objects().buffer(from.buffer).is_ok_and(|buffer| !buffer.is_mappable())
            }
            // The others take little time, and do not reach the GPU before the next submission.
            _ => false,
        }
    }

    fn close(self: Arc<Self>) {
        self.poller.clone().close(move || self.let_go());
    }

    /// Drops all objects. Another thread may still be making one.
    fn let_go(&self) {
        let objects = std::mem::take(&mut *self.objects());
        drop(objects);
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit<const N: usize>(&self, buffers: [wgpu::CommandBuffer; N]) -> Result<u64> {
        self.poller.submitted(|| scoped(&self.raw, || self.queue.submit(buffers)))
    }

    /// Writes four bytes after a write has failed, so that the next submission also frees the bytes of the failed
    /// write. Without a write that succeeds, wgpu 30 keeps them.
    fn write_nothing(&self) {
        let usage = wgpu::BufferUsages::COPY_DST;
        let descriptor = wgpu::BufferDescriptor { label: None, size: 4, usage, mapped_at_creation: false };
        let written = scoped(&self.raw, || {
            let buffer = self.raw.create_buffer(&descriptor);
            self.queue.write_buffer(&buffer, 0, &[0; 4]);
        });
        if let Err(failure) = written {
            tracing::debug!(error = %failure, "a failed write to a GPU's buffer leaves its bytes behind");
        }
    }

    /// Reads through a buffer that the processor can map.
    fn copy_and_map(&self, buffer: &wgpu::Buffer, offset: u64, size: u64, done: ReadCallback) -> Result<u64> {
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

    /// Polls the GPU for at most [`READER_POLL`], until `is_called` says that the read is done. A thread that the poller has
    /// to wake would wait longer than much of a GPU's work takes. Other guests of this thread lose no more than
    /// [`READER_POLL`] for each read.
    fn poll_for_a_moment(&self, is_called: &AtomicBool) {
        let until = Instant::now() + READER_POLL;
        while !is_called.load(Ordering::Relaxed) && Instant::now() < until {
            // Read before the poll, because an empty queue says nothing about later submissions.
            let submitted = self.poller.submissions();
            // wgpu panics if the device is lost.
            match caught(|| self.raw.poll(wgpu::PollType::Poll)) {
                Ok(Ok(status)) if status.is_queue_empty() => self.poller.has_seen(submitted),
                Ok(Ok(_)) => std::thread::yield_now(),
                // The poller sees the error, too, and reports it.
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }

    fn map(
        &self,
        buffer: wgpu::Buffer,
        offset: u64,
        size: u64,
        spare: Option<Spare>,
        done: ReadCallback,
    ) -> Result<()> {
        // A mapping begins at a multiple of 8, but a read may begin at a multiple of 4.
        let begin = offset & !(wgpu::MAP_ALIGNMENT - 1);
        let skip = usize::try_from(offset - begin).unwrap_or_default();
        let range = begin..offset + size;
        let poller = self.poller.clone();
        let (device, mapped) = (self.raw.clone(), buffer.clone());
        let is_called = Arc::new(AtomicBool::new(false));
        let take = {
            let (range, is_called) = (range.clone(), is_called.clone());
            move |result: std::result::Result<(), wgpu::BufferAsyncError>| {
                is_called.store(true, Ordering::Relaxed);
                poller.read();
                if result.is_err() {
                    return done(Err(GpuFailure::invalid(
                        "the buffer is being read already, or it or its device is gone",
                    )));
                }
                done(Bytes::mapped((device, poller.view()), mapped, range, skip, spare));
            }
        };
        self.poller.reading();
        scoped(&self.raw, || buffer.map_async(wgpu::MapMode::Read, range, take))?;
        self.poll_for_a_moment(&is_called);
        Ok(())
    }
}
