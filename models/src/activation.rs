//! ReLU, with quantization where the network asks for it.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::Device;
use crossburn_hardware::enclosure::Arithmetic;
use crossburn_hardware::{ActivationQuantizer, WeightBits};

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

    /// The same activation with levels whose distance is a power of two, where it is quantized.
    pub fn with_power_of_two_scale(self) -> Self {
        Self {
            quantizer: self
                .quantizer
                .map(ActivationQuantizer::with_power_of_two_scale),
        }
    }

    /// Its quantizer.
    pub fn quantizer(&self) -> Option<&ActivationQuantizer> {
        self.quantizer.as_ref()
    }

    /// Applies the activation; any shape, kept.
    pub fn apply<A: Arithmetic, const D: usize>(&self, x: A::Signal<D>) -> A::Signal<D> {
        match &self.quantizer {
            Some(quantizer) => A::quantize(quantizer, x),
            None => A::relu(x),
        }
    }

    /// [`apply`](Self::apply) after a convolution: in full precision without a pass of its own.
    ///
    /// # Shapes
    /// `[batch, channels_in, height, width] → [batch, channels_out, height, width]`.
    pub fn after_conv2d<A: Arithmetic>(&self, layer: &Conv2d, x: A::Signal<4>) -> A::Signal<4> {
        match &self.quantizer {
            Some(quantizer) => A::quantize(quantizer, A::conv2d(layer, x)),
            None => A::conv2d_relu(layer, x),
        }
    }
}
