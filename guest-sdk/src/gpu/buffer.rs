//! Memory of the GPU, as elements of a Rust type.

use std::any::type_name;
use std::fmt::{self, Debug};
use std::marker::PhantomData;
use std::ops::{Bound, Range, RangeBounds};
use std::rc::Rc;

use bytemuck::Pod;

use super::{Error, Gpu, host};

/// The GPU copies no less than this at once.
const WORD: u64 = 4;

/// The GPU may read no less than this of a uniform.
const UNIFORM_WORD: u64 = 16;

/// What a buffer can be made of: any [`Pod`] type that has a size.
pub trait Element: Pod {
    #[doc(hidden)]
    const BYTES: u64 = {
        assert!(size_of::<Self>() > 0, "an element of a buffer has at least one byte");
        size_of::<Self>() as u64
    };
}

impl<T: Pod> Element for T {}

/// What a kernel can be given: a [`Buffer`] of whatever elements.
pub trait Binding: sealed::Bound {}

impl<T> Binding for Buffer<T> {}

pub(super) mod sealed {
    use std::rc::Rc;

    /// What is behind a binding.
    pub trait Bound {
        fn memory(&self) -> &Rc<super::Memory>;
    }
}

/// Memory of the GPU, as elements of a Rust type.
///
/// Clones are the same memory, which is freed with the last of them.
pub struct Buffer<T> {
    memory: Rc<Memory>,
    len: usize,
    element: PhantomData<fn() -> T>,
}

/// The memory of a buffer. The GPU that it belongs to goes after it.
#[derive(Debug)]
pub struct Memory {
    pub(super) buffer: host::Buffer,
    _gpu: Gpu,
}

impl Drop for Memory {
    fn drop(&mut self) {
        // The bind groups that kernels keep would keep the memory, too.
        self.buffer.destroy();
    }
}

impl<T: Element> Buffer<T> {
    pub(super) fn new(gpu: &Gpu, len: usize, usage: host::BufferUsages) -> Result<Self, Error> {
        let word = if usage.contains(host::BufferUsages::UNIFORM) { UNIFORM_WORD } else { WORD };
        // One element has room even in an empty buffer, as nothing else can be bound.
        let size = (len.max(1) as u64)
            .checked_mul(T::BYTES)
            .and_then(|bytes| bytes.checked_next_multiple_of(word))
            .ok_or_else(|| Error::invalid(format!("{len} elements of `{}` are too many", type_name::<T>())))?;
        let usage = usage | host::BufferUsages::COPY_SRC | host::BufferUsages::COPY_DST;
        let buffer = gpu.device().create_buffer(&host::BufferDescriptor { label: None, size, usage })?;
        let memory = Rc::new(Memory { buffer, _gpu: gpu.clone() });
        Ok(Buffer { memory, len, element: PhantomData })
    }

    /// Writes `elements`, the first to place `offset`. What is submitted later
    /// sees them, what was submitted before does not.
    ///
    /// # Errors
    /// If they do not fit. Where an element is smaller than 4 bytes, also if the
    /// place is not a multiple of 4 bytes, or the end neither a multiple of 4
    /// bytes nor the buffer's.
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
            // Behind the last element, there is nothing but room to the end of the word.
            let mut word = rest.to_vec();
            word.resize(WORD as usize, 0);
            self.memory.buffer.write(place.start + words.len() as u64, &word)?;
        }
        Ok(())
    }

    /// All elements, as they are after everything that was submitted and written
    /// before.
    ///
    /// # Errors
    /// If the GPU could not do what was submitted before, for one.
    pub async fn read(&self) -> Result<Vec<T>, Error> {
        self.read_range(..).await
    }

    /// The elements of a range, as they are after everything that was submitted
    /// and written before.
    ///
    /// # Errors
    /// If the range goes beyond the buffer, or the GPU could not do what was
    /// submitted before, for one.
    pub async fn read_range(&self, range: impl RangeBounds<usize>) -> Result<Vec<T>, Error> {
        let wanted = bytes_of::<T>(self.range(range)?);
        let words = words(&wanted);
        let bytes = match words.end - words.start {
            0 => Vec::new(),
            size => self.memory.buffer.read(words.start, size).await?,
        };
        elements(bytes, &wanted, &words)
    }

    /// As [`read`](Buffer::read), for code that is not async. No other call of
    /// this instance goes on meanwhile.
    ///
    /// # Errors
    /// As with [`read`](Buffer::read).
    pub fn read_blocking(&self) -> Result<Vec<T>, Error> {
        self.read_range_blocking(..)
    }

    /// As [`read_range`](Buffer::read_range), for code that is not async. No
    /// other call of this instance goes on meanwhile.
    ///
    /// # Errors
    /// As with [`read_range`](Buffer::read_range).
    pub fn read_range_blocking(&self, range: impl RangeBounds<usize>) -> Result<Vec<T>, Error> {
        let wanted = bytes_of::<T>(self.range(range)?);
        let words = words(&wanted);
        let bytes = match words.end - words.start {
            0 => Vec::new(),
            size => self.memory.buffer.read_blocking(words.start, size)?,
        };
        elements(bytes, &wanted, &words)
    }

    /// Where the elements of a range are, in whole words of bytes.
    pub(super) fn place(&self, range: impl RangeBounds<usize>) -> Result<Range<u64>, Error> {
        let range = self.range(range)?;
        let ends = range.end == self.len;
        let bytes = bytes_of::<T>(range);
        // The end of the buffer is that of its last word.
        let place = if ends { bytes.start..bytes.end.next_multiple_of(WORD) } else { bytes };
        if place.start.is_multiple_of(WORD) && place.end.is_multiple_of(WORD) {
            return Ok(place);
        }
        Err(Error::invalid(format!(
            "bytes {} to {} cannot be copied: a GPU copies whole words of {WORD} bytes",
            place.start, place.end
        )))
    }

    /// The elements that `range` stands for, all of them in the buffer.
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
    /// How many elements it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no elements.
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

/// Where elements are, in bytes.
fn bytes_of<T: Element>(elements: Range<usize>) -> Range<u64> {
    elements.start as u64 * T::BYTES..elements.end as u64 * T::BYTES
}

/// The words that hold `bytes`.
fn words(bytes: &Range<u64>) -> Range<u64> {
    if bytes.is_empty() {
        return bytes.start..bytes.start;
    }
    bytes.start - bytes.start % WORD..bytes.end.next_multiple_of(WORD)
}

/// The elements at `wanted` in what was read from `words`.
fn elements<T: Element>(bytes: Vec<u8>, wanted: &Range<u64>, words: &Range<u64>) -> Result<Vec<T>, Error> {
    if wanted == words {
        // Bytes stay where they are. For larger elements, the memory would have to be freed as what it was not
        // allocated as, so they are copied.
        return Ok(bytemuck::try_cast_vec(bytes).unwrap_or_else(|(_, bytes)| copied(&bytes)));
    }
    let (skip, len) = (wanted.start - words.start, wanted.end - wanted.start);
    let wanted = bytes.get(skip as usize..(skip + len) as usize);
    wanted.map(copied).ok_or_else(|| Error::invalid("the host returned fewer bytes than were read"))
}

fn copied<T: Element>(bytes: &[u8]) -> Vec<T> {
    // The allocator aligns most vectors for any number, whose elements then need no zeros first.
    bytemuck::try_cast_slice(bytes).map_or_else(|_| bytemuck::pod_collect_to_vec(bytes), <[T]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_the_words_around_what_is_wanted() {
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
