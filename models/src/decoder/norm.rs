//! The norms of a transformer.

use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

use super::{NormConfig, NormKind};

/// A norm over the last axis: [`NormKind`] says which.
#[derive(Module, Debug)]
pub struct Norm {
    weight: Param<Tensor<1>>,
    bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    config: NormConfig,
}

impl NormConfig {
    /// The norm of vectors of `width` entries that scales by 1.
    pub(crate) fn init(&self, width: usize, device: &Device) -> Norm {
        let weight = match self.kind {
            NormKind::RmsFromOne => Initializer::Zeros,
            _ => Initializer::Ones,
        };
        let bias = matches!(self.kind, NormKind::Layer);
        Norm {
            weight: weight.init([width], device),
            bias: bias.then(|| Initializer::Zeros.init([width], device)),
            config: *self,
        }
    }
}

impl Norm {
    /// # Shapes
    /// `[.., width] → [.., width]`.
    pub(crate) fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let epsilon = self.config.epsilon;
        let weight = self.weight.val();
        match self.config.kind {
            NormKind::Rms => crossburn_kernels::rms_normalize(input, weight, epsilon),
            NormKind::RmsFromOne => crossburn_kernels::rms_normalize(input, weight + 1.0, epsilon),
            NormKind::Layer | NormKind::LayerWithoutBias => {
                let bias = self.bias.as_ref().map(|bias| bias.val());
                crossburn_kernels::layer_normalize(input, weight, bias, epsilon)
            }
        }
    }
}
