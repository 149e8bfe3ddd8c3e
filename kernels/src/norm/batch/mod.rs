//! Batch normalisation: `γ (x - μ) / √(σ² + ε) + β` for each channel, over images and pixels.
//!
//! | | passes over memory | operations per byte |
//! |---|---|---|
//! | training, forward | reads `x` twice, writes the output | 1 |
//! | training, backward | reads `x` and `g` twice, writes the input gradient over `g` | 1 |
//!
//! The floor is these bytes at memory bandwidth. The mean and the squared deviations of each run (a channel of an image) are computed while it is in the
//! first-level cache, and merged over images in 64 bits. This needs one pass, and no difference of large squares. Taking a channel as a whole, which
//! reads memory once, was no faster on 64x32x32x32 values. Sums in closures passed to iterators took 16 ms for a step there, plain loops take 5 ms
//! (separate runs on a shared machine). Channels with one or few pixels ([`columns`]) are processed side by side, in the lanes of vectors.
mod autodiff;
mod backend;
mod columns;
pub(super) mod planes;
#[cfg(test)]
mod tests;

use burn::backend::Dispatch;
use burn::nn::BatchNorm;
use burn::tensor::{DType, Tensor};

use backend::BatchNormKernel;

/// The result of [`BatchNorm::forward`], computed faster. On a training device it uses the statistics of the batch and updates the running statistics.
/// Elsewhere, or if the layer is frozen, it uses the running statistics.
///
/// # Shapes
///
/// `[batch, channels, ..] → [batch, channels, ..]`
///
/// # Panics
///
/// As the layer: if the input has another number of channels.
///
/// # Example
///
/// ```
/// use burn::nn::BatchNormConfig;
/// use burn::tensor::{Device, Distribution, Tensor};
///
/// let device = Device::flex().autodiff();
/// let layer = BatchNormConfig::new(3).init(&device);
/// let images = Tensor::<4>::random([2, 3, 8, 8], Distribution::Default, &device);
/// let output = crossburn_kernels::batch_norm(&layer, images);
/// assert_eq!(output.dims(), [2, 3, 8, 8]);
/// ```
pub fn batch_norm<const D: usize>(layer: &BatchNorm, input: Tensor<D>) -> Tensor<D> {
    let [channels] = layer.gamma.shape().dims();
    let fits = input.dims().get(1) == Some(&channels);
    if !fits || input.dtype() != DType::F32 {
        return layer.forward(input);
    }
    let device = input.device();
    let (gamma, beta) = (
        layer.gamma.val().into_dispatch(),
        layer.beta.val().into_dispatch(),
    );
    if !(device.is_autodiff() && layer.training.is_enabled()) {
        let mean = layer.running_mean.value().to_device(&device);
        let variance = layer.running_var.value().to_device(&device);
        return Tensor::from_dispatch(Dispatch::batch_norm_fixed(
            input.into_dispatch(),
            gamma,
            beta,
            mean.into_dispatch(),
            variance.into_dispatch(),
            layer.epsilon,
        ));
    }
    let (output, mean, variance) =
        Dispatch::batch_norm_training(input.into_dispatch(), gamma, beta, layer.epsilon);
    let moved = |running: Tensor<1>, batch: Tensor<1>| {
        running
            .to_device(&device)
            .mul_scalar(1.0 - layer.momentum)
            .add(batch.detach().mul_scalar(layer.momentum))
            .detach()
    };
    let mean = moved(layer.running_mean.value_sync(), Tensor::from_dispatch(mean));
    let variance = moved(
        layer.running_var.value_sync(),
        Tensor::from_dispatch(variance),
    );
    layer.running_mean.update(mean);
    layer.running_var.update(variance);
    Tensor::from_dispatch(output)
}
