//! Where the work of a replica's devices is done: here, or in a worker process.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use tokio::sync::oneshot;

use super::protocol::{Blueprint, Command, Create, DeviceDescriptor, DeviceFacts, DeviceId, Failure, ObjectId, Result};
use super::session::{Read, Session};
#[cfg(unix)]
use super::worker::Worker;

/// The stack of a thread that reads shaders, in bytes: parsers and compilers go into themselves as deep as a shader is
/// nested, which is as deep as the longest has bytes. What of it is not used costs address space alone.
pub(super) const COMPILER_STACK: usize = 512 << 20;

#[derive(Clone)]
pub(super) enum Backend {
    Here(Arc<Session>),
    #[cfg(unix)]
    Worker(Arc<Worker>),
}

impl Backend {
    pub(super) async fn open(&self, id: DeviceId, descriptor: DeviceDescriptor) -> Result<DeviceFacts> {
        match self {
            Backend::Here(session) => {
                let session = session.clone();
                aside(move || session.open(id, &descriptor)).await
            }
            #[cfg(unix)]
            Backend::Worker(worker) => worker.open(id, descriptor).await,
        }
    }

    /// Lets a device go, once the GPU is done with it.
    pub(super) fn close(&self, device: DeviceId) {
        match self {
            Backend::Here(session) => session.close(device),
            #[cfg(unix)]
            Backend::Worker(worker) => worker.close(device),
        }
    }

    /// Gives up a device that does not come to an end. In this process what its driver is at goes on; a worker is killed,
    /// and all its devices with it.
    pub(super) fn abandon(&self, device: DeviceId) {
        match self {
            Backend::Here(session) => session.close(device),
            #[cfg(unix)]
            Backend::Worker(worker) => worker.kill(),
        }
    }

    /// Whether nothing can be asked of it any more.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Backend::Here(_) => false,
            #[cfg(unix)]
            Backend::Worker(worker) => worker.has_ended(),
        }
    }

    pub(super) async fn create(&self, device: DeviceId, id: ObjectId, create: Create) -> Result<()> {
        match self {
            Backend::Here(session) => match create.what {
                Blueprint::ShaderModule { .. } | Blueprint::ComputePipeline(_) => {
                    let session = session.clone();
                    aside(move || session.create(device, id, &create)).await
                }
                _ => session.create(device, id, &create),
            },
            #[cfg(unix)]
            Backend::Worker(worker) => worker.create(device, id, create).await,
        }
    }

    pub(super) fn drop_object(&self, device: DeviceId, id: ObjectId) {
        match self {
            Backend::Here(session) => session.drop_object(device, id),
            #[cfg(unix)]
            Backend::Worker(worker) => worker.drop_object(device, id),
        }
    }

    pub(super) fn destroy_buffer(&self, device: DeviceId, id: ObjectId) {
        match self {
            Backend::Here(session) => session.destroy_buffer(device, id),
            #[cfg(unix)]
            Backend::Worker(worker) => worker.destroy_buffer(device, id),
        }
    }

    /// Takes `data` at once; what is returned says what became of it.
    pub(super) fn write(
        &self,
        device: DeviceId,
        buffer: ObjectId,
        offset: u64,
        data: &[u8],
    ) -> BoxFuture<'static, Result<()>> {
        match self {
            Backend::Here(session) => ready(session.write(device, buffer, offset, data)).boxed(),
            #[cfg(unix)]
            Backend::Worker(worker) => worker.write(device, buffer, offset, data).boxed(),
        }
    }

    pub(super) async fn submit(&self, device: DeviceId, commands: Vec<Command>) -> Result<u64> {
        match self {
            Backend::Here(session) => session.submit(device, &commands),
            #[cfg(unix)]
            Backend::Worker(worker) => worker.submit(device, commands).await,
        }
    }

    /// As [`Session::read`].
    pub(super) async fn read(
        &self,
        device: DeviceId,
        buffer: ObjectId,
        offset: u64,
        size: u64,
        done: Read,
    ) -> Result<Option<u64>> {
        match self {
            Backend::Here(session) => session.read(device, buffer, offset, size, done),
            #[cfg(unix)]
            Backend::Worker(worker) => worker.read(device, buffer, offset, size, done).await,
        }
    }
}

/// Does what takes long on a thread of its own.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (sender, receiver) = oneshot::channel();
    let thread = std::thread::Builder::new().name("gpu-compiler".into()).stack_size(COMPILER_STACK);
    let spawned = thread.spawn(move || {
        // Whoever waited may have gone.
        let _ = sender.send(work());
    });
    spawned.map_err(|error| Failure::quota(format_args!("the host has no thread left for it: {error}")))?;
    receiver
        .await
        .map_err(|_| Failure::lost("the GPU's driver layer failed, which is a bug of chainhost or of wgpu"))?
}
