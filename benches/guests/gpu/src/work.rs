//! The work for the GPU, through wgpu. The same code runs in a chainlet and in the benchmark itself.

use std::time::Instant;

/// The rows of a square matrix.
pub const ROWS: u32 = 1024;
/// The numbers in a small dispatch.
const SMALL: u32 = 256;
/// The bytes that are moved at once.
pub const BULK: u64 = 64 << 20;

const SHADERS: &str = "
    const TILE = 16u;
    override rows: u32 = 1024u;

    @group(0) @binding(0) var<storage, read> a: array<f32>;
    @group(0) @binding(1) var<storage, read> b: array<f32>;
    @group(0) @binding(2) var<storage, read_write> c: array<f32>;

    var<workgroup> left: array<f32, 256>;
    var<workgroup> right: array<f32, 256>;

    @compute @workgroup_size(16, 16)
    fn matmul(@builtin(global_invocation_id) at: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
        var sum = 0.0;
        let place = local.y * TILE + local.x;
        for (var tile = 0u; tile < rows / TILE; tile++) {
            left[place] = a[at.y * rows + tile * TILE + local.x];
            right[place] = b[(tile * TILE + local.y) * rows + at.x];
            workgroupBarrier();
            for (var k = 0u; k < TILE; k++) {
                sum += left[local.y * TILE + k] * right[k * TILE + local.x];
            }
            workgroupBarrier();
        }
        c[at.y * rows + at.x] = sum;
    }

    @compute @workgroup_size(64)
    fn add(@builtin(global_invocation_id) at: vec3<u32>) {
        c[at.x] = a[at.x] + b[at.x];
    }
";

/// A device with everything that the pieces of work need.
pub struct Work {
    device: wgpu::Device,
    queue: wgpu::Queue,
    big: Kernel,
    half: Kernel,
    quarter: Kernel,
    small: Kernel,
    bulk: wgpu::Buffer,
    landing: wgpu::Buffer,
    bytes: Vec<u8>,
}

/// A pipeline with its buffers.
struct Kernel {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    workgroups: [u32; 2],
    result: wgpu::Buffer,
    landing: wgpu::Buffer,
}

impl Work {
    /// Opens the first adapter of `instance`.
    pub async fn new(instance: &wgpu::Instance) -> Result<Self, String> {
        let options = wgpu::RequestAdapterOptions::default();
        let adapter = instance.request_adapter(&options).await.map_err(|error| error.to_string())?;
        let descriptor = wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..Default::default() };
        let (device, queue) = adapter.request_device(&descriptor).await.map_err(|error| error.to_string())?;
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(SHADERS.into()),
        });
        let bytes: Vec<u8> = (0..BULK).map(|index| u8::try_from(index % 251).unwrap_or_default()).collect();
        let bulk = buffer(&device, BULK, wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC);
        let landing = buffer(&device, BULK, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
        Ok(Work {
            big: Kernel::matmul(&device, &queue, &module, ROWS),
            half: Kernel::matmul(&device, &queue, &module, ROWS / 2),
            quarter: Kernel::matmul(&device, &queue, &module, ROWS / 4),
            small: Kernel::new(&device, &queue, &module, ("add", None), SMALL, [SMALL / 64, 1]),
            bulk,
            landing,
            bytes,
            device,
            queue,
        })
    }

    /// Does `piece` this many times, and returns the nanoseconds of each.
    pub fn times(&self, piece: &str, times: u32) -> Result<Vec<u64>, String> {
        let work = || match piece {
            "matmul" => self.compute(&self.big),
            "half" => self.compute(&self.half),
            "quarter" => self.compute(&self.quarter),
            "small" => self.compute(&self.small),
            "upload" => self.upload(),
            "download" => self.download(),
            _ => Err(format!("there is no piece {piece}")),
        };
        let mut all = Vec::new();
        for _ in 0..times {
            let began = Instant::now();
            work()?;
            all.push(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
        Ok(all)
    }

    /// Runs a kernel and reads its result.
    fn compute(&self, kernel: &Kernel) -> Result<(), String> {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&kernel.pipeline);
            pass.set_bind_group(0, &kernel.group, &[]);
            let [x, y] = kernel.workgroups;
            pass.dispatch_workgroups(x, y, 1);
        }
        encoder.copy_buffer_to_buffer(&kernel.result, 0, &kernel.landing, 0, kernel.result.size());
        self.queue.submit([encoder.finish()]);
        let sum = self.read(&kernel.landing)?;
        if sum == 0 { Err("the result is empty".into()) } else { Ok(()) }
    }

    fn upload(&self) -> Result<(), String> {
        self.queue.write_buffer(&self.bulk, 0, &self.bytes);
        self.queue.submit([]);
        self.device.poll(wgpu::PollType::wait_indefinitely()).map(drop).map_err(|error| error.to_string())
    }

    fn download(&self) -> Result<(), String> {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&self.bulk, 0, &self.landing, 0, BULK);
        self.queue.submit([encoder.finish()]);
        self.read(&self.landing).map(drop)
    }

    /// Maps a buffer, copies its contents, and returns the last word.
    fn read(&self, landing: &wgpu::Buffer) -> Result<u32, String> {
        let slice = landing.slice(..);
        slice.map_async(wgpu::MapMode::Read, |_| {});
        self.device.poll(wgpu::PollType::wait_indefinitely()).map_err(|error| error.to_string())?;
        let copy = slice.get_mapped_range().map_err(|error| error.to_string())?.to_vec();
        landing.unmap();
        Ok(copy.last_chunk().map_or(1, |word| u32::from_le_bytes(*word)))
    }
}

impl Kernel {
    fn matmul(device: &wgpu::Device, queue: &wgpu::Queue, module: &wgpu::ShaderModule, rows: u32) -> Self {
        Kernel::new(device, queue, module, ("matmul", Some(rows)), rows * rows, [rows / 16, rows / 16])
    }

    fn new(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        module: &wgpu::ShaderModule,
        (entry_point, rows): (&str, Option<u32>),
        numbers: u32,
        workgroups: [u32; 2],
    ) -> Self {
        let constants: Vec<_> = rows.map(|rows| ("rows", f64::from(rows))).into_iter().collect();
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module,
            entry_point: Some(entry_point),
            compilation_options: wgpu::PipelineCompilationOptions { constants: &constants, ..Default::default() },
            cache: None,
        });
        let size = u64::from(numbers) * 4;
        let storage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let [a, b, result] = [0, 1, 2].map(|_| buffer(device, size, storage));
        let ones: Vec<u8> = (0..numbers).flat_map(|_| 1.0_f32.to_le_bytes()).collect();
        queue.write_buffer(&a, 0, &ones);
        queue.write_buffer(&b, 0, &ones);
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[&a, &b, &result]
                .map(|buffer| buffer.as_entire_binding())
                .into_iter()
                .zip(0..)
                .map(|(resource, binding)| wgpu::BindGroupEntry { binding, resource })
                .collect::<Vec<_>>(),
        });
        let landing = buffer(device, size, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
        Kernel { pipeline, group, workgroups, result, landing }
    }
}

fn buffer(device: &wgpu::Device, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
}
