//! Attention: lets the tokens of a text look at each other.

use std::cell::RefCell;
use std::ops::Range;

use super::exponential::exp;
use super::matrix::{Matrix, Rows};
use super::norm::{largest, sum};
use crate::shape::HEAD;

/// Intermediate results. They are kept, so that they are not allocated again for each head of each layer.
#[derive(Default)]
struct Scratch {
    keys: Matrix,
    values: Matrix,
    scores: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Computes attention for the rows of one text: compares the query of each row with all keys, and sums up the values by
/// how well their keys fit.
///
/// A row of `asked` is query, key and value, of `width` numbers each. A row of `told` has `width` numbers. Each head
/// uses [`HEAD`] of them, independently of the others.
pub fn attend(asked: &[f32], text: &Range<usize>, width: usize, told: &mut [f32]) {
    let stride = 3 * width;
    let asked = asked.get(text.start * stride..text.end * stride).unwrap_or_default();
    let told = told.get_mut(text.start * width..text.end * width).unwrap_or_default();
    SCRATCH.with_borrow_mut(|Scratch { keys, values, scores }| {
        for from in (0..width).step_by(HEAD) {
            let part = |number: usize| Rows { numbers: asked, stride, from: number * width + from, width: HEAD };
            keys.refill(part(1));
            values.refill_transposed(part(2));
            scores.resize(text.len() * keys.outputs(), 0.0);
            keys.multiply(part(0), scores, keys.outputs(), 0);
            soften(scores, keys.outputs(), text.len());
            let weights = Rows { numbers: scores, stride: keys.outputs(), from: 0, width: text.len() };
            values.multiply(weights, told, width, from);
        }
    });
}

/// Turns the scores of each row into weights with the sum 1 (softmax). Only the first `count` of `stride` numbers are
/// scores.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn soften(scores: &mut [f32], stride: usize, count: usize) {
    let scale = 1.0 / (HEAD as f32).sqrt();
    for row in scores.chunks_exact_mut(stride.max(1)) {
        let row = row.get_mut(..count).unwrap_or_default();
        let largest = largest(row);
        row.iter_mut().for_each(|score| *score = exp((*score - largest) * scale));
        let factor = 1.0 / sum(row, |weight| weight);
        row.iter_mut().for_each(|weight| *weight *= factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_follow_the_scores_and_sum_to_one() {
        let scale = (HEAD as f32).sqrt();
        let mut scores = [0.0, 2.0_f32.ln() * scale, 9.0, -1.0, -1.0, 9.0];
        soften(&mut scores, 3, 2);
        for (weight, expected) in scores.iter().zip([1.0 / 3.0, 2.0 / 3.0, 9.0, 0.5, 0.5, 9.0]) {
            assert!((weight - expected).abs() < 1e-6, "{scores:?}");
        }
    }

    #[test]
    fn a_row_gets_the_values_whose_keys_fit_its_query() {
        // There are two texts and two heads. In the second text, the query of row 1 fits the key of row 2 well, and the
        // query of row 2 is zero.
        let width = 2 * HEAD;
        let row = |query: f32, key: f32, value: f32| [[query; 64], [key; 64], [value; 64]].concat();
        let asked = [row(1.0, 50.0, 100.0), row(9.0, 0.0, 1.0), row(0.0, 9.0, 3.0)].concat();
        let mut told = vec![0.0; 3 * width];
        attend(&asked, &(1..3), width, &mut told);
        let expected = [[0.0; 64], [3.0; 64], [2.0; 64]].concat();
        assert!(told.iter().zip(&expected).all(|(one, other)| (one - other).abs() < 1e-5), "{told:?}");
    }
}
