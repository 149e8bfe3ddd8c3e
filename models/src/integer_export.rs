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
/// # Errors
/// [`HardwareError::Conflict`] for a network without a form in integers, activations that are not quantized to 8 bits or fewer with a
/// power of two as their step, and a batch norm that multiplies signs by zero; [`WeightPlan::integers`], and those of
/// [`IntegerNetwork::new`].
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
            bias.push((constant / unit).round_ties_even() as i32);
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
                let rows = kept.iter().flatten();
                let kept = rows.flat_map(|kept| std::iter::repeat_n(*kept, spread));
                let balanced = match pattern {
                    PruningPattern::Balanced { keep, of }
                        if spread == 1 && (2..=Sparsity::LARGEST_GROUP).contains(&of) =>
                    {
                        Sparsity::Balanced {
                            kept: keep,
                            group: of,
                        }
                    }
                    _ => Sparsity::Unstructured,
                };
                (balanced, kept.collect())
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
mod tests {
    use super::*;
    use crate::{Cnn1dConfig, Network, SignalCnnConfig, initialize};
    use burn::module::ModuleMapper;
    use burn::nn::conv::Conv1dConfig;
    use burn::tensor::{Device, TensorData};
    use crossburn_hardware::{Quantization, WeightBits, programmed};
    use crossburn_noise::{Granularity, PathPattern, Philox};

    fn bits(bits: u8) -> WeightBits {
        WeightBits::new(bits).unwrap()
    }

    /// Of the widths of the accelerator, one for each layer, with half of the weights pruned.
    fn plan(widths: &[(&str, u8)]) -> WeightPlan {
        let pruned =
            WeightPlan::default().with_pruning(PathPattern::new("*"), Some("2:4".parse().unwrap()));
        widths.iter().fold(pruned, |plan, (path, width)| {
            let quantization = Quantization {
                granularity: Granularity::PerChannel,
                ..Quantization::from(bits(*width))
            };
            plan.with_quantization(PathPattern::new(*path), Some(quantization))
        })
    }

    /// Gives norms gains of both signs, shifts and statistics, and every bias a value.
    #[derive(Default)]
    struct Used {
        path: Vec<String>,
        met: u64,
    }

    impl ModuleMapper for Used {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_string());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let name = self.path.last().cloned().unwrap_or_default();
            self.met += 1;
            let mut draws = vec![0.0f32; param.lazy_shape().num_elements()];
            Philox::new(9, self.met).fill_normal(&mut draws);
            let values: Vec<f32> = draws
                .iter()
                .map(|draw| match name.as_str() {
                    "gamma" => draw.signum() * (0.5 + draw.abs()),
                    "running_var" => 0.2 + 0.1 * draw.abs(),
                    "beta" | "bias" | "running_mean" => 0.2 * draw,
                    _ => f32::NAN,
                })
                .collect();
            match values.iter().any(|value| value.is_nan()) {
                true => param,
                false => param.map(|tensor| {
                    let data = TensorData::new(values, tensor.dims());
                    Tensor::from_data(data, &tensor.device())
                }),
            }
        }
    }

    /// Codes of noisy waves.
    fn codes(items: usize, length: usize) -> Vec<i8> {
        let mut noise = vec![0.0f32; items * length];
        Philox::new(4, 0).fill_normal(&mut noise);
        let value = |(at, noise): (usize, &f32)| {
            let (item, point) = (at / length, at % length);
            let wave = (point as f32 * (0.1 + 0.05 * (item % 7) as f32)).sin();
            (60.0 * wave + 20.0 * noise).clamp(-127.0, 127.0) as i8
        };
        noise.iter().enumerate().map(value).collect()
    }

    const EXPONENT: i32 = -5;

    fn signals(codes: &[i8], length: usize, device: &Device) -> Tensor<4> {
        let step = (EXPONENT as f32).exp2();
        let values: Vec<f32> = codes.iter().map(|code| f32::from(*code) * step).collect();
        let shape = [codes.len() / length, 1, 1, length];
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// Logits of the network with quantized weights and activations in floats and of the one in integers, item by item, and the bound.
    fn compared<C: Classifier>(
        network: C,
        plan: &WeightPlan,
        length: usize,
    ) -> (Vec<Vec<f64>>, Vec<Vec<f64>>, Vec<f64>) {
        let device = Device::flex();
        let network = initialize(network, 5).map(&mut Used::default());
        let network = network.with_activations(&Activation::with_power_of_two_scale);
        let codes = codes(200, length);
        // Ranges follow what they meet while training.
        let seen = network.train();
        let quantized = crossburn_hardware::quantize_weights(seen.clone(), plan).unwrap();
        let frozen = Tensor::from_inner(signals(&codes[..20 * length], length, &device));
        for _ in 0..60 {
            quantized.forward(frozen.clone());
        }
        let network = seen.valid().map(&mut Used::default());
        let floats = programmed(&network, plan).forward(signals(&codes, length, &device));
        let classes = floats.dims()[1];
        let floats: Vec<f32> = floats.into_data().try_to_vec().unwrap();
        let signal = SignalFormat {
            channels: 1,
            length,
            exponent: EXPONENT,
        };
        let integers = to_integers(&network, plan, false, signal).unwrap();
        let found = codes.chunks(length).map(|codes| {
            let results = integers.real_results(&integers.evaluate(codes).unwrap());
            results.into_iter().map(f64::from).collect()
        });
        // The network on its levels has the same levels.
        let on_levels = to_integers(&programmed(&network, plan), plan, true, signal).unwrap();
        let item = &codes[..length];
        let again = on_levels.real_results(&on_levels.evaluate(item).unwrap());
        let first = integers.real_results(&integers.evaluate(item).unwrap());
        let bound = rounding_bound(&integers);
        for ((again, first), bound) in again.iter().zip(first).zip(&bound) {
            assert!(f64::from((again - first).abs()) <= 2.0 * bound);
        }
        let floats = floats.chunks(classes);
        let floats = floats.map(|row| row.iter().map(|x| f64::from(*x)).collect());
        (floats.collect(), found.collect(), bound)
    }

    fn argmax(logits: &[f64]) -> usize {
        let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        best.unwrap().0
    }

    /// No result is off by more than the bound, most by far less, and nearly all items have the same class.
    fn check((floats, found, bound): (Vec<Vec<f64>>, Vec<Vec<f64>>, Vec<f64>), typical: f64) {
        let (mut off, mut spread, mut agree) = (0.0f64, 0.0f64, 0);
        for (floats, found) in floats.iter().zip(&found) {
            for ((float, found), bound) in floats.iter().zip(found).zip(&bound) {
                assert!((float - found).abs() <= *bound, "{float} {found} {bound}");
                off = off.max((float - found).abs());
            }
            agree += usize::from(argmax(floats) == argmax(found));
        }
        for class in 0..bound.len() {
            let of_class = || floats.iter().map(|floats| floats[class]);
            let least = of_class().fold(f64::INFINITY, f64::min);
            spread = spread.max(of_class().fold(f64::NEG_INFINITY, f64::max) - least);
        }
        assert!(off <= typical * spread, "{off} of {spread}");
        // Two logits closer to each other than they are off may change places.
        let ties = floats.iter().filter(|floats| {
            let best = floats[argmax(floats)];
            floats.iter().filter(|x| best - **x <= 2.0 * off).count() > 1
        });
        assert!(agree + ties.count() >= floats.len(), "{agree}");
        assert!(100 * agree >= 97 * floats.len(), "{agree}");
    }

    #[test]
    fn means_over_points_and_mixed_widths_are_the_floats() {
        let config = Cnn1dConfig {
            channels: 1,
            width: 4,
            kernel: 5,
            classes: 3,
            bits: Some(bits(8)),
        };
        let widths = [
            ("convs.0.weight", 8),
            ("convs.1.weight", 2),
            ("convs.2.weight", 4),
            ("fc.weight", 8),
        ];
        let network = config.init(&Device::flex());
        check(compared(network, &plan(&widths), 64), 0.03);
    }

    #[test]
    fn norms_pools_and_signs_are_the_floats() {
        let text = r#"{"classes":3,"points":60,"bits":8,"norm":"before-activation","hidden":[6],"dropout":0.0,
            "layers":[{"channels":4,"kernel":5,"pool":2},{"channels":6,"kernel":4,"stride":2,"padding":1}]}"#;
        let config: SignalCnnConfig = serde_json::from_str(text).unwrap();
        let widths = [
            ("convs.0.weight", 4),
            ("convs.1.weight", 1),
            ("hidden.0.weight", 2),
            ("fc.weight", 8),
        ];
        let network = config.init(&Device::flex());
        check(compared(network, &plan(&widths), 60), 0.03);
    }

    /// By hand: weights 0.45 and -1 on a grid of 4 bits (step 1/7: levels 3 and -7), a norm that turns the sign,
    /// and an input whose code of 1 is 1/4.
    #[test]
    fn a_norm_is_taken_up_in_bias_and_factor() {
        let device = Device::flex();
        let conv = Conv1dConfig::new(1, 1, 2).with_bias(false).init(&device);
        let weight = Tensor::<3>::from_floats([[[0.45, -1.0]]], &device);
        let conv = Conv1d {
            weight: Param::from_tensor(weight),
            ..conv
        };
        let stage = IntegerStage {
            norm: Some([vec![-2.0], vec![0.25], vec![1.0]]),
            activation: Some((15, 0.5)),
            ..IntegerStage::convolution("conv".to_string(), &conv).unwrap()
        };
        let integers = WeightPlan::from(bits(4))
            .integers("conv", &stage.weight, false)
            .unwrap();
        let layer = stage.layer(integers, None, 0.25).unwrap();
        assert_eq!(layer.weights, [-3, 7]);
        // A unit is 2/7/4 = 1/14; the constant -2 (0 - 0.25) + 1 = 1.5 is 21 of them.
        assert_eq!(layer.bias, [21]);
        let LayerOutput::Activations {
            bits,
            exponent,
            rescale,
            ..
        } = layer.output
        else {
            unreachable!("the stage has an activation")
        };
        assert_eq!((bits, exponent), (4, -1));
        assert!((rescale[0].factor() - 1.0 / 7.0).abs() < 1e-5);
    }

    #[test]
    fn what_has_no_form_in_integers_is_refused() {
        let signal = SignalFormat {
            channels: 1,
            length: 64,
            exponent: EXPONENT,
        };
        let config = |bits| Cnn1dConfig {
            channels: 1,
            width: 2,
            kernel: 5,
            classes: 3,
            bits,
        };
        let device = Device::flex();
        let refused = |network: &crate::Cnn1d, plan: &WeightPlan| {
            to_integers(network, plan, false, signal)
                .unwrap_err()
                .to_string()
        };
        let eight = WeightPlan::from(bits(8));
        let floats = config(None).init(&device);
        assert!(refused(&floats, &eight).contains("integers of this network"));
        let free = config(Some(bits(8))).init(&device);
        let message = refused(&free, &eight);
        assert!(message.contains("which is no power of two"), "{message}");
        let network = free.with_activations(&Activation::with_power_of_two_scale);
        let message = refused(&network, &WeightPlan::default());
        assert!(message.contains("layer `convs.0.weight`"), "{message}");
        assert!(message.contains("in full precision"), "{message}");
        let message = refused(&network, &WeightPlan::from(bits(12)));
        assert!(message.contains("bits = 12"), "{message}");
    }
}
