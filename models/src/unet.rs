//! A U-Net: an autoencoder whose halves are joined at every resolution, for images that are to be restored.

use burn::module::Module;
use burn::nn::conv::{Conv2d, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{GroupNorm, GroupNormConfig};
use burn::tensor::{Device, Tensor};
use crossburn_hardware::WeightBits;
use crossburn_hardware::enclosure::Tensors;
use crossburn_hardware::layer::{conv_transpose2d, conv2d};
use crossburn_kernels::group_norm;
use serde::{Deserialize, Serialize};

use crate::autoencoder::convolution;
use crate::{Activation, Autoencoder, ModelError, Network};

/// The most groups of channels that a norm takes its statistics of.
const GROUPS: usize = 8;
/// The most levels: more halve any image to nothing.
const LEVELS: usize = 16;

/// Configuration of [`UNet`].
///
/// # Source
/// Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image segmentation", MICCAI 2015, with the residual blocks
/// and group norms of Ho, Jain and Abbeel, "Denoising diffusion probabilistic models", NeurIPS 2020, appendix B. Unlike theirs it has no
/// attention and is not told a time step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UNetConfig {
    /// Channels of the image.
    #[serde(default = "one")]
    pub channels: usize,
    /// Channels that the multipliers multiply.
    #[serde(default = "sixteen")]
    pub width: usize,
    /// One number for each resolution, from that of the image on, each half of the one before: its channels are so many times the width.
    #[serde(default = "three_levels")]
    pub multipliers: Vec<usize>,
    /// Residual blocks at every resolution on the way down, and as many on the way up.
    #[serde(default = "one")]
    pub blocks: usize,
    /// What scales the channels after each convolution.
    #[serde(default)]
    pub norm: UNetNorm,
    /// Width of weights and activations; full precision where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<WeightBits>,
}

/// The norm after each convolution of a [`UNet`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UNetNorm {
    /// Nothing.
    None,
    /// A group norm, of up to eight groups of channels. It stays digital.
    #[default]
    Group,
}

fn one() -> usize {
    1
}

fn sixteen() -> usize {
    16
}

fn three_levels() -> Vec<usize> {
    vec![1, 2, 2]
}

/// Convolutions at several resolutions, down to the coarsest and up again, where each resolution on the way up also sees what was found
/// at it on the way down. The output is linear.
///
/// Images become smaller by convolutions of stride 2, and larger by transposed convolutions.
#[derive(Module, Debug)]
pub struct UNet {
    input: Step,
    down: Vec<Level>,
    halve: Vec<Step>,
    double: Vec<ConvTranspose2d>,
    join: Vec<Step>,
    up: Vec<Level>,
    output: Conv2d,
}

/// A 3×3 convolution with its norm and its activation.
#[derive(Module, Debug)]
struct Step {
    conv: Conv2d,
    norm: Option<GroupNorm>,
    act: Activation,
}

/// Two convolutions beside a shortcut: `act(x + norm(conv(step(x))))`.
#[derive(Module, Debug)]
struct Residual {
    step: Step,
    conv: Conv2d,
    norm: Option<GroupNorm>,
    act: Activation,
}

/// The blocks of one resolution.
#[derive(Module, Debug)]
struct Level {
    blocks: Vec<Residual>,
}

impl UNetConfig {
    /// Refuses sizes of which one is zero, and more resolutions than images have.
    pub(crate) fn check(&self) -> Result<(), ModelError> {
        let mut counts = vec![
            ("channels", self.channels),
            ("width", self.width),
            ("multipliers", self.multipliers.len()),
        ];
        counts.extend(self.multipliers.iter().map(|times| ("multipliers", *times)));
        if let Some((key, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(ModelError::Zero { key });
        }
        match self.multipliers.len() {
            ..=LEVELS => Ok(()),
            levels => Err(ModelError::Sizes {
                problem: format!("multipliers has {levels} numbers, one for each resolution"),
                remedy: "use 2 to 5 of them",
            }),
        }
    }

    /// Height and width of an image must be multiples of this number.
    pub(crate) fn multiple(&self) -> usize {
        1 << self.multipliers.len().saturating_sub(1).min(LEVELS)
    }

    fn norm(&self, channels: usize, device: &Device) -> Option<GroupNorm> {
        match self.norm {
            UNetNorm::None => None,
            UNetNorm::Group => Some(group_norm_of(channels, device)),
        }
    }

    fn step(&self, from: usize, to: usize, stride: usize, device: &Device) -> Step {
        Step {
            conv: convolution(from, to, stride, device),
            norm: self.norm(to, device),
            act: Activation::new(self.bits, device),
        }
    }

    fn level(&self, channels: usize, device: &Device) -> Level {
        let block = |_| Residual {
            step: self.step(channels, channels, 1, device),
            conv: convolution(channels, channels, 1, device),
            norm: self.norm(channels, device),
            act: Activation::new(self.bits, device),
        };
        Level {
            blocks: (0..self.blocks).map(block).collect(),
        }
    }

    /// A network on `device` for images whose height and width are multiples of 2 to the number of multipliers less one.
    /// [`ModelConfig`](crate::ModelConfig) checks that the sizes fit.
    pub fn init(&self, device: &Device) -> UNet {
        let widths: Vec<usize> = self.multipliers.iter().map(|m| m * self.width).collect();
        let first = widths.first().copied().unwrap_or(self.width);
        let pairs = || widths.windows(2).map(|pair| (pair[0], pair[1]));
        let doubling = |(fine, coarse)| {
            ConvTranspose2dConfig::new([coarse, fine], [2, 2])
                .with_stride([2, 2])
                .init(device)
        };
        let finer = || pairs().map(|(fine, _)| fine);
        UNet {
            input: self.step(self.channels, first, 1, device),
            down: widths.iter().map(|w| self.level(*w, device)).collect(),
            halve: pairs()
                .map(|(fine, coarse)| self.step(fine, coarse, 2, device))
                .collect(),
            double: pairs().map(doubling).collect(),
            join: finer().map(|w| self.step(2 * w, w, 1, device)).collect(),
            up: finer().map(|w| self.level(w, device)).collect(),
            output: convolution(first, self.channels, 1, device),
        }
    }
}

/// A norm of as many groups as divide `channels`, eight at most.
pub(crate) fn group_norm_of(channels: usize, device: &Device) -> GroupNorm {
    let groups = (1..=GROUPS)
        .rev()
        .find(|groups| channels.is_multiple_of(*groups));
    GroupNormConfig::new(groups.unwrap_or(1), channels).init(device)
}

fn normed(norm: &Option<GroupNorm>, x: Tensor<4>) -> Tensor<4> {
    match norm {
        Some(norm) => group_norm(norm, x),
        None => x,
    }
}

impl Step {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self.norm {
            Some(_) => {
                let x = normed(&self.norm, conv2d(&self.conv, x));
                self.act.apply::<Tensors, 4>(x)
            }
            None => self.act.after_conv2d::<Tensors>(&self.conv, x),
        }
    }

    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        Self {
            act: change(self.act),
            ..self
        }
    }
}

impl Level {
    fn forward(&self, mut x: Tensor<4>) -> Tensor<4> {
        for block in &self.blocks {
            let y = conv2d(&block.conv, block.step.forward(x.clone()));
            x = block.act.apply::<Tensors, 4>(x + normed(&block.norm, y));
        }
        x
    }

    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        let block = |block: Residual| Residual {
            step: block.step.with_activations(change),
            act: change(block.act),
            ..block
        };
        Self {
            blocks: self.blocks.into_iter().map(block).collect(),
        }
    }
}

impl Network for UNet {
    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        let steps = |steps: Vec<Step>| {
            let steps = steps.into_iter();
            steps.map(|step| step.with_activations(change)).collect()
        };
        let levels = |levels: Vec<Level>| {
            let levels = levels.into_iter();
            levels.map(|level| level.with_activations(change)).collect()
        };
        Self {
            input: self.input.with_activations(change),
            down: levels(self.down),
            halve: steps(self.halve),
            join: steps(self.join),
            up: levels(self.up),
            ..self
        }
    }
}

impl Autoencoder for UNet {
    fn forward(&self, inputs: Tensor<4>) -> Tensor<4> {
        let mut x = self.input.forward(inputs);
        let mut found = Vec::new();
        for (index, level) in self.down.iter().enumerate() {
            x = level.forward(x);
            if let Some(halve) = self.halve.get(index) {
                found.push(x.clone());
                x = halve.forward(x);
            }
        }
        for (index, found) in found.into_iter().enumerate().rev() {
            let doubled = conv_transpose2d(&self.double[index], x);
            let joined = Tensor::cat(vec![found, doubled], 1);
            x = self.up[index].forward(self.join[index].forward(joined));
        }
        conv2d(&self.output, x)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use burn::module::{ModuleMapper, Param};
    use burn::tensor::TensorData;

    fn config(text: &str) -> UNetConfig {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn sizes_are_those_worked_by_hand() {
        let network = config(r#"{"width":4,"multipliers":[1,2]}"#).init(&Device::flex());
        // 3×3 convolutions with bias: input 1→4, halving 4→8, joining 8→4, output 4→1; the transposed one 8→4 of 2×2.
        let joints = (9 * 4 + 4) + (9 * 32 + 8) + (9 * 32 + 4) + (9 * 4 + 1) + (4 * 32 + 4);
        // Two convolutions in each of the blocks: down of 4 and of 8 channels, up of 4.
        let blocks = 4 * (9 * 16 + 4) + 2 * (9 * 64 + 8);
        // Scale and shift of every channel after each convolution but the last and the transposed one.
        let norms = 2 * (4 + 8 + 4 + 4 * 4 + 2 * 8);
        assert_eq!(network.num_params(), joints + blocks + norms);
        let x = Tensor::<4>::ones([3, 1, 6, 10], &Device::flex());
        assert_eq!(network.forward(x).dims(), [3, 1, 6, 10]);
        let one_level = config(r#"{"width":3,"multipliers":[1],"blocks":0,"channels":2}"#);
        assert_eq!(one_level.multiple(), 1);
        let x = Tensor::<4>::ones([1, 2, 5, 7], &Device::flex());
        assert_eq!(
            one_level.init(&Device::flex()).forward(x).dims(),
            [1, 2, 5, 7]
        );
    }

    /// Sets every weight to zero but those that hand the value on.
    struct HandOn {
        path: Vec<String>,
    }

    impl ModuleMapper for HandOn {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_string());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let path = self.path.join(".");
            let mut values = vec![0.0f32; param.lazy_shape().num_elements()];
            match path.as_str() {
                // The middle of a 3×3 window.
                "input.conv.weight" | "output.weight" => values[4] = 1.0,
                // What the coarse level finds is the pixel at the upper left of its two rows and columns.
                "halve.0.conv.weight" => values[4] = 1.0,
                // Of the transposed convolution, the weights by row and column of the pixels that one becomes.
                "double.0.weight" => values.copy_from_slice(&[1.0, 2.0, 3.0, 4.0]),
                // What was found on the way down counts as it is, what comes from below 10 times.
                "join.0.conv.weight" => (values[4], values[13]) = (1.0, 10.0),
                _ => {}
            }
            param.map(|held| {
                let data = TensorData::new(values, held.shape());
                Tensor::from_data(data, &held.device())
            })
        }
    }

    #[test]
    fn both_ways_meet_pixel_by_pixel() {
        let config = config(r#"{"width":1,"multipliers":[1,1],"blocks":1,"norm":"none"}"#);
        let network = config
            .init(&Device::flex())
            .map(&mut HandOn { path: Vec::new() });
        let values: Vec<f32> = (1..=16).map(|v| v as f32).collect();
        let x = Tensor::<4>::from_data(TensorData::new(values, [1, 1, 4, 4]), &Device::flex());
        let found: Vec<f32> = network.forward(x).into_data().try_to_vec().unwrap();
        for (index, value) in found.iter().enumerate() {
            let (row, column) = (index / 4, index % 4);
            let own = (index + 1) as f32;
            let corner = (4 * (row / 2 * 2) + column / 2 * 2 + 1) as f32;
            let factor = (1 + 2 * (row % 2) + column % 2) as f32;
            let expected = own + 10.0 * factor * corner;
            // Integers below 1000: a kernel that transforms its windows rounds them by 1e-7.
            assert!((value - expected).abs() < 1e-3, "{row} {column}: {value}");
        }
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        for (text, part) in [
            (r#"{"width":0}"#, "model.width = 0"),
            (r#"{"multipliers":[]}"#, "model.multipliers = 0"),
            (r#"{"multipliers":[1,0]}"#, "model.multipliers = 0"),
            (r#"{"channels":0}"#, "model.channels = 0"),
            (
                r#"{"multipliers":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}"#,
                "model: multipliers has 17 numbers",
            ),
        ] {
            let message = config(text).check().unwrap_err().to_string();
            assert!(message.starts_with(part), "{message}");
        }
    }
}
