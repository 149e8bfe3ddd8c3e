//! Rotary positions: sine and cosine of every place, and the rotation of a head.

use std::f64::consts::TAU;

use burn::tensor::{Device, Tensor, TensorData};

use super::{RotaryConfig, RotaryScaling};

/// Cosines and sines of consecutive places, `[1, places, 1, pairs]` each.
#[derive(Clone, Debug)]
pub(super) struct Rotation {
    cosine: Tensor<4>,
    sine: Tensor<4>,
}

impl RotaryConfig {
    /// Angle by which pair `i` turns from one place to the next, in radians.
    fn frequencies(&self) -> Vec<f64> {
        let plain = |pair: usize| self.base.powf(-2.0 * pair as f64 / self.width as f64);
        let pairs = 0..self.pairs();
        match self.scaling {
            RotaryScaling::None => pairs.map(plain).collect(),
            RotaryScaling::Divisors { ref divisors } => pairs
                .zip(divisors)
                .map(|(pair, divisor)| plain(pair) / divisor)
                .collect(),
            RotaryScaling::Linear { factor } => pairs.map(|pair| plain(pair) / factor).collect(),
            RotaryScaling::Llama3 {
                factor,
                low,
                high,
                original_positions,
            } => pairs
                .map(|pair| {
                    let turns = original_positions as f64 * plain(pair) / TAU;
                    // 0 for long waves, 1 for short ones.
                    let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                    plain(pair) * (kept + (1.0 - kept) / factor)
                })
                .collect(),
            RotaryScaling::Yarn {
                factor,
                fast,
                slow,
                original_positions,
                rounded,
                ..
            } => {
                // The pair that turns so often within the original length.
                let pair_of = |turns: f64| {
                    let wave = original_positions as f64 / (turns * TAU);
                    self.width as f64 * wave.ln() / (2.0 * self.base.ln())
                };
                let (mut first, mut last) = (pair_of(fast), pair_of(slow));
                if rounded {
                    (first, last) = (first.floor(), last.ceil());
                }
                let first = first.max(0.0);
                let mut last = last.min(self.width as f64 - 1.0);
                if last == first {
                    last += 0.001;
                }
                pairs
                    .map(|pair| {
                        let stretched = ((pair as f64 - first) / (last - first)).clamp(0.0, 1.0);
                        plain(pair) * (1.0 - stretched + stretched / factor)
                    })
                    .collect()
            }
        }
    }

    /// Factor of sine and cosine.
    fn amplitude(&self) -> f64 {
        match self.scaling {
            RotaryScaling::Yarn { attention, .. } => attention,
            _ => 1.0,
        }
    }

    /// The rotation of the places `first..first + count`.
    pub(super) fn rotation(&self, first: usize, count: usize, device: &Device) -> Rotation {
        let frequencies = self.frequencies();
        let amplitude = self.amplitude();
        let table = |function: fn(f64) -> f64| {
            let values: Vec<f32> = (first..first + count)
                .flat_map(|place| frequencies.iter().map(move |angle| place as f64 * angle))
                .map(|angle| (amplitude * function(angle)) as f32)
                .collect();
            let shape = [1, count, 1, frequencies.len()];
            Tensor::from_data(TensorData::new(values, shape), device)
        };
        Rotation {
            cosine: table(f64::cos),
            sine: table(f64::sin),
        }
    }
}

impl Rotation {
    /// Turns entry `i` with entry `i + pairs` of every head; entries after the pairs stay.
    ///
    /// # Shapes
    /// `[batch, places, heads, head_width]`, kept.
    pub(super) fn apply(&self, heads: Tensor<4>) -> Tensor<4> {
        let [_, _, _, head_width] = heads.dims();
        let [_, _, _, half] = self.cosine.dims();
        let first = heads.clone().narrow(3, 0, half);
        let second = heads.clone().narrow(3, half, half);
        let (cosine, sine) = (&self.cosine, &self.sine);
        let mut parts = vec![
            first.clone() * cosine.clone() - second.clone() * sine.clone(),
            second * cosine.clone() + first * sine.clone(),
        ];
        if head_width > 2 * half {
            parts.push(heads.narrow(3, 2 * half, head_width - 2 * half));
        }
        Tensor::cat(parts, 3)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn config(scaling: RotaryScaling) -> RotaryConfig {
        RotaryConfig {
            base: 10_000.0,
            width: 8,
            scaling,
        }
    }

    #[test]
    fn a_pair_is_turned_by_its_angle_and_the_rest_stays() {
        let device = Device::flex();
        let config = RotaryConfig {
            width: 4,
            ..config(RotaryScaling::None)
        };
        let heads = Tensor::<4>::from_data([[[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]]], &device);
        let turned = config.rotation(3, 1, &device).apply(heads);
        let (fast, slow) = (3.0f64, 0.03f64);
        let expected = [
            fast.cos() - 3.0 * fast.sin(),
            2.0 * slow.cos() - 4.0 * slow.sin(),
            3.0 * fast.cos() + fast.sin(),
            4.0 * slow.cos() + 2.0 * slow.sin(),
            5.0,
            6.0,
        ];
        let found = turned.into_data().try_to_vec::<f32>().unwrap();
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (f64::from(*found) - expected).abs() < 1e-6,
                "{found} {expected}"
            );
        }
    }

    #[test]
    fn stretching_keeps_short_waves_and_divides_long_ones() {
        let plain = config(RotaryScaling::None).frequencies();
        let linear = config(RotaryScaling::Linear { factor: 4.0 }).frequencies();
        assert!(
            plain
                .iter()
                .zip(&linear)
                .all(|(a, b)| (a / b - 4.0).abs() < 1e-12)
        );
        // Turns within 256 places: 40.7, 4.07, 0.407, 0.0407.
        let llama = config(RotaryScaling::Llama3 {
            factor: 8.0,
            low: 1.0,
            high: 10.0,
            original_positions: 256,
        })
        .frequencies();
        let between = (256.0 * 0.1 / TAU - 1.0) / 9.0;
        for (pair, share) in [1.0, between + (1.0 - between) / 8.0, 0.125, 0.125]
            .into_iter()
            .enumerate()
        {
            assert!((llama[pair] / plain[pair] - share).abs() < 1e-12);
        }
        let yarn = config(RotaryScaling::Yarn {
            factor: 4.0,
            fast: 32.0,
            slow: 1.0,
            original_positions: 256,
            attention: 1.5,
            rounded: true,
        });
        let divisors = [1.0, 2.0, 4.0, 8.0];
        let table = config(RotaryScaling::Divisors {
            divisors: divisors.to_vec(),
        })
        .frequencies();
        for (pair, divisor) in divisors.into_iter().enumerate() {
            assert!((table[pair] * divisor / plain[pair] - 1.0).abs() < 1e-12);
        }
        // 32 turns lie at pair 0.105, one at 1.61: the ramp goes from 0 to 2.
        for (pair, share) in [1.0, 0.625, 0.25, 0.25].into_iter().enumerate() {
            assert!((yarn.frequencies()[pair] / plain[pair] - share).abs() < 1e-12);
        }
        assert_eq!(yarn.amplitude(), 1.5);
    }
}
