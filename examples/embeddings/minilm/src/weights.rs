//! The weights of a model. They are read from the file one tensor after another, so at most one tensor is in memory
//! twice.

mod file;

use std::io::{Read, Seek};

use self::file::File;
use crate::{Error, Shape};

/// The device that keeps the weights, and the form in which it does: a processor and a GPU multiply them in different
/// orders.
pub trait Place {
    /// Numbers that are used in their given order.
    type Numbers;
    /// A matrix with which vectors are multiplied.
    type Matrix;

    /// Keeps numbers.
    ///
    /// # Errors
    /// Returns a sentence if they cannot be kept.
    fn numbers(&self, numbers: Vec<f32>) -> Result<Self::Numbers, String>;

    /// Keeps a matrix, given as one row for each output. A row has the weights of its `inputs`.
    ///
    /// # Errors
    /// Returns a sentence if it cannot be kept.
    fn matrix(&self, rows: Vec<f32>, inputs: usize) -> Result<Self::Matrix, String>;
}

/// A matrix, and the numbers that are added to each product.
pub struct Linear<P: Place> {
    /// The matrix.
    pub matrix: P::Matrix,
    /// The added numbers.
    pub bias: P::Numbers,
}

/// The scale and the shift of a vector, after its numbers were brought to mean 0 and variance 1.
pub struct Norm<P: Place> {
    /// The factors.
    pub scale: P::Numbers,
    /// The shifts.
    pub shift: P::Numbers,
}

/// One layer.
pub struct Layer<P: Place> {
    /// Query, key and value, one after another: the question of a token to the others, its answer to their questions,
    /// and the content that it tells them.
    pub query_key_value: Linear<P>,
    /// The weights of the content that a token got from the others.
    pub told: Linear<P>,
    /// The norm after attention.
    pub told_norm: Norm<P>,
    /// The first of the two matrices that compute each token alone.
    pub widen: Linear<P>,
    /// The second of them.
    pub narrow: Linear<P>,
    /// The norm after them.
    pub thought_norm: Norm<P>,
}

/// All weights.
pub struct Weights<P: Place> {
    /// The vector of each token.
    pub words: P::Numbers,
    /// The vector of each position in a text. It includes the vector that marks a text as the first of a pair, since
    /// every text is one.
    pub positions: P::Numbers,
    /// The norm of the sum of both.
    pub norm: Norm<P>,
    /// The layers, in order.
    pub layers: Vec<Layer<P>>,
}

impl<P: Place> Weights<P> {
    /// Reads model.safetensors of a model of this `shape`.
    ///
    /// # Errors
    /// Fails if it is not such a file, if it is of another shape, or if `place` has no room for it.
    pub fn read(model: impl Read + Seek, shape: &Shape, place: &P) -> Result<Self, Error> {
        let mut reader = Reader { file: File::open(model)?, place };
        let Shape { vocabulary, positions: places, width, .. } = *shape;

        let mut positions = reader.file.tensor("embeddings.position_embeddings.weight", &[places, width])?;
        let kinds = reader.file.tensor("embeddings.token_type_embeddings.weight", &[2, width])?;
        for position in positions.chunks_exact_mut(width) {
            position.iter_mut().zip(&kinds).for_each(|(number, kind)| *number += kind);
        }
        Ok(Weights {
            words: reader.numbers("embeddings.word_embeddings.weight", &[vocabulary, width])?,
            positions: reader.keep("embeddings.position_embeddings.weight", |place| place.numbers(positions))?,
            norm: reader.norm("embeddings.LayerNorm", width)?,
            layers: (0..shape.layers).map(|number| reader.layer(number, shape)).collect::<Result<_, _>>()?,
        })
    }
}

struct Reader<'p, R, P> {
    file: File<R>,
    place: &'p P,
}

impl<R: Read + Seek, P: Place> Reader<'_, R, P> {
    fn layer(&mut self, number: usize, shape: &Shape) -> Result<Layer<P>, Error> {
        let Shape { width, inner, .. } = *shape;
        let part = |part: &str| format!("encoder.layer.{number}.{part}");
        // One after another, the three matrices form one matrix with three times the outputs.
        let asked = ["query", "key", "value"].map(|name| part(&format!("attention.self.{name}")));
        Ok(Layer {
            query_key_value: self.linear(&asked, width, width)?,
            told: self.linear(&[part("attention.output.dense")], width, width)?,
            told_norm: self.norm(&part("attention.output.LayerNorm"), width)?,
            widen: self.linear(&[part("intermediate.dense")], width, inner)?,
            narrow: self.linear(&[part("output.dense")], inner, width)?,
            thought_norm: self.norm(&part("output.LayerNorm"), width)?,
        })
    }

    /// Reads the matrices of these names, each with `inputs` and `outputs`, as one matrix.
    fn linear(&mut self, names: &[String], inputs: usize, outputs: usize) -> Result<Linear<P>, Error> {
        let (mut rows, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            rows.append(&mut self.file.tensor(&format!("{name}.weight"), &[outputs, inputs])?);
            bias.append(&mut self.file.tensor(&format!("{name}.bias"), &[outputs])?);
        }
        let name = names.concat();
        Ok(Linear {
            matrix: self.keep(&name, |place| place.matrix(rows, inputs))?,
            bias: self.keep(&name, |place| place.numbers(bias))?,
        })
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<Norm<P>, Error> {
        Ok(Norm {
            scale: self.numbers(&format!("{name}.weight"), &[width])?,
            shift: self.numbers(&format!("{name}.bias"), &[width])?,
        })
    }

    fn numbers(&mut self, name: &str, sizes: &[usize]) -> Result<P::Numbers, Error> {
        let numbers = self.file.tensor(name, sizes)?;
        self.keep(name, |place| place.numbers(numbers))
    }

    fn keep<T>(&self, name: &str, keep: impl FnOnce(&P) -> Result<T, String>) -> Result<T, Error> {
        keep(self.place).map_err(|reason| Error::Unkept { name: name.to_owned(), reason })
    }
}
