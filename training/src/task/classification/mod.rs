//! Telling classes apart: labelled samples, cross-entropy, accuracy.

mod attack_loss;
mod by_group;
mod candidate;
mod margin;

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use crossburn_hardware::enclosure::Interval;
use crossburn_kernels::{cross_entropy, distillation_loss};
use crossburn_models::Classifier;
use crossburn_noise::Metric;

pub use attack_loss::AttackLoss;
pub use candidate::{CandidateResult, CandidateTrials};
pub use margin::margin_loss;

use super::{Attacked, Batch, Confusion, Learn, SurrogateList, Tally, Task, require_finite};
use crate::data::{Augmentation, Conventions, Samples};
use crate::weight_gradients::values;
use crate::{Batches, TrainingError};

/// Samples whose classes a network tells apart, judged by its accuracy: the share of samples whose largest logit, the first of
/// equals, is that of the label.
///
/// ```
/// use burn::tensor::Device;
/// use crossburn_models::{MlpConfig, initialize};
/// use crossburn_training::data::digits;
/// use crossburn_training::{Batches, Classification, evaluate};
///
/// let device = Device::flex();
/// let widths = vec![784, 16, 10];
/// let network = initialize(MlpConfig { widths, bits: None }.init(&device), 1);
/// let task = Classification::new(digits(1, 0, 40));
/// let accuracy = evaluate(&network, &Batches::new(&task, 20, &device)?)?;
/// assert!((0.0..=1.0).contains(&accuracy));
/// # Ok::<(), crossburn_training::TrainingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Classification {
    samples: Arc<Samples>,
    range: Range<usize>,
    /// Outputs that a network needs for the labels.
    outputs: usize,
}

impl Classification {
    /// All of `samples`.
    pub fn new(samples: impl Into<Arc<Samples>>) -> Self {
        Self::part(samples.into(), None)
    }

    fn part(samples: Arc<Samples>, range: Option<Range<usize>>) -> Self {
        let range = range.unwrap_or(0..samples.len());
        let largest = samples.labels[range.clone()].iter().max();
        let labelled = largest.map_or(0, |label| usize::from(*label) + 1);
        Self {
            outputs: samples.classes.max(labelled),
            samples,
            range,
        }
    }

    /// What every classification is judged by.
    pub(super) fn metric_of_all() -> Metric {
        Metric::share("accuracy")
    }

    /// The samples, of which this may be a part.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// The place of an item among the samples.
    pub(super) fn place(&self, item: usize) -> usize {
        self.range.start + item
    }

    /// The label of an item.
    pub(super) fn label(&self, item: usize) -> u16 {
        self.samples.labels[self.place(item)]
    }

    fn places(&self, items: &[usize]) -> Vec<usize> {
        items.iter().map(|item| self.place(*item)).collect()
    }

    /// The batch of `inputs`, which were read from `places`.
    fn labelled(&self, places: &[usize], inputs: Tensor<4>) -> Result<Labelled, TrainingError> {
        self.samples.check_read()?;
        Ok(Labelled {
            inputs,
            labels: places.iter().map(|&i| self.samples.labels[i]).collect(),
        })
    }
}

/// Samples on a device, with their labels on the host.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// `[batch, channels, height, width]`.
    pub inputs: Tensor<4>,
    /// The class of each.
    pub labels: Vec<u16>,
}

impl Labelled {
    /// The labels as targets on `device`: `[batch]`.
    fn targets(&self, device: &Device) -> Tensor<1, Int> {
        let labels: Vec<i64> = self.labels.iter().map(|label| i64::from(*label)).collect();
        let count = labels.len();
        Tensor::from_data(TensorData::new(labels, [count]), device)
    }
}

impl Batch for Labelled {
    fn items(&self) -> usize {
        self.labels.len()
    }

    fn cut(&self, range: Range<usize>) -> Self {
        Self {
            inputs: self.inputs.cut(range.clone()),
            labels: self.labels[range].to_vec(),
        }
    }

    fn tracked(&self) -> Self {
        Self {
            inputs: self.inputs.tracked(),
            labels: self.labels.clone(),
        }
    }
}

/// How many samples a network is right on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    right: usize,
    samples: usize,
}

impl Tally for Hits {
    fn merge(&mut self, other: Self) {
        self.right += other.right;
        self.samples += other.samples;
    }
}

impl Task for Classification {
    type Batch = Labelled;
    type Tally = Hits;

    fn metric(&self) -> Metric {
        Self::metric_of_all()
    }

    fn items(&self) -> usize {
        self.range.len()
    }

    fn split_at(&self, count: usize) -> (Self, Self) {
        let middle = self.range.start + count.min(self.items());
        let part = |range| Self::part(self.samples.clone(), Some(range));
        (part(self.range.start..middle), part(middle..self.range.end))
    }

    fn digest(&self) -> String {
        self.samples.digest_of(self.range.clone())
    }

    fn batch(&self, items: &[usize], device: &Device) -> Result<Labelled, TrainingError> {
        let places = self.places(items);
        let inputs = self.samples.inputs(&places, device);
        self.labelled(&places, inputs)
    }

    fn augmented(
        &self,
        items: &[usize],
        augmentation: &Augmentation,
        key: u64,
        device: &Device,
    ) -> Result<Labelled, TrainingError> {
        let places = self.places(items);
        let inputs = self
            .samples
            .augmented_inputs(&places, augmentation, key, device);
        self.labelled(&places, inputs)
    }

    fn held_at_once(&self) -> usize {
        self.samples.held_at_once()
    }

    fn conventions(&self) -> Option<Conventions> {
        Some(self.samples.conventions())
    }

    fn value(&self, tally: &Hits) -> Result<f64, TrainingError> {
        Ok(tally.right as f64 / tally.samples.max(1) as f64)
    }
}

impl<C: Classifier> Learn<C> for Classification {
    type Output = Tensor<2>;
    type Surrogate = AttackLoss;

    const COUNTS: bool = true;
    const SAMPLES: bool = true;
    const DISTILS: bool = true;
    const SIDE_BY_SIDE: bool = true;

    fn forward(&self, network: &C, batch: &Labelled) -> Tensor<2> {
        network.forward(batch.inputs.clone())
    }

    fn failure(&self, network: &C) -> Option<String> {
        network.failure()
    }

    /// Refuses labels that the network has no output for.
    fn fits(&self, logits: &Tensor<2>, _: &Labelled) -> Result<(), TrainingError> {
        self.expect_outputs(logits.dims()[1])
    }

    fn loss(&self, logits: Tensor<2>, batch: &Labelled) -> Tensor<1> {
        let targets = batch.targets(&logits.device());
        cross_entropy(logits, targets)
    }

    fn distillation_loss(
        &self,
        logits: Tensor<2>,
        teacher: Tensor<2>,
        temperature: f64,
    ) -> Result<Tensor<1>, TrainingError> {
        Ok(distillation_loss(logits, teacher, temperature))
    }

    /// The margin loss with kappa 0.
    fn adversarial_loss(&self, logits: Tensor<2>, batch: &Labelled) -> Tensor<1> {
        let targets = batch.targets(&logits.device());
        margin_loss(logits, targets, 0.0)
    }

    fn judge(
        &self,
        logits: Tensor<2>,
        batch: &Labelled,
        tallies: &mut [Hits],
    ) -> Result<(), TrainingError> {
        self.expect_outputs(logits.dims()[1] / tallies.len())?;
        let found = count_of_chips(logits, &batch.labels, tallies.len())?;
        for (tally, right) in tallies.iter_mut().zip(found) {
            tally.right += right;
            tally.samples += batch.labels.len();
        }
        Ok(())
    }

    fn hits(&self, logits: Tensor<2>, batch: &Labelled) -> Result<u64, TrainingError> {
        let mut tally = [Hits::default()];
        Learn::<C>::judge(self, logits, batch, &mut tally)?;
        Ok(tally[0].right as u64)
    }

    fn confuse(
        &self,
        logits: Tensor<2>,
        batch: &Labelled,
        found: &mut Confusion,
    ) -> Result<(), TrainingError> {
        let classes = logits.dims()[1];
        self.expect_outputs(classes)?;
        let rows = values(logits)?;
        require_finite(&rows, classes)?;
        // Every class has a row, also one without samples.
        for class in found.names.len()..self.samples.classes {
            found.names.push(self.samples.class_name(class));
        }
        for (row, label) in rows.chunks(classes).zip(&batch.labels) {
            if let Some(predicted) = largest(row) {
                let name = |class| self.samples.class_name(class);
                found.add(usize::from(*label), predicted, name);
            }
        }
        Ok(())
    }

    /// The cross-entropy of a label that is drawn from the network's own softmax.
    fn sampled_loss(&self, logits: Tensor<2>, draw: f64) -> Result<Tensor<1>, TrainingError> {
        let device = logits.device();
        self.expect_outputs(logits.dims()[1])?;
        let row = values(logits.clone())?;
        require_finite(&row, row.len())?;
        let target = Tensor::<1, Int>::from_ints([class_at(&row, draw) as i64], &device);
        Ok(cross_entropy(logits, target))
    }

    fn surrogates(
        &self,
        network: &C,
        batches: &Batches<Self>,
    ) -> Result<SurrogateList<AttackLoss>, TrainingError> {
        AttackLoss::of(network, batches.iter().map(|batch| Ok(batch?.into_owned())))
    }

    fn allows(&self, loss: AttackLoss, logits: &Tensor<2>) -> Result<(), TrainingError> {
        match loss {
            AttackLoss::Towards { class } if class >= logits.dims()[1] => Err(
                TrainingError::setting("towards", class, "a class of the network"),
            ),
            _ => Ok(()),
        }
    }

    fn surrogate(
        &self,
        loss: AttackLoss,
        logits: Tensor<2>,
        batch: &Labelled,
        tally: &mut Hits,
    ) -> Result<Attacked, TrainingError> {
        let [samples, classes] = logits.dims();
        let rows = values(logits.clone())?;
        let mut gradient = vec![0.0; rows.len()];
        let mut sum = 0.0;
        let pairs = rows.chunks(classes).zip(gradient.chunks_mut(classes));
        for ((row, gradient), label) in pairs.zip(&batch.labels) {
            // A maximum in the loss hides what is not a number.
            let finite = row.iter().all(|z| z.is_finite());
            let of_sample = loss.of_sample(row, usize::from(*label), gradient);
            sum += if finite { of_sample } else { f64::NAN };
            tally.right += usize::from(is_correct(row, *label));
        }
        tally.samples += samples;
        let gradient = Tensor::from_data(
            TensorData::new(gradient, [samples, classes]),
            &logits.device(),
        );
        Ok(Attacked {
            sum,
            gradient: (logits * gradient).sum(),
        })
    }

    fn certify(&self, network: &C, batch: &Labelled) -> Option<Vec<f64>> {
        let logits = network.enclose(Interval::point(batch.inputs.clone()))?;
        Some(logits.margins(&batch.labels))
    }
}

impl Classification {
    /// Refuses fewer `outputs` of a network than the labels need.
    pub(super) fn expect_outputs(&self, outputs: usize) -> Result<(), TrainingError> {
        match outputs < self.outputs {
            true => Err(TrainingError::Outputs {
                outputs,
                needed: self.outputs,
                what: "classes",
            }),
            false => Ok(()),
        }
    }
}

/// How many rows of `logits` have their maximum at the label, for each of `chips`, whose logits stand side by side:
/// `[samples, chips · classes]`.
///
/// # Errors
/// [`TrainingError::NotFinite`] for a logit that is NaN or infinite; rows count as items from 0.
fn count_of_chips(
    logits: Tensor<2>,
    labels: &[u16],
    chips: usize,
) -> Result<Vec<usize>, TrainingError> {
    let [rows, all] = logits.dims();
    let classes = all / chips;
    let values = finite_values(logits, chips)?;
    debug_assert_eq!(rows, labels.len());
    let of_chip = |chip: usize| {
        let rows = values.chunks(all.max(1));
        let rows = rows.map(|row| &row[chip * classes..][..classes]);
        rows.zip(labels)
            .filter(|(row, label)| is_correct(row, **label))
            .count()
    };
    Ok((0..chips).map(of_chip).collect())
}

/// The values of `logits`, row by row, in which the logits of `chips` stand side by side: `[samples, chips · classes]`.
///
/// # Errors
/// [`TrainingError::NotFinite`] for a logit that is NaN or infinite; rows count as items from 0, and of several chips it names which.
pub(super) fn finite_values(logits: Tensor<2>, chips: usize) -> Result<Vec<f32>, TrainingError> {
    let [_, all] = logits.dims();
    let classes = all / chips;
    let values = values(logits)?;
    match (require_finite(&values, all), chips) {
        (Ok(()), _) => Ok(values),
        (
            Err(TrainingError::NotFinite {
                what,
                item,
                output,
                value,
            }),
            2..,
        ) => {
            let of_chip = TrainingError::NotFinite {
                what,
                item,
                output: output % classes,
                value,
            };
            Err(of_chip.of_chip(format!("{} of those side by side", output / classes)))
        }
        (Err(error), _) => Err(error),
    }
}

/// Whether the first of the largest logits of a row is that of `label`.
fn is_correct(row: &[f32], label: u16) -> bool {
    largest(row) == Some(usize::from(label))
}

/// The class of the first of the largest logits of a row; none where no logit is above negative infinity.
fn largest(row: &[f32]) -> Option<usize> {
    let (best, _) =
        row.iter()
            .enumerate()
            .fold((None, f32::NEG_INFINITY), |(best, top), (class, &value)| {
                if value > top {
                    (Some(class), value)
                } else {
                    (best, top)
                }
            });
    best
}

/// The class that `draw` falls on when the softmax of finite `logits` lie end to end.
fn class_at(logits: &[f32], draw: f64) -> usize {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |logit: &f32| f64::from(logit - largest).exp();
    let mut rest = draw * logits.iter().map(weight).sum::<f64>();
    let class = logits.iter().position(|logit| {
        rest -= weight(logit);
        rest < 0.0
    });
    // A rounding may be left at the end.
    class.unwrap_or(logits.len().saturating_sub(1))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn an_output_that_is_no_number_is_not_judged() {
        let device = Device::flex();
        let logits = |rows: [[f32; 2]; 3]| Tensor::<2>::from_floats(rows, &device);
        let fine = logits([[0.0, 1.0], [2.0, 1.0], [0.5, -0.5]]);
        assert_eq!(count_of_chips(fine, &[1, 0, 1], 1).unwrap(), [2]);
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            // The label is the largest of what is left, or another, or the value itself.
            for labels in [[1, 0, 0], [1, 0, 1]] {
                let rows = logits([[0.0, 1.0], [2.0, 1.0], [0.5, value]]);
                let error = count_of_chips(rows, &labels, 1).unwrap_err();
                let expected = format!("the network gives {value} for output 1 of item 2");
                assert!(error.to_string().starts_with(&expected), "{error}");
            }
        }
    }

    #[test]
    fn what_samples_are_taken_for_is_counted_by_name() {
        let device = Device::flex();
        let mut samples = crate::testing::lines(1, 1, 2, 4);
        samples.class_names = ["cat", "dog"].map(String::from).to_vec();
        samples.labels = vec![0, 1, 1, 1];
        let task = Classification::new(samples);
        let batch = task.batch(&[0, 1, 2, 3], &device).unwrap();
        // The first of equals; the last output has no class, so no name but its number.
        let logits = |rows: [[f32; 3]; 4]| Tensor::<2>::from_floats(rows, &device);
        let mut found = Confusion::default();
        let mut tally = [Hits::default()];
        let output = logits([
            [1.0, 1.0, 0.0],
            [0.0, 1.0, 0.0],
            [0.0, 0.0, 2.0],
            [3.0, 2.0, 1.0],
        ]);
        let learn = |output: Tensor<2>, found: &mut Confusion| {
            Learn::<crossburn_models::Mlp>::confuse(&task, output, &batch, found)
        };
        learn(output.clone(), &mut found).unwrap();
        assert_eq!(found.names, ["cat", "dog", "2"]);
        let counts: Vec<_> = found.counts.clone().into_iter().collect();
        assert_eq!(counts, [((0, 0), 1), ((1, 0), 1), ((1, 1), 1), ((1, 2), 1)]);
        // Its diagonal is what the accuracy counts.
        Learn::<crossburn_models::Mlp>::judge(&task, output, &batch, &mut tally).unwrap();
        let right = found
            .counts
            .iter()
            .filter(|((right, said), _)| right == said);
        assert_eq!(
            right.map(|(_, items)| *items as usize).sum::<usize>(),
            tally[0].right
        );
        let error = learn(logits([[f32::NAN; 3]; 4]), &mut found).unwrap_err();
        assert!(error.to_string().contains("gives NaN"), "{error}");
    }

    #[test]
    fn labels_fall_on_classes_by_their_probability() {
        let logits = [0.0, 3f32.ln(), f32::MIN];
        assert_eq!(class_at(&logits, 0.0), 0);
        assert_eq!(class_at(&logits, 0.249), 0);
        assert_eq!(class_at(&logits, 0.251), 1);
        assert_eq!(class_at(&logits, 0.999_999), 1);
    }
}
