//! Memory and time of a tuning, estimated before it begins.

use std::time::Instant;

use anyhow::{Result, bail};
use burn::tensor::{Device, Tensor};
use crossburn_kernels::multiply;
use crossburn_models::decoder::DecoderConfig;

use crate::memory::{available, shown};

/// Memory that is not counted: the program, its threads, texts, and pages that the allocator holds back.
const PROGRAM: u64 = 128 << 20;

/// The cost of a tuning: the batch, and whether every step makes a chip of the weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tuning {
    /// Texts of a step.
    pub(super) batch: usize,
    /// Tokens of the longest text, learned ones included.
    pub(super) places: usize,
    /// Tokens that are predicted in a text, at most.
    pub(super) predicted: usize,
    /// Numbers that an adapter keeps of a token in a block for its gradient.
    pub(super) beside: usize,
    /// Bytes of the weights as they are held.
    pub(super) weights: u64,
    /// Whether the weights deviate.
    pub(super) varies: bool,
    /// Whether activations are held of one block at a time.
    pub(super) by_blocks: bool,
}

impl Tuning {
    /// Bytes that tuning an adapter beside a decoder takes at its peak, to within a tenth without
    /// `by_blocks`, a quarter too few with it (two models, `docs/results/speed.md`).
    ///
    /// ```text
    /// weights, twice where they deviate + 4 · (places · layers · (2 width + 2 query + 2 key + 3 hidden + adapter)
    ///     + 2 · predicted tokens · vocabulary)
    /// ```
    ///
    /// with 32-bit floats of what a block keeps of a token for the gradient ([`DecoderConfig::kept_for_gradients`]; without a gate it keeps `hidden` in place of
    /// `3 hidden`), and logits with their gradient. A frozen weight has no gradient and no moments. Where blocks are computed again, one of them keeps that at
    /// a time, with gradients and products on the way, the others their input.
    pub(super) fn bytes(&self, config: &DecoderConfig) -> u64 {
        let copies = if self.varies { 2 } else { 1 };
        let size = |size: usize| size as u64;
        let product =
            |factors: &[u64]| factors.iter().fold(1, |all: u64, n| all.saturating_mul(*n));
        let sum = |terms: &[u64]| terms.iter().fold(0, |all: u64, n| all.saturating_add(*n));
        let block = sum(&[config.kept_for_gradients(), size(self.beside)]);
        let (batch, layers) = (size(self.batch), size(config.layers));
        let of_place = match self.by_blocks {
            false => product(&[layers, block]),
            true => sum(&[
                product(&[sum(&[layers, 1]), size(config.width)]),
                product(&[2, block]),
            ]),
        };
        let floats = sum(&[
            product(&[batch, size(self.places), of_place]),
            product(&[2, batch, size(self.predicted), size(config.vocabulary)]),
        ]);
        sum(&[
            product(&[self.weights, copies]),
            product(&[4, floats]),
            PROGRAM,
        ])
    }

    /// Multiplications of a step of `accumulate` batches, each with an addition: every weight forward and for the gradient of
    /// its input, once more forward where blocks are computed again; the head where tokens are predicted.
    fn products(&self, config: &DecoderConfig, accumulate: usize) -> f64 {
        let count = |size: usize| size as f64;
        let head = count(config.vocabulary) * count(config.width);
        let embeddings = if config.head.tied { head } else { 2.0 * head };
        let blocks = config.parameters() as f64 - embeddings;
        let passes = if self.by_blocks { 3.0 } else { 2.0 };
        let of_text = passes * blocks * count(self.places) + 2.0 * head * count(self.predicted);
        of_text * count(self.batch) * count(accumulate)
    }

    /// Seconds that a step takes on this machine as it is now, to within a factor of about two: its products at the speed of a
    /// product of the same kind, which is tried, and half as much again for everything else.
    pub(super) fn step_seconds(&self, config: &DecoderConfig, accumulate: usize) -> f64 {
        let device = Device::flex();
        let rows = self.batch.saturating_mul(self.places).clamp(1, 512);
        let (inputs, outputs) = (config.width, config.hidden_width);
        let input = Tensor::<2>::ones([rows, inputs], &device);
        // As the file of a language model has it: outputs one after the other.
        let weight = Tensor::<2>::ones([outputs, inputs], &device).transpose();
        let mut best = f64::INFINITY;
        for _ in 0..5 {
            let start = Instant::now();
            multiply(input.clone(), weight.clone(), None);
            best = best.min(start.elapsed().as_secs_f64());
        }
        let products = (rows * inputs) as f64 * outputs as f64;
        1.5 * self.products(config, accumulate) * best / products
    }

    /// Refuses what does not fit, and gives the bytes.
    ///
    /// # Errors
    /// Both numbers, with a remedy.
    pub(super) fn check(&self, config: &DecoderConfig) -> Result<u64> {
        let needed = self.bytes(config);
        match available() {
            Some(free) if needed > free => bail!(
                "tuning takes about {}, {} are free: use a smaller --batch with --accumulate, --checkpoint-blocks or shorter texts",
                shown(needed),
                shown(free)
            ),
            _ => Ok(needed),
        }
    }
}

/// `seconds` as people say them.
pub(super) fn shown_seconds(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 0.1 => format!("{:.0} ms", 1e3 * seconds),
        seconds if seconds < 10.0 => format!("{seconds:.1} s"),
        seconds => format!("{seconds:.0} s"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::memory::peak;
    use crossburn_models::decoder::DecoderSizes;

    #[test]
    fn what_cannot_fit_is_refused_with_both_numbers() {
        let sizes: DecoderSizes = serde_json::from_str("{}").unwrap();
        let config = sizes.config().unwrap();
        let weights = 4 * config.parameters() as u64;
        let tuning = Tuning {
            weights,
            batch: 8,
            places: 64,
            predicted: 16,
            beside: 0,
            varies: false,
            by_blocks: false,
        };

        let block = 2 * 64 + 2 * 64 + 2 * 64 + 3 * 176;
        let rest = 2 * 8 * 16 * 512;
        let all = weights + 4 * (rest + 8 * 64 * 2 * block) + PROGRAM;
        assert_eq!(tuning.bytes(&config), all);
        let held = Tuning {
            weights: weights / 4,
            ..tuning
        };
        assert_eq!(held.bytes(&config), all - 3 * (weights / 4));
        let by_blocks = Tuning {
            by_blocks: true,
            ..tuning
        };
        let kept = 3 * 64 + 2 * block;
        assert_eq!(
            by_blocks.bytes(&config),
            weights + 4 * (rest + 8 * 64 * kept) + PROGRAM
        );
        // Two blocks of four matrices of 64² and three of 64 · 176 with two norms, and the last norm.
        let blocks = (2 * (4 * 64 * 64 + 3 * 64 * 176 + 2 * 64) + 64) as f64;
        let products = 8.0 * (2.0 * blocks * 64.0 + 2.0 * 512.0 * 64.0 * 16.0);
        assert_eq!(tuning.products(&config, 1), products);
        assert_eq!(tuning.products(&config, 3), 3.0 * products);
        let varies = Tuning {
            varies: true,
            ..tuning
        };
        assert_eq!(varies.bytes(&config), tuning.bytes(&config) + weights);
        // Products that no 64-bit number holds are more than any machine has.
        for by_blocks in [false, true] {
            let endless = Tuning {
                batch: usize::MAX / 2,
                places: usize::MAX / 2,
                predicted: usize::MAX / 2,
                beside: usize::MAX / 2,
                weights: u64::MAX / 2,
                varies: true,
                by_blocks,
            };
            assert_eq!(endless.bytes(&config), u64::MAX);
            assert!(endless.step_seconds(&config, 1).is_finite());
        }
        if available().is_some() {
            let huge = Tuning {
                batch: 1 << 30,
                ..tuning
            };
            let message = huge.check(&config).unwrap_err().to_string();
            assert!(
                message.contains("are free: use a smaller --batch"),
                "{message}"
            );
            assert!(peak().unwrap() > 0);
        }
    }
}
