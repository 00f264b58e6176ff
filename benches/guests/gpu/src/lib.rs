//! The work of `work.rs` in a chainlet.

mod work;

use std::time::Instant;

use chainlet::gpu::Buffer;
use work::{BULK, Work};

struct Gpu {
    work: Work,
    /// A buffer for the same bytes, made with the SDK.
    bulk: Buffer<u8>,
}

#[chainlet::chainlet(inline = "
    package bench:gpu;

    world gpu {
        /// Does a piece of work `times` times, and returns the nanoseconds of each.
        export run-remote: async func(piece: string, times: u32) -> result<list<u64>, string>;
    }
")]
impl Gpu {
    async fn init() -> chainlet::Result<Self> {
        let gpu = chainlet::gpu::Gpu::open()?;
        let bulk = gpu.zeros(usize::try_from(BULK)?)?;
        Ok(Gpu { work: Work::new(&chainlet::gpu::wgpu_instance()).await?, bulk })
    }

    async fn run_remote(&self, piece: String, times: u32) -> chainlet::Result<Vec<u64>> {
        if piece != "fetch" {
            return Ok(self.work.times(&piece, times)?);
        }
        let mut all = Vec::new();
        for _ in 0..times {
            let began = Instant::now();
            let bytes = self.bulk.read_blocking()?;
            all.push(u64::try_from(began.elapsed().as_nanos())?);
            drop(bytes);
        }
        Ok(all)
    }
}
