//! Layers that compute on arrays if arrays are attached to their weight.
//!
//! [`linear`], [`conv1d`], [`conv2d`], [`conv3d`], [`conv_transpose1d`], [`conv_transpose2d`] and [`conv_transpose3d`] take
//! Burn's layers. They look for an [`OnArray`] at the layer's weight. If there is one, inputs go through the whole path of
//! the hardware (patches, converters, partial sums). Otherwise, the function of the same name in `crossburn_kernels`
//! computes the layer, or Burn's layer if there is no such function. Biases, norms and activations are always digital.
//! [`stack`] puts the weights of several chips into one layer. [`about_items`] tells arrays which items a pass reads.

mod convolution;
mod geometry;
mod images;
mod layer_use;
mod on_array;
mod stack;
mod transposed;

use burn::nn::Linear;
use burn::tensor::Tensor;

pub use convolution::{conv1d, conv2d, conv2d_relu, conv3d};
use geometry::{Direction, Geometry};
pub use images::{about_items, on_pool};
pub use layer_use::LayerUse;
pub(crate) use layer_use::used_range;
pub use on_array::OnArray;
pub(crate) use on_array::{in_layout, in_layout_of};
use stack::Stacked;
pub use stack::stack;
pub use transposed::{conv_transpose1d, conv_transpose2d, conv_transpose3d};

/// `layer.forward(input)`, on arrays where the weight has one.
///
/// # Shapes
/// `[..., inputs] → [..., outputs]`.
pub fn linear<const D: usize>(layer: &Linear, input: Tensor<D>) -> Tensor<D> {
    if let Some(stacked) = layer.weight.reparameterization::<Stacked>() {
        return stacked.linear(layer, input);
    }
    let Some(on_array) = layer.weight.reparameterization::<OnArray>() else {
        return crossburn_kernels::linear(layer, input);
    };
    let mut shape = input.dims();
    let [inputs, outputs] = layer.weight.lazy_shape().dims();
    let rows = shape[..D - 1].iter().product();
    let bias = layer.bias.as_ref().map(|bias| bias.val());
    let product = on_array.product(
        &Geometry::linear(inputs, outputs),
        input.reshape([rows, inputs, 1]),
        &layer.weight,
        bias,
        |input: Tensor<3>| {
            let input: Tensor<2> = input.reshape([rows, inputs]);
            crossburn_kernels::linear(layer, input).reshape([rows, outputs, 1])
        },
    );
    shape[D - 1] = outputs;
    product.reshape(shape)
}

/// The last of three axes, the others as `before`.
fn padded_axes<T: Copy, const N: usize>(axes: [T; N], before: T) -> [T; 3] {
    std::array::from_fn(|axis| match (axis + N).checked_sub(3) {
        Some(own) => axes[own],
        None => before,
    })
}
