//! The code that a driver has compiled, for the next pipeline of the device and for the next device of the same
//! chainlet.
//!
//! This is the only place in `gpu` with `unsafe`, because wgpu cannot know where the bytes that it gets back have been.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most bytes that are kept. A driver removes nothing from its cache, and a guest may go on making pipelines.
const MOST: usize = 32 << 20;

/// The cache of a device.
pub(super) struct Compiled(Mutex<Inner>);

struct Inner {
    /// `None` if the driver has no such caches, or once the cache has grown too large.
    cache: Option<wgpu::PipelineCache>,
    /// The number of its bytes when `take` last returned them.
    known: usize,
}

impl Compiled {
    /// Makes a cache for the pipelines of `device`, which begins with the code of an earlier device.
    pub(super) fn new(device: &wgpu::Device, before: Option<&[u8]>) -> Self {
        let known = before.map_or(0, <[u8]>::len);
        let cache = device.features().contains(wgpu::Features::PIPELINE_CACHE).then(|| {
            // With `fallback`, the cache begins empty if the driver, or another version of it, does not know the bytes.
            let descriptor = wgpu::PipelineCacheDescriptor { label: None, data: before, fallback: true };
            // SAFETY: `before` must come from `PipelineCache::get_data`. It is what `take` returned, in this process or
            // in a worker of it that runs the same program. It was held only in memory, and only devices of the same
            // chainlet on the same adapter get it. A worker that an attacker controls can spoil it for later workers of
            // its own chainlet, but its shaders could harm those anyway.
            unsafe { device.create_pipeline_cache(&descriptor) }
        });
        Compiled(Mutex::new(Inner { cache, known }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the cache with which the next pipeline is made.
    pub(super) fn current(&self) -> Option<wgpu::PipelineCache> {
        self.inner().cache.clone()
    }

    /// Returns the compiled code, if there is more than when this last returned it.
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
