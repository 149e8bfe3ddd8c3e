//! Texts with a teacher: a small network learns what a larger one says of them.

use burn::tensor::{Device, Tensor};
use crossburn_checkpoints::checksum;
use crossburn_kernels::distillation_loss;
use crossburn_models::decoder::Decoder;
use crossburn_models::{CausalLanguageModel, Predictions};
use crossburn_noise::Metric;

use super::surprise::Surprise;
use super::{LanguageModelling, Rows};
use crate::TrainingError;
use crate::task::{Learn, RaisedLoss, Task};
use crate::weights_digest::weights_digest;

/// Texts that a network, the student, learns together with what another network, the teacher, expects in them.
///
/// ```text
/// L = τ² KL(softmax(z_t / τ) || softmax(z_s / τ)) + cross-entropy      z_t of the teacher, z_s of the student; means over predicted tokens
/// ```
///
/// Networks are judged as on the texts alone. The method [`Distillation`](crate::Distillation) is for a network that is its own teacher; here the teacher
/// is another, usually larger one.
///
/// # Source
/// Hinton, Vinyals and Dean, 2015 (arXiv 1503.02531).
#[derive(Clone, Debug)]
pub struct TaughtTexts {
    texts: LanguageModelling,
    teacher: Decoder,
    temperature: f64,
}

impl TaughtTexts {
    /// `texts` with a teacher without autodiff and the temperature τ.
    ///
    /// # Errors
    /// [`TrainingError::Setting`] for a temperature that is not above 0, [`TrainingError::Vocabulary`] for texts with tokens that the teacher does not have.
    pub fn new(
        texts: LanguageModelling,
        teacher: Decoder,
        temperature: f64,
    ) -> Result<Self, TrainingError> {
        if !(temperature.is_finite() && temperature > 0.0) {
            return Err(TrainingError::setting(
                "temperature",
                temperature,
                "a number above 0",
            ));
        }
        let (outputs, tokens) = (teacher.config().vocabulary, texts.tokens);
        if tokens > outputs {
            return Err(TrainingError::Vocabulary { outputs, tokens });
        }
        Ok(Self {
            texts,
            teacher,
            temperature,
        })
    }
}

impl Task for TaughtTexts {
    type Batch = Rows;
    type Tally = Surprise;

    fn metric(&self) -> Metric {
        self.texts.metric()
    }

    fn items(&self) -> usize {
        self.texts.items()
    }

    fn split_at(&self, count: usize) -> (Self, Self) {
        let (first, second) = self.texts.split_at(count);
        let taught = |texts| Self {
            texts,
            ..self.clone()
        };
        (taught(first), taught(second))
    }

    fn digest(&self) -> String {
        let (texts, teacher) = (self.texts.digest(), weights_digest(&self.teacher));
        checksum(format!("{texts} {} {teacher}", self.temperature).as_bytes())
    }

    fn batch(&self, items: &[usize], device: &Device) -> Result<Rows, TrainingError> {
        self.texts.batch(items, device)
    }

    fn most_at_once(&self) -> usize {
        self.texts.most_at_once()
    }

    fn value(&self, tally: &Surprise) -> Result<f64, TrainingError> {
        self.texts.value(tally)
    }

    fn also(&self, tally: &Surprise) -> Vec<(Metric, f64)> {
        self.texts.also(tally)
    }
}

impl<L: CausalLanguageModel> Learn<L> for TaughtTexts {
    type Output = Predictions;
    type Surrogate = RaisedLoss;

    fn forward(&self, network: &L, batch: &Rows) -> Predictions {
        Learn::<L>::forward(&self.texts, network, batch)
    }

    fn fits(&self, output: &Predictions, batch: &Rows) -> Result<(), TrainingError> {
        Learn::<L>::fits(&self.texts, output, batch)
    }

    fn loss(&self, output: Predictions, batch: &Rows) -> Tensor<1> {
        let taught = (self.teacher).predict(&batch.tokens, batch.places, &batch.labels);
        let distance = distillation_loss(output.logits.clone(), taught.logits, self.temperature);
        distance + Learn::<L>::loss(&self.texts, output, batch)
    }

    fn judge(
        &self,
        output: Predictions,
        batch: &Rows,
        tallies: &mut [Surprise],
    ) -> Result<(), TrainingError> {
        Learn::<L>::judge(&self.texts, output, batch, tallies)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use burn::module::Module;
    use crossburn_models::decoder::DecoderSizes;
    use crossburn_models::initialize;

    use super::*;
    use crate::weight_gradients::values;
    use crate::{Batches, Recipe, Run, Sequence, Silent, TrainingConfig, evaluate, train};

    fn decoder(width: usize, seed: u64, device: &Device) -> Decoder {
        let sizes = format!(
            r#"{{"vocabulary": 11, "width": {width}, "heads": 2, "layers": 1, "context": 12}}"#
        );
        let sizes: DecoderSizes = serde_json::from_str(&sizes).unwrap();
        initialize(sizes.init(device).unwrap(), seed)
    }

    fn texts(count: u32) -> LanguageModelling {
        let text = |number: u32| Sequence {
            tokens: (0..8)
                .map(|place| (number * 3 + place * place) % 11)
                .collect(),
            first: 1,
        };
        LanguageModelling::new((0..count).map(text).collect()).unwrap()
    }

    /// The logits of all predicted tokens, row by row, in 64 bits.
    fn logits(network: &Decoder, batch: &Rows) -> (Vec<Vec<f64>>, Vec<u32>) {
        let found = network.predict(&batch.tokens, batch.places, &batch.labels);
        let all = values(found.logits).unwrap();
        let rows = all.chunks(11);
        let rows = rows.map(|row| row.iter().map(|logit| f64::from(*logit)).collect());
        (rows.collect(), found.targets)
    }

    fn log_softmax(row: &[f64], temperature: f64) -> Vec<f64> {
        let sum: f64 = row.iter().map(|z| (z / temperature).exp()).sum();
        row.iter().map(|z| z / temperature - sum.ln()).collect()
    }

    #[test]
    fn a_digest_tells_texts_teachers_and_temperatures_apart() {
        let device = Device::flex();
        let of = |count, seed, temperature| {
            let teacher = decoder(8, seed, &device);
            let taught = TaughtTexts::new(texts(count), teacher, temperature).unwrap();
            taught.digest()
        };
        let first = of(3, 1, 2.0);
        assert_eq!(first, of(3, 1, 2.0));
        for other in [of(4, 1, 2.0), of(3, 2, 2.0), of(3, 1, 2.5)] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn the_loss_is_the_formula_worked_out_for_every_token() {
        let device = Device::flex();
        let teacher = decoder(16, 1, &device);
        let student = decoder(8, 2, &device.clone().autodiff());
        let batch = texts(3).batch(&[0, 1, 2], &device).unwrap();
        let (said, targets) = logits(&teacher, &batch);
        let (own, _) = logits(&student.valid(), &batch);
        for temperature in [1.0, 2.5] {
            let mut sum = 0.0;
            for ((said, own), target) in said.iter().zip(&own).zip(&targets) {
                let (t, s) = (
                    log_softmax(said, temperature),
                    log_softmax(own, temperature),
                );
                let distance: f64 = t.iter().zip(&s).map(|(t, s)| t.exp() * (t - s)).sum();
                sum += temperature * temperature * distance;
                sum -= log_softmax(own, 1.0)[*target as usize];
            }
            let expected = sum / targets.len() as f64;
            let task = TaughtTexts::new(texts(3), teacher.clone(), temperature).unwrap();
            let output = Learn::<Decoder>::forward(&task, &student, &batch);
            let loss = Learn::<Decoder>::loss(&task, output, &batch);
            let found = f64::from(loss.into_scalar::<f32>());
            // Sums of 21 · 11 32-bit terms.
            assert!(
                (found - expected).abs() < 1e-4 * expected,
                "{found} {expected}"
            );
        }
    }

    #[test]
    fn a_student_comes_nearer_to_its_teacher_than_one_that_learns_alone() {
        let device = Device::flex();
        let (learner, teacher) = (device.clone().autodiff(), decoder(16, 1, &device));
        let recipe = Recipe {
            training: TrainingConfig {
                epochs: 20,
                batch: 4,
                ..TrainingConfig::default()
            },
            ..Recipe::own(3)
        };
        let batch = texts(8).batch(&[0, 3, 6], &device).unwrap();
        let distance = |student: &Decoder| -> f64 {
            let (said, own) = (logits(&teacher, &batch).0, logits(student, &batch).0);
            let apart = said.iter().zip(&own).map(|(said, own)| {
                let (t, s) = (log_softmax(said, 1.0), log_softmax(own, 1.0));
                t.iter()
                    .zip(&s)
                    .map(|(t, s)| t.exp() * (t - s))
                    .sum::<f64>()
            });
            apart.sum()
        };
        let taught = TaughtTexts::new(texts(8), teacher.clone(), 2.0).unwrap();
        let run = Run::new(&taught, &taught, &learner);
        let with = train(decoder(8, 2, &learner), &recipe, &run, &mut Silent).unwrap();
        let alone = texts(8);
        let run = Run::new(&alone, &alone, &learner);
        let without = train(decoder(8, 2, &learner), &recipe, &run, &mut Silent).unwrap();
        let (with, without) = (with.network.valid(), without.network.valid());
        assert!(distance(&with) < distance(&without));
        // Both are judged by the texts.
        let judged = |perplexity: Result<f64, TrainingError>| perplexity.unwrap();
        let by_taught = judged(evaluate(&with, &Batches::new(&taught, 8, &device).unwrap()));
        let by_texts = judged(evaluate(&with, &Batches::new(&alone, 8, &device).unwrap()));
        assert_eq!(by_taught, by_texts);
    }

    #[test]
    fn what_cannot_teach_is_refused() {
        let device = Device::flex();
        for temperature in [0.0, -1.0, f64::NAN] {
            assert!(TaughtTexts::new(texts(2), decoder(8, 1, &device), temperature).is_err());
        }
        let wide = Sequence {
            tokens: vec![1, 11, 2],
            first: 1,
        };
        let wide = LanguageModelling::new(vec![wide]).unwrap();
        let error = TaughtTexts::new(wide, decoder(8, 1, &device), 1.0).unwrap_err();
        assert!(matches!(
            error,
            TrainingError::Vocabulary {
                outputs: 11,
                tokens: 12
            }
        ));
    }
}
