//! A file of tensors.

use std::io::{Read, Seek, SeekFrom};

use safetensors::Dtype;
use safetensors::tensor::Metadata;

use crate::Error;

/// The longest header that is read, in bytes. The header of this model has 11 KB.
const LONGEST_HEADER: u64 = 1 << 20;

/// An open file. It consists of a length, a header in JSON with the place of each tensor, and the tensors.
pub struct File<R> {
    reader: R,
    header: Metadata,
    /// The position of the first tensor.
    start: u64,
}

impl<R: Read + Seek> File<R> {
    /// Reads the header.
    pub fn open(mut reader: R) -> Result<Self, Error> {
        let mut length = [0; 8];
        reader.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        if length > LONGEST_HEADER {
            return Err(Error::Header(format!("it would have {length} bytes")));
        }
        let mut header = Vec::new();
        reader.by_ref().take(length).read_to_end(&mut header)?;
        let header = serde_json::from_slice(&header).map_err(|error| Error::Header(error.to_string()))?;
        Ok(File { reader, header, start: 8 + length })
    }

    /// Reads the numbers of the tensor `name`, which must have these sizes.
    pub fn tensor(&mut self, name: &str, sizes: &[usize]) -> Result<Vec<f32>, Error> {
        let tensor = self.header.info(name).ok_or_else(|| Error::Missing(name.to_owned()))?;
        if tensor.dtype != Dtype::F32 || tensor.shape != sizes {
            return Err(Error::Mismatch {
                name: name.to_owned(),
                found: format!("{:?} of {:?}", tensor.shape, tensor.dtype),
                expected: format!("{sizes:?} of F32"),
            });
        }
        let mut numbers = vec![0.0_f32; sizes.iter().product()];
        self.reader.seek(SeekFrom::Start(self.start + tensor.data_offsets.0 as u64))?;
        self.reader.read_exact(bytemuck::cast_slice_mut(&mut numbers))?;
        // The file is little-endian on every machine.
        numbers.iter_mut().for_each(|number| *number = f32::from_bits(u32::from_le(number.to_bits())));
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn file(header: &str, numbers: &[f32]) -> Cursor<Vec<u8>> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        Cursor::new(bytes)
    }

    const HEADER: &str = r#"{"__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "b": {"dtype": "F32", "shape": [1, 1], "data_offsets": [8, 12]},
        "c": {"dtype": "I32", "shape": [1], "data_offsets": [12, 16]}}"#;

    #[test]
    fn tensors_are_read_in_any_order() {
        let mut file = File::open(file(HEADER, &[1.0, -2.5, 3.0, 0.0])).unwrap();
        assert_eq!(file.tensor("b", &[1, 1]).unwrap(), [3.0]);
        assert_eq!(file.tensor("a", &[2]).unwrap(), [1.0, -2.5]);
    }

    #[test]
    fn an_unexpected_tensor_is_refused() {
        let mut file = File::open(file(HEADER, &[0.0; 4])).unwrap();
        assert!(matches!(file.tensor("d", &[1]), Err(Error::Missing(name)) if name == "d"));
        let error = file.tensor("a", &[1, 2]).unwrap_err().to_string();
        assert_eq!(error, "the tensor `a` is [2] of F32 in model.safetensors, and should be [1, 2] of F32");
        assert!(matches!(file.tensor("c", &[1]), Err(Error::Mismatch { .. })));
    }

    #[test]
    fn a_truncated_or_wrong_file_is_refused() {
        assert!(matches!(File::open(file("{", &[])), Err(Error::Header(_))));
        assert!(matches!(File::open(Cursor::new(b"<html></html>")), Err(Error::Header(_))));
        assert!(matches!(File::open(Cursor::new(b"")), Err(Error::Unreadable(_))));
        let mut cut = File::open(file(HEADER, &[0.0; 2])).unwrap();
        assert!(matches!(cut.tensor("b", &[1, 1]), Err(Error::Unreadable(_))));
    }
}
