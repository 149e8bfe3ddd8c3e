//! From a prompt to the code that an array stores, and back.

use std::sync::atomic::{AtomicBool, Ordering};

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_models::{DenseAutoencoder, DenseAutoencoderConfig, initialize};
use crossburn_noise::{ChipSeed, Deviation, Variation, WeightLayout};
use serde::{Deserialize, Serialize};

use super::{Prompts, finite_loss};
use crate::weight_gradients::values;
use crate::{OptimizerConfig, TrainingError};

/// An autoencoder of virtual tokens, whose codes of one prompt are one vector.
///
/// The vector holds feature by feature the tokens in order, so that numbers which scaled search averages are neighbouring tokens of one
/// feature. The autoencoder has one linear layer each way.
///
/// # Source
/// NVCiM-PT (arXiv 2411.08244): an autoencoder shapes prompts for the array. Its form is not in the paper.
#[derive(Module, Debug)]
pub struct PromptCoder {
    network: DenseAutoencoder,
    #[module(skip)]
    sizes: CodeSizes,
}

/// Sizes of a [`PromptCoder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeSizes {
    /// Virtual tokens of a prompt.
    pub tokens: usize,
    /// Numbers of the embedding of a token.
    pub width: usize,
    /// Numbers of its code.
    pub code: usize,
}

impl CodeSizes {
    /// Numbers of the code of a prompt.
    pub fn dimension(self) -> usize {
        self.tokens * self.code
    }

    /// A coder with random weights.
    pub fn init(self, device: &Device) -> PromptCoder {
        let config = DenseAutoencoderConfig {
            widths: vec![self.width, self.code],
            bits: None,
        };
        PromptCoder {
            network: config.init(device),
            sizes: self,
        }
    }
}

impl PromptCoder {
    /// The codes of `prompts`, computed on `device`, where the coder is.
    ///
    /// # Shapes
    /// `[prompts, code · tokens]`, row by row.
    ///
    /// # Errors
    /// [`TrainingError::Device`] when the device cannot give a result back.
    pub fn codes(&self, prompts: &Prompts, device: &Device) -> Result<Vec<f32>, TrainingError> {
        values(self.encode(prompts.tensor(device)))
    }

    /// The prompts of `codes`, `[prompts, code · tokens]` row by row, computed on `device`, where the coder is.
    ///
    /// # Errors
    /// [`TrainingError::Device`] when the device cannot give a result back.
    pub fn prompts(&self, codes: &[f32], device: &Device) -> Result<Prompts, TrainingError> {
        let dimension = self.sizes.dimension();
        let shape = [codes.len() / dimension, dimension];
        let codes = Tensor::from_data(TensorData::new(codes.to_vec(), shape), device);
        let CodeSizes { tokens, width, .. } = self.sizes;
        let values = values(self.decode(codes))?;
        Ok(Prompts::new(values, [shape[0], tokens, width]))
    }

    /// The sizes.
    pub fn sizes(&self) -> CodeSizes {
        self.sizes
    }

    /// # Shapes
    /// `[prompts, tokens, width] → [prompts, code · tokens]`.
    pub fn encode(&self, prompts: Tensor<3>) -> Tensor<2> {
        let CodeSizes { tokens, code, .. } = self.sizes;
        let codes = self.network.encode(prompts.flatten::<2>(0, 1));
        codes
            .reshape([-1, tokens as i64, code as i64])
            .swap_dims(1, 2)
            .flatten::<2>(1, 2)
    }

    /// # Shapes
    /// `[prompts, code · tokens] → [prompts, tokens, width]`.
    pub fn decode(&self, codes: Tensor<2>) -> Tensor<3> {
        let CodeSizes {
            tokens,
            width,
            code,
        } = self.sizes;
        let codes: Tensor<3> = codes.reshape([-1, code as i64, tokens as i64]);
        let rows = codes.swap_dims(1, 2).flatten::<2>(0, 1);
        let prompts = self.network.decode(rows);
        prompts.reshape([-1, tokens as i64, width as i64])
    }
}

/// Stored codes as a chip holds them: a deviation of `chip` is added, relative to the largest magnitude of all codes, and the gradient
/// passes it unchanged.
///
/// This is the law of a [`VectorStore`](crossburn_hardware::search::VectorStore) whose setting has the same `variation`.
pub(super) fn as_stored(codes: Tensor<2>, noise: &Variation, chip: ChipSeed) -> Tensor<2> {
    let device = codes.device();
    let layout = WeightLayout::ByRank;
    let path = "codes of prompts in training";
    let held = Deviation::draw(codes.clone().detach(), noise, chip, path, layout, &device);
    held.apply(codes)
}

/// How a [`PromptCoder`] is trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoderTraining {
    /// Steps of Adam, each on the whole pool.
    pub steps: u64,
    /// Learning rate.
    pub learning_rate: f64,
}

impl CoderTraining {
    /// A coder with codes of `code` numbers per token that gives the prompts of `pool` back, under `noise` of its codes that is drawn
    /// anew at every step; `None` where it was stopped.
    ///
    /// ```text
    /// mean (P - decode(encode(P) + deviation))²
    /// ```
    ///
    /// # Errors
    /// [`TrainingError::Diverged`] for a loss that is not finite.
    pub fn train(
        &self,
        pool: &Prompts,
        code: usize,
        noise: Option<&Variation>,
        (seed, device): (u64, &Device),
        stop: &AtomicBool,
    ) -> Result<Option<PromptCoder>, TrainingError> {
        let [_, tokens, width] = pool.shape();
        let sizes = CodeSizes {
            tokens,
            width,
            code,
        };
        let mut coder = initialize(sizes.init(device), seed);
        let adam = OptimizerConfig::Adam {
            learning_rate: self.learning_rate,
            weight_decay: 0.0,
        };
        let mut optimizer = adam.init();
        let prompts = pool.tensor(device);
        for step in 0..self.steps {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let mut codes = coder.encode(prompts.clone());
            if let Some(noise) = noise {
                codes = as_stored(codes, noise, ChipSeed::new(seed, step));
            }
            let missed = prompts.clone() - coder.decode(codes);
            let loss = (missed.clone() * missed).mean();
            finite_loss(&loss, step)?;
            let gradients = GradientsParams::from_grads(loss.backward(), &coder);
            coder = optimizer.step(self.learning_rate, coder, gradients);
        }
        Ok(Some(coder.freeze()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crossburn_noise::{Distribution, FEFET3, FourLevel};

    use super::*;

    const DEVICE: fn() -> Device = Device::flex;

    fn law(sigma: f64) -> Variation {
        Variation::from(Distribution::FourLevel(FourLevel {
            sigma_rel_wmax: sigma,
            ratio: FEFET3,
        }))
    }

    /// Values of one magnitude in each row, below the largest of all, 2.
    #[test]
    fn stored_codes_deviate_with_the_moments_of_the_law() {
        // s_outer = s / sqrt(0.4 · 9 + 0.6) = 0.1 / sqrt(4.2), s_inner = 3 s_outer, relative to the largest magnitude.
        let outer = 2.0 * 0.1 / 4.2f64.sqrt();
        let draws = 20_000;
        for (value, sigma) in [
            (0.3, outer),
            (-0.8, 3.0 * outer),
            (1.2, 3.0 * outer),
            (-1.8, outer),
        ] {
            let mut codes = vec![value as f32; draws];
            codes.push(2.0);
            let codes = Tensor::<2>::from_data(TensorData::new(codes, [1, draws + 1]), &DEVICE());
            let stored = as_stored(codes, &law(0.1), ChipSeed::new(4, 0));
            let stored = values(stored).unwrap();
            let deviations = stored[..draws].iter().map(|x| f64::from(*x) - value);
            let mean = deviations.clone().sum::<f64>() / draws as f64;
            let variance = deviations.map(|d| (d - mean) * (d - mean)).sum::<f64>() / draws as f64;
            // Four standard errors: sigma / sqrt(n) of the mean, sigma² sqrt(2 / n) of the variance.
            let n = draws as f64;
            assert!(mean.abs() < 4.0 * sigma / n.sqrt(), "{value}: {mean}");
            let off = (variance - sigma * sigma).abs();
            assert!(
                off < 4.0 * sigma * sigma * (2.0 / n).sqrt(),
                "{value}: {variance}"
            );
        }
    }

    #[test]
    fn every_step_draws_anew_and_the_gradient_passes_unchanged() {
        let device = DEVICE().autodiff();
        let codes = Tensor::<2>::from_floats([[0.5, -1.0, 0.3], [0.9, 0.1, -0.7]], &device);
        let factors = Tensor::<2>::from_floats([[1.0, 2.0, -3.0], [0.25, 5.0, 7.0]], &device);
        let codes = codes.require_grad();
        let at = |step| as_stored(codes.clone(), &law(0.2), ChipSeed::new(4, step));
        let gradients = (at(1) * factors.clone()).sum().backward();
        let gradient = codes.grad(&gradients).unwrap();
        assert_eq!(values(gradient).unwrap(), values(factors).unwrap());
        let [first, again, next] = [1, 1, 2].map(|step| values(at(step)).unwrap());
        assert_eq!(first, again);
        assert!(first.iter().zip(&next).all(|(a, b)| a != b));
    }

    #[test]
    fn a_code_holds_feature_by_feature_the_tokens_in_order() {
        let device = DEVICE();
        let sizes = CodeSizes {
            tokens: 3,
            width: 4,
            code: 2,
        };
        let coder = initialize(sizes.init(&device), 5);
        let draws: Vec<f32> = (0..24).map(|i| (i as f32 * 0.7).sin()).collect();
        let prompts = Prompts::new(draws, [2, 3, 4]);
        let codes = coder.codes(&prompts, &device).unwrap();
        assert_eq!(codes.len(), 12);
        // Token by token through the network.
        for prompt in 0..2 {
            for token in 0..3 {
                let own = &prompts.values()[(3 * prompt + token) * 4..][..4];
                let own = Tensor::from_data(TensorData::new(own.to_vec(), [1, 4]), &device);
                let code = values(coder.network.encode(own)).unwrap();
                for (feature, value) in code.iter().enumerate() {
                    let stored = codes[6 * prompt + 3 * feature + token];
                    assert!((stored - value).abs() < 1e-6);
                }
            }
        }
        let back = coder.prompts(&codes, &device).unwrap();
        assert_eq!(back.shape(), [2, 3, 4]);
    }

    /// Prompts in a plane are given back by a code of two numbers, and under noise codes are told apart less well.
    #[test]
    fn prompts_of_two_features_fit_codes_of_two_numbers() {
        let device = DEVICE().autodiff();
        let values = (0..40).flat_map(|i| {
            let (a, b) = ((i as f32 * 1.3).sin(), (i as f32 * 2.1).cos());
            [a, b, a - b, 0.5 * a + b]
        });
        let pool = Prompts::new(values.collect(), [10, 4, 4]);
        let training = CoderTraining {
            steps: 400,
            learning_rate: 0.02,
        };
        let stop = AtomicBool::new(false);
        let missed = |noise: Option<&Variation>| {
            let coder = training
                .train(&pool, 2, noise, (3, &device), &stop)
                .unwrap()
                .unwrap();
            let coder = coder.valid();
            let codes = coder.codes(&pool, &DEVICE()).unwrap();
            let back = coder.prompts(&codes, &DEVICE()).unwrap();
            let pairs = back.values().iter().zip(pool.values());
            pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f32>() / pool.values().len() as f32
        };
        // The mean square of the values is about 1.
        let [without, under] = [missed(None), missed(Some(&law(0.3)))];
        assert!(without < 1e-4, "{without}");
        assert!(under > without, "{under}");
        stop.store(true, Ordering::Relaxed);
        let stopped = training.train(&pool, 2, None, (3, &device), &stop);
        assert!(stopped.unwrap().is_none());
    }
}
