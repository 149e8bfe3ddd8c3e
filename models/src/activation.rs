//! ReLU, with quantization where the network asks for it.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
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
}
