//! Vectors of length 1.

use burn::tensor::Tensor;

/// Keeps a row of zeros from becoming NaN.
const TINY: f64 = 1e-12;

/// The mean of `vectors`, scaled to length 1. `None` if it has no direction, because the vectors cancel or are not finite.
pub fn mean_direction<'a>(vectors: impl IntoIterator<Item = &'a [f32]>) -> Option<Vec<f32>> {
    let mut vectors = vectors.into_iter();
    let mut sum = vectors.next()?.to_vec();
    for vector in vectors {
        let parts = sum.iter_mut().zip(vector);
        parts.for_each(|(sum, number)| *sum += number);
    }
    let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt();
    if !(length.is_finite() && length > 0.0) {
        return None;
    }
    sum.iter_mut().for_each(|number| *number /= length);
    Some(sum)
}

/// Every row divided by its length.
pub(super) fn unit(rows: Tensor<2>) -> Tensor<2> {
    let lengths = (rows.clone() * rows.clone()).sum_dim(1);
    rows / (lengths + TINY).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opposite_vectors_have_no_mean_direction() {
        // The sum of the two is (4, 3), whose length is 5.
        let found = mean_direction([&[1.0, 0.0][..], &[3.0, 3.0]]);
        assert_eq!(found.as_deref(), Some(&[0.8, 0.6][..]));
        assert_eq!(mean_direction([&[1.0, 0.0][..], &[-1.0, 0.0]]), None);
        assert_eq!(mean_direction([&[f32::NAN, 0.0][..]]), None);
        assert_eq!(mean_direction([]), None);
    }
}
