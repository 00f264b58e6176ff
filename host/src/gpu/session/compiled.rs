//! What a driver has compiled, for the next pipeline of the device and for the next device of the same chainlet.
//!
//! The one place here with `unsafe`: wgpu cannot know where the bytes have been that it is given back.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most bytes that are kept: drivers never forget, and a guest may go on making pipelines.
const MOST: usize = 32 << 20;

/// The cache of a device.
pub(super) struct Compiled(Mutex<Inner>);

struct Inner {
    /// None where the driver has no such caches, and once it has grown too large.
    cache: Option<wgpu::PipelineCache>,
    /// How many bytes of it are known to others.
    known: usize,
}

impl Compiled {
    /// A cache for the pipelines of `device`, which begins with what an earlier one knew.
    pub(super) fn new(device: &wgpu::Device, before: Option<&[u8]>) -> Self {
        let known = before.map_or(0, <[u8]>::len);
        let cache = device.features().contains(wgpu::Features::PIPELINE_CACHE).then(|| {
            // `fallback` is an empty cache where a driver, or another version of it, does not know the bytes.
            let descriptor = wgpu::PipelineCacheDescriptor { label: None, data: before, fallback: true };
            // SAFETY: `before` must come from `PipelineCache::get_data`. It is what `take` returned, in this process or in
            // a worker of it that runs the same program, was held in memory alone, and is given to none but devices of the
            // same chainlet on the same adapter. A worker that was taken over can spoil it for later workers of its own
            // chainlet, which it could have given its shaders to as well.
            unsafe { device.create_pipeline_cache(&descriptor) }
        });
        Compiled(Mutex::new(Inner { cache, known }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the next pipeline is made with.
    pub(super) fn open(&self) -> Option<wgpu::PipelineCache> {
        self.inner().cache.clone()
    }

    /// What is known now, if that is more than others know.
    pub(super) fn take(&self) -> Option<Vec<u8>> {
        let mut inner = self.inner();
        let data = inner.cache.as_ref()?.get_data()?;
        if data.len() > MOST {
            inner.cache = None;
            return None;
        }
        let is_more = data.len() > inner.known;
        inner.known = inner.known.max(data.len());
        is_more.then_some(data)
    }
}
