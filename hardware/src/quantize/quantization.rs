//! The settings of a quantizer.

use crossburn_noise::{Granularity, WeightShape};
use serde::{Deserialize, Serialize};

use super::{Calibration, Grid, WeightBits};
use crate::HardwareError;

/// Whether a grid is centred on zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Symmetry {
    /// As far below zero as above it: what pairs of cells hold.
    #[default]
    Symmetric,
    /// From the lowest value to the highest: for activations, and weights in digital memory.
    Asymmetric,
}

impl Symmetry {
    pub(super) fn grid(self, bits: WeightBits, low: f32, high: f32) -> Grid {
        match self {
            Self::Symmetric => Grid::symmetric(bits, high),
            Self::Asymmetric => Grid::asymmetric(bits, low, high),
        }
    }
}

/// The quantization of a weight.
///
/// In TOML, everything but the width may be left out:
///
/// ```toml
/// bits = 8
/// symmetry = "symmetric"
/// granularity = "per-channel"
/// calibration = { kind = "mse" }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantization {
    /// Width, sign included.
    pub bits: WeightBits,
    /// Whether the grid is centred on zero.
    #[serde(default)]
    pub symmetry: Symmetry,
    /// Which weights share a grid.
    #[serde(default)]
    pub granularity: Granularity,
    /// How the range is chosen.
    #[serde(default)]
    pub calibration: Calibration,
}

/// Symmetric, one grid per tensor, over the whole range.
impl From<WeightBits> for Quantization {
    fn from(bits: WeightBits) -> Self {
        Self {
            bits,
            symmetry: Symmetry::default(),
            granularity: Granularity::default(),
            calibration: Calibration::default(),
        }
    }
}

impl Quantization {
    /// The same quantization, if its parameters are allowed.
    ///
    /// # Errors
    /// [`HardwareError::Limit`].
    pub fn check(self) -> Result<Self, HardwareError> {
        self.calibration.check()?;
        match self.calibration {
            Calibration::Percentile { percent }
                if self.bits.is_sign() && self.symmetry == Symmetry::Symmetric =>
            {
                Err(HardwareError::limit(
                    "calibration.percent",
                    percent,
                    "nothing at one bit, whose scale is the mean magnitude",
                    "leave the calibration out, or use two bits or more",
                ))
            }
            _ => Ok(self),
        }
    }

    /// The grids of `weights`, which must be finite: one, or one per output channel of `shape`. Where weights were pruned, `kept` says in
    /// row-major order which ones remain, and grids are those of these.
    pub fn grids_of_kept(
        &self,
        weights: &[f32],
        shape: impl Into<WeightShape>,
        kept: Option<&[bool]>,
    ) -> Vec<Grid> {
        let grid = |values: &[f32]| self.calibration.grid(self.bits, self.symmetry, values);
        let remaining = |first: usize, weights: &[f32]| -> Vec<f32> {
            let kept = kept.map_or(&[][..], |kept| &kept[first..]);
            let pairs = weights.iter().enumerate();
            pairs
                .filter(|(at, _)| kept.get(*at).copied().unwrap_or(true))
                .map(|(_, weight)| *weight)
                .collect()
        };
        match (self.granularity, kept) {
            (Granularity::PerTensor, None) => vec![grid(weights)],
            (Granularity::PerTensor, Some(_)) => vec![grid(&remaining(0, weights))],
            (Granularity::PerChannel, _) => {
                let outputs = shape.into().outputs();
                let mut channels = vec![Vec::new(); outputs.count()];
                for (run, weights) in weights.chunks(outputs.run()).enumerate() {
                    let first = run * outputs.run();
                    channels[outputs.of(first)].extend(remaining(first, weights));
                }
                channels.iter().map(|channel| grid(channel)).collect()
            }
        }
    }

    /// `weights` on their [grids](Self::grids_of_kept).
    pub fn quantize(
        &self,
        weights: &mut [f32],
        shape: impl Into<WeightShape>,
        kept: Option<&[bool]>,
    ) {
        let shape = shape.into();
        let (grids, outputs) = (self.grids_of_kept(weights, &shape, kept), shape.outputs());
        let run = match self.granularity {
            Granularity::PerTensor => weights.len().max(1),
            Granularity::PerChannel => outputs.run(),
        };
        for (at, weights) in weights.chunks_mut(run).enumerate() {
            let channel = match self.granularity {
                Granularity::PerTensor => 0,
                Granularity::PerChannel => outputs.of(at * run),
            };
            let grid = &grids[channel];
            weights
                .iter_mut()
                .for_each(|weight| *weight = grid.quantize(*weight));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crossburn_noise::WeightLayout;

    fn per_channel(bits: u8) -> Quantization {
        Quantization {
            granularity: Granularity::PerChannel,
            ..Quantization::from(WeightBits::new(bits).unwrap())
        }
    }

    #[test]
    fn channels_are_columns_of_linear_and_rows_of_convolutional_weights() {
        let weights = [1.0, 8.0, -2.0, 4.0];
        let tops = |shape: WeightShape| -> Vec<f32> {
            let grids = per_channel(4).grids_of_kept(&weights, shape, None);
            grids.iter().map(|grid| grid.value(grid.high)).collect()
        };
        assert_eq!(tops((&[2, 2]).into()), [2.0, 8.0]);
        assert_eq!(tops((&[2, 2, 1]).into()), [8.0, 4.0]);
        // A transposed convolution of two inputs: one group has two outputs, two groups have two outputs each.
        let transposed = |groups| WeightShape::new(&[2, 2, 1], WeightLayout::Transposed { groups });
        assert_eq!(tops(transposed(1)), [2.0, 8.0]);
        assert_eq!(tops(transposed(2)), [1.0, 8.0, 2.0, 4.0]);
        let mut quantized = [0.9, 8.0, -2.0, 3.9];
        per_channel(2).quantize(&mut quantized, &[2, 2], None);
        assert_eq!(quantized, [0.0, 8.0, -2.0, 0.0]);
    }

    #[test]
    fn one_bit_has_the_mean_magnitude_of_what_is_kept() {
        let weights = [0.5, -1.0, -0.25, 3.0];
        let scales = |kept: Option<&[bool]>| -> Vec<f32> {
            let grids = per_channel(1).grids_of_kept(&weights, &[2, 2], kept);
            grids.iter().map(|grid| grid.step).collect()
        };
        // Columns are channels: 0.5 and 0.25, 1 and 3.
        assert_eq!(scales(None), [0.375, 2.0]);
        assert_eq!(scales(Some(&[true, true, false, true])), [0.5, 2.0]);
        let whole = Quantization::from(WeightBits::new(1).unwrap());
        let grids = whole.grids_of_kept(&weights, &[2, 2], Some(&[true, false, true, false]));
        assert_eq!((grids.len(), grids[0].step), (1, 0.375));
        let percentile = Quantization {
            calibration: Calibration::Percentile { percent: 99.0 },
            ..whole
        };
        let refused = percentile.check().unwrap_err().to_string();
        assert!(refused.contains("nothing at one bit"), "{refused}");
    }

    #[test]
    fn a_table_is_strict_and_its_defaults_are_the_trained_ones() {
        let read = |text: &str| toml::from_str::<Quantization>(text);
        let bits = WeightBits::new(4).unwrap();
        assert_eq!(read("bits = 4").unwrap(), Quantization::from(bits));
        let full = Quantization {
            bits,
            symmetry: Symmetry::Asymmetric,
            granularity: Granularity::PerChannel,
            calibration: Calibration::Percentile { percent: 99.9 },
        };
        assert_eq!(read(&toml::to_string(&full).unwrap()).unwrap(), full);
        for (text, part) in [
            ("bits = 0", "bits = 0 is outside 1..=16"),
            ("bits = 4\nrange = 1", "unknown field `range`"),
            ("bits = 4\nsymmetry = \"odd\"", "unknown variant `odd`"),
            (
                "bits = 4\ncalibration = { kind = \"mse\", percent = 3 }",
                "unknown field `percent`",
            ),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
