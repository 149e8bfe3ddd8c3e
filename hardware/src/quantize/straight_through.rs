//! The straight-through estimator.

use burn::tensor::Tensor;

/// The value of `quantized` with the gradient of `value`.
///
/// Written as `quantized + (value - value)` with the right parts detached, so that the forward value is `quantized` to
/// the bit: the common form `value + (quantized - value)` rounds and leaves the grid by one unit in the last place.
/// A non-finite `value` gives NaN.
///
/// # Source
/// Bengio, Léonard and Courville 2013 (arXiv 1308.3432), section 2.3.
pub fn straight_through<const D: usize>(value: Tensor<D>, quantized: Tensor<D>) -> Tensor<D> {
    if !value.device().is_autodiff() {
        return quantized;
    }
    quantized.detach() + (value.clone() - value.detach())
}
