//! Operations that Burn's CPU backend lacks or does slowly.
//!
//! Every operation is a function that takes Burn's tensors or layers and runs on every backend. On the CPU backend `Flex`, with
//! 32-bit floats, it uses an implementation of this crate. On any other backend or type it uses the backend's own operations. A function
//! that takes a layer gives what the layer's `forward` gives, so a network stays a plain Burn module:
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
//! # What is here
//!
//! - Layers and activations: [`conv2d`], [`linear()`], [`batch_norm`], [`attention()`], [`gelu`] and so on, each with a gradient of its own.
//! - Losses and optimizers: [`cross_entropy`], [`distillation_loss`], [`structural_dissimilarity`]; [`Adam`], [`AdamW`], [`Sgd`].
//! - Weights in few bits: [`QuantizedWeight`] keeps the blocks of a model's file and multiplies with them.
//! - Random numbers: [`Philox`] is the counter-based generator of every draw in the project.
//! - Matrix products on slices of floats: [`matrix`].
//!
//! # What holds for all of them
//!
//! - The number of threads changes no bit of a result: the shape alone decides how work is cut, and sums are added in a fixed order.
//! - Vector instructions are chosen at run time through `pulp`: AVX-512, AVX2 with FMA, NEON, or none. The last bits of a result may differ
//!   from one kind of processor to the next. Tests run every kind that their processor has.
//! - Code is safe, apart from calls of the `gemm` crate and of functions that are compiled for features of the processor.
//! - NaN and infinities appear where Burn's operations put them, unless the function says otherwise.
//!
//! # Limits
//!
//! Only the CPU has implementations of its own; a GPU runs Burn's operations. Numbers are 32-bit floats.
//!
//! **Architecture invariant.** This crate knows Burn and nothing else of the project.
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
