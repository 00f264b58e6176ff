//! Approximations of the model's two functions that are not sums and products. They consist of sums and products, so
//! the compiler can compute them for several numbers at once, unlike those of the standard library.

/// Returns e to the power of `x`, for `x` from -87 to 88. Below, it returns the value for -87. The relative error is
/// below 2 parts in 10⁷.
#[inline]
pub fn exp(x: f32) -> f32 {
    // e^x = 2^n · e^r, where r is at most half of ln 2. ln 2 is split into two parts, because n times the first part is
    // exact. This loses little precision in the subtraction.
    const LN_2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
    let x = if x < -87.0 { -87.0 } else { x };
    let n = (x * std::f32::consts::LOG2_E).round_ties_even();
    let r = x - n * LN_2.0 - n * LN_2.1;
    let terms = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let power = terms.into_iter().fold(0.0, |sum, term| sum * r + term);
    // The bits of a float contain its exponent as an integer.
    power * f32::from_bits(((n as i32 + 127) << 23).cast_unsigned())
}

/// Returns the error function, as a quotient of polynomials of x². The error is below 5 parts in 10⁷.
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
    // From 4 on, the function is 1 in the precision of a float.
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let of = |terms: &[f32]| terms.iter().fold(0.0, |sum, term| sum * square + term);
    x * of(&ABOVE) / of(&BELOW)
}

/// Applies GELU, the curve between the two matrices of a layer: nearly 0 for numbers below 0, nearly unchanged for
/// numbers above.
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
    fn exp_is_near_that_of_the_standard_library() {
        for step in -8700..8800 {
            let x = step as f32 / 100.0;
            let expected = f64::from(x).exp();
            assert!((f64::from(exp(x)) / expected - 1.0).abs() < 2e-7, "e^{x} is {expected}, not {}", exp(x));
        }
        assert!((0.0..2e-38).contains(&exp(-1000.0)));
    }

    #[test]
    fn gelu_follows_its_definition() {
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
