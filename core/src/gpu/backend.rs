//! The backend of a replica's devices, which does their work: in this process, or in a worker process.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use super::compilers::{CompilePermit, Compilers};
use super::operation::{Bulk, GpuOperation, GpuReply};
use super::protocol::{
    Create, DeviceDescriptor, DeviceFacts, DeviceId, GpuFailure, ObjectDescriptor, ObjectId, Result,
};
use super::session::Session;
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
    /// Does `operation` after all earlier ones of the device's queue. Before this returns, the operation has its place
    /// in that order, and its data is taken. It never waits for the GPU on this thread.
    pub(super) fn execute(
        &self,
        device: DeviceId,
        operation: GpuOperation,
        bulk: Bulk<'_>,
    ) -> BoxFuture<'static, Result<GpuReply>> {
        match self {
            Backend::Here(session, _) => session.clone().execute_in_order(device, operation, bulk),
            #[cfg(unix)]
            Backend::Worker(worker) => worker.execute(device, operation, bulk).boxed(),
        }
    }

    /// Does `operation`, whose result nobody needs. It must be one that ends soon.
    pub(super) fn send(&self, device: DeviceId, operation: GpuOperation) {
        match self {
            // This fails only if the device is gone, and everything of it.
            Backend::Here(session, _) => drop(session.execute(device, &operation, Bulk::None)),
            #[cfg(unix)]
            Backend::Worker(worker) => worker.send(device, operation),
        }
    }

    /// Opens a device. In this process that takes a thread, because it takes long.
    pub(super) async fn open(&self, id: DeviceId, descriptor: DeviceDescriptor) -> Result<DeviceFacts> {
        let open = GpuOperation::Open(Box::new(descriptor));
        let opened = match self {
            Backend::Here(session, _) => {
                let (session, late) = (session.clone(), self.clone());
                aside(move || session.execute(id, &open, Bulk::None), move || late.send(id, GpuOperation::Close)).await
            }
            #[cfg(unix)]
            Backend::Worker(worker) => worker.execute(id, open, Bulk::None).await,
        };
        opened?.facts()
    }

    /// Gives up a device whose work does not end. In this process the driver's work goes on. A worker is killed with
    /// all its devices.
    pub(super) fn abandon(&self, device: DeviceId) {
        match self {
            Backend::Here(..) => self.send(device, GpuOperation::Close),
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

    /// Makes an object, in the `place` for it if it needs one. It waits for no operation of the device's queue.
    pub(super) async fn create(
        &self,
        device: DeviceId,
        id: ObjectId,
        create: Create,
        place: Option<CompilePermit>,
    ) -> Result<()> {
        let create = GpuOperation::Create(id, create);
        let created = match (self, place) {
            (Backend::Here(session, _), None) => session.execute(device, &create, Bulk::None),
            (Backend::Here(session, compilers), Some(place)) => {
                let session = session.clone();
                compilers.run(place, move || session.execute(device, &create, Bulk::None)).await
            }
            #[cfg(unix)]
            (Backend::Worker(worker), _) => worker.execute(device, create, Bulk::None).await,
        };
        created.map(drop)
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
