//! The reader from which cbor4ii reads.

use std::convert::Infallible;

use cbor4ii::core::dec::{Read, Reference};

/// The most nested steps that cbor4ii may take. JSON may have 127 levels of arrays and maps. For each of them cbor4ii
/// takes two steps, and one more if it is optional. The innermost value takes one.
const DEEPEST: usize = 3 * 127 + 1;

/// The bytes that are left to read, and the nested steps that are left.
pub(super) struct CborReader<'a> {
    rest: &'a [u8],
    length: usize,
    steps_left: usize,
}

impl<'a> CborReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        CborReader { rest: bytes, length: bytes.len(), steps_left: DEEPEST }
    }

    /// Returns how many bytes have been read.
    pub(super) fn offset(&self) -> usize {
        self.length - self.rest.len()
    }

    pub(super) fn is_at_the_end(&self) -> bool {
        self.rest.is_empty()
    }
}

impl<'de> Read<'de> for CborReader<'de> {
    type Error = Infallible;

    fn fill<'short>(&'short mut self, want: usize) -> Result<Reference<'de, 'short>, Infallible> {
        Ok(Reference::Long(self.rest.get(..want).unwrap_or(self.rest)))
    }

    fn advance(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    fn step_in(&mut self) -> bool {
        match self.steps_left.checked_sub(1) {
            Some(left) => {
                self.steps_left = left;
                true
            }
            None => false,
        }
    }

    fn step_out(&mut self) {
        self.steps_left += 1;
    }
}
