//! Turns a text into a vector, without a model: it hashes words and pieces of words into dimensions.

use retrieval::terms;

/// The number of dimensions of a vector.
pub const DIMENSIONS: usize = 256;

/// Returns the vector of `text`, with length 1. The vector of a text without words is zero.
///
/// Each stem counts once for itself and once for all of its pieces of three letters, so that
/// "lend" and "lending" or "member" and "membership" are near each other.
#[must_use]
pub fn embedding(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSIONS];
    for term in terms(text) {
        add(&mut vector, &term.stem, 1.0);
        let letters: Vec<char> = format!("<{}>", term.stem).chars().collect();
        let pieces = letters.windows(3);
        let weight = 1.0 / pieces.len().max(1) as f32;
        for piece in pieces {
            add(&mut vector, &piece.iter().collect::<String>(), weight);
        }
    }
    let length = cosine(&vector, &vector).sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|coordinate| *coordinate /= length);
    }
    vector
}

/// Returns the cosine of the angle between two vectors of length 1.
#[must_use]
pub fn cosine(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

/// Adds a feature. A bit of its hash is its sign, so that features of one dimension cancel out on average.
fn add(vector: &mut [f32], feature: &str, weight: f32) {
    // FNV-1a gives the same hash in every build.
    let hash = feature
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let dimension = (hash % vector.len().max(1) as u64) as usize;
    let sign = if hash >> 63 == 0 { weight } else { -weight };
    if let Some(coordinate) = vector.get_mut(dimension) {
        *coordinate += sign;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_has_length_one() {
        let vector = embedding("The library lends books.");
        assert!((cosine(&vector, &vector) - 1.0).abs() < 1e-5);
        assert_eq!(embedding("What is it?"), vec![0.0; DIMENSIONS]);
    }

    #[test]
    fn texts_about_one_thing_are_near_each_other() {
        let question = embedding("How long is a membership?");
        let near = cosine(&question, &embedding("Members pay once a year."));
        let far = cosine(&question, &embedding("The tower is closed in winter."));
        assert!(near > far, "{near} {far}");
    }
}
