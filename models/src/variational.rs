//! A variational autoencoder: training keeps its codes near a normal distribution.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_hardware::WeightBits;
use crossburn_hardware::enclosure::Tensors;
use crossburn_hardware::layer::conv2d;
use serde::{Deserialize, Serialize};

use crate::autoencoder::{convolution, doubled};
use crate::step_draws::normals;
use crate::{Activation, Autoencoder, ModelError, Network, Restored};

/// The most halvings of an image.
const LEVELS: usize = 16;
/// Channels grow with every halving up to so many times the width.
const WIDEST: usize = 4;
/// Logarithms of variances stay in this range, so that no variance is infinite.
const LOG_VARIANCE: [f64; 2] = [-30.0, 20.0];

/// Configuration of [`VariationalAutoencoder`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VariationalAutoencoderConfig {
    /// Channels of the image.
    pub channels: usize,
    /// Channels after the first convolution; they double with every further one, up to four times as many.
    pub width: usize,
    /// How often height and width are halved on the way to the code.
    pub levels: usize,
    /// Channels of the code.
    pub code: usize,
    /// Weight of the divergence of codes from a normal distribution; the reconstruction error has the weight 1. Both are per value of the image.
    pub kl: f64,
    /// Width of weights and activations; full precision where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits: Option<WeightBits>,
}

impl Default for VariationalAutoencoderConfig {
    fn default() -> Self {
        Self {
            channels: 1,
            width: 16,
            levels: 3,
            code: 8,
            kl: 0.1,
            bits: None,
        }
    }
}

/// 3×3 convolutions of stride 2 down to a code, and as many up from it, each after doubling every pixel. While it learns, every value of the
/// code is drawn from a normal distribution whose mean and variance the encoder gives, and the divergence of these from a standard normal
/// distribution joins what is made small. In use the code is the mean.
///
/// ```text
/// penalty = kl / n · Σ (μ² + σ² − 1 − ln σ²) / 2      over the values of the code; n values in the image
/// ```
///
/// With the mean absolute error as reconstruction error and `kl` = 1, error and penalty add up to the bound of the source for Laplace noise of
/// scale 1, divided by n, but for a constant.
///
/// # Source
/// Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014, appendix B. The weight of the divergence is that of Higgins et al.,
/// "beta-VAE", ICLR 2017.
#[derive(Module, Debug)]
pub struct VariationalAutoencoder {
    down: Vec<Conv2d>,
    down_acts: Vec<Activation>,
    mean: Conv2d,
    log_variance: Conv2d,
    from_code: Conv2d,
    code_act: Activation,
    up: Vec<Conv2d>,
    up_acts: Vec<Activation>,
    output: Conv2d,
    kl: f64,
}

impl VariationalAutoencoderConfig {
    /// Refuses a size of zero, more halvings than images have, and a weight of the divergence that is negative or not finite.
    pub(crate) fn check(&self) -> Result<(), ModelError> {
        let counts = [
            ("channels", self.channels),
            ("width", self.width),
            ("levels", self.levels),
            ("code", self.code),
        ];
        if let Some((key, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(ModelError::Zero { key });
        }
        let bad = |problem: String, remedy| Err(ModelError::Sizes { problem, remedy });
        if self.levels > LEVELS {
            return bad(
                format!("levels = {} halves an image to nothing", self.levels),
                "use 1 to 5",
            );
        }
        match self.kl.is_finite() && self.kl >= 0.0 {
            true => Ok(()),
            false => bad(
                format!("kl = {} is no weight", self.kl),
                "use a number from 0 on",
            ),
        }
    }

    /// Height and width of an image must be multiples of this number.
    pub(crate) fn multiple(&self) -> usize {
        1 << self.levels.min(LEVELS)
    }

    /// A network on `device` for images whose height and width are multiples of 2 to the number of levels.
    /// [`ModelConfig`](crate::ModelConfig) checks that.
    pub fn init(&self, device: &Device) -> VariationalAutoencoder {
        let convolution = |from, to, stride| convolution(from, to, stride, device);
        let widths: Vec<usize> = (0..self.levels)
            .map(|level| self.width * (1 << level.min(LEVELS)).min(WIDEST))
            .collect();
        let deepest = widths.last().copied().unwrap_or(self.width);
        let before = std::iter::once(self.channels).chain(widths.iter().copied());
        let downwards = before.zip(&widths);
        // Each doubling leads to the width of the next finer level; the finest keeps its own.
        let finer = widths.iter().rev().skip(1).chain(widths.first());
        let upwards = widths.iter().rev().zip(finer);
        let acts = || {
            let each = widths.iter();
            each.map(|_| Activation::new(self.bits, device)).collect()
        };
        VariationalAutoencoder {
            down: downwards
                .map(|(from, to)| convolution(from, *to, 2))
                .collect(),
            down_acts: acts(),
            mean: convolution(deepest, self.code, 1),
            log_variance: convolution(deepest, self.code, 1),
            from_code: convolution(self.code, deepest, 1),
            code_act: Activation::new(self.bits, device),
            up: upwards
                .map(|(from, to)| convolution(*from, *to, 1))
                .collect(),
            up_acts: acts(),
            output: convolution(self.width, self.channels, 1),
            kl: self.kl,
        }
    }
}

impl VariationalAutoencoder {
    /// The features from which mean and variance of the code are computed.
    fn encode(&self, inputs: Tensor<4>) -> Tensor<4> {
        let steps = self.down.iter().zip(&self.down_acts);
        steps.fold(inputs, |x, (conv, act)| {
            act.after_conv2d::<Tensors>(conv, x)
        })
    }

    fn decode(&self, code: Tensor<4>) -> Tensor<4> {
        let x = self.code_act.after_conv2d::<Tensors>(&self.from_code, code);
        let steps = self.up.iter().zip(&self.up_acts);
        let x = steps.fold(x, |x, (conv, act)| {
            act.after_conv2d::<Tensors>(conv, doubled(x))
        });
        conv2d(&self.output, x)
    }
}

/// The divergence of normal distributions from the standard one, summed over a code, the mean over the batch: `[1]`.
fn divergence(mean: Tensor<4>, log_variance: Tensor<4>) -> Tensor<1> {
    let batch = mean.dims()[0].max(1) as f64;
    let each = mean.clone() * mean + log_variance.clone().exp() - 1.0 - log_variance;
    each.sum() / (2.0 * batch)
}

impl Network for VariationalAutoencoder {
    /// Only training uses variances.
    const DIGITAL: &'static [&'static str] = &["log_variance.weight"];

    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        let all = |acts: Vec<Activation>| acts.into_iter().map(change).collect();
        Self {
            down_acts: all(self.down_acts),
            code_act: change(self.code_act),
            up_acts: all(self.up_acts),
            ..self
        }
    }
}

impl Autoencoder for VariationalAutoencoder {
    fn forward(&self, inputs: Tensor<4>) -> Tensor<4> {
        self.restore(inputs).outputs
    }

    /// In a training step ([`with_step_draws`](crate::with_step_draws)) from drawn codes, with their divergence; otherwise from the mean codes.
    fn restore(&self, inputs: Tensor<4>) -> Restored {
        let values: usize = inputs.dims()[1..].iter().product();
        let found = self.encode(inputs);
        let mean = conv2d(&self.mean, found.clone());
        let drawn = match mean.device().is_autodiff() {
            true => normals(mean.dims().iter().product()),
            false => None,
        };
        let Some(drawn) = drawn else {
            return self.decode(mean).into();
        };
        let [low, high] = LOG_VARIANCE;
        let log_variance = conv2d(&self.log_variance, found).clamp(low, high);
        let drawn = TensorData::new(drawn, mean.dims());
        let drawn = Tensor::<4>::from_data(drawn, &mean.device());
        let code = mean.clone() + (log_variance.clone() * 0.5).exp() * drawn;
        let scale = self.kl / values.max(1) as f64;
        Restored {
            outputs: self.decode(code),
            penalty: Some(divergence(mean, log_variance) * scale),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::{initialize, with_step_draws};
    use crossburn_noise::Philox;

    fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
        x.into_data().try_to_vec().unwrap()
    }

    fn small() -> VariationalAutoencoderConfig {
        VariationalAutoencoderConfig {
            width: 2,
            levels: 2,
            code: 3,
            kl: 0.5,
            ..VariationalAutoencoderConfig::default()
        }
    }

    #[test]
    fn sizes_are_those_worked_by_hand() {
        let device = Device::flex();
        let network = small().init(&device);
        // 3×3 convolutions with bias: 1→2→4 down, 4→3 twice, 3→4, then 4→2→2 up and 2→1.
        let pairs = [
            (1, 2),
            (2, 4),
            (4, 3),
            (4, 3),
            (3, 4),
            (4, 2),
            (2, 2),
            (2, 1),
        ];
        let expected: usize = pairs.iter().map(|(from, to)| 9 * from * to + to).sum();
        assert_eq!(network.num_params(), expected);
        let x = Tensor::<4>::ones([2, 1, 8, 12], &device);
        assert_eq!(network.forward(x).dims(), [2, 1, 8, 12]);
    }

    #[test]
    fn the_divergence_is_that_of_its_definition() {
        // ∫ p ln(p / q) by the midpoint rule over ±12 standard deviations, which is exact to 1e-9 for so smooth a function.
        let by_integral = |mean: f64, variance: f64| {
            let log = |x: f64, m: f64, v: f64| {
                -0.5 * ((x - m).powi(2) / v + (std::f64::consts::TAU * v).ln())
            };
            let (steps, reach) = (4000, 12.0 * variance.sqrt());
            let width = 2.0 * reach / f64::from(steps);
            let at = |step: i32| {
                let x = mean - reach + (f64::from(step) + 0.5) * width;
                let p = log(x, mean, variance);
                p.exp() * (p - log(x, 0.0, 1.0)) * width
            };
            (0..steps).map(at).sum::<f64>()
        };
        let codes: [(f64, f64); 4] = [(0.0, 1.0), (0.7, 0.25), (-1.2, 3.0), (0.1, 0.01)];
        let device = Device::flex();
        let tensor = |all: [f64; 4]| {
            let all: Vec<f32> = all.iter().map(|x| *x as f32).collect();
            Tensor::<4>::from_data(TensorData::new(all, [2, 2, 1, 1]), &device)
        };
        let found = divergence(tensor(codes.map(|c| c.0)), tensor(codes.map(|c| c.1.ln())));
        let expected: f64 = codes
            .iter()
            .map(|(mean, variance)| by_integral(*mean, *variance))
            .sum();
        // Two items; sums of order 5 in 32 bits.
        assert!((f64::from(found.into_scalar::<f32>()) - expected / 2.0).abs() < 1e-5);
    }

    #[test]
    fn codes_are_drawn_in_a_training_step_alone() {
        let device = Device::flex().autodiff();
        let network = initialize(small().init(&device), 3);
        let x = || Tensor::<4>::ones([2, 1, 8, 8], &device) * 0.5;
        let step = |stream| {
            with_step_draws(Philox::new(1, stream), || {
                let found = network.restore(x());
                (values(found.outputs), found.penalty.map(values))
            })
        };
        let (first, penalty) = step(1);
        assert_eq!(step(1), (first.clone(), penalty.clone()));
        assert_ne!(step(2).0, first);
        // The penalty does not depend on what was drawn: half of the divergence, per pixel.
        assert_eq!(step(2).1, penalty);
        let found = network.encode(x());
        let expected = divergence(
            conv2d(&network.mean, found.clone()),
            conv2d(&network.log_variance, found),
        );
        let expected = values(expected)[0] * 0.5 / 64.0;
        assert!((penalty.unwrap()[0] - expected).abs() <= 1e-6 * expected.abs());
        let outside = network.restore(x());
        assert!(outside.penalty.is_none());
        let outside = values(outside.outputs);
        assert_ne!(outside, first);
        let in_use = network.clone().valid();
        let quiet = Device::flex();
        let given = with_step_draws(Philox::new(1, 1), || {
            in_use.restore(Tensor::<4>::ones([2, 1, 8, 8], &quiet) * 0.5)
        });
        assert!(given.penalty.is_none());
        // Other kernels may sum in another order.
        for (given, outside) in values(given.outputs).iter().zip(&outside) {
            assert!((given - outside).abs() < 1e-5);
        }
        // Both ways learn: the variance by what it adds to the code and by the penalty.
        let loss = with_step_draws(Philox::new(1, 1), || {
            let found = network.restore(x());
            let error = found.outputs.clone().abs().mean();
            found.penalized(error)
        });
        let gradients = loss.backward();
        for layer in [&network.mean, &network.log_variance, &network.down[0]] {
            let gradient = layer.weight.val().grad(&gradients).unwrap();
            assert!(values(gradient).iter().any(|g| *g != 0.0));
        }
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        for (text, part) in [
            (r#"{"code":0}"#, "model.code = 0"),
            (r#"{"levels":0}"#, "model.levels = 0"),
            (r#"{"levels":17}"#, "model: levels = 17 halves"),
            (r#"{"kl":-1.0}"#, "model: kl = -1 is no weight"),
        ] {
            let config: VariationalAutoencoderConfig = serde_json::from_str(text).unwrap();
            let message = config.check().unwrap_err().to_string();
            assert!(message.starts_with(part), "{message}");
        }
    }
}
