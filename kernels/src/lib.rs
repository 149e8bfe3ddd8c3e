//! Operations that Burn's CPU backend lacks or does slowly, as extensions of Burn's backends.
//!
//! Every operation is one trait over Burn's `Backend`: a fast implementation for the CPU backend `Flex` on 32-bit floats,
//! a hand-written gradient for `Autodiff`, and for every other backend and type the backend's own operations. The same
//! call runs everywhere; functions that take a Burn layer give what the layer's `forward` gives.
//!
//! ```
//! use burn::nn::conv::Conv2dConfig;
//! use burn::tensor::{Device, Tensor};
//! use crossburn_kernels::{conv2d, relu};
//!
//! let device = Device::flex();
//! let layer = Conv2dConfig::new([1, 6], [5, 5]).init(&device);
//! let output = relu(conv2d(&layer, Tensor::ones([2, 1, 28, 28], &device)));
//! assert_eq!(output.dims(), [2, 6, 24, 24]);
//! ```
//!
//! What holds for all of them:
//!
//! - The same bits on any number of threads: work is cut by shape alone, and sums are added in a fixed order.
//! - Vectors of the processor through `pulp`, chosen at run time (AVX-512, AVX2 with FMA, NEON, or none); tests run every
//!   one that their processor has.
//! - Safe code, but for the calls of the `gemm` crate and of functions that are compiled for features of the processor.
//! - Values that are not finite go where Burn's operations send them, unless the function says otherwise.
#![warn(missing_docs)]

mod activation;
mod attention;
mod conv;
mod exp;
mod flex;
mod fresh;
mod linear;
pub mod matrix;
mod norm;
mod optimizer;
mod parts;
mod plain;
mod pool;
mod quantize;
mod quantized;
mod random;
mod similarity;
mod softmax;
#[cfg(test)]
mod testing;
mod workspace;

pub use activation::{erf, exp, gelu, gelu_tanh, relu, sigmoid, silu, tanh};
pub use attention::{AttentionOptions, attention, self_attention};
pub use conv::{
    Rounding, conv1d, conv1d_relu, conv2d, conv2d_relu, convolve1d, convolve2d, padding1d,
    padding2d,
};
pub use linear::{linear, multiply};
pub use norm::{batch_norm, group_norm, layer_norm, layer_normalize, rms_norm, rms_normalize};
pub use optimizer::{Adam, AdamW, Sgd, SgdState};
pub use pool::{avg_pool1d, avg_pool2d, max_pool1d, max_pool2d};
pub use quantize::quantize_clipped;
pub use quantized::{
    EncodedFormat, QuantizedMatrix, QuantizedWeight, SharedBytes, StoredLines, WeightFormat,
    embedding, hold_quantized, multiply_by_embedding,
};
pub use random::{Philox, normal_quantiles};
pub use similarity::structural_dissimilarity;
pub use softmax::{cross_entropy, distillation_loss, log_softmax, softmax};
