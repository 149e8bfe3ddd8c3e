//! An adapter learns one person's texts.

use std::sync::atomic::{AtomicBool, Ordering};

use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use crossburn_models::decoder::{Adapter, Decoder, next_token_loss};

use super::super::LanguageModelling;
use super::super::shuffled::ShuffledTexts;
use super::super::stored_prompts::{finite_loss, resting};
use crate::task::Task;
use crate::{OptimizerConfig, TrainingError};

/// How an adapter is tuned: Adam with a learning rate that stays, so that what is learned after few steps is what a training of few steps
/// gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdapterTuning {
    /// Steps of Adam.
    pub steps: u64,
    /// Texts of a step; all where there are fewer.
    pub batch: usize,
    /// Learning rate of every step.
    pub learning_rate: f64,
    /// Key of the order of texts.
    pub seed: u64,
}

/// The adapter after some steps.
#[derive(Debug)]
pub struct TuningPoint<'a> {
    /// Steps so far.
    pub step: u64,
    /// Mean loss of the steps since the last time that was told.
    pub loss: f64,
    /// What was learned, on the device with autodiff.
    pub adapter: &'a Adapter,
}

impl AdapterTuning {
    /// `adapter`, tuned on `texts` beside `network`, which rests; both stand on `device`, which has autodiff. `told` is called after each of
    /// the numbers of steps in `at`. `None` where it was stopped.
    ///
    /// Every epoch takes the texts in another order. The last batch of an epoch may be smaller.
    ///
    /// # Errors
    /// [`TrainingError::Diverged`] for a loss that is not finite, errors of `told`, and texts that the network does not take.
    pub fn tune(
        &self,
        (network, device): (&Decoder, &Device),
        mut adapter: Adapter,
        texts: &LanguageModelling,
        at: &[u64],
        told: &mut dyn FnMut(TuningPoint<'_>) -> Result<(), TrainingError>,
        stop: &AtomicBool,
    ) -> Result<Option<Adapter>, TrainingError> {
        let network = resting(network);
        let adam = OptimizerConfig::Adam {
            learning_rate: self.learning_rate,
            weight_decay: 0.0,
        };
        let mut optimizer = adam.init();
        let mut order = ShuffledTexts::new(self.seed, texts.items());
        let (mut sum, mut summed) = (0.0, 0.0);
        for step in 0..self.steps {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let items = order.next(self.batch);
            let rows = texts.batch(&items, device)?;
            let tokens = rows.tokens.iter().map(|token| i64::from(*token)).collect();
            let tokens = TensorData::new::<i64, _>(tokens, [items.len(), rows.places]);
            let tokens = Tensor::<2, Int>::from_data(tokens, device);
            let loss = next_token_loss(&network, Some(&adapter), tokens, &rows.labels);
            let loss = loss.map_err(|cause| TrainingError::Failed {
                what: "the language model".to_string(),
                place: format!("step {} of tuning", step + 1),
                cause: cause.to_string(),
            })?;
            sum += finite_loss(&loss, step)?;
            summed += 1.0;
            let gradients = GradientsParams::from_grads(loss.backward(), &adapter);
            adapter = optimizer.step(self.learning_rate, adapter, gradients);
            if at.contains(&(step + 1)) {
                told(TuningPoint {
                    step: step + 1,
                    loss: sum / summed,
                    adapter: &adapter,
                })?;
                (sum, summed) = (0.0, 0.0);
            }
        }
        Ok(Some(adapter))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use burn::module::{Module, ModuleMapper, Param};
    use crossburn_models::decoder::DecoderSizes;
    use crossburn_models::initialize;

    use super::super::LearningMethod;
    use super::*;
    use crate::Sequence;

    const TOKENS: [u32; 6] = [1, 4, 9, 2, 7, 3];

    fn decoder(device: &Device) -> Decoder {
        let sizes = r#"{"vocabulary": 11, "width": 16, "heads": 2, "layers": 2, "context": 24}"#;
        let sizes: DecoderSizes = serde_json::from_str(sizes).unwrap();
        initialize(sizes.init(device).unwrap(), 4)
    }

    fn loss(decoder: &Decoder, adapter: Option<&Adapter>, device: &Device) -> Tensor<1> {
        let tokens: Vec<i64> = TOKENS.iter().map(|token| i64::from(*token)).collect();
        let tokens = Tensor::from_data(TensorData::new(tokens, [1, TOKENS.len()]), device);
        let labels: Vec<Option<u32>> = TOKENS
            .iter()
            .enumerate()
            .map(|(place, token)| (place > 2).then_some(*token))
            .collect();
        next_token_loss(decoder, adapter, tokens, &labels).unwrap()
    }

    fn value(loss: Tensor<1>) -> f64 {
        f64::from(loss.into_scalar::<f32>())
    }

    fn fresh(method: LearningMethod, decoder: &Decoder, device: &Device) -> Adapter {
        let config = method.adapter().unwrap();
        initialize(config.init(decoder.config(), device).unwrap(), 5)
    }

    #[test]
    fn low_rank_products_and_factors_change_nothing_at_first() {
        let device = Device::flex();
        let decoder = decoder(&device);
        let without = value(loss(&decoder, None, &device));
        for method in [LearningMethod::Lora, LearningMethod::Ia3] {
            let adapter = fresh(method, &decoder, &device);
            let with = value(loss(&decoder, Some(&adapter), &device));
            assert_eq!(with, without, "{method}");
        }
        // Virtual tokens do: attention sees them.
        let prefix = fresh(LearningMethod::Prefix, &decoder, &device);
        assert_ne!(value(loss(&decoder, Some(&prefix), &device)), without);
    }

    /// Moves every number by `by` times the same number of `along`.
    struct Along<'a> {
        along: &'a [Vec<f32>],
        by: f32,
        next: usize,
    }

    impl ModuleMapper for Along<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let along = self.along[self.next].clone();
            self.next += 1;
            let by = self.by;
            param.map(|tensor| {
                let data = TensorData::new(along, tensor.dims());
                let device = tensor.device();
                tensor.clone() + Tensor::from_data(data, &device) * by
            })
        }
    }

    /// Collects what `Along` moves by: the gradient of every parameter.
    struct Gradients<'a> {
        gradients: &'a GradientsParams,
        found: Vec<Vec<f32>>,
    }

    impl burn::module::ModuleVisitor for Gradients<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient: Tensor<D> = self.gradients.get(param.id).unwrap();
            self.found
                .push(gradient.into_data().try_into_vec_as::<f32>().unwrap());
        }
    }

    #[test]
    fn gradients_of_prefix_and_factors_are_finite_differences() {
        let device = Device::flex().autodiff();
        let decoder = resting(&decoder(&device));
        for method in [
            LearningMethod::Prefix,
            LearningMethod::Ia3,
            LearningMethod::Prompt,
            LearningMethod::Lora,
        ] {
            let adapter = fresh(method, &decoder, &device);
            let gradients = loss(&decoder, Some(&adapter), &device).backward();
            let gradients = GradientsParams::from_grads(gradients, &adapter);
            let mut visitor = Gradients {
                gradients: &gradients,
                found: Vec::new(),
            };
            adapter.visit(&mut visitor);
            let found = visitor.found;
            let squares: f64 = found.iter().flatten().map(|g| f64::from(*g).powi(2)).sum();
            assert!(squares > 0.0, "{method}");
            // A step along the gradient, and one back: the slope is the length of the gradient. Embeddings of length 0.08 pass through a norm,
            // so that a prompt takes shorter steps than factors near 1: such that the loss changes by 0.004.
            let length = squares.sqrt();
            let walk = f64::min(0.02, 0.004 / length);
            let step = walk / length;
            let moved = |by: f64| {
                let mut along = Along {
                    along: &found,
                    by: by as f32,
                    next: 0,
                };
                value(loss(
                    &decoder,
                    Some(&adapter.clone().map(&mut along)),
                    &device,
                ))
            };
            let slope = (moved(step) - moved(-step)) / (2.0 * walk);
            // Losses near 2.4 have a spacing of 2.4e-7; the third derivative adds its share.
            let tolerance = 2.0 * 2.4e-7 / (2.0 * walk) + 0.01 * length;
            assert!(
                (slope - length).abs() < tolerance,
                "{method}: {slope} {length}"
            );
        }
    }

    #[test]
    fn every_method_learns_and_the_first_steps_are_those_of_a_short_training() {
        let device = Device::flex().autodiff();
        let decoder = decoder(&device);
        let text = |shift: u32| Sequence {
            tokens: TOKENS.iter().map(|token| (token + shift) % 11).collect(),
            first: 3,
        };
        let texts = LanguageModelling::new((0..5).map(text).collect()).unwrap();
        let stop = AtomicBool::new(false);
        for method in LearningMethod::ALL
            .into_iter()
            .filter(|method| method.learns())
        {
            let run = |batch, steps, at: &[u64]| {
                let tuning = AdapterTuning {
                    steps,
                    batch,
                    learning_rate: 0.05,
                    seed: 3,
                };
                let mut told = Vec::new();
                let start = fresh(method, &decoder, &device);
                let mut tell = |point: TuningPoint<'_>| {
                    told.push((point.step, point.loss));
                    Ok(())
                };
                tuning
                    .tune((&decoder, &device), start, &texts, at, &mut tell, &stop)
                    .unwrap()
                    .unwrap();
                told
            };
            let long = run(2, 20, &[5, 20]);
            assert_eq!(run(2, 5, &[5]), long[..1], "{method}");
            // With all texts in every step, the loss is the same function at both times.
            let all = run(5, 40, &[1, 40]);
            assert!(all[1].1 < all[0].1, "{method}: {all:?}");
        }
        let stopped = AtomicBool::new(true);
        let tuning = AdapterTuning {
            steps: 1,
            batch: 2,
            learning_rate: 0.05,
            seed: 3,
        };
        let start = fresh(LearningMethod::Ia3, &decoder, &device);
        let mut told = |_: TuningPoint<'_>| Ok(());
        let left = tuning.tune((&decoder, &device), start, &texts, &[], &mut told, &stopped);
        assert!(left.unwrap().is_none());
    }
}
