//! What an adapter adds to one linear layer.

use burn::module::{Initializer, Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use crossburn_hardware::layer::linear;
use crossburn_kernels::multiply;

/// The part of an adapter at one linear layer: a product of low rank, scales of inputs, scales of outputs.
///
/// ```text
/// y = output_scale · (W (input_scale · x) + scale · (x A) B)
/// ```
///
/// # Source
/// Hu et al. 2021 (arXiv 2106.09685), equation 3, for the product; Liu et al. 2022 (arXiv 2205.05638), section 3.3, for the
/// scales.
#[derive(Module, Debug)]
pub struct LinearAdapter {
    /// `A`, `[inputs, rank]`.
    pub down: Option<Param<Tensor<2>>>,
    /// `B`, `[rank, outputs]`.
    pub up: Option<Param<Tensor<2>>>,
    /// Factors of the inputs.
    pub input_scale: Option<Param<Tensor<1>>>,
    /// Factors of the outputs.
    pub output_scale: Option<Param<Tensor<1>>>,
    #[module(skip)]
    pub(super) scale: f64,
}

impl LinearAdapter {
    /// A product of rank `rank` that is zero at first: `A` uniform as a linear layer, `B` zero.
    pub(super) fn low_rank(
        [inputs, outputs]: [usize; 2],
        rank: usize,
        alpha: f64,
        device: &Device,
    ) -> Self {
        let bound = 1.0 / (inputs as f64).sqrt();
        let uniform = Initializer::Uniform {
            min: -bound,
            max: bound,
        };
        Self {
            down: Some(uniform.init([inputs, rank], device)),
            up: Some(Initializer::Zeros.init([rank, outputs], device)),
            input_scale: None,
            output_scale: None,
            scale: alpha / rank as f64,
        }
    }

    /// Factors of one of inputs or outputs.
    pub(super) fn scales([inputs, outputs]: [usize; 2], of_inputs: bool, device: &Device) -> Self {
        let ones = |count: usize| Some(Initializer::Ones.init([count], device));
        Self {
            down: None,
            up: None,
            input_scale: if of_inputs { ones(inputs) } else { None },
            output_scale: if of_inputs { None } else { ones(outputs) },
            scale: 1.0,
        }
    }
}

/// `layer` of `x` with what an adapter adds.
///
/// # Shapes
/// `[batch, places, inputs] → [batch, places, outputs]`.
pub(crate) fn project(layer: &Linear, adapter: Option<&LinearAdapter>, x: Tensor<3>) -> Tensor<3> {
    let Some(adapter) = adapter else {
        return linear(layer, x);
    };
    let along = |scale: &Param<Tensor<1>>| scale.val().unsqueeze::<3>();
    let scaled = match &adapter.input_scale {
        Some(scale) => x.clone() * along(scale),
        None => x.clone(),
    };
    let mut y = linear(layer, scaled);
    if let (Some(down), Some(up)) = (&adapter.down, &adapter.up) {
        let product = multiply(multiply(x, down.val(), None), up.val(), None);
        y = y + product * adapter.scale;
    }
    match &adapter.output_scale {
        Some(scale) => y * along(scale),
        None => y,
    }
}
