//! Turns a text into a sparse vector: one dimension for each term, with the number of its occurrences as the weight.

use std::{collections::BTreeMap, hash::Hasher};

use fnv::FnvHasher;

use crate::terms;

/// A sparse vector. The two lists have the same length, and `dimensions` is in rising order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Vector {
    /// The dimensions that are not zero.
    pub dimensions: Vec<u32>,
    /// The weight in each of them.
    pub weights: Vec<f32>,
}

impl Vector {
    /// Returns each dimension with its weight.
    pub fn iter(&self) -> impl Iterator<Item = (u32, f32)> {
        self.dimensions.iter().copied().zip(self.weights.iter().copied())
    }
}

/// Returns the vector of `text`.
///
/// The dimension of a term is a 32-bit hash of its stem, so no vocabulary has to be kept or shared. A novel has about
/// 6,000 stems. Two of them share a dimension in one book of 240, which only costs a little precision.
#[must_use]
pub fn vector(text: &str) -> Vector {
    let mut counts = BTreeMap::<u32, f32>::new();
    for term in terms(text) {
        *counts.entry(dimension(&term.stem)).or_default() += 1.0;
    }
    let (dimensions, weights) = counts.into_iter().unzip();
    Vector { dimensions, weights }
}

/// FNV-1a, folded to 32 bits as its authors advise. Unlike the hash of the standard library, it never changes, so
/// vectors made at different times can be compared.
fn dimension(stem: &str) -> u32 {
    let mut hasher = FnvHasher::default();
    hasher.write(stem.as_bytes());
    let hash = hasher.finish();
    ((hash >> 32) ^ (hash & 0xffff_ffff)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_counts_the_forms_of_one_word() {
        let embedded = vector("Marry him? He married; she marries.");
        assert_eq!(embedded.dimensions, [dimension("marri")]);
        assert_eq!(embedded.weights, [3.0]);
    }

    #[test]
    fn dimensions_rise_and_each_has_a_weight() {
        let embedded = vector("a single man in possession of a good fortune must be in want of a wife");
        assert!(embedded.dimensions.is_sorted_by(|left, right| left < right));
        assert_eq!(embedded.dimensions.len(), 7);
        assert_eq!(embedded.weights, [1.0; 7]);
    }

    #[test]
    fn a_dimension_is_the_same_in_every_build() {
        assert_eq!(dimension(""), 0xcbf2_9ce4 ^ 0x8422_2325);
        assert_eq!(dimension("a"), 0xaf63_dc4c ^ 0x8601_ec8c);
    }

    #[test]
    fn a_text_of_stop_words_is_the_null_vector() {
        assert_eq!(vector("What is it?"), Vector::default());
    }
}
