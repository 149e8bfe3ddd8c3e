//! Quantized weights as integers with a scale for each output channel.

use crossburn_noise::WeightShape;

use super::{Quantization, Symmetry, WeightBits};
use crate::HardwareError;

/// The weights of one layer in integers, output channel by output channel: `w = scale · level`.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerWeights {
    /// Width of a level.
    pub bits: WeightBits,
    /// The levels of each output channel, along its inputs and their taps: from `-Q` to `Q`, and 0 where a weight was pruned.
    pub levels: Vec<Vec<i8>>,
    /// Which weights remain, in the same order.
    pub kept: Vec<Vec<bool>>,
    /// The weight that a level of 1 stands for, of each output channel.
    pub scales: Vec<f32>,
}

/// Levels that are this far from a whole number are none: weights are 32-bit floats, and levels are up to 127.
const OFF: f32 = 1e-3;

impl IntegerWeights {
    /// `weights`, in row-major order, on the grids of `quantization`, or on `scales` where these were learned: the levels that
    /// [`WeightQuantizer`](super::WeightQuantizer) computes with. `kept` says which were not pruned.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for more than 8 bits and for a weight that is not finite, [`HardwareError::Conflict`] for a grid that is
    /// not symmetric.
    pub fn new(
        weights: &[f32],
        shape: &WeightShape,
        quantization: &Quantization,
        scales: Option<&[f32]>,
        kept: &[bool],
    ) -> Result<Self, HardwareError> {
        let bits = narrow(quantization.bits)?;
        require_finite("weights", weights, REPAIR)?;
        if quantization.symmetry == Symmetry::Asymmetric {
            return Err(HardwareError::conflict(
                "integers of a grid that is not symmetric",
                "quantize with symmetry = \"symmetric\"",
            ));
        }
        let outputs = shape.outputs().count();
        let mut scales = match scales {
            Some(scales) => scales.to_vec(),
            None => {
                let grids = quantization.grids_of_kept(weights, shape, Some(kept));
                grids.iter().map(|grid| grid.step).collect()
            }
        };
        if let [whole] = scales[..] {
            scales = vec![whole; outputs];
        }
        let most = bits.max_level();
        let level = |channel: usize, weight: f32| match bits.is_sign() {
            true if weight < 0.0 => -1,
            true => 1,
            false => (weight / scales[channel])
                .round_ties_even()
                .clamp(-most, most) as i8,
        };
        let mut found = Self {
            bits,
            levels: vec![Vec::new(); outputs],
            kept: vec![Vec::new(); outputs],
            scales: scales.clone(),
        };
        for (index, (weight, kept)) in weights.iter().zip(kept).enumerate() {
            let channel = shape.outputs().of(index);
            found.levels[channel].push(if *kept { level(channel, *weight) } else { 0 });
            found.kept[channel].push(*kept);
        }
        Ok(found)
    }

    /// The levels of `weights` that are on a symmetric grid of `bits` for each output channel already, whose scale is not known: the
    /// largest that has a level for each of them.
    ///
    /// # Errors
    /// As [`Self::new`], and [`HardwareError::Limit`] naming a channel whose weights are on no such grid.
    pub fn of_levels(
        weights: &[f32],
        shape: &WeightShape,
        bits: WeightBits,
        kept: &[bool],
    ) -> Result<Self, HardwareError> {
        let bits = narrow(bits)?;
        require_finite("weights", weights, REPAIR)?;
        let outputs = shape.outputs();
        let mut found = Self {
            bits,
            levels: Vec::new(),
            kept: vec![Vec::new(); outputs.count()],
            scales: Vec::new(),
        };
        let mut channels = vec![Vec::new(); outputs.count()];
        for (index, (weight, kept)) in weights.iter().zip(kept).enumerate() {
            channels[outputs.of(index)].push(if *kept { *weight } else { 0.0 });
            found.kept[outputs.of(index)].push(*kept);
        }
        for (channel, weights) in channels.iter().enumerate() {
            let largest = weights.iter().fold(0.0f32, |most, w| most.max(w.abs()));
            let whole = |scale: f32| {
                let mut levels = weights.iter().map(|w| w / scale);
                levels.all(|level| (level - level.round()).abs() < OFF)
            };
            let mut candidates = (1..=bits.max_level() as u8).map(|most| largest / f32::from(most));
            let scale = match largest > 0.0 {
                true => candidates.find(|scale| whole(*scale)),
                false => Some(1.0),
            };
            let Some(scale) = scale else {
                return Err(HardwareError::limit(
                    format!("the weights of output {channel}"),
                    largest,
                    format!("the levels of {} bits", bits.get()),
                    "quantize them in this width",
                ));
            };
            let levels = weights.iter().map(|w| (w / scale).round() as i8);
            found.levels.push(levels.collect());
            found.scales.push(scale);
        }
        Ok(found)
    }
}

fn narrow(bits: WeightBits) -> Result<WeightBits, HardwareError> {
    match bits.get() <= 8 {
        true => Ok(bits),
        false => Err(HardwareError::limit(
            "bits",
            bits.get(),
            "1..=8 of integers in a byte",
            "quantize to 8 bits or fewer",
        )),
    }
}

/// Refuses a value of `name` that is not finite.
pub(crate) fn require_finite(
    name: &str,
    values: &[f32],
    remedy: &str,
) -> Result<(), HardwareError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => Err(HardwareError::limit(
            format!("{name}[{at}]"),
            values[at],
            "the finite numbers",
            remedy,
        )),
    }
}

/// Remedy for a weight that is not finite.
const REPAIR: &str = "train again, or repair the checkpoint";

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::WeightQuantizer;
    use crate::quantize::Calibration;
    use burn::tensor::{Device, Tensor, TensorData};
    use crossburn_noise::{Granularity, Philox};

    fn normals(count: usize, seed: u64) -> Vec<f32> {
        let mut values = vec![0.0; count];
        Philox::new(seed, 0).fill_normal(&mut values);
        values
    }

    /// Levels times scales are the weights that the quantizer gives, to the last place of a product.
    #[test]
    fn levels_and_scales_are_the_quantized_weights() {
        let device = Device::flex();
        let (weights, shape) = (normals(6 * 5 * 4, 3), WeightShape::from(&[6, 5, 4]));
        let kept = "2:4"
            .parse::<crate::prune::PruningPattern>()
            .unwrap()
            .kept(&weights, &shape);
        let learned: Vec<f32> = (0..6).map(|o| 0.2 + 0.03 * o as f32).collect();
        let whole = Calibration::MinMax {};
        let most = Calibration::Percentile { percent: 75.0 };
        for (bits, calibration) in [
            (8, whole),
            (4, whole),
            (2, whole),
            (1, whole),
            (8, most),
            (4, most),
            (2, most),
        ] {
            for granularity in [Granularity::PerChannel, Granularity::PerTensor] {
                for scales in [None, Some(learned.as_slice())] {
                    let quantization = Quantization {
                        granularity,
                        calibration,
                        ..Quantization::from(WeightBits::new(bits).unwrap())
                    };
                    let scales = scales.filter(|_| granularity == Granularity::PerChannel);
                    let found = IntegerWeights::new(&weights, &shape, &quantization, scales, &kept)
                        .unwrap();
                    let tensor = TensorData::new(weights.clone(), [6, 5, 4]);
                    let tensor = Tensor::<3>::from_data(tensor, &device);
                    let mut quantizer = WeightQuantizer::new(quantization);
                    if let Some(scales) = scales {
                        quantizer = quantizer.with_scales(scales, &device);
                    }
                    let mask = crate::prune::Mask::new(&kept, &device);
                    let expected: Vec<f32> = quantizer
                        .apply_kept(tensor, Some(&mask))
                        .into_data()
                        .try_to_vec()
                        .unwrap();
                    let levels = found.levels.iter().zip(&found.scales);
                    let levels = levels
                        .flat_map(|(row, scale)| row.iter().map(move |q| f32::from(*q) * scale));
                    for (found, expected) in levels.zip(&expected) {
                        assert!((found - expected).abs() <= 2.0 * f32::EPSILON * expected.abs());
                    }
                    // What is on levels says its levels itself, but for a factor that all levels of a channel share.
                    let again = IntegerWeights::of_levels(
                        &expected,
                        &shape,
                        WeightBits::new(bits).unwrap(),
                        &kept,
                    )
                    .unwrap();
                    for channel in 0..6 {
                        for (at, level) in again.levels[channel].iter().enumerate() {
                            let weight = f32::from(*level) * again.scales[channel];
                            let expected = expected[20 * channel + at];
                            assert!((weight - expected).abs() <= 1e-5 * expected.abs());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_on_no_grid_is_refused() {
        let shape = WeightShape::from(&[1, 1, 3]);
        let refused = |weights: &[f32], bits| {
            let bits = WeightBits::new(bits).unwrap();
            let found = IntegerWeights::of_levels(weights, &shape, bits, &[true; 3]);
            found.unwrap_err().to_string()
        };
        let message = refused(&[1.0, 0.4, 0.0], 2);
        assert!(message.contains("the weights of output 0 = 1"), "{message}");
        assert!(refused(&[1.0, f32::NAN, 0.0], 4).contains("weights[1] = NaN"));
        assert!(refused(&[1.0, 0.5, 0.0], 16).contains("bits = 16"));
    }
}
