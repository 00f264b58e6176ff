//! The model on a GPU: each of its steps is a kernel in WGSL, and all steps are submitted at once.
//!
//! The steps and their order are the same as in [`cpu`](crate::cpu), with one difference: the scores of attention are
//! never stored, so a long text needs no more memory for them.

mod kernels;

use std::io::{Read, Seek};

use chainlet::gpu::{self, Binding, Buffer, Gpu};

use self::kernels::Kernels;
use crate::{Batch, Error, Linear, Norm, Place, Shape, Weights};

/// The number of rows that are computed at once: enough to keep a large GPU busy, and few enough that a small one is
/// soon done.
pub const ROWS: usize = 2048;
/// The most texts of a batch: every text has at least two tokens, its start and its end.
const TEXTS: usize = ROWS / 2;

/// The rows of a workgroup in a product, and its tokens of a text.
const TILE: usize = 64;
/// The outputs of a workgroup in a product.
const OUTPUTS: usize = 64;

impl Place for Gpu {
    type Numbers = Buffer<f32>;
    type Matrix = Buffer<f32>;

    fn numbers(&self, numbers: Vec<f32>) -> Result<Buffer<f32>, String> {
        self.upload(&numbers).map_err(|error| error.to_string())
    }

    fn matrix(&self, rows: Vec<f32>, _: usize) -> Result<Buffer<f32>, String> {
        self.numbers(rows)
    }
}

/// A model that is ready to run.
pub struct Model {
    gpu: Gpu,
    shape: Shape,
    weights: Weights<Gpu>,
    kernels: Kernels,
    space: Space,
}

/// Memory for a batch. It is made once, because the GPU runs one submission after the other: the next batch may be
/// written as soon as the one before is submitted.
struct Space {
    ids: Buffer<u32>,
    positions: Buffer<u32>,
    /// For each text, its first row and the row after its last.
    texts: Buffer<[u32; 2]>,
    /// Parts of texts, of at most [`TILE`] tokens: the first row of the text, the row after its last, and the first row
    /// of the part.
    parts: Buffer<[u32; 4]>,
    /// The number of rows.
    count: Buffer<u32>,
    rows: Buffer<f32>,
    asked: Buffer<f32>,
    told: Buffer<f32>,
    wide: Buffer<f32>,
}

impl Space {
    fn new(gpu: &Gpu, shape: &Shape) -> Result<Self, gpu::Error> {
        Ok(Space {
            ids: gpu.zeros(ROWS)?,
            positions: gpu.zeros(ROWS)?,
            texts: gpu.zeros(TEXTS)?,
            parts: gpu.zeros(TEXTS + ROWS / TILE)?,
            count: gpu.uniform(&0)?,
            rows: gpu.zeros(ROWS * shape.width)?,
            asked: gpu.zeros(ROWS * shape.width * 3)?,
            told: gpu.zeros(ROWS * shape.width)?,
            wide: gpu.zeros(ROWS * shape.inner)?,
        })
    }
}

impl Model {
    /// Reads model.safetensors of a model of this `shape`, and compiles the kernels.
    ///
    /// # Errors
    /// Fails if it is not such a file, if it is of another shape, or if the GPU has no room for it.
    pub fn read(gpu: Gpu, model: impl Read + Seek, shape: Shape) -> Result<Self, Error> {
        let weights = Weights::read(model, &shape, &gpu)?;
        let kernels = Kernels::new(&gpu, &shape)?;
        let space = Space::new(&gpu, &shape)?;
        Ok(Model { gpu, shape, weights, kernels, space })
    }

    /// Returns a vector of length 1 for each text of a batch of at most [`ROWS`] tokens.
    ///
    /// # Errors
    /// Fails if the GPU fails.
    pub async fn encode(&self, batch: &Batch) -> Result<Vec<Vec<f32>>, gpu::Error> {
        let vectors = self.gpu.zeros(batch.texts.len() * self.shape.width)?;
        self.submit(batch, &vectors)?;
        let vectors = vectors.read().await?;
        Ok(vectors.chunks_exact(self.shape.width).map(<[f32]>::to_vec).collect())
    }

    /// Submits all steps of a batch to the GPU. Nothing is awaited here, so no other batch comes between.
    fn submit(&self, batch: &Batch, vectors: &Buffer<f32>) -> Result<(), gpu::Error> {
        let Model { gpu, shape, weights, kernels, space } = self;
        let Space { ids, positions, texts, parts, count, rows, asked, told, wide } = space;
        let in_parts = parts_of(batch);
        ids.write(0, &batch.ids)?;
        positions.write(0, &batch.positions)?;
        texts.write(0, &batch.texts.iter().map(|text| [number(text.start), number(text.end)]).collect::<Vec<_>>())?;
        parts.write(0, &in_parts)?;
        count.write(0, &[number(batch.rows())])?;

        let each_row = [number(batch.rows()), 1, 1];
        let mut steps = gpu.batch();
        steps.run(&kernels.embed, &[ids, positions, &weights.words, &weights.positions, rows], each_row)?;
        let norm = |steps: &mut gpu::Batch, Norm { scale, shift }: &Norm<Gpu>| {
            steps.run(&kernels.norm, &[scale, shift, rows], each_row)
        };
        norm(&mut steps, &weights.norm)?;
        for layer in &weights.layers {
            let bound = |linear, input, output| bindings(count, linear, input, output);
            let tiles = |outputs: usize| [number(outputs / OUTPUTS), number(batch.rows().div_ceil(TILE)), 1];
            steps.run(&kernels.ask, &bound(&layer.query_key_value, rows, asked), tiles(3 * shape.width))?;
            let heads = [number(in_parts.len()), number(shape.heads()), 1];
            steps.run(&kernels.attend, &[parts, asked, told], heads)?;
            steps.run(&kernels.take, &bound(&layer.told, told, rows), tiles(shape.width))?;
            norm(&mut steps, &layer.told_norm)?;
            steps.run(&kernels.widen, &bound(&layer.widen, rows, wide), tiles(shape.inner))?;
            steps.run(&kernels.narrow, &bound(&layer.narrow, wide, rows), tiles(shape.width))?;
            norm(&mut steps, &layer.thought_norm)?;
        }
        steps.run(&kernels.mean, &[texts, rows, vectors], [number(batch.texts.len()), 1, 1])?;
        steps.submit()?;
        Ok(())
    }
}

/// Returns the bindings of the kernel of a product.
fn bindings<'b>(
    count: &'b Buffer<u32>,
    Linear { matrix, bias }: &'b Linear<Gpu>,
    input: &'b Buffer<f32>,
    output: &'b Buffer<f32>,
) -> [&'b dyn Binding; 5] {
    [count, input, matrix, bias, output]
}

/// Cuts the texts of a batch into parts of at most [`TILE`] tokens.
fn parts_of(batch: &Batch) -> Vec<[u32; 4]> {
    let texts = batch.texts.iter();
    texts
        .flat_map(|text| {
            let firsts = text.clone().step_by(TILE);
            firsts.map(|first| [number(text.start), number(text.end), number(first), 0])
        })
        .collect()
}

/// Converts a small number to the type that the GPU takes.
fn number(number: usize) -> u32 {
    number as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_into_parts() {
        let mut batch = Batch::default();
        batch.push(&[0; 64]);
        batch.push(&[0; 2]);
        batch.push(&[0; 130]);
        let expected = [[0, 64, 0, 0], [64, 66, 64, 0], [66, 196, 66, 0], [66, 196, 130, 0], [66, 196, 194, 0]];
        assert_eq!(parts_of(&batch), expected);
    }
}
