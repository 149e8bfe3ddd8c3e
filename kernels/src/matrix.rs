//! Safe products of matrices in slices, using the `gemm` crate, which Burn uses too.
//!
//! Own panels, as in `conv`, were tried instead. On AVX2 and two threads they took 0.7 to 1.05 times as long as Burn for sizes of 256 to 2048, and
//! 1.1 to 1.3 times as long for a layer of 128x400x120. That was not enough to keep them.
//!
//! ```
//! use crossburn_kernels::matrix::{Matrix, multiply};
//!
//! let (left, right) = ([1.0, 2.0], [3.0, 4.0]);
//! let mut out = [0.0];
//! multiply(&mut out, Matrix::new(&left, 1, 2), Matrix::new(&right, 1, 2).transposed(), false);
//! assert_eq!(out, [11.0]);
//! ```

use gemm::Parallelism;

/// A matrix in a slice, with any strides. Its transpose is the same slice with exchanged strides.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A matrix `[rows, columns]`, stored row by row.
    ///
    /// # Panics
    /// If `values` has another number of values.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns);
        Self {
            values,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// The transpose; nothing is copied.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Rows `first..first + count`.
    ///
    /// # Panics
    /// If the matrix has fewer rows.
    pub fn rows(self, first: usize, count: usize) -> Self {
        assert!(first + count <= self.rows);
        Self {
            values: &self.values[(first * self.row_stride).min(self.values.len())..],
            rows: count,
            ..self
        }
    }

    /// Columns `first..first + count`.
    ///
    /// # Panics
    /// If the matrix has fewer columns.
    pub fn columns(self, first: usize, count: usize) -> Self {
        self.transposed().rows(first, count).transposed()
    }

    /// The columns, one after the other, if the values of each are contiguous.
    pub(crate) fn lines(&self) -> Option<&'a [f32]> {
        let lines = self.row_stride == 1 && self.column_stride == self.rows;
        lines.then(|| &self.values[..self.rows * self.columns])
    }

    /// One more than the index of the last value.
    fn end(&self) -> usize {
        match self.rows * self.columns {
            0 => 0,
            _ => (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride + 1,
        }
    }
}

/// Computes `out += left · right` if `add` is set, otherwise `out = left · right`, on the calling thread. `out` is stored row by row.
///
/// # Panics
/// If the sizes do not fit together.
pub fn multiply(out: &mut [f32], left: Matrix<'_>, right: Matrix<'_>, add: bool) {
    let (rows, inner, columns) = (left.rows, left.columns, right.columns);
    assert_eq!(inner, right.rows);
    assert_eq!(out.len(), rows * columns);
    assert!(left.end() <= left.values.len() && right.end() <= right.values.len());
    // SAFETY: `out` holds rows · columns values at strides (columns, 1). It is borrowed mutably, so nothing else reads or writes it. The last index that
    // a product of these sizes reads is `end() - 1` of either side, which is inside its slice by the line above. Strides fit into `isize` because
    // indices do. Both slices outlive the call.
    #[allow(unsafe_code, reason = "gemm takes pointers")]
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            out.as_mut_ptr(),
            1,
            columns as isize,
            add,
            left.values.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.values.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{agree, numbers};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn products_of_any_strides_are_sums(
            (rows, inner, columns) in (0usize..40, 0usize..40, 0usize..40),
            turn_left: bool,
            turn_right: bool,
            add: bool,
            first in 0usize..3,
        ) {
            let first = first.min(rows);
            let (left, right) = (numbers(1, rows * inner), numbers(2, inner * columns));
            let left_at = |r: usize, k: usize| f64::from(if turn_left { left[k * rows + r] } else { left[r * inner + k] });
            let right_at = |k: usize, c: usize| f64::from(if turn_right { right[c * inner + k] } else { right[k * columns + c] });
            let start = if add { 0.5 } else { 0.0 };
            let expected: Vec<f64> = (first..rows)
                .flat_map(|r| (0..columns).map(move |c| (r, c)))
                .map(|(r, c)| start + (0..inner).map(|k| left_at(r, k) * right_at(k, c)).sum::<f64>())
                .collect();
            let left = match turn_left {
                true => Matrix::new(&left, inner, rows).transposed(),
                false => Matrix::new(&left, rows, inner),
            };
            let right = match turn_right {
                true => Matrix::new(&right, columns, inner).transposed(),
                false => Matrix::new(&right, inner, columns),
            };
            let mut out = vec![0.5; (rows - first) * columns];
            multiply(&mut out, left.rows(first, rows - first), right, add);
            agree(&out, &expected, 1e-5);
        }
    }
}
