//! What a driver has compiled, for the next device of the same chainlet.
//!
//! The one place here with `unsafe`: wgpu cannot know where the bytes have been that it is given back.

/// The most bytes that are kept.
const MOST: usize = 64 << 20;

/// A cache for the pipelines of `device`, which begins with what an earlier one knew. None where the driver has no such
/// caches.
pub(super) fn open(device: &wgpu::Device, before: Option<&[u8]>) -> Option<wgpu::PipelineCache> {
    if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
        return None;
    }
    // `fallback` is an empty cache where a driver, or another version of it, does not know the bytes.
    let descriptor = wgpu::PipelineCacheDescriptor { label: None, data: before, fallback: true };
    // SAFETY: `before` must come from `PipelineCache::get_data`. It is what `take` returned, in this process or in a worker
    // of it that runs the same program, was held in memory alone, and is given to none but devices of the same chainlet on
    // the same adapter. A worker that was taken over can spoil it for later workers of its own chainlet, which it could
    // have given its shaders to as well.
    Some(unsafe { device.create_pipeline_cache(&descriptor) })
}

/// What `cache` knows now, if that is more than `known` bytes.
pub(super) fn take(cache: &wgpu::PipelineCache, known: usize) -> Option<Vec<u8>> {
    cache.get_data().filter(|data| data.len() > known && data.len() <= MOST)
}
