//! The messages between a host and its worker: frames over a socket. A frame is a small head and, if the message moves
//! bytes of buffers, those bytes as they are.
//!
//! Both ends are the same program, so the format has no versions.

use std::io::{self, Read, Write};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::gpu::adapters::AdapterFacts;
use crate::gpu::operation::{GpuOperation, GpuReply};
use crate::gpu::protocol::{DeviceId, GpuFailure, Result};

/// The longest head, in bytes. It bounds what a broken worker can make its host allocate.
const HEAD: usize = 64 << 20;
/// The most bytes beside a head.
const BULK: usize = 256 << 20;

/// A request of the host. Its answer, if it gets one, has the same number.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// Asks for the list of adapters.
    Adapters,
    /// Chooses the adapter for all later requests, with at most `memory` bytes of buffers.
    Adapter { index: usize, memory: u64 },
    /// Does an operation on a device. The bytes beside the head are those that it writes.
    Operation {
        device: DeviceId,
        operation: GpuOperation,
        /// True if the host waits for bytes, which come as [`Tell::Read`].
        reads: bool,
    },
}

/// A message of the worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Tell {
    /// The answer to the request of this number.
    Answer(u64, Result<GpuReply>),
    /// The answer to [`Ask::Adapters`].
    Adapters(Vec<AdapterFacts>),
    /// The result of the read of this number. The bytes beside the head are its data.
    Read(u64, Result<()>),
    Completed(DeviceId, u64),
    Timed(DeviceId, Duration),
    Lost(DeviceId, GpuFailure),
    /// The bytes beside the head are the compiled code.
    Compiled,
    Closed(DeviceId),
}

/// A request with its number, which is 0 if the request gets no answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub number: u64,
    pub ask: Ask,
}

/// Writes a frame.
pub(super) fn write(mut to: impl Write, head: &impl Serialize, bulk: &[u8]) -> io::Result<()> {
    let head = postcard::to_stdvec(head).map_err(io::Error::other)?;
    let lengths = [head.len(), bulk.len()].map(|length| u32::try_from(length).map_err(io::Error::other));
    let [head_length, bulk_length] = lengths;
    let mut start = Vec::with_capacity(8 + head.len());
    start.extend_from_slice(&head_length?.to_le_bytes());
    start.extend_from_slice(&bulk_length?.to_le_bytes());
    start.extend_from_slice(&head);
    to.write_all(&start)?;
    to.write_all(bulk)
}

/// Reads the next frame. Returns `None` if the other end is closed.
pub(super) fn read<T: DeserializeOwned>(mut from: impl Read) -> io::Result<Option<(T, Vec<u8>)>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let head_length = usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)?;
    from.read_exact(&mut length)?;
    let bulk_length = usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)?;
    if head_length > HEAD || bulk_length > BULK {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is longer than any may be"));
    }
    let head = exactly(&mut from, head_length)?;
    let bulk = exactly(&mut from, bulk_length)?;
    let head = postcard::from_bytes(&head).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Some((head, bulk)))
}

fn exactly(from: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    let wanted = u64::try_from(length).map_err(io::Error::other)?;
    match from.take(wanted).read_to_end(&mut bytes)? {
        read if read == length => Ok(bytes),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::protocol::{BufferPosition, DeviceDescriptor};

    #[test]
    fn a_frame_arrives_as_it_was_sent() {
        let mut sent = Vec::new();
        let operation = GpuOperation::Write(BufferPosition { buffer: 2, offset: 3 });
        let request = Request { number: 7, ask: Ask::Operation { device: 1, operation, reads: false } };
        write(&mut sent, &request, b"bytes").unwrap();
        write(&mut sent, &request, b"").unwrap();
        let mut from = sent.as_slice();
        let (first, bulk) = read::<Request>(&mut from).unwrap().unwrap();
        assert_eq!((format!("{first:?}"), bulk.as_slice()), (format!("{request:?}"), b"bytes".as_slice()));
        assert!(read::<Request>(&mut from).unwrap().unwrap().1.is_empty());
        assert!(read::<Request>(&mut from).unwrap().is_none());
    }

    #[test]
    fn features_and_limits_arrive_as_they_were_sent() {
        let descriptor = DeviceDescriptor {
            label: Some("x".into()),
            features: crate::gpu::FEATURES,
            compiled: None,
            limits: wgpu::Limits { max_bind_groups: 3, ..wgpu::Limits::default() },
        };
        let mut sent = Vec::new();
        write(&mut sent, &descriptor, b"").unwrap();
        let (arrived, _) = read::<DeviceDescriptor>(sent.as_slice()).unwrap().unwrap();
        assert_eq!(format!("{arrived:?}"), format!("{descriptor:?}"));
    }

    #[test]
    fn a_frame_that_is_cut_off_or_too_long_is_an_error() {
        let mut sent = Vec::new();
        write(&mut sent, &1_u64, b"bytes").unwrap();
        assert!(read::<u64>(&sent[..sent.len() - 1]).is_err());
        assert!(read::<u64>([255; 8].as_slice()).is_err());
    }
}
