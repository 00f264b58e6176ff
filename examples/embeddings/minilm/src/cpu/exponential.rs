//! The two functions of the model that are not sums and products, approximated by such: so that they are computed for
//! several numbers at once, which the standard library's are not.

/// e to the power of `x`, for `x` from -87 to 88; the least of what is below. It is wrong by less than 2 parts in 10⁷.
#[inline]
pub fn exp(x: f32) -> f32 {
    // e^x = 2^n · e^r, where r is at most half of ln 2. Its upper part is exact, so that little is lost when n times that
    // is taken away.
    const LN_2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
    let x = if x < -87.0 { -87.0 } else { x };
    let n = (x * std::f32::consts::LOG2_E).round_ties_even();
    let r = x - n * LN_2.0 - n * LN_2.1;
    let terms = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let power = terms.into_iter().fold(0.0, |sum, term| sum * r + term);
    // The exponent of a float is a number of its own in its bits.
    power * f32::from_bits(((n as i32 + 127) << 23).cast_unsigned())
}

/// The error function, wrong by less than 5 parts in 10⁷: a quotient of polynomials of x².
#[inline]
fn erf(x: f32) -> f32 {
    const ABOVE: [f32; 7] = [
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_4e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    const BELOW: [f32; 5] = [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2];
    // From 4 on it is 1 as a float.
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let of = |terms: &[f32]| terms.iter().fold(0.0, |sum, term| sum * square + term);
    x * of(&ABOVE) / of(&BELOW)
}

/// The bend between the two matrices of a layer: nearly 0 for what is below 0, nearly itself for what is above.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub fn gelu(numbers: &mut [f32]) {
    for number in numbers {
        *number *= 0.5 + 0.5 * erf(*number * std::f32::consts::FRAC_1_SQRT_2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_that_of_the_standard_library() {
        for step in -8700..8800 {
            let x = step as f32 / 100.0;
            let expected = f64::from(x).exp();
            assert!((f64::from(exp(x)) / expected - 1.0).abs() < 2e-7, "e^{x} is {expected}, not {}", exp(x));
        }
        assert!((0.0..2e-38).contains(&exp(-1000.0)));
    }

    #[test]
    fn gelu_is_what_its_definition_says() {
        // 0.5 x (1 + erf(x / √2)), to 7 digits.
        let known = [
            (-5.0, -1.433_258e-6),
            (-3.0, -4.049_694e-3),
            (-1.0, -0.158_655_25),
            (-0.1, -0.046_017_22),
            (0.0, 0.0),
            (0.5, 0.345_731_23),
            (1.0, 0.841_344_7),
            (2.0, 1.954_499_7),
            (6.0, 6.0),
        ];
        let mut numbers = known.map(|(x, _)| x);
        gelu(&mut numbers);
        for ((x, expected), number) in known.into_iter().zip(numbers) {
            assert!((number - expected).abs() < 2e-6_f32.max(2e-6 * x), "gelu({x}) is {expected}, not {number}");
        }
    }
}
