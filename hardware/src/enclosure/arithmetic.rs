//! The arithmetic that a network computes with.

use burn::nn::conv::{Conv1d, Conv2d};
use burn::nn::pool::MaxPool2d;
use burn::nn::{BatchNorm, Linear};
use burn::tensor::{Tensor, s};

use crate::{ActivationQuantizer, layer};

/// The operations that a network is made of, on numbers or on something that stands for many numbers.
///
/// A network that is generic over its arithmetic declares its computation once: with [`Tensors`] it is the network, with
/// [`Intervals`](super::Intervals) it encloses what the network can compute.
///
/// ```
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::{Device, Tensor};
/// use crossburn_hardware::enclosure::{Arithmetic, Tensors};
///
/// fn network<A: Arithmetic>(layers: &[Linear; 2], x: A::Signal<2>) -> A::Signal<2> {
///     A::linear(&layers[1], A::relu(A::linear(&layers[0], x)))
/// }
///
/// let device = Device::flex();
/// let layers = [LinearConfig::new(4, 3).init(&device), LinearConfig::new(3, 2).init(&device)];
/// assert_eq!(network::<Tensors>(&layers, Tensor::ones([5, 4], &device)).dims(), [5, 2]);
/// ```
pub trait Arithmetic {
    /// A signal of rank `D`.
    type Signal<const D: usize>: Clone;

    /// [`layer::linear`].
    fn linear<const D: usize>(layer: &Linear, x: Self::Signal<D>) -> Self::Signal<D>;

    /// [`layer::conv1d`].
    fn conv1d(layer: &Conv1d, x: Self::Signal<3>) -> Self::Signal<3>;

    /// [`layer::conv2d`].
    fn conv2d(layer: &Conv2d, x: Self::Signal<4>) -> Self::Signal<4>;

    /// [`relu`](Self::relu) of [`conv2d`](Self::conv2d).
    fn conv2d_relu(layer: &Conv2d, x: Self::Signal<4>) -> Self::Signal<4> {
        Self::relu(Self::conv2d(layer, x))
    }

    /// Batch normalisation.
    fn batch_norm<const D: usize>(layer: &BatchNorm, x: Self::Signal<D>) -> Self::Signal<D>;

    /// Rectification.
    fn relu<const D: usize>(x: Self::Signal<D>) -> Self::Signal<D>;

    /// Rectification and quantization.
    fn quantize<const D: usize>(
        quantizer: &ActivationQuantizer,
        x: Self::Signal<D>,
    ) -> Self::Signal<D>;

    /// Largest values of windows.
    fn max_pool2d(layer: &MaxPool2d, x: Self::Signal<4>) -> Self::Signal<4>;

    /// Means over all pixels: `[batch, channels, height, width] → [batch, channels]`.
    fn mean_over_pixels(x: Self::Signal<4>) -> Self::Signal<2>;

    /// `[batch, channels, height, width] → [batch, channels · height · width]`.
    fn flatten(x: Self::Signal<4>) -> Self::Signal<2>;

    /// A signal without its height: `[batch, channels, 1, length] → [batch, channels, length]`.
    fn without_height(x: Self::Signal<4>) -> Self::Signal<3>;

    /// A signal with a height again: `[batch, channels, length] → [batch, channels, 1, length]`.
    fn with_height(x: Self::Signal<3>) -> Self::Signal<4>;

    /// Sums of two signals.
    fn add<const D: usize>(left: Self::Signal<D>, right: Self::Signal<D>) -> Self::Signal<D>;

    /// Every second pixel, with channels of zeros on both sides of the `from` channels of each chip, so that it has `to` of them: the
    /// shortcut without weights past a block that halves the image.
    ///
    /// # Shapes
    /// `[batch, chips · from, height, width] → [batch, chips · to, ⌈height / 2⌉, ⌈width / 2⌉]`.
    ///
    /// # Source
    /// He et al. 2016 (arXiv 1512.03385), section 3.3, shortcuts of kind A.
    fn halve(x: Self::Signal<4>, from: usize, to: usize) -> Self::Signal<4>;
}

/// Numbers: Burn's tensors and the functions of [`layer`] and `crossburn_kernels`.
#[derive(Clone, Copy, Debug)]
pub struct Tensors;

impl Arithmetic for Tensors {
    type Signal<const D: usize> = Tensor<D>;

    fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
        layer::linear(layer, x)
    }

    fn conv1d(layer: &Conv1d, x: Tensor<3>) -> Tensor<3> {
        layer::conv1d(layer, x)
    }

    fn conv2d(layer: &Conv2d, x: Tensor<4>) -> Tensor<4> {
        layer::conv2d(layer, x)
    }

    fn conv2d_relu(layer: &Conv2d, x: Tensor<4>) -> Tensor<4> {
        layer::conv2d_relu(layer, x)
    }

    fn batch_norm<const D: usize>(layer: &BatchNorm, x: Tensor<D>) -> Tensor<D> {
        crossburn_kernels::batch_norm(layer, x)
    }

    fn relu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
        crossburn_kernels::relu(x)
    }

    fn quantize<const D: usize>(quantizer: &ActivationQuantizer, x: Tensor<D>) -> Tensor<D> {
        quantizer.forward(x)
    }

    fn max_pool2d(layer: &MaxPool2d, x: Tensor<4>) -> Tensor<4> {
        crossburn_kernels::max_pool2d(layer, x)
    }

    fn mean_over_pixels(x: Tensor<4>) -> Tensor<2> {
        x.flatten::<3>(2, 3).mean_dim(2).squeeze_dim::<2>(2)
    }

    fn flatten(x: Tensor<4>) -> Tensor<2> {
        x.flatten::<2>(1, 3)
    }

    fn without_height(x: Tensor<4>) -> Tensor<3> {
        x.squeeze_dim::<3>(2)
    }

    fn with_height(x: Tensor<3>) -> Tensor<4> {
        x.unsqueeze_dim::<4>(2)
    }

    fn add<const D: usize>(left: Tensor<D>, right: Tensor<D>) -> Tensor<D> {
        left + right
    }

    fn halve(x: Tensor<4>, from: usize, to: usize) -> Tensor<4> {
        let [batch, channels, _, _] = x.dims();
        let chips = channels / from;
        let x = x.slice(s![.., .., ..;2, ..;2]);
        let [_, _, height, width] = x.dims();
        let x = x.reshape([batch * chips, from, height, width]);
        let before = (to - from) / 2;
        let zeros = |count| Tensor::zeros([batch * chips, count, height, width], &x.device());
        let x = Tensor::cat(vec![zeros(before), x.clone(), zeros(to - from - before)], 1);
        x.reshape([batch, chips * to, height, width])
    }
}
