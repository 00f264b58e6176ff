//! Four numbers that one instruction computes with at once.

#[cfg(target_arch = "wasm32")]
pub use self::wasm::{Lanes, add_product, load, splat, store};
#[cfg(not(target_arch = "wasm32"))]
pub use elsewhere::{Lanes, add_product, load, splat, store};

#[cfg(target_arch = "wasm32")]
mod wasm {
    use core::arch::wasm32::{f32x4, f32x4_extract_lane, f32x4_relaxed_madd, f32x4_splat, v128};

    pub type Lanes = v128;

    #[inline]
    #[target_feature(enable = "simd128")]
    pub fn load([a, b, c, d]: [f32; 4]) -> Lanes {
        f32x4(a, b, c, d)
    }

    #[inline]
    #[target_feature(enable = "simd128")]
    pub fn splat(number: f32) -> Lanes {
        f32x4_splat(number)
    }

    /// Returns `sum` plus the product of the others. It is rounded once or twice, whichever is faster on the processor.
    #[inline]
    #[target_feature(enable = "simd128,relaxed-simd")]
    pub fn add_product(sum: Lanes, one: Lanes, other: Lanes) -> Lanes {
        f32x4_relaxed_madd(one, other, sum)
    }

    #[inline]
    #[target_feature(enable = "simd128")]
    pub fn store(lanes: Lanes) -> [f32; 4] {
        [
            f32x4_extract_lane::<0>(lanes),
            f32x4_extract_lane::<1>(lanes),
            f32x4_extract_lane::<2>(lanes),
            f32x4_extract_lane::<3>(lanes),
        ]
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod elsewhere {
    pub type Lanes = [f32; 4];

    #[inline]
    pub fn load(numbers: [f32; 4]) -> Lanes {
        numbers
    }

    #[inline]
    pub fn splat(number: f32) -> Lanes {
        [number; 4]
    }

    #[inline]
    pub fn add_product(mut sum: Lanes, one: Lanes, other: Lanes) -> Lanes {
        sum.iter_mut().zip(one.into_iter().zip(other)).for_each(|(sum, (one, other))| *sum += one * other);
        sum
    }

    #[inline]
    pub fn store(lanes: Lanes) -> [f32; 4] {
        lanes
    }
}
