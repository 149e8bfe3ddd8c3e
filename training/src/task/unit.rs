//! Vectors of length 1.

use burn::tensor::Tensor;

/// Keeps a row of zeros from becoming NaN.
const TINY: f64 = 1e-12;

/// Every row divided by its length.
pub(super) fn unit(rows: Tensor<2>) -> Tensor<2> {
    let lengths = (rows.clone() * rows.clone()).sum_dim(1);
    rows / (lengths + TINY).sqrt()
}
