//! Bytes that are cheap to make. The guest that writes them and the guest that compares them share this module.

/// Chunks of `count` bytes in total. They differ in their first number.
pub struct Chunks {
    pattern: Vec<u8>,
    left: u64,
    number: u64,
}

impl Chunks {
    pub fn new(count: u64, size: u32) -> Self {
        Chunks { pattern: (0..size).map(|index| index as u8).collect(), left: count, number: 0 }
    }

    /// Fills `buffer` with the next chunk. Returns false after the last.
    pub fn fill(&mut self, buffer: &mut Vec<u8>) -> bool {
        let size = self.left.min(self.pattern.len() as u64);
        if size == 0 {
            return false;
        }
        buffer.clear();
        buffer.extend_from_slice(self.pattern.get(..size as usize).unwrap_or_default());
        if let Some(first) = buffer.first_chunk_mut() {
            *first = self.number.to_le_bytes();
        }
        self.left -= size;
        self.number += 1;
        true
    }
}
