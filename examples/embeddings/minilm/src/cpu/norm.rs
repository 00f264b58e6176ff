//! Scales vectors to a common size.

/// The number of sums that are computed side by side. In a single sum, each addition would wait for the one before it.
const SIDE_BY_SIDE: usize = 8;

/// Brings each row to mean 0 and variance 1, and then multiplies and shifts it.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub fn layer_norm(rows: &mut [f32], scale: &[f32], shift: &[f32], epsilon: f32) {
    for row in rows.chunks_exact_mut(scale.len().max(1)) {
        let count = row.len() as f32;
        let mean = sum(row, |number| number) / count;
        let variance = sum(row, |number| (number - mean) * (number - mean)) / count;
        let factor = 1.0 / (variance + epsilon).sqrt();
        for (number, (scale, shift)) in row.iter_mut().zip(scale.iter().zip(shift)) {
            *number = (*number - mean) * factor * scale + shift;
        }
    }
}

/// Scales a vector to length 1, unless all its numbers are 0.
pub fn to_length_one(vector: &mut [f32]) {
    let length = sum(vector, |number| number * number).sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|number| *number /= length);
    }
}

/// Returns the sum of `of` for each number.
#[inline]
pub fn sum(numbers: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = numbers.as_chunks::<SIDE_BY_SIDE>();
    let mut sums = [0.0; SIDE_BY_SIDE];
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, number)| *sum += of(*number));
    }
    sums.into_iter().chain(rest.iter().map(|number| of(*number))).sum()
}

/// Returns the largest of the numbers.
#[inline]
pub fn largest(numbers: &[f32]) -> f32 {
    let (chunks, rest) = numbers.as_chunks::<SIDE_BY_SIDE>();
    let mut largest = [f32::NEG_INFINITY; SIDE_BY_SIDE];
    for chunk in chunks {
        // A comparison is one instruction for several numbers; `f32::max` is not.
        largest.iter_mut().zip(chunk).for_each(|(largest, number)| {
            *largest = if *number > *largest { *number } else { *largest };
        });
    }
    largest.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_mean_0_and_variance_1_before_it_is_scaled() {
        let mut rows = [1.0, 2.0, 3.0, 4.0, -7.0, -7.0, -7.0, -7.0];
        layer_norm(&mut rows, &[2.0; 4], &[1.0; 4], 1e-12);
        let unit = 1.25_f32.sqrt();
        let expected = [1.0 - 3.0 / unit, 1.0 - 1.0 / unit, 1.0 + 1.0 / unit, 1.0 + 3.0 / unit, 1.0, 1.0, 1.0, 1.0];
        for (number, expected) in rows.iter().zip(expected) {
            assert!((number - expected).abs() < 1e-6, "{rows:?}");
        }
    }

    #[test]
    fn a_zero_vector_stays_zero() {
        let mut vector = [3.0, 0.0, -4.0];
        to_length_one(&mut vector);
        assert_eq!(vector, [0.6, 0.0, -0.8]);
        let mut nothing = [0.0; 3];
        to_length_one(&mut nothing);
        assert_eq!(nothing, [0.0; 3]);
    }

    #[test]
    fn sums_and_maxima_are_of_all_numbers() {
        let numbers: Vec<f32> = (0..21).map(|number| number as f32).collect();
        assert_eq!(sum(&numbers, |number| 2.0 * number), 420.0);
        assert_eq!(largest(&numbers), 20.0);
        assert_eq!(largest(&[-3.0; 8]), -3.0);
        assert_eq!(largest(&[]), f32::NEG_INFINITY);
    }
}
