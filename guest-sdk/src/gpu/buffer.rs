//! Memory of the GPU, seen as elements of a Rust type.

use std::any::type_name;
use std::fmt::{self, Debug};
use std::marker::PhantomData;
use std::ops::{Bound, Range, RangeBounds};
use std::rc::Rc;

use bytemuck::Pod;

use super::{Error, Gpu, host};

/// The unit of copies in bytes: the GPU copies only multiples of it.
const WORD: u64 = 4;

/// The GPU may read a uniform in units of this many bytes.
const UNIFORM_WORD: u64 = 16;

/// A type that can be an element of a buffer: any [`Pod`] type with a size.
pub trait Element: Pod {
    #[doc(hidden)]
    const BYTES: u64 = {
        assert!(size_of::<Self>() > 0, "an element of a buffer has at least one byte");
        size_of::<Self>() as u64
    };
}

impl<T: Pod> Element for T {}

/// Something that a kernel can bind: a [`Buffer`] of any elements.
pub trait Binding: sealed::Bound {}

impl<T> Binding for Buffer<T> {}

pub(super) mod sealed {
    use std::rc::Rc;

    /// Gives access to the memory of a binding.
    pub trait Bound {
        fn memory(&self) -> &Rc<super::Memory>;
    }
}

/// Memory of the GPU, seen as elements of a Rust type.
///
/// Clones are the same memory. Dropping the last clone frees it.
pub struct Buffer<T> {
    memory: Rc<Memory>,
    len: usize,
    element: PhantomData<fn() -> T>,
}

/// The memory of a buffer. It keeps its GPU alive.
#[derive(Debug)]
pub struct Memory {
    pub(super) buffer: host::Buffer,
    _gpu: Gpu,
}

impl Drop for Memory {
    fn drop(&mut self) {
        // Kernels keep bind groups, and these would keep the memory.
        self.buffer.destroy();
    }
}

impl<T: Element> Buffer<T> {
    pub(super) fn new(gpu: &Gpu, len: usize, usage: host::BufferUsages) -> Result<Self, Error> {
        let word = if usage.contains(host::BufferUsages::UNIFORM) { UNIFORM_WORD } else { WORD };
        // Even an empty buffer gets the size of one element, because a binding must not be empty.
        let size = (len.max(1) as u64)
            .checked_mul(T::BYTES)
            .and_then(|bytes| bytes.checked_next_multiple_of(word))
            .ok_or_else(|| Error::invalid(format!("{len} elements of `{}` are too many", type_name::<T>())))?;
        let usage = usage | host::BufferUsages::COPY_SRC | host::BufferUsages::COPY_DST;
        let buffer = gpu.device().create_buffer(&host::BufferDescriptor { label: None, size, usage })?;
        let memory = Rc::new(Memory { buffer, _gpu: gpu.clone() });
        Ok(Buffer { memory, len, element: PhantomData })
    }

    /// Writes `elements`, the first to index `offset`. Work that is submitted later sees them; work that was submitted
    /// before does not.
    ///
    /// # Errors
    /// Fails if they do not fit into the buffer. If an element is smaller than 4 bytes, also fails if the first byte is
    /// not at a multiple of 4, or if the end is neither at a multiple of 4 nor the end of the buffer.
    pub fn write(&self, offset: usize, elements: &[T]) -> Result<(), Error> {
        let range = self.range(offset..offset.saturating_add(elements.len()))?;
        let end = range.end;
        let (place, bytes) = (bytes_of::<T>(range), bytemuck::cast_slice::<T, u8>(elements));
        let (words, rest) = bytes.split_at(bytes.len() - bytes.len() % WORD as usize);
        if !place.start.is_multiple_of(WORD) || (!rest.is_empty() && end != self.len) {
            return Err(Error::invalid(format!(
                "bytes {} to {} cannot be written: a GPU writes whole words of {WORD} bytes",
                place.start, place.end
            )));
        }
        if !words.is_empty() {
            self.memory.buffer.write(place.start, words)?;
        }
        if !rest.is_empty() {
            // After the last element, the buffer has only padding up to the end of the word.
            let mut word = rest.to_vec();
            word.resize(WORD as usize, 0);
            self.memory.buffer.write(place.start + words.len() as u64, &word)?;
        }
        Ok(())
    }

    /// Returns all elements, as they are after everything that was submitted and written before.
    ///
    /// # Errors
    /// Fails, for example, if the GPU could not do work that was submitted before.
    pub async fn read(&self) -> Result<Vec<T>, Error> {
        self.read_range(..).await
    }

    /// Returns the elements of a range, as they are after everything that was submitted and written before.
    ///
    /// # Errors
    /// Fails if the range goes beyond the buffer, or, for example, if the GPU could not do work that was submitted
    /// before.
    pub async fn read_range(&self, range: impl RangeBounds<usize>) -> Result<Vec<T>, Error> {
        let wanted = bytes_of::<T>(self.range(range)?);
        let words = words(&wanted);
        let bytes = match words.end - words.start {
            0 => Vec::new(),
            size => self.memory.buffer.read(words.start, size).await?,
        };
        elements(bytes, &wanted, &words)
    }

    /// Reads like [`read`](Buffer::read), for code that is not async. All other calls of this instance are held up
    /// meanwhile.
    ///
    /// # Errors
    /// Fails in the same cases as [`read`](Buffer::read).
    pub fn read_blocking(&self) -> Result<Vec<T>, Error> {
        self.read_range_blocking(..)
    }

    /// Reads like [`read_range`](Buffer::read_range), for code that is not async. All other calls of this instance are
    /// held up meanwhile.
    ///
    /// # Errors
    /// Fails in the same cases as [`read_range`](Buffer::read_range).
    pub fn read_range_blocking(&self, range: impl RangeBounds<usize>) -> Result<Vec<T>, Error> {
        let wanted = bytes_of::<T>(self.range(range)?);
        let words = words(&wanted);
        let bytes = match words.end - words.start {
            0 => Vec::new(),
            size => self.memory.buffer.read_blocking(words.start, size)?,
        };
        elements(bytes, &wanted, &words)
    }

    /// Returns the bytes of a range of elements, or an error if they are not whole words.
    pub(super) fn place(&self, range: impl RangeBounds<usize>) -> Result<Range<u64>, Error> {
        let range = self.range(range)?;
        let ends = range.end == self.len;
        let bytes = bytes_of::<T>(range);
        // The last element may end within a word. The buffer has the whole word.
        let place = if ends { bytes.start..bytes.end.next_multiple_of(WORD) } else { bytes };
        if place.start.is_multiple_of(WORD) && place.end.is_multiple_of(WORD) {
            return Ok(place);
        }
        Err(Error::invalid(format!(
            "bytes {} to {} cannot be copied: a GPU copies whole words of {WORD} bytes",
            place.start, place.end
        )))
    }

    /// Returns the indices that `range` stands for. Fails if one of them is outside of the buffer.
    pub(super) fn range(&self, range: impl RangeBounds<usize>) -> Result<Range<usize>, Error> {
        let start = match range.start_bound() {
            Bound::Included(start) => Some(*start),
            Bound::Excluded(start) => start.checked_add(1),
            Bound::Unbounded => Some(0),
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end.checked_add(1),
            Bound::Excluded(end) => Some(*end),
            Bound::Unbounded => Some(self.len),
        };
        match (start, end) {
            (Some(start), Some(end)) if start <= end && end <= self.len => Ok(start..end),
            _ => Err(Error::invalid(format!(
                "elements {:?} to {:?} are not all in a buffer of {}",
                range.start_bound(),
                range.end_bound(),
                self.len
            ))),
        }
    }
}

impl<T> Buffer<T> {
    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns true if there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<T> sealed::Bound for Buffer<T> {
    fn memory(&self) -> &Rc<Memory> {
        &self.memory
    }
}

impl<T> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Buffer { memory: Rc::clone(&self.memory), len: self.len, element: PhantomData }
    }
}

impl<T> Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer<{}>({})", type_name::<T>(), self.len)
    }
}

/// Returns the range of bytes of a range of elements.
fn bytes_of<T: Element>(elements: Range<usize>) -> Range<u64> {
    elements.start as u64 * T::BYTES..elements.end as u64 * T::BYTES
}

/// Returns the range of whole words that contains `bytes`.
fn words(bytes: &Range<u64>) -> Range<u64> {
    if bytes.is_empty() {
        return bytes.start..bytes.start;
    }
    bytes.start - bytes.start % WORD..bytes.end.next_multiple_of(WORD)
}

/// Returns the elements at `wanted`, taken from the bytes that were read from `words`.
fn elements<T: Element>(bytes: Vec<u8>, wanted: &Range<u64>, words: &Range<u64>) -> Result<Vec<T>, Error> {
    if wanted == words {
        // A vector of bytes is returned without a copy. A vector of larger elements is copied, because a vector must be
        // freed with the alignment with which it was allocated.
        return Ok(bytemuck::try_cast_vec(bytes).unwrap_or_else(|(_, bytes)| copied(&bytes)));
    }
    let (skip, len) = (wanted.start - words.start, wanted.end - wanted.start);
    let wanted = bytes.get(skip as usize..(skip + len) as usize);
    wanted.map(copied).ok_or_else(|| Error::invalid("the host returned fewer bytes than were read"))
}

fn copied<T: Element>(bytes: &[u8]) -> Vec<T> {
    // Most allocations are aligned for any number. Then `to_vec` copies at once, without the zeroing of
    // `pod_collect_to_vec`.
    bytemuck::try_cast_slice(bytes).map_or_else(|_| bytemuck::pod_collect_to_vec(bytes), <[T]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_covers_the_whole_words_around_the_range() {
        assert_eq!(words(&(0..0)), 0..0);
        assert_eq!(words(&(4..12)), 4..12);
        assert_eq!(words(&(3..5)), 0..8);
        assert_eq!(words(&(5..5)), 5..5);
    }

    #[test]
    fn elements_are_found_among_the_words() {
        let bytes: Vec<u8> = (0..8).collect();
        assert_eq!(elements::<u8>(bytes.clone(), &(3..5), &(0..8)).unwrap(), [3, 4]);
        assert_eq!(elements::<u8>(bytes.clone(), &(8..16), &(8..16)).unwrap(), bytes);
        let expected = [u16::from_ne_bytes([2, 3]), u16::from_ne_bytes([4, 5])];
        assert_eq!(elements::<u16>(bytes.clone(), &(2..6), &(0..8)).unwrap(), expected);
        let expected = [u32::from_ne_bytes([0, 1, 2, 3]), u32::from_ne_bytes([4, 5, 6, 7])];
        assert_eq!(elements::<u32>(bytes, &(0..8), &(0..8)).unwrap(), expected);
        assert!(elements::<f32>(Vec::new(), &(4..4), &(4..4)).unwrap().is_empty());
    }

    #[test]
    fn elements_of_any_alignment_can_be_copied() {
        let bytes: Vec<u8> = (0..17).collect();
        for start in 0..8 {
            let copy: Vec<u64> = copied(&bytes[start..start + 8]);
            assert_eq!(copy[0].to_ne_bytes(), bytes[start..start + 8]);
        }
    }
}
