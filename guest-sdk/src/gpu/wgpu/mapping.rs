//! Mapped memory. It lies in the chainlet's memory: it is read as a whole when it is mapped, or written as a whole when
//! it is unmapped.

use std::fmt::{self, Debug};
use std::mem::replace;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use wgpu::custom::{BufferMapCallback, BufferMappedRangeInterface};
use wgpu::{BufferAsyncError, BufferUsages, MapMode, WriteOnly};

use super::object::invalid;
use super::shared::{Shared, lock};
use crate::gpu::Error;
use crate::host::chainlet::host::gpu as host;

/// The identity of one mapping of a buffer. Each mapping of the buffer has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// A buffer and the state of its mapping.
pub struct Memory {
    /// `None` if the buffer is invalid. Even such a buffer can be mapped at its creation.
    host: Option<host::Buffer>,
    pub shared: Arc<Shared>,
    pub label: String,
    pub size: u64,
    pub usage: BufferUsages,
    mapping: Mutex<Mapping>,
    /// The contents of a buffer for `MapMode::Write`, which only mappings change. Empty until they are needed.
    kept: Mutex<Vec<u8>>,
    tickets: AtomicU64,
    last_submission: AtomicU64,
}

enum Mapping {
    /// The GPU can use the buffer.
    Unmapped,
    /// The buffer will be mapped when the GPU has done its work with it.
    Requested { ticket: Ticket, mode: MapMode, range: Range<u64>, callback: BufferMapCallback },
    /// These bytes, from `start`, can be read.
    Read { start: u64, bytes: Arc<Vec<u8>> },
    /// The buffer can be written. The writes so far are not on the GPU yet.
    Write { ticket: Ticket, written: Vec<Written> },
    /// The buffer can no longer be used.
    Destroyed,
}

/// The bytes that a view wrote. If several overlap, the later ones count.
struct Written {
    start: u64,
    bytes: Vec<u8>,
}

impl Memory {
    pub fn new(shared: &Arc<Shared>, descriptor: &wgpu::BufferDescriptor<'_>, host: Option<host::Buffer>) -> Arc<Self> {
        let mapping = if descriptor.mapped_at_creation {
            Mapping::Write { ticket: Ticket(0), written: Vec::new() }
        } else {
            Mapping::Unmapped
        };
        Arc::new(Memory {
            host,
            shared: Arc::clone(shared),
            label: descriptor.label.unwrap_or_default().to_owned(),
            size: descriptor.size,
            usage: descriptor.usage,
            mapping: Mutex::new(mapping),
            kept: Mutex::default(),
            tickets: AtomicU64::new(1),
            last_submission: AtomicU64::new(0),
        })
    }

    /// Returns the host's buffer, if it is valid.
    pub fn get(&self) -> Result<&host::Buffer, Error> {
        self.host.as_ref().ok_or_else(|| invalid("Buffer", &self.label))
    }

    /// Returns the host's buffer, if the GPU may use it now.
    pub fn usable(&self) -> Result<&host::Buffer, Error> {
        let state = match *lock(&self.mapping) {
            Mapping::Unmapped => return self.get(),
            Mapping::Destroyed => "has been destroyed",
            _ => "is still mapped",
        };
        Err(Error::invalid(format!("Buffer with '{}' label {state}", self.label)))
    }

    /// Returns the last submission that uses the buffer.
    pub fn last_submission(&self) -> u64 {
        self.last_submission.load(Ordering::Relaxed)
    }

    pub fn is_used_by(&self, submission: u64) {
        self.last_submission.store(submission, Ordering::Relaxed);
    }

    pub fn request_map(self: &Arc<Self>, mode: MapMode, range: Range<u64>, callback: BufferMapCallback) {
        if let Err(error) = self.check_map(mode, &range) {
            self.shared.raise("Buffer::map_async", &self.label, error);
            return callback(Err(BufferAsyncError));
        }
        let ticket = Ticket(self.tickets.fetch_add(1, Ordering::Relaxed));
        *lock(&self.mapping) = Mapping::Requested { ticket, mode, range, callback };
        self.shared.map_later(Arc::clone(self), ticket);
    }

    fn check_map(&self, mode: MapMode, range: &Range<u64>) -> Result<(), Error> {
        self.usable()?;
        let (usage, name) = match mode {
            MapMode::Read => (BufferUsages::MAP_READ, "MAP_READ"),
            MapMode::Write => (BufferUsages::MAP_WRITE, "MAP_WRITE"),
        };
        if !self.usage.contains(usage) {
            return Err(Error::invalid(format!("Usage flags {:?} do not contain {name}", self.usage)));
        }
        if !range.start.is_multiple_of(wgpu::MAP_ALIGNMENT) || !range.end.is_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT) {
            return Err(Error::invalid(format!(
                "bytes {} to {} cannot be mapped: they begin at a multiple of {} and end at one of {}",
                range.start,
                range.end,
                wgpu::MAP_ALIGNMENT,
                wgpu::COPY_BUFFER_ALIGNMENT
            )));
        }
        Ok(())
    }

    /// Returns true if fulfilling the request means reading from the GPU.
    pub fn is_to_be_read(&self, ticket: Ticket) -> bool {
        matches!(
            &*lock(&self.mapping),
            Mapping::Requested { ticket: requested, mode: MapMode::Read, range, .. }
                if *requested == ticket && !range.is_empty()
        )
    }

    /// Fulfils the request, if it still exists. Either the GPU has done its work with the buffer, or [the request is a
    /// read](Memory::is_to_be_read), which waits for that itself.
    pub fn finish_map(&self, ticket: Ticket) -> Result<(), BufferAsyncError> {
        let Some((mode, range, callback)) = self.take_request(ticket) else { return Ok(()) };
        let mapping = match mode {
            MapMode::Write => Ok(Mapping::Write { ticket, written: Vec::new() }),
            MapMode::Read => {
                self.read(&range).map(|bytes| Mapping::Read { start: range.start, bytes: Arc::new(bytes) })
            }
        };
        let mapped = match mapping {
            Ok(mapping) => {
                *lock(&self.mapping) = mapping;
                Ok(())
            }
            Err(error) => {
                self.shared.raise("Buffer::map_async", &self.label, error);
                Err(BufferAsyncError)
            }
        };
        callback(mapped.clone());
        mapped
    }

    pub fn fail_map(&self, ticket: Ticket) {
        if let Some((_, _, callback)) = self.take_request(ticket) {
            callback(Err(BufferAsyncError));
        }
    }

    fn take_request(&self, ticket: Ticket) -> Option<(MapMode, Range<u64>, BufferMapCallback)> {
        let mut mapping = lock(&self.mapping);
        if !matches!(&*mapping, Mapping::Requested { ticket: requested, .. } if *requested == ticket) {
            return None;
        }
        match replace(&mut *mapping, Mapping::Unmapped) {
            Mapping::Requested { mode, range, callback, .. } => Some((mode, range, callback)),
            _ => None,
        }
    }

    fn read(&self, range: &Range<u64>) -> Result<Vec<u8>, Error> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.get()?.read_blocking(range.start, range.end - range.start)?)
    }

    /// Returns a view of the mapped bytes; `None` if not all of `range` is mapped.
    pub fn view(self: &Arc<Self>, range: &Range<u64>) -> Option<View> {
        let bytes = match &*lock(&self.mapping) {
            Mapping::Read { start, bytes } => {
                let part = within(range, *start, bytes.len())?;
                Bytes::Read(Arc::clone(bytes), part)
            }
            Mapping::Write { ticket, written } => Bytes::Write(*ticket, self.contents(range, written)?),
            _ => return None,
        };
        Some(View { memory: Arc::clone(self), start: range.start, bytes })
    }

    /// Returns the bytes of a range as they are now; `None` if there is no memory for them.
    fn contents(&self, range: &Range<u64>, written: &[Written]) -> Option<Vec<u8>> {
        let len = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
        let mut contents = Vec::new();
        contents.try_reserve_exact(len).ok()?;
        contents.resize(len, 0);
        overlay(&mut contents, range.start, &lock(&self.kept), 0);
        for Written { start, bytes } in written {
            overlay(&mut contents, range.start, bytes, *start);
        }
        Some(contents)
    }

    /// Stores the bytes that a view wrote.
    fn wrote(&self, ticket: Ticket, start: u64, bytes: Vec<u8>) {
        let mut mapping = lock(&self.mapping);
        let Mapping::Write { ticket: current, written } = &mut *mapping else { return };
        if *current != ticket {
            return;
        }
        match written.last_mut() {
            // Views of adjacent parts, one after the other, become one write.
            Some(last) if last.start + last.bytes.len() as u64 == start => last.bytes.extend_from_slice(&bytes),
            _ => written.push(Written { start, bytes }),
        }
    }

    pub fn unmap(&self) {
        let mapping = {
            let mut mapping = lock(&self.mapping);
            if matches!(*mapping, Mapping::Destroyed) {
                return;
            }
            replace(&mut *mapping, Mapping::Unmapped)
        };
        match mapping {
            Mapping::Requested { callback, .. } => callback(Err(BufferAsyncError)),
            Mapping::Write { written, .. } => written.into_iter().for_each(|written| self.flush(&written)),
            _ => {}
        }
    }

    fn flush(&self, written: &Written) {
        if let Some(buffer) = &self.host
            && let Err(error) = buffer.write(written.start, &written.bytes)
        {
            self.shared.raise("Buffer::unmap", &self.label, error);
        }
        if self.usage.contains(BufferUsages::MAP_WRITE) {
            let mut kept = lock(&self.kept);
            let end = written.start as usize + written.bytes.len();
            if kept.len() < end {
                kept.resize(end, 0);
            }
            overlay(&mut kept, 0, &written.bytes, written.start);
        }
    }

    pub fn destroy(&self) {
        let mapping = replace(&mut *lock(&self.mapping), Mapping::Destroyed);
        if let Some(buffer) = &self.host {
            buffer.destroy();
        }
        if let Mapping::Requested { callback, .. } = mapping {
            callback(Err(BufferAsyncError));
        }
    }
}

impl Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({:?}, {} bytes)", self.label, self.size)
    }
}

/// A chainlet's view of a mapped buffer.
#[derive(Debug)]
pub struct View {
    memory: Arc<Memory>,
    start: u64,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Read(Arc<Vec<u8>>, Range<usize>),
    Write(Ticket, Vec<u8>),
}

impl View {
    fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Read(bytes, range) => bytes.get(range.clone()).unwrap_or_default(),
            Bytes::Write(_, bytes) => bytes,
        }
    }
}

impl BufferMappedRangeInterface for View {
    fn len(&self) -> usize {
        self.bytes().len()
    }

    unsafe fn read_slice(&self) -> &[u8] {
        self.bytes()
    }

    unsafe fn write_slice(&mut self) -> WriteOnly<'_, [u8]> {
        if let Bytes::Read(..) = self.bytes {
            // A buffer that is mapped for reading must not be written, so these bytes are a copy that is dropped.
            self.bytes = Bytes::Write(Ticket(u64::MAX), self.bytes().to_vec());
        }
        match &mut self.bytes {
            Bytes::Write(_, bytes) => WriteOnly::from_mut(bytes.as_mut_slice()),
            Bytes::Read(..) => WriteOnly::from_mut(&mut []),
        }
    }

    #[cfg(target_arch = "wasm32")]
    fn as_uint8array(&self) -> &wgpu::web_sys::js_sys::Uint8Array {
        super::absent::javascript()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if let Bytes::Write(ticket, bytes) = &mut self.bytes {
            self.memory.wrote(*ticket, self.start, std::mem::take(bytes));
        }
    }
}

/// Returns the position of `range` in `len` bytes that begin at `start`; `None` if not all of it is there.
fn within(range: &Range<u64>, start: u64, len: usize) -> Option<Range<usize>> {
    let from = usize::try_from(range.start.checked_sub(start)?).ok()?;
    let to = usize::try_from(range.end.checked_sub(start)?).ok()?;
    (from <= to && to <= len).then_some(from..to)
}

/// Copies the overlapping bytes of `from`, which begins at `from_start`, to `to`, which begins at `to_start`.
fn overlay(to: &mut [u8], to_start: u64, from: &[u8], from_start: u64) {
    let start = to_start.max(from_start);
    let end = (to_start + to.len() as u64).min(from_start + from.len() as u64);
    let range = start..end.max(start);
    if let (Some(to_part), Some(from_part)) =
        (within(&range, to_start, to.len()), within(&range, from_start, from.len()))
        && let (Some(to), Some(from)) = (to.get_mut(to_part), from.get(from_part))
    {
        to.copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_bytes_are_copied() {
        let overlaid = |to_start, from: &[u8], from_start| {
            let mut to = [0; 4];
            overlay(&mut to, to_start, from, from_start);
            to
        };
        assert_eq!(overlaid(0, &[1, 2], 0), [1, 2, 0, 0]);
        assert_eq!(overlaid(8, &[1, 2], 11), [0, 0, 0, 1]);
        assert_eq!(overlaid(8, &[1, 2, 3, 4, 5, 6], 7), [2, 3, 4, 5]);
        assert_eq!(overlaid(8, &[1, 2, 3], 6), [3, 0, 0, 0]);
        assert_eq!(overlaid(8, &[1, 2], 6), [0; 4]);
        assert_eq!(overlaid(8, &[1, 2], 40), [0; 4]);
    }

    #[test]
    fn a_range_that_is_not_all_there_has_no_position() {
        assert_eq!(within(&(8..12), 8, 4), Some(0..4));
        assert_eq!(within(&(8..12), 4, 8), Some(4..8));
        assert_eq!(within(&(8..13), 8, 4), None);
        assert_eq!(within(&(4..8), 8, 4), None);
    }
}
