//! The sizes of matrices that have a product.

use chainlet::gpu::bytemuck::{Pod, Zeroable};

use crate::{MatmulError, Matrix};

/// The sizes that the kernel needs, in the layout of the shader's struct of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[bytemuck(crate = "chainlet::gpu::bytemuck")]
#[repr(C)]
pub struct Shape {
    pub rows: u32,
    /// The columns of `a`, which are as many as the rows of `b`.
    pub inner: u32,
    pub columns: u32,
}

impl Shape {
    /// Returns the shape of the product of `a` and `b`.
    pub fn of(a: &Matrix, b: &Matrix) -> Result<Self, MatmulError> {
        for (name, matrix) in [("a", a), ("b", b)] {
            if u64::from(matrix.rows) * u64::from(matrix.columns) != matrix.values.len() as u64 {
                return Err(MatmulError::WrongNumberOfValues(name.to_owned()));
            }
        }
        if a.columns != b.rows {
            return Err(MatmulError::NoCommonSide);
        }
        Ok(Shape { rows: a.rows, inner: a.columns, columns: b.columns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: u32, columns: u32, values: usize) -> Matrix {
        Matrix { rows, columns, values: vec![0.0; values] }
    }

    #[test]
    fn a_product_has_the_rows_of_one_and_the_columns_of_the_other() {
        let shape = Shape::of(&matrix(2, 3, 6), &matrix(3, 5, 15)).unwrap();
        assert_eq!(shape, Shape { rows: 2, inner: 3, columns: 5 });
    }

    #[test]
    fn matrices_with_wrong_sizes_have_no_product() {
        let error = Shape::of(&matrix(2, 3, 6), &matrix(3, 5, 14)).unwrap_err();
        assert!(matches!(error, MatmulError::WrongNumberOfValues(name) if name == "b"));
        let error = Shape::of(&matrix(u32::MAX, u32::MAX, 1), &matrix(1, 1, 1)).unwrap_err();
        assert!(matches!(error, MatmulError::WrongNumberOfValues(name) if name == "a"));
    }

    #[test]
    fn matrices_without_a_common_side_have_no_product() {
        let error = Shape::of(&matrix(2, 3, 6), &matrix(2, 3, 6)).unwrap_err();
        assert!(matches!(error, MatmulError::NoCommonSide));
    }
}
