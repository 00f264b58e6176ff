//! The hash that identifies a fetched file.

use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Returns the SHA-256 of a file, in hexadecimal digits.
pub fn of_file(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hash)?;
    Ok(format!("{:x}", hash.finalize()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_hash_of_a_file_is_that_of_other_programs() {
        let path = std::env::temp_dir().join(format!("xtask-sha256-{}", std::process::id()));
        std::fs::write(&path, "abc").unwrap();
        let hash = super::of_file(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        // The example of FIPS 180-2.
        assert_eq!(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
