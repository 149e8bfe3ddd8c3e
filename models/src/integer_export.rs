//! From a trained classifier of signals, with quantized weights and activations, to a network of integers.

use burn::module::Param;
use burn::nn::conv::Conv1d;
use burn::nn::{BatchNorm, Linear, PaddingConfig1d};
use burn::tensor::Tensor;
use crossburn_hardware::accelerator::{
    IntegerLayer, IntegerNetwork, LayerOutput, Pool, Rescale, SignalFormat, Sparsity,
};
use crossburn_hardware::prune::PruningPattern;
use crossburn_hardware::quantize::IntegerWeights;
use crossburn_hardware::{HardwareError, WeightPlan};
use crossburn_noise::HostWeight;

use crate::{Activation, Classifier};

/// One layer of a network with all that follows it, in the numbers of the network.
#[derive(Clone, Debug)]
pub struct IntegerStage {
    /// Path of its weight.
    path: String,
    weight: HostWeight,
    /// Taps of the kernel: of a linear layer as many as its input has points.
    taps: usize,
    /// Points whose mean a linear layer takes: each gets its part of the weight.
    mean_over: usize,
    bias: Option<Vec<f32>>,
    /// Per channel: factor, mean and shift of a batch norm, `factor (x - mean) + shift`.
    norm: Option<[Vec<f32>; 3]>,
    stride: usize,
    padding: [usize; 2],
    /// The highest level of the activation and the distance of two; none after the last layer.
    activation: Option<(u32, f32)>,
    pool: usize,
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data()
        .try_into_vec_as()
        .expect("a parameter is a tensor of floats")
}

impl IntegerStage {
    fn new<const D: usize>(
        path: String,
        weight: &Param<Tensor<D>>,
        bias: Option<&Param<Tensor<1>>>,
    ) -> Self {
        let weight = weight.val();
        let shape = weight.dims().as_slice().into();
        Self {
            path,
            weight: HostWeight {
                values: values(weight),
                shape,
            },
            taps: 1,
            mean_over: 1,
            bias: bias.map(|bias| values(bias.val())),
            norm: None,
            stride: 1,
            padding: [0, 0],
            activation: None,
            pool: 1,
        }
    }

    /// A convolution, whose weight is at `path`; `None` where it has groups or holes, or pads by the length of the signal.
    pub(crate) fn convolution(path: String, layer: &Conv1d) -> Option<Self> {
        let padding = match layer.padding {
            PaddingConfig1d::Explicit(before, after) => [before, after],
            PaddingConfig1d::Valid => [0, 0],
            PaddingConfig1d::Same => return None,
        };
        let plain = layer.groups == 1 && layer.dilation == 1;
        plain.then(|| Self {
            taps: layer.kernel_size,
            stride: layer.stride,
            padding,
            ..Self::new(path, &layer.weight, layer.bias.as_ref())
        })
    }

    /// A linear layer on `points` points of every channel.
    pub(crate) fn linear(path: String, layer: &Linear, points: usize) -> Self {
        Self {
            taps: points,
            ..Self::new(path, &layer.weight, layer.bias.as_ref())
        }
    }

    /// A linear layer on the means of channels over `points` points.
    pub(crate) fn linear_on_means(path: String, layer: &Linear, points: usize) -> Self {
        Self {
            mean_over: points,
            ..Self::linear(path, layer, points)
        }
    }

    /// Points after a convolution on `points` points; `None` where the kernel is longer than these.
    pub(crate) fn points_after(&self, points: usize) -> Option<usize> {
        let padded = points + self.padding[0] + self.padding[1];
        Some(padded.checked_sub(self.taps)? / self.stride + 1)
    }

    /// The same with a batch norm after it.
    pub(crate) fn with_norm(self, norm: &BatchNorm) -> Self {
        let deviation = (norm.running_var.value_sync() + norm.epsilon).sqrt();
        let terms = [
            norm.gamma.val() / deviation,
            norm.running_mean.value_sync(),
            norm.beta.val(),
        ];
        Self {
            norm: Some(terms.map(values)),
            ..self
        }
    }

    /// The same with an activation and then a maximum over `pool` points after it; `None` where the activation is not quantized.
    pub(crate) fn with_activation(self, activation: &Activation, pool: usize) -> Option<Self> {
        let quantizer = activation.quantizer()?;
        Some(Self {
            activation: Some((quantizer.steps(), quantizer.step())),
            pool,
            ..self
        })
    }
}

/// `network` in integers, for signals of `signal`. Its weights are quantized and pruned as `plan` says; `on_levels` says that they are on
/// their levels already, as those of a network whose scales were learned.
///
/// A layer becomes sums of levels times codes, a bias, and a rescaling of each output channel. The batch norm `f (y - m) + β` between a
/// convolution and its activation is taken up exactly in real numbers: with the weights `s_w q` and inputs of step `s_x`
///
/// ```text
/// f (s_w s_x Σ q x + b - m) + β = u (Σ q' x + B),     u = |f| s_w s_x,  q' = sign(f) q,  B = (f (b - m) + β) / u
/// ```
///
/// and only `B` and the factor from `u` to the step of the activation are rounded, to an integer and to a multiplier of 16 bits with a shift.
/// [`rounding_bound`] says what that can do to the results.
///
/// A layer that is pruned to N:M has that sparsity, with three exceptions. It becomes unstructured where M is 1 or above
/// [`Sparsity::LARGEST_GROUP`], where it takes the means of its input over several points, and where it has one bit and a group keeps fewer than N
/// weights because some are stored as zero. A layer that is pruned without groups is unstructured, too.
///
/// # Errors
/// [`HardwareError::Conflict`] for a network without a form in integers, activations that are not quantized to 8 bits or fewer with a
/// power of two as their step, and a batch norm that multiplies signs by zero; [`HardwareError::Limit`] for a bias or a norm that is not finite, and
/// for a norm whose gain is so near to zero that the bias does not fit an accumulator; [`WeightPlan::integers`], and those of [`IntegerNetwork::new`].
///
/// # Source
/// Jacob et al., CVPR 2018 (arXiv 1712.05877), sections 2.2 and 2.4.
pub fn to_integers<C: Classifier>(
    network: &C,
    plan: &WeightPlan,
    on_levels: bool,
    signal: SignalFormat,
) -> Result<IntegerNetwork, HardwareError> {
    let Some(stages) = network.integer_stages(signal.length) else {
        return Err(HardwareError::conflict(
            "integers of this network",
            "use model.kind = \"cnn1d\" or \"signal-cnn\" with bits, and with no batch norm after an activation",
        ));
    };
    let mut layers = Vec::with_capacity(stages.len());
    let mut incoming = f64::from(signal.exponent).exp2();
    for stage in &stages {
        let named = |error| HardwareError::Layer {
            path: stage.path.clone(),
            error: Box::new(error),
        };
        let integers = plan.integers(&stage.path, &stage.weight, on_levels)?;
        let layer = stage.layer(integers, plan.pruning(&stage.path), incoming);
        let layer = layer.map_err(named)?;
        if let LayerOutput::Activations { exponent, .. } = &layer.output {
            incoming = f64::from(*exponent).exp2();
        }
        layers.push(layer);
    }
    IntegerNetwork::new(signal, layers)
}

impl IntegerStage {
    /// The layer on inputs whose codes of 1 stand for `incoming`.
    fn layer(
        &self,
        integers: IntegerWeights,
        pattern: Option<PruningPattern>,
        incoming: f64,
    ) -> Result<IntegerLayer, HardwareError> {
        let IntegerWeights {
            bits,
            mut levels,
            kept,
            scales,
        } = integers;
        let outputs = levels.len();
        let spread = self.mean_over;
        let (mut bias, mut units) = (Vec::with_capacity(outputs), Vec::with_capacity(outputs));
        for (output, levels) in levels.iter_mut().enumerate() {
            let [factor, mean, shift] = self.norm.as_ref().map_or([1.0, 0.0, 0.0], |norm| {
                [0, 1, 2].map(|term| f64::from(norm[term][output]))
            });
            let own = self
                .bias
                .as_ref()
                .map_or(0.0, |bias| f64::from(bias[output]));
            let constant = factor * (own - mean) + shift;
            let named = || match self.norm {
                Some(_) => {
                    format!("the bias of output {output} with the gain {factor:e} of its norm")
                }
                None => format!("the bias of output {output}"),
            };
            if !constant.is_finite() {
                return Err(HardwareError::limit(
                    named(),
                    constant,
                    "the finite numbers",
                    "train again, or repair the checkpoint",
                ));
            }
            if factor < 0.0 {
                levels.iter_mut().for_each(|level| *level = -*level);
            }
            if factor == 0.0 {
                if bits.is_sign() {
                    return Err(HardwareError::conflict(
                        format!("a batch norm that multiplies output {output} of one bit by zero"),
                        "give the layer two bits or more, whose levels have a zero",
                    ));
                }
                levels.fill(0);
            }
            let silent = levels.iter().all(|level| *level == 0);
            let unit = match silent {
                // Nothing but the bias is left: its own unit.
                true => (constant.abs() / f64::from(1 << 14)).max(f64::from(f32::MIN_POSITIVE)),
                false => factor.abs() * f64::from(scales[output]) * incoming / spread as f64,
            };
            let rounded = (constant / unit).round_ties_even();
            let most = f64::from(1 << (IntegerNetwork::ACCUMULATOR_BITS - 1));
            if self.norm.is_some() && rounded.abs() >= most {
                return Err(HardwareError::limit(
                    named(),
                    format!("{rounded:e} units of its sums"),
                    format!(
                        "an accumulator of {} bits",
                        IntegerNetwork::ACCUMULATOR_BITS
                    ),
                    "train the norm again until its gain is further from zero",
                ));
            }
            bias.push(rounded as i32);
            units.push(unit);
        }
        let repeated = |row: &[i8]| -> Vec<i8> {
            let each = row
                .iter()
                .flat_map(|level| std::iter::repeat_n(*level, spread));
            each.collect()
        };
        let weights: Vec<i8> = levels.iter().flat_map(|row| repeated(row)).collect();
        let (sparsity, kept) = match pattern {
            None => (Sparsity::Dense, Vec::new()),
            Some(pattern) => {
                let sparsity = match spread {
                    1 => pattern.sparsity().fitting(&kept),
                    // Groups would grow with the points, and the scratch pads of an array hold whole groups.
                    _ => Sparsity::Unstructured,
                };
                let rows = kept.iter().flatten();
                let kept = rows.flat_map(|kept| std::iter::repeat_n(*kept, spread));
                (sparsity, kept.collect())
            }
        };
        Ok(IntegerLayer {
            name: self.path.clone(),
            shape: [
                outputs,
                weights.len() / outputs.max(1) / self.taps,
                self.taps,
            ],
            weight_bits: bits.get(),
            weights,
            sparsity,
            kept,
            bias,
            stride: self.stride,
            padding: self.padding,
            output: self.output(&units)?,
        })
    }

    fn output(&self, units: &[f64]) -> Result<LayerOutput, HardwareError> {
        let Some((steps, step)) = self.activation else {
            let scale = units.iter().map(|unit| *unit as f32).collect();
            return Ok(LayerOutput::Results { scale });
        };
        let exponent = step.log2();
        if exponent.fract() != 0.0 || exponent.exp2() != step {
            return Err(HardwareError::conflict(
                format!("activations with a step of {step}, which is no power of two"),
                "train with quantization.activation_scale = \"power-of-two\"",
            ));
        }
        let bits = (steps + 1).ilog2();
        if bits > 8 {
            return Err(HardwareError::limit(
                "model.bits",
                bits,
                "1..=8 of activations in integers",
                "train with fewer bits; arrays.bits gives weights others",
            ));
        }
        let rescale = units
            .iter()
            .map(|unit| Rescale::nearest(unit / f64::from(step)));
        Ok(LayerOutput::Activations {
            bits: bits as u8,
            exponent: exponent as i32,
            rescale: rescale.collect::<Result<_, _>>()?,
            pool: (self.pool > 1).then_some(Pool {
                kernel: self.pool,
                stride: self.pool,
            }),
        })
    }
}

/// By how much a result of `network` may differ from that of the network which it was made of, with quantized weights and activations in
/// floats, on the same codes of a signal: one number per result.
///
/// The float network rounds its activations from other sums: its biases are not rounded (half a unit), its factors have no 16 bits (2⁻¹⁶ of a
/// code each), and it rounds a half to the even code. A code that is off by `e` before a layer is off by at most
///
/// ```text
/// floor(factor (Σ|w| e + 1/2) + 2^bits 2^-15) + 1
/// ```
///
/// after it, and a result by `unit (Σ|w| e + 1/2)`. Most results differ by far less.
pub fn rounding_bound(network: &IntegerNetwork) -> Vec<f64> {
    let mut off = 0.0;
    let mut bounds = Vec::new();
    for layer in network.layers() {
        let rows = layer.weights.chunks(layer.reduction().max(1));
        let reach = rows.map(|row| {
            let sum: f64 = row.iter().map(|weight| f64::from(*weight).abs()).sum();
            sum * off + 0.5
        });
        match &layer.output {
            LayerOutput::Activations { bits, rescale, .. } => {
                let slack = f64::from(u32::from(*bits)).exp2() * 2f64.powi(-15);
                let codes = reach.zip(rescale);
                let codes = codes.map(|(reach, of)| (of.factor() * reach + slack).floor() + 1.0);
                off = codes
                    .fold(0.0, f64::max)
                    .min(f64::from((1u32 << *bits) - 1));
            }
            LayerOutput::Results { scale } => {
                let results = reach.zip(scale);
                bounds = results
                    .map(|(reach, unit)| reach * f64::from(*unit))
                    .collect();
            }
        }
    }
    bounds
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;
