//! The operations on devices: the only list of everything that a device can be asked to do. A session executes them, in
//! this process or in a worker, which gets them as they are.
//!
//! A new operation is a case of [`GpuOperation`] and an arm of [`Session::execute`](super::session::Session::execute).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::protocol::{
    BufferPosition, Create, DeviceDescriptor, DeviceFacts, GpuCommand, GpuFailure, ObjectId, Result,
};
use super::session::Bytes;

/// An operation on a device.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum GpuOperation {
    /// Opens the device. This takes from a millisecond to seconds.
    Open(Box<DeviceDescriptor>),
    /// Closes the device with everything that was made from it.
    Close,
    /// Makes an object and gives it this number. This takes long for shaders and pipelines.
    Create(ObjectId, Create),
    /// Drops an object. It is freed once nothing uses it.
    Drop(ObjectId),
    /// Frees a buffer's memory, even if bind groups use the buffer.
    DestroyBuffer(ObjectId),
    /// Writes the data of [`Bulk::ToGpu`] before the next submission.
    Write(BufferPosition),
    /// Submits the commands and all earlier writes.
    Submit(Vec<GpuCommand>),
    /// Reads `size` bytes of a buffer for [`Bulk::FromGpu`], as they are after all earlier submissions and writes.
    Read { from: BufferPosition, size: u64 },
}

/// The bytes of buffers that an operation moves. They are not part of the operation, so that nothing has to encode or
/// copy them with it.
pub(crate) enum Bulk<'a> {
    /// It moves none.
    None,
    /// The bytes that it writes.
    ToGpu(Cow<'a, [u8]>),
    /// Receives the bytes that it reads. Unless the operation fails, this is called, now or later.
    FromGpu(ReadCallback),
}

/// Called with the bytes of a read, or with the reason why there are none.
pub(crate) type ReadCallback = Box<dyn FnOnce(Result<Bytes>) + Send>;

/// The result of an operation that has not failed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum GpuReply {
    /// It is done, and took no submission.
    Done,
    /// It took the submission of this number.
    Submitted(u64),
    Opened(DeviceFacts),
}

impl Bulk<'_> {
    /// Copies borrowed bytes, so that the operation can wait for others.
    pub(crate) fn into_owned(self) -> Bulk<'static> {
        match self {
            Bulk::None => Bulk::None,
            Bulk::ToGpu(data) => Bulk::ToGpu(Cow::Owned(data.into_owned())),
            Bulk::FromGpu(done) => Bulk::FromGpu(done),
        }
    }
}

impl GpuReply {
    /// Returns the number of the submission that the operation took, if any.
    pub(crate) fn submission(self) -> Result<Option<u64>> {
        match self {
            GpuReply::Done => Ok(None),
            GpuReply::Submitted(number) => Ok(Some(number)),
            GpuReply::Opened(_) => Err(self.out_of_order()),
        }
    }

    /// Returns the properties of the device that the operation opened.
    pub(crate) fn facts(self) -> Result<DeviceFacts> {
        match self {
            GpuReply::Opened(facts) => Ok(facts),
            GpuReply::Done | GpuReply::Submitted(_) => Err(self.out_of_order()),
        }
    }

    /// Makes the failure for the reply to another operation, which only a broken worker gives.
    fn out_of_order(&self) -> GpuFailure {
        GpuFailure::lost(format_args!("the GPU's worker process gave an answer to another question: {self:?}"))
    }
}
