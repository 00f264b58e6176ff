//! The backend of a replica's devices, which does their work: in this process, or in a worker process.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use super::compilers::{CompilePermit, Compilers};
use super::protocol::{
    BufferPosition, Create, DeviceDescriptor, DeviceFacts, DeviceId, GpuCommand, GpuFailure, ObjectDescriptor,
    ObjectId, Result,
};
use super::session::{ReadCallback, Session};
#[cfg(unix)]
use super::worker::Worker;

#[derive(Clone)]
pub(super) enum Backend {
    /// In this process, with the threads that compile shaders.
    Here(Arc<Session>, Arc<Compilers>),
    #[cfg(unix)]
    Worker(Arc<Worker>),
}

impl Backend {
    pub(super) async fn open(&self, id: DeviceId, descriptor: DeviceDescriptor) -> Result<DeviceFacts> {
        match self {
            Backend::Here(session, _) => {
                let (session, late) = (session.clone(), session.clone());
                aside(move || session.open(id, &descriptor), move || late.close(id)).await
            }
            #[cfg(unix)]
            Backend::Worker(worker) => worker.open(id, descriptor).await,
        }
    }

    /// Frees a device once the GPU is done with it.
    pub(super) fn close(&self, device: DeviceId) {
        match self {
            Backend::Here(session, _) => session.close(device),
            #[cfg(unix)]
            Backend::Worker(worker) => worker.close(device),
        }
    }

    /// Gives up a device whose work does not end. In this process the driver's work goes on. A worker is killed with
    /// all its devices.
    pub(super) fn abandon(&self, device: DeviceId) {
        match self {
            Backend::Here(session, _) => session.close(device),
            #[cfg(unix)]
            Backend::Worker(worker) => worker.kill(),
        }
    }

    /// Returns true if the backend can take no more requests.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Backend::Here(..) => false,
            #[cfg(unix)]
            Backend::Worker(worker) => worker.has_ended(),
        }
    }

    /// Waits for a place to make `what`, if making it takes long and happens in this process. Otherwise returns `None`.
    pub(super) async fn place(&self, what: &ObjectDescriptor) -> Option<CompilePermit> {
        match (self, what) {
            (
                Backend::Here(_, compilers),
                ObjectDescriptor::ShaderModule { .. } | ObjectDescriptor::ComputePipeline(_),
            ) => compilers.place().await,
            _ => None,
        }
    }

    /// Makes an object, in the `place` for it if it needs one.
    pub(super) async fn create(
        &self,
        device: DeviceId,
        id: ObjectId,
        create: Create,
        place: Option<CompilePermit>,
    ) -> Result<()> {
        match self {
            Backend::Here(session, compilers) => match place {
                None => session.create(device, id, &create),
                Some(place) => {
                    let session = session.clone();
                    compilers.run(place, move || session.create(device, id, &create)).await
                }
            },
            #[cfg(unix)]
            Backend::Worker(worker) => worker.create(device, id, create).await,
        }
    }

    pub(super) fn drop_object(&self, device: DeviceId, id: ObjectId) {
        match self {
            Backend::Here(session, _) => session.drop_object(device, id),
            #[cfg(unix)]
            Backend::Worker(worker) => worker.drop_object(device, id),
        }
    }

    pub(super) fn destroy_buffer(&self, device: DeviceId, id: ObjectId) {
        match self {
            Backend::Here(session, _) => session.destroy_buffer(device, id),
            #[cfg(unix)]
            Backend::Worker(worker) => worker.destroy_buffer(device, id),
        }
    }

    /// Takes `data` at once. The returned future gives the result of the write.
    pub(super) fn write(&self, device: DeviceId, to: BufferPosition, data: &[u8]) -> BoxFuture<'static, Result<()>> {
        match self {
            Backend::Here(session, _) => session.clone().write_in_order(device, to, data),
            #[cfg(unix)]
            Backend::Worker(worker) => worker.write(device, to, data).boxed(),
        }
    }

    pub(super) fn submit(&self, device: DeviceId, commands: Vec<GpuCommand>) -> BoxFuture<'static, Result<u64>> {
        match self {
            Backend::Here(session, _) => session.clone().submit_in_order(device, commands),
            #[cfg(unix)]
            Backend::Worker(worker) => {
                let worker = worker.clone();
                async move { worker.submit(device, commands).await }.boxed()
            }
        }
    }

    /// Like [`Session::read`].
    pub(super) fn read(
        &self,
        device: DeviceId,
        from: BufferPosition,
        size: u64,
        done: ReadCallback,
    ) -> BoxFuture<'static, Result<Option<u64>>> {
        match self {
            Backend::Here(session, _) => session.clone().read_in_order(device, from, size, done),
            #[cfg(unix)]
            Backend::Worker(worker) => {
                let worker = worker.clone();
                async move { worker.read(device, from, size, done).await }.boxed()
            }
        }
    }

    /// Ends the backend with its replica.
    pub(super) fn end(&self) {
        match self {
            Backend::Here(..) => {}
            #[cfg(unix)]
            Backend::Worker(worker) => worker.kill(),
        }
    }
}

/// Does `work`, which may take long, on a thread of its own. Then calls `late` if nobody waits for the result any more.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
    late: impl FnOnce() + Send + 'static,
) -> Result<T> {
    let (sender, receiver) = oneshot::channel();
    let thread = std::thread::Builder::new().name("gpu-aside".into());
    let spawned = thread.spawn(move || {
        if sender.send(work()).is_err() {
            late();
        }
    });
    spawned.map_err(GpuFailure::threadless)?;
    receiver.await.map_err(|_| GpuFailure::panicked())?
}
