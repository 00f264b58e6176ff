//! Moves bytes of buffers straight out of a guest's memory and into it, without a copy in between.
//!
//! For a `list<u8>`, wasmtime's bindings have a `Vec` on the way in, and another one on the way out. The functions here
//! replace those of the bindings.
//!
//! # Safety
//!
//! wasmtime lets types define how they are lifted and lowered, by `unsafe` traits. To wasmtime, [`Lowered`] is a
//! `[u8]`: each method is that of `[u8]`, for the same bytes, so everything that holds for that type holds for this
//! one.

use std::mem::MaybeUninit;
use std::sync::Arc;

use futures::FutureExt;
use tokio_util::task::AbortOnDropHandle;
use wasmtime::component::__internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LowerContext};
use wasmtime::component::{ComponentType, Linker, Lower, Resource, WasmList};

use super::{BufferHandle, Gpu, wit};
use crate::chainlet::state::ReplicaState;
use crate::gpu::device::{Buffer, Content};
use crate::gpu::protocol::{GpuFailure, Result};

/// The bytes of a read, which a guest gets as a `list<u8>`.
struct Lowered(Content);

// SAFETY: see the module's documentation.
unsafe impl ComponentType for Lowered {
    type Lower = <[u8] as ComponentType>::Lower;

    const ABI: CanonicalAbiInfo = <[u8] as ComponentType>::ABI;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> wasmtime::Result<()> {
        <[u8] as ComponentType>::typecheck(ty, types)
    }
}

// SAFETY: see the module's documentation.
unsafe impl Lower for Lowered {
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        dst: &mut MaybeUninit<Self::Lower>,
    ) -> wasmtime::Result<()> {
        <[u8] as Lower>::linear_lower_to_flat(&self.0, cx, ty, dst)
    }

    fn linear_lower_to_memory<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        offset: usize,
    ) -> wasmtime::Result<()> {
        <[u8] as Lower>::linear_lower_to_memory(&self.0, cx, ty, offset)
    }
}

/// Replaces the functions of the bindings by those here.
pub(super) fn add_to_linker(linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut instance = linker.instance("chainlet:host/gpu@0.1.0")?;
    instance.func_wrap_async(
        "[method]buffer.write",
        |mut store, (buffer, offset, data): (Resource<BufferHandle>, u64, WasmList<u8>)| {
            Box::new(async move {
                let buffer = store.data().of::<Gpu>().buffer(&buffer)?;
                let length = data.as_le_slice(&store).len();
                let written: Result<()> = async {
                    let size = u64::try_from(length).unwrap_or(u64::MAX);
                    buffer.check(offset, size)?;
                    let mut done = 0;
                    while done < length {
                        let room = usize::try_from(buffer.room(size).await?).unwrap_or(usize::MAX);
                        let end = done.saturating_add(room).min(length);
                        piece(&buffer, offset, data.as_le_slice(&mut store), done..end).await?;
                        done = end;
                    }
                    Ok(())
                }
                .await;
                Ok((written.map_err(wit::Error::from),))
            })
        },
    )?;
    instance.func_wrap_async(
        "[method]buffer.read-blocking",
        |store, (buffer, offset, size): (Resource<BufferHandle>, u64, u64)| {
            Box::new(async move {
                let buffer = store.data().of::<Gpu>().buffer(&buffer)?;
                Ok((lowered(buffer.read(offset, size).await),))
            })
        },
    )?;
    instance.func_wrap_concurrent(
        "[method]buffer.read",
        |accessor, (buffer, offset, size): (Resource<BufferHandle>, u64, u64)| {
            Box::pin(async move {
                let buffer = accessor.with(|mut access| access.get().of::<Gpu>().buffer(&buffer))?;
                Ok((lowered(by_itself(buffer.read(offset, size)).await),))
            })
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Lets `read` go on whatever its guest does. A guest that waits in a function that is not async holds its store, and
/// with it everything that is polled there. The read may hold what such a guest waits for.
async fn by_itself(read: impl Future<Output = Result<Content>> + Send + 'static) -> Result<Content> {
    let mut read = read.boxed();
    // Most reads need no task, because the GPU is done with them soon.
    if let Some(done) = (&mut read).now_or_never() {
        return done;
    }
    let task = AbortOnDropHandle::new(tokio::spawn(read));
    task.await.unwrap_or_else(|error| Err(GpuFailure::lost(format_args!("the read was cut short: {error}"))))
}

fn lowered(read: Result<Content>) -> std::result::Result<Lowered, wit::Error> {
    read.map(Lowered).map_err(wit::Error::from)
}

/// Writes a part of `data`, which begins at `offset` of the buffer. The returned future does not hold `data`.
fn piece(
    buffer: &Arc<Buffer>,
    offset: u64,
    data: &[u8],
    part: std::ops::Range<usize>,
) -> impl Future<Output = Result<()>> + Send + use<> {
    let begin = u64::try_from(part.start).unwrap_or(u64::MAX);
    buffer.write(offset.saturating_add(begin), data.get(part).unwrap_or_default())
}
