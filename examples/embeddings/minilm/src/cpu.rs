//! The model on a processor.
//!
//! Products with matrices ([`matrix`]) take nearly all of the time. The rest is plain loops over arrays, which the
//! compiler turns into instructions for several numbers at once. For WebAssembly, those functions enable the features
//! `simd128` and `relaxed-simd` themselves, so builds need no flags.

mod attention;
mod exponential;
mod lanes;
mod matrix;
mod norm;

use std::io::{Read, Seek};
use std::ops::Range;

use self::attention::attend;
use self::exponential::gelu;
pub use self::matrix::Matrix;
use self::matrix::Output;
use self::norm::{layer_norm, to_length_one};
use crate::{Batch, Error, Layer, Linear, Norm, Place, Shape, Weights};

/// The number of rows that are computed at once. More rows would not fit into the fast memory of a processor. With
/// fewer rows, all weights would be read more often.
pub const ROWS: usize = 256;

/// The memory of this process.
#[derive(Debug)]
pub struct Memory;

impl Place for Memory {
    type Numbers = Vec<f32>;
    type Matrix = Matrix;

    fn numbers(&self, numbers: Vec<f32>) -> Result<Vec<f32>, String> {
        Ok(numbers)
    }

    fn matrix(&self, rows: Vec<f32>, inputs: usize) -> Result<Matrix, String> {
        Ok(Matrix::new(&rows, inputs))
    }
}

/// A model that is ready to run.
pub struct Model {
    shape: Shape,
    weights: Weights<Memory>,
}

impl Model {
    /// Reads model.safetensors of a model of this `shape`.
    ///
    /// # Errors
    /// Fails if it is not such a file, or of another shape.
    pub fn read(model: impl Read + Seek, shape: Shape) -> Result<Self, Error> {
        Ok(Model { shape, weights: Weights::read(model, &shape, &Memory)? })
    }

    /// Returns a vector of length 1 for each text of a batch.
    #[must_use]
    pub fn encode(&self, batch: &Batch) -> Vec<Vec<f32>> {
        let Shape { width, inner, .. } = self.shape;
        let mut rows = self.embed(batch);
        let mut asked = vec![0.0; batch.rows() * 3 * width];
        let mut told = vec![0.0; batch.rows() * width];
        let mut wide = vec![0.0; batch.rows() * inner];
        for layer in &self.weights.layers {
            let Layer { query_key_value, told: take, told_norm, widen, narrow, thought_norm } = layer;
            multiply(&rows, query_key_value, Output::Replaced, &mut asked);
            for text in &batch.texts {
                attend(&asked, text, width, &mut told);
            }
            multiply(&told, take, Output::AddedTo, &mut rows);
            self.norm(told_norm, &mut rows);
            multiply(&rows, widen, Output::Replaced, &mut wide);
            gelu(&mut wide);
            multiply(&wide, narrow, Output::AddedTo, &mut rows);
            self.norm(thought_norm, &mut rows);
        }
        batch.texts.iter().map(|text| self.mean(&rows, text)).collect()
    }

    /// Returns a row for each token, made from the token and its position in its text.
    fn embed(&self, batch: &Batch) -> Vec<f32> {
        let width = self.shape.width;
        let mut rows = vec![0.0; batch.rows() * width];
        for ((row, id), position) in rows.chunks_exact_mut(width).zip(&batch.ids).zip(&batch.positions) {
            let word = vector(&self.weights.words, *id, width);
            let position = vector(&self.weights.positions, *position, width);
            row.iter_mut()
                .zip(word.iter().zip(position))
                .for_each(|(number, (word, position))| *number = word + position);
        }
        self.norm(&self.weights.norm, &mut rows);
        rows
    }

    fn norm(&self, norm: &Norm<Memory>, rows: &mut [f32]) {
        layer_norm(rows, &norm.scale, &norm.shift, self.shape.epsilon);
    }

    /// Returns the mean of the rows of a text, scaled to length 1.
    fn mean(&self, rows: &[f32], text: &Range<usize>) -> Vec<f32> {
        let mut mean = vec![0.0; self.shape.width];
        for row in rows.chunks_exact(self.shape.width).skip(text.start).take(text.len()) {
            mean.iter_mut().zip(row).for_each(|(sum, number)| *sum += number);
        }
        // Dividing by the number of rows would not change the direction.
        to_length_one(&mut mean);
        mean
    }
}

/// Multiplies all rows with a matrix.
fn multiply(rows: &[f32], linear: &Linear<Memory>, becomes: Output, output: &mut [f32]) {
    linear.matrix.multiply_and_add(rows, &linear.bias, becomes, output);
}

/// Returns the vector number `number` from vectors of `width` numbers each.
fn vector(vectors: &[f32], number: u32, width: usize) -> &[f32] {
    vectors.chunks_exact(width).nth(number as usize).unwrap_or_default()
}
