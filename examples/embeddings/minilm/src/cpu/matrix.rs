//! Products with matrices.
//!
//! The product is computed in tiles of [`TALL`] rows and [`WIDE`] outputs. The sums of a tile stay in the registers of
//! the processor while it goes through all inputs. For this, a matrix is stored in panels: the weights of [`WIDE`]
//! outputs, input by input. A panel stays in the fastest memory while it is multiplied with all rows.

use super::lanes::{Lanes, add_product, load, splat, store};

/// The number of rows in a tile.
const TALL: usize = 4;
/// The number of outputs in a tile: two [`Lanes`].
const WIDE: usize = 8;

/// The inputs that a tile goes through before it checks whether there are more. A host that can interrupt a component
/// checks for that at the same place, which costs as much as the products of one input.
const AT_ONCE: usize = 4;

/// A matrix, stored in the order in which products need it.
#[derive(Debug, Default)]
pub struct Matrix {
    panels: Vec<f32>,
    inputs: usize,
}

/// Some columns of some rows.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'n> {
    /// The rows, with all columns.
    pub numbers: &'n [f32],
    /// The length of a whole row.
    pub stride: usize,
    /// The first of the columns.
    pub from: usize,
    /// The number of columns.
    pub width: usize,
}

/// The effect of a product on the numbers that are already in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The product replaces them.
    Replaced,
    /// The product is added to them.
    AddedTo,
}

impl<'n> Rows<'n> {
    /// Returns rows of `width` numbers with all their columns.
    pub fn all(numbers: &'n [f32], width: usize) -> Self {
        Rows { numbers, stride: width, from: 0, width }
    }

    /// Returns the chosen columns of each row.
    pub fn iter(self) -> impl Iterator<Item = &'n [f32]> {
        let Rows { numbers, stride, from, width } = self;
        numbers.chunks_exact(stride).filter_map(move |row| row.get(from..from + width))
    }
}

impl Matrix {
    /// Makes the matrix with these `rows`, one for each output. A row has the weight of each of the `inputs`.
    pub fn new(rows: &[f32], inputs: usize) -> Self {
        let mut matrix = Matrix::default();
        matrix.refill(Rows::all(rows, inputs));
        matrix
    }

    /// Replaces the matrix with the matrix of these rows, one for each output. If the rows do not fill the last panel,
    /// further outputs with zeros fill it.
    pub fn refill(&mut self, rows: Rows<'_>) {
        self.inputs = rows.width;
        self.panels.clear();
        let mut rows = rows.iter().peekable();
        while rows.peek().is_some() {
            let start = self.panels.len();
            self.panels.resize(start + panel_len(self.inputs), 0.0);
            let panel = self.panels.get_mut(start..).unwrap_or_default();
            for (output, row) in rows.by_ref().take(WIDE).enumerate() {
                panel.iter_mut().skip(output).step_by(WIDE).zip(row).for_each(|(weight, number)| *weight = *number);
            }
        }
    }

    /// Replaces the matrix with the matrix of these columns: each row has the weights of one input, one for each
    /// output. The number of outputs is a multiple of [`WIDE`].
    pub fn refill_transposed(&mut self, rows: Rows<'_>) {
        self.inputs = rows.iter().count();
        self.panels.clear();
        for panel in 0..rows.width / WIDE {
            let part = Rows { from: rows.from + panel * WIDE, width: WIDE, ..rows };
            part.iter().for_each(|row| self.panels.extend_from_slice(row));
        }
    }

    /// Returns the number of inputs.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Returns the number of outputs.
    pub fn outputs(&self) -> usize {
        self.panels.len() / self.inputs.max(1)
    }

    /// Multiplies each row of `numbers`, adds the `bias` of each output, and writes to whole rows of `output`.
    pub fn multiply_and_add(&self, numbers: &[f32], bias: &[f32], becomes: Output, output: &mut [f32]) {
        self.tiles(Rows::all(numbers, self.inputs), output, self.outputs(), |row, sums, column| {
            let bias = bias.get(column..).unwrap_or_default();
            sums.iter_mut().zip(bias).for_each(|(sum, bias)| *sum += bias);
            let place = row.get_mut(column..column + WIDE).unwrap_or_default();
            if becomes == Output::AddedTo {
                sums.iter_mut().zip(place.iter()).for_each(|(sum, number)| *sum += number);
            }
            place.copy_from_slice(sums);
        });
    }

    /// Multiplies each row of `input`, and writes to the columns from `from` on of rows of `stride` numbers.
    pub fn multiply(&self, input: Rows<'_>, output: &mut [f32], stride: usize, from: usize) {
        self.tiles(input, output, stride, |row, sums, column| {
            row.get_mut(from + column..from + column + WIDE).unwrap_or_default().copy_from_slice(sums);
        });
    }

    /// Computes all tiles of a product. For each row of a tile, `finish` gets the row of `output` of `stride` numbers,
    /// the sums, and the first output of the tile.
    #[inline]
    fn tiles(
        &self,
        input: Rows<'_>,
        output: &mut [f32],
        stride: usize,
        finish: impl Fn(&mut [f32], &mut [f32; WIDE], usize),
    ) {
        for (number, panel) in self.panels.chunks_exact(panel_len(self.inputs)).enumerate() {
            let mut rows = input.iter();
            let column = number * WIDE;
            for block in output.chunks_mut(stride * TALL) {
                let Some(first) = rows.next() else { return };
                // A tile that is not full computes its last row several times.
                let mut last = first;
                let rest = [(); TALL - 1].map(|()| {
                    last = rows.next().unwrap_or(last);
                    last
                });
                let [second, third, fourth] = rest;
                let sums = tile([first, second, third, fourth], panel);
                for (row, mut sums) in block.chunks_exact_mut(stride).zip(sums) {
                    finish(row, &mut sums, column);
                }
            }
        }
    }
}

/// Returns the length of a panel in numbers.
fn panel_len(inputs: usize) -> usize {
    inputs * WIDE
}

/// Returns the products of [`TALL`] rows with a panel.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128,relaxed-simd"))]
fn tile(rows: [&[f32]; TALL], panel: &[f32]) -> [[f32; WIDE]; TALL] {
    let mut sums = [[splat(0.0); 2]; TALL];
    let [first, second, third, fourth] = rows.map(|row| row.as_chunks::<AT_ONCE>());
    let (weights, _) = panel.as_chunks::<WIDE>();
    let (many, rest) = weights.as_chunks::<AT_ONCE>();
    let numbers = first.0.iter().zip(second.0).zip(third.0.iter().zip(fourth.0));
    for (((a, b), (c, d)), weights) in numbers.zip(many) {
        for ((((a, b), c), d), weights) in a.iter().zip(b).zip(c).zip(d).zip(weights) {
            add(&mut sums, [*a, *b, *c, *d], weights);
        }
    }
    for ((((a, b), c), d), weights) in first.1.iter().zip(second.1).zip(third.1).zip(fourth.1).zip(rest) {
        add(&mut sums, [*a, *b, *c, *d], weights);
    }
    sums.map(|[low, high]| {
        let ([a, b, c, d], [e, f, g, h]) = (store(low), store(high));
        [a, b, c, d, e, f, g, h]
    })
}

/// Adds the products of one input to all sums.
#[inline]
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128,relaxed-simd"))]
fn add(sums: &mut [[Lanes; 2]; TALL], numbers: [f32; TALL], [a, b, c, d, e, f, g, h]: &[f32; WIDE]) {
    let (low, high) = (load([*a, *b, *c, *d]), load([*e, *f, *g, *h]));
    for ([sum_low, sum_high], number) in sums.iter_mut().zip(numbers) {
        let number = splat(number);
        *sum_low = add_product(*sum_low, number, low);
        *sum_high = add_product(*sum_high, number, high);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the numbers `start`, `start` + 1 and so on.
    fn numbers(count: usize, start: i32) -> Vec<f32> {
        (start..).take(count).map(|number| number as f32).collect()
    }

    fn expected(input: Rows, rows: &[f32], inputs: usize) -> Vec<f32> {
        let product = |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(one, other)| one * other).sum::<f32>();
        input.iter().flat_map(|row| rows.chunks(inputs).map(move |weights| product(row, weights))).collect()
    }

    #[test]
    fn a_product_is_right_for_any_number_of_rows() {
        let (inputs, outputs) = (5, 16);
        let weights = numbers(inputs * outputs, -30);
        let matrix = Matrix::new(&weights, inputs);
        assert_eq!((matrix.inputs(), matrix.outputs()), (inputs, outputs));
        for count in 1..10 {
            let input = numbers(count * inputs, -7);
            let input = Rows::all(&input, inputs);
            let mut output = vec![f32::NAN; count * outputs];
            matrix.multiply(input, &mut output, outputs, 0);
            assert_eq!(output, expected(input, &weights, inputs), "{count} rows");
        }
    }

    #[test]
    fn sums_include_the_bias_and_the_old_output() {
        let matrix = Matrix::new(&[1.0; 16], 2);
        let bias = numbers(8, 0);
        let mut output = vec![100.0; 8];
        matrix.multiply_and_add(&[1.0, 2.0], &bias, Output::AddedTo, &mut output);
        assert_eq!(output, numbers(8, 103));
        matrix.multiply_and_add(&[1.0, 2.0], &bias, Output::Replaced, &mut output);
        assert_eq!(output, numbers(8, 3));
    }

    #[test]
    fn columns_of_rows_are_multiplied_into_columns_of_others() {
        // Multiplies columns 1 and 2 of rows of 4 with a matrix given by columns 8 to 15 of rows of 20.
        let input = numbers(12, 0);
        let columns = numbers(40, 0);
        let mut matrix = Matrix::default();
        matrix.refill_transposed(Rows { numbers: &columns, stride: 20, from: 8, width: 8 });
        let mut output = vec![-1.0; 3 * 10];
        let rows = Rows { numbers: &input, stride: 4, from: 1, width: 2 };
        matrix.multiply(rows, &mut output, 10, 2);
        let of = |row: f32, output: f32| (4.0 * row + 1.0) * (8.0 + output) + (4.0 * row + 2.0) * (28.0 + output);
        let expected = [0.0, 1.0, 2.0].map(|row| {
            let outputs = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0].map(|output| of(row, output));
            [&[-1.0, -1.0][..], &outputs].concat()
        });
        assert_eq!(output, expected.concat());
    }

    #[test]
    fn outputs_that_do_not_fill_a_panel_are_filled_up_with_zeros() {
        let mut matrix = Matrix::default();
        matrix.refill(Rows::all(&[1.0, 2.0, 3.0], 1));
        let mut output = [f32::NAN; 8];
        matrix.multiply(Rows::all(&[2.0], 1), &mut output, 8, 0);
        assert_eq!(output, [2.0, 4.0, 6.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
