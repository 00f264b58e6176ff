//! Amounts of memory.

use std::fmt;
use std::str::FromStr;

use parse_size::{ByteSuffix, Config};
use serde::{Serialize, Serializer};

/// An amount of memory in bytes, written with a unit: `"256MiB"`, `"2GiB"`, `"512 KB"`.
///
/// `KiB`, `MiB`, `GiB` and so on are powers of 1024, `KB`, `MB`, `GB` powers of 1000, `B` is one byte. A number without
/// a unit is rejected, because it is so often meant in another unit than it is read in.
///
/// ```
/// # use chainhost_core as chainhost;
/// # use chainhost::config::ByteSize;
/// let size: ByteSize = "1.5 GiB".parse()?;
/// assert_eq!(size, ByteSize::mib(1536));
/// assert_eq!(size.to_string(), "1536MiB");
/// # Ok::<_, chainhost::config::ByteSizeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteSize(u64);

/// The reason why a text is not a [`ByteSize`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a size is a number and one of the units B, KiB, MiB, GiB, KB, MB and GB")]
pub struct ByteSizeError {
    #[source]
    cause: parse_size::Error,
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

impl ByteSize {
    /// Returns a size of `count` bytes.
    #[must_use]
    pub const fn bytes(count: u64) -> Self {
        Self(count)
    }

    /// Returns a size of `count` times 1024 bytes, at most what 64 bits hold.
    #[must_use]
    pub const fn kib(count: u64) -> Self {
        Self(count.saturating_mul(KIB))
    }

    /// Returns a size of `count` times 1024 KiB, at most what 64 bits hold.
    #[must_use]
    pub const fn mib(count: u64) -> Self {
        Self(count.saturating_mul(MIB))
    }

    /// Returns a size of `count` times 1024 MiB, at most what 64 bits hold.
    #[must_use]
    pub const fn gib(count: u64) -> Self {
        Self(count.saturating_mul(GIB))
    }

    /// Returns the amount in bytes.
    #[must_use]
    pub const fn as_bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        Config::new()
            .with_byte_suffix(ByteSuffix::Require)
            .parse_size(text)
            .map(Self)
            .map_err(|cause| ByteSizeError { cause })
    }
}

/// Writes the size in the largest binary unit that divides it, so that reading it back gives the same number.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")]
            .into_iter()
            .find(|(unit, _)| self.0 != 0 && self.0.is_multiple_of(*unit))
            .unwrap_or((1, "B"));
        write!(f, "{}{name}", self.0 / unit)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn binary_and_decimal_units_are_told_apart() {
        assert_eq!("256MiB".parse(), Ok(ByteSize::mib(256)));
        assert_eq!("512 KB".parse(), Ok(ByteSize::bytes(512_000)));
        assert_eq!("64B".parse(), Ok(ByteSize::bytes(64)));
    }

    #[test]
    fn a_number_without_a_whole_unit_is_refused() {
        for text in ["256", "256M", "", "MiB", "-1MiB", "1 potato", "99999999999999999999GiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text:?} was accepted");
        }
    }

    proptest! {
        #[test]
        fn a_size_is_read_back_as_it_was_written(bytes: u64) {
            prop_assert_eq!(ByteSize::bytes(bytes).to_string().parse(), Ok(ByteSize::bytes(bytes)));
        }
    }
}
