//! Calls `chainlet:host/gpu` itself, with good arguments and bad ones, and with shaders that mean harm.

#![allow(clippy::indexing_slicing, reason = "a guest that traps is a test that fails")]

mod hostile;
mod mistakes;
mod quotas;

use chainlet::{Result, chainlet};
use wit::bindings::chainlet::host::gpu;

use self::gpu::{
    Buffer, BufferDescriptor, BufferUsages, Command, ComputePass, ComputePipeline, ComputePipelineDescriptor, Device,
    DeviceDescriptor, Error, ErrorKind, Features, PassCommand, Workgroups,
};

#[derive(Default)]
struct Contract;

#[chainlet(inline = "
    package test:gpu;

    world contract {
        import chainlet:host/gpu@0.1.0;

        /// Plays a scenario, and says `ok` or what went wrong.
        export run-remote: async func(scenario: string) -> result<string, string>;
    }
")]
impl Contract {
    async fn run_remote(&self, scenario: String) -> Result<String> {
        match scenario.as_str() {
            "adapters" => return Ok(adapters()),
            "requests" => mistakes::requests()?,
            "buffers" => mistakes::buffers()?,
            "ranges" => mistakes::ranges().await?,
            "groups" => mistakes::groups()?,
            "shaders" => mistakes::shaders()?,
            "pipelines" => mistakes::pipelines()?,
            "dispatches" => mistakes::dispatches()?,
            "copies" => mistakes::copies()?,
            "nothing-of-a-bad-submission" => mistakes::nothing_of_a_bad_submission()?,
            "another-device" => mistakes::another_device()?,
            "waits" => mistakes::waits().await?,
            "destroyed" => mistakes::destroyed()?,
            "timestamps" => mistakes::timestamps()?,
            "memory" => quotas::memory()?,
            "devices" => quotas::devices()?,
            "destroyed-devices" => quotas::destroyed_devices()?,
            "text" => quotas::text()?,
            "create-and-drop" => quotas::create_and_drop()?,
            "queue" => quotas::queue().await?,
            "flood" => quotas::flood()?,
            "hold" => quotas::hold()?,
            "cancel" => quotas::cancel().await?,
            "hang" => return hostile::hang(),
            "hang-and-submit" => return hostile::hang_and_submit(),
            "out-of-bounds" => hostile::out_of_bounds()?,
            "bombs" => hostile::bombs()?,
            "trap" => hostile::trap()?,
            unknown => return Err(format!("there is no scenario `{unknown}`").into()),
        }
        Ok("ok".to_owned())
    }
}

/// What there is, in a line.
fn adapters() -> String {
    let infos = gpu::adapters().into_iter().map(|adapter| format!("{} {:?}", adapter.info().name, adapter.info().kind));
    infos.collect::<Vec<_>>().join(", ")
}

/// A device with all that the adapter has.
fn device() -> Result<Device> {
    let adapter = gpu::adapters().into_iter().next().ok_or("there is no adapter")?;
    let descriptor = DeviceDescriptor {
        label: None,
        required_features: adapter.features() & Features::TIMESTAMP_QUERY,
        required_limits: Some(adapter.limits()),
    };
    fine(adapter.request_device(&descriptor))
}

fn buffer(device: &Device, size: u64, usage: BufferUsages) -> std::result::Result<Buffer, Error> {
    device.create_buffer(&BufferDescriptor { label: Some("numbers".into()), size, usage })
}

/// A storage buffer that commands may copy.
fn storage(device: &Device, size: u64) -> Result<Buffer> {
    fine(buffer(device, size, BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST))
}

fn pipeline(device: &Device, wgsl: &str) -> std::result::Result<ComputePipeline, Error> {
    let module = device.create_shader_module(None, wgsl)?;
    device.create_compute_pipeline(&ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: None,
        constants: Vec::new(),
        zero_initialize_workgroup_memory: true,
    })
}

/// A pass of one kernel with one buffer.
fn run(device: &Device, pipeline: &ComputePipeline, buffer: &Buffer, x: u32) -> std::result::Result<u64, Error> {
    let layout = pipeline.get_bind_group_layout(0)?;
    let entry = gpu::BindGroupEntry { binding: 0, buffer, offset: 0, size: None };
    let group = device.create_bind_group(None, &layout, &[entry])?;
    device.submit(&[pass(vec![
        PassCommand::SetPipeline(pipeline),
        PassCommand::SetBindGroup(gpu::BindGroupSetting { index: 0, group: Some(&group), dynamic_offsets: Vec::new() }),
        PassCommand::Dispatch(Workgroups { x, y: 1, z: 1 }),
    ])])
}

fn pass(commands: Vec<PassCommand<'_>>) -> Command<'_> {
    Command::ComputePass(ComputePass { label: None, timestamps: None, commands })
}

/// What must succeed.
fn fine<T>(result: std::result::Result<T, Error>) -> Result<T> {
    result.map_err(|error| format!("{:?}: {}", error.kind, error.message).into())
}

/// What must fail, and how.
fn refused<T>(what: &str, kind: ErrorKind, words: &str, result: std::result::Result<T, Error>) -> Result<()> {
    match result {
        Ok(_) => Err(format!("{what} succeeded").into()),
        Err(error) if error.kind == kind && error.message.contains(words) => Ok(()),
        Err(error) => Err(format!("{what}: {:?}: {}", error.kind, error.message).into()),
    }
}

/// A condition that must hold.
fn holds(what: &str, condition: bool) -> Result<()> {
    if condition { Ok(()) } else { Err(format!("{what} does not hold").into()) }
}
