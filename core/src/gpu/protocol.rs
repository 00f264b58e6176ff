//! The arguments of operations on devices, as plain data: the same for a session in this process and in a worker.
//!
//! The caller chooses the numbers of objects. Each is unique within its device.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The number of a device in its session.
pub(crate) type DeviceId = u32;
/// The number of an object in its device.
pub(crate) type ObjectId = u64;

/// The reason why something could not be done. `chainlet:host/gpu` says what the kinds mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub(crate) struct GpuFailure {
    pub kind: GpuFailureKind,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum GpuFailureKind {
    Invalid,
    Unsupported,
    Quota,
    OutOfMemory,
    Timeout,
    DeviceLost,
}

impl GpuFailureKind {
    /// Returns its name in the log, as `chainlet:host/gpu` writes it.
    fn name(self) -> &'static str {
        match self {
            GpuFailureKind::Invalid => "invalid",
            GpuFailureKind::Unsupported => "unsupported",
            GpuFailureKind::Quota => "quota",
            GpuFailureKind::OutOfMemory => "out-of-memory",
            GpuFailureKind::Timeout => "timeout",
            GpuFailureKind::DeviceLost => "device-lost",
        }
    }
}

impl fmt::Display for GpuFailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl GpuFailure {
    pub(crate) fn new(kind: GpuFailureKind, message: impl fmt::Display) -> Self {
        GpuFailure { kind, message: message.to_string() }
    }

    pub(crate) fn invalid(message: impl fmt::Display) -> Self {
        GpuFailure::new(GpuFailureKind::Invalid, message)
    }

    pub(crate) fn unsupported(message: impl fmt::Display) -> Self {
        GpuFailure::new(GpuFailureKind::Unsupported, message)
    }

    pub(crate) fn quota(message: impl fmt::Display) -> Self {
        GpuFailure::new(GpuFailureKind::Quota, message)
    }

    /// Makes the failure for a thread that the system does not start.
    #[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` passes")]
    pub(crate) fn threadless(error: std::io::Error) -> Self {
        GpuFailure::new(GpuFailureKind::OutOfMemory, format_args!("the host has no thread for it: {error}"))
    }

    /// Makes the failure for a panic of the driver or of a layer above it.
    pub(crate) fn panicked() -> Self {
        GpuFailure::lost("the GPU's driver layer failed, which is a bug of chainhost or of wgpu")
    }

    pub(crate) fn lost(message: impl fmt::Display) -> Self {
        GpuFailure::new(GpuFailureKind::DeviceLost, message)
    }
}

pub(crate) type Result<T> = std::result::Result<T, GpuFailure>;

/// The properties with which a device is opened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DeviceDescriptor {
    pub label: Option<String>,
    pub features: wgpu::Features,
    pub limits: wgpu::Limits,
    /// The code that drivers compiled for earlier devices of the chainlet.
    pub compiled: Option<Vec<u8>>,
}

/// The properties of an open device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DeviceFacts {
    /// Nanoseconds in a tick of its timestamps.
    pub timestamp_period: f32,
}

/// A request to make an object, from others of the same device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Create {
    pub label: Option<String>,
    pub what: ObjectDescriptor,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ObjectDescriptor {
    Buffer {
        size: u64,
        usage: wgpu::BufferUsages,
    },
    BindGroupLayout(Vec<LayoutEntry>),
    BindGroup {
        layout: ObjectId,
        entries: Vec<GroupEntry>,
    },
    PipelineLayout {
        groups: Vec<Option<ObjectId>>,
        immediate_size: u32,
    },
    ShaderModule {
        wgsl: String,
    },
    ComputePipeline(Pipeline),
    /// The layout of a pipeline's bind group.
    LayoutOf {
        pipeline: ObjectId,
        index: u32,
    },
    QuerySet {
        count: u32,
    },
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct LayoutEntry {
    pub binding: u32,
    pub kind: BindingKind,
    pub has_dynamic_offset: bool,
    pub min_binding_size: u64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum BindingKind {
    Uniform,
    Storage,
    ReadOnlyStorage,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct GroupEntry {
    pub binding: u32,
    pub buffer: ObjectId,
    pub offset: u64,
    pub size: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Pipeline {
    pub layout: Option<ObjectId>,
    pub module: ObjectId,
    pub entry_point: Option<String>,
    pub constants: Vec<(String, f64)>,
    pub zero_workgroup_memory: bool,
}

/// A buffer, and an offset in it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct BufferPosition {
    pub buffer: ObjectId,
    pub offset: u64,
}

/// One step of a submission.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum GpuCommand {
    ComputePass { label: Option<String>, timestamps: Option<Timestamps>, commands: Vec<PassCommand> },
    Copy { source: BufferPosition, destination: BufferPosition, size: u64 },
    Clear { from: BufferPosition, size: Option<u64> },
    Resolve { queries: ObjectId, first: u32, count: u32, destination: BufferPosition },
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Timestamps {
    pub queries: ObjectId,
    pub beginning: Option<u32>,
    pub end: Option<u32>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum PassCommand {
    SetPipeline(ObjectId),
    SetBindGroup { index: u32, group: Option<ObjectId>, offsets: Vec<u32> },
    SetImmediates { offset: u32, data: Vec<u8> },
    Dispatch([u32; 3]),
    DispatchIndirect(BufferPosition),
}

/// Receives the events of devices, which no request asks for.
pub(crate) trait Events: Send + Sync + 'static {
    /// The GPU is done with all submissions of the device up to `number`.
    fn completed(&self, device: DeviceId, number: u64);
    /// The GPU worked on one of the submissions for `time`, by its own clock.
    fn timed(&self, device: DeviceId, time: Duration);
    /// The device is lost: it can be used no more.
    fn lost(&self, device: DeviceId, why: GpuFailure);
    /// The driver has compiled `all` so far, for later devices.
    fn compiled(&self, all: Vec<u8>);
    /// The device was closed, and all its memory is free.
    fn closed(&self, device: DeviceId);
}
