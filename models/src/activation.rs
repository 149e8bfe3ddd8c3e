//! ReLU, with quantization where the network asks for it.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor};
use crossburn_hardware::layer::{conv2d, conv2d_relu};
use crossburn_hardware::{ActivationQuantizer, WeightBits};
use crossburn_kernels::relu;

/// ReLU, or the straight-through quantizer of the network's width, which rectifies as well.
#[derive(Module, Debug)]
pub struct Activation {
    quantizer: Option<ActivationQuantizer>,
}

impl Activation {
    /// An activation of `bits` bits, or in full precision.
    pub fn new(bits: Option<WeightBits>, device: &Device) -> Self {
        Self {
            quantizer: bits.map(|bits| ActivationQuantizer::new(bits, device)),
        }
    }

    /// The same activation in full precision.
    pub fn unquantized(self) -> Self {
        Self { quantizer: None }
    }

    /// Applies the activation; any shape, kept.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match &self.quantizer {
            Some(quantizer) => quantizer.forward(x),
            None => relu(x),
        }
    }

    /// [`forward`](Self::forward) of what `layer` makes of `x`: in full precision without a pass of its own.
    ///
    /// # Shapes
    /// `[batch, channels_in, height, width] → [batch, channels_out, height, width]`.
    pub fn behind_conv2d(&self, layer: &Conv2d, x: Tensor<4>) -> Tensor<4> {
        match &self.quantizer {
            Some(quantizer) => quantizer.forward(conv2d(layer, x)),
            None => conv2d_relu(layer, x),
        }
    }
}
